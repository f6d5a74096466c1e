"""Draw the Dice of every image, by model and part."""

import _bootstrap

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mammoseg.figures import dice_distribution, save
from mammoseg.runtime.files import read_csv
from mammoseg.tables.rows import PARTS


def main(scores: Mapping[tuple[str, str], Path], baseline: Path, png: Path, svg: Path) -> None:
    """Draw the figure. `scores` is (model, data set) → <dataset>/scores/<model>.csv."""
    values = defaultdict(lambda: defaultdict(list))
    for (model, dataset), path in scores.items():
        for r in read_csv(path, ("part", "n_masses", "dice")):
            if r["part"] in PARTS and r["n_masses"] != "0" and r["dice"]:
                values[dataset, r["part"]][model].append(float(r["dice"]))
    ordered = dict(sorted(values.items(), key=lambda item: PARTS.index(item[0][1])))
    threshold = {(r["dataset"], r["part"]): float(r["dice_mean"]) for r in read_csv(baseline)}
    save(dice_distribution(ordered, threshold), png, svg)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        models = json.loads(snakemake.params.recipe)["models"]
        paths = [Path(s) for s in snakemake.input.scores]
        main(
            scores={(model, p.parts[-3]): p for model in models for p in paths if p.stem == model},
            baseline=Path(snakemake.input.baseline),
            png=Path(snakemake.output.png),
            svg=Path(snakemake.output.svg),
        )
