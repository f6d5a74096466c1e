"""Draw cases of one data set on the original's own pixels: from best to worst, and those on which the folds disagree most."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.metrics.calibration import fold_disagreement, fold_spread
from mammoseg.evaluation.case_scores import Reference, lay_back, votes_of
from mammoseg.figures import (
    CaseView,
    DisputedView,
    choose_cases,
    choose_disputed,
    disagreement,
    qualitative,
    save,
)
from mammoseg.runtime.files import read_csv
from mammoseg.images.png import read_image
from mammoseg.evaluation.score_dataset import FROM_SHARD, read_probability, read_votes, reference_of

SHOWN = ("holdout", "external", "out_of_fold")
"""Parts that are shown, the first that the data set has."""
OF_A_CASE = ("image_id", "part", "n_masses", "original_dice", "fold_disagreement")


class Pictures:
    """The pictures of one data set, laid back onto the original's own pixels.

    Parameters
    ----------
    manifests : sequence of Path
        Of the shards.
    predictions : mapping of str to Path
        Model → <dataset>/predictions/<model>/.
    """

    def __init__(self, manifests: Sequence[Path], predictions: Mapping[str, Path], threshold: float, folds: int):
        self.place = {r["image_id"]: (r, m.parent) for m in manifests for r in read_csv(m, FROM_SHARD)}
        self.predictions, self.threshold, self.folds = predictions, threshold, folds

    def reference(self, image_id: str) -> Reference:
        return reference_of(image_id, *self.place[image_id])

    def image(self, image_id: str, reference: Reference):
        return reference.box.inverse(read_image(self.place[image_id][1] / f"{image_id}.png", image_id))

    def prediction(self, image_id: str, model: str, reference: Reference):
        probability = read_probability(self.predictions[model] / f"{image_id}.png", image_id)
        return lay_back(probability, reference.box, self.threshold)

    def spread(self, image_id: str, model: str, reference: Reference):
        votes = read_votes(self.predictions[model] / f"{image_id}_votes.png", image_id)
        masks = votes_of(votes, self.folds)
        return reference.box.inverse(fold_spread(masks)), fold_disagreement(masks)


def main(pictures: Pictures, scores: Mapping[str, Path], cases: Sequence[Path], disputed: Sequence[Path]) -> None:
    """Draw both figures, each as PNG and SVG. `scores` is model → <dataset>/scores/<model>.csv."""
    rows = {model: read_csv(path, OF_A_CASE) for model, path in scores.items()}
    part = next((p for p in SHOWN if any(r["part"] == p for r in next(iter(rows.values())))), SHOWN[-1])
    rows = {model: [r for r in mine if r["part"] == part] for model, mine in rows.items()}
    dice = {(model, r["image_id"]): r["original_dice"] for model, mine in rows.items() for r in mine}
    said = part.replace("_", " ")

    views = []
    for label, image_id in choose_cases(rows):
        reference = pictures.reference(image_id)
        predictions = {
            m: (pictures.prediction(image_id, m, reference), float(dice[m, image_id]) if dice[m, image_id] else None)
            for m in scores
        }
        image = pictures.image(image_id, reference)
        views.append(CaseView(f"{said}\n{label}", image, reference.original, predictions))
    save(qualitative(views), *cases)

    views = []
    for k, image_id in enumerate(choose_disputed(rows), 1):
        reference = pictures.reference(image_id)
        maps = {m: pictures.spread(image_id, m, reference) for m in scores}
        image = pictures.image(image_id, reference)
        views.append(DisputedView(f"{said}\nmost disputed, {k}", image, reference.original, maps))
    save(disagreement(views), *disputed)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        recipe, made = json.loads(snakemake.params.recipe), snakemake.output
        scores = dict(zip(recipe["models"], map(Path, snakemake.input.scores), strict=True))
        main(
            pictures=Pictures(
                [Path(m) for m in snakemake.input.manifests],
                {model: path.parents[1] / "predictions" / model for model, path in scores.items()},
                recipe["threshold"],
                recipe["folds"],
            ),
            scores=scores,
            cases=[Path(made.png), Path(made.svg)],
            disputed=[Path(made.disputed_png), Path(made.disputed_svg)],
        )
