"""Draw cases of one data set from best to worst: image, reference, each model's prediction, on the original's own pixels."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.case_scores import binarise
from mammoseg.figures import CaseView, choose_cases, qualitative, save
from mammoseg.files import read_csv
from mammoseg.png import read_image
from mammoseg.scoring import FROM_SHARD, read_probability, reference_of

SHOWN = ("holdout", "external", "out_of_fold")
"""Parts that are shown, the first that the data set has."""


def main(manifests: Sequence[Path], scores: Mapping[str, Path], threshold: float, png: Path, svg: Path) -> None:
    """Draw the figure. `scores` is model → <dataset>/scores/<model>.csv; predictions lie in <dataset>/predictions/<model>/."""
    place = {r["image_id"]: (r, m.parent) for m in manifests for r in read_csv(m, FROM_SHARD)}
    rows = {m: read_csv(path, ("image_id", "part", "n_masses", "dice", "original_dice")) for m, path in scores.items()}
    part = next((p for p in SHOWN if any(r["part"] == p for r in next(iter(rows.values())))), SHOWN[-1])
    rows = {model: [r for r in mine if r["part"] == part] for model, mine in rows.items()}
    dice = {(model, r["image_id"]): r["original_dice"] for model, mine in rows.items() for r in mine}

    def view(label: str, image_id: str) -> CaseView:
        row, folder = place[image_id]
        reference = reference_of(image_id, row, folder)

        def prediction(model: str):
            probability = read_probability(scores[model].parents[1] / f"predictions/{model}/{image_id}.png", image_id)
            mask = binarise(reference.box.inverse(probability), threshold)
            return mask, float(dice[model, image_id]) if dice[model, image_id] else None

        return CaseView(
            label=f"{part.replace('_', ' ')}\n{label}",
            image=reference.box.inverse(read_image(folder / f"{image_id}.png", image_id)),
            reference=reference.original,
            predictions={model: prediction(model) for model in scores},
        )

    save(qualitative([view(*case) for case in choose_cases(rows)]), png, svg)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        recipe = json.loads(snakemake.params.recipe)
        main(
            [Path(m) for m in snakemake.input.manifests],
            dict(zip(recipe["models"], map(Path, snakemake.input.scores), strict=True)),
            recipe["threshold"],
            Path(snakemake.output.png),
            Path(snakemake.output.svg),
        )
