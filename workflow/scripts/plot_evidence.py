"""Draw the figures of the evidence from the tables that they show."""

import _bootstrap

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from mammoseg.figures import evidence, save
from mammoseg.runtime.files import read_csv
from mammoseg.tables.breakdowns import ON_SQUARE, SIZE

FIGURES: Mapping[str, Callable[[Mapping, float], Figure]] = {
    "differences": lambda rows, _: evidence.differences(rows["comparisons"]),
    "sizes": lambda rows, _: evidence.sizes(rows["breakdowns"], (SIZE, ON_SQUARE)),
    "groups": lambda rows, _: evidence.groups(rows["breakdowns"], (SIZE, ON_SQUARE)),
    "froc": lambda rows, _: evidence.froc_curves(rows["froc"], rows["detection"]),
    "calibration": lambda rows, _: evidence.reliability_curves(rows["calibration"], rows["trust"]),
    "thresholds": lambda rows, threshold: evidence.threshold_curves(rows["thresholds"], threshold),
    "disagreement": lambda rows, _: evidence.risk_coverage_curves(rows["risk_coverage"], rows["trust"]),
}


def main(tables: Mapping[str, Path], threshold: float, pictures: list[Path]) -> None:
    """Draw `pictures`, <figure>.png with <figure>.svg beside it; `tables` is name of a table → results/tables/<name>.csv."""
    rows = {table: read_csv(path) for table, path in tables.items()}
    rows["breakdowns"] = [r for r in rows["breakdowns"] if r["dice_mean"]]
    for png in pictures:
        save(FIGURES[png.stem](rows, threshold), png, png.with_suffix(".svg"))


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(
            tables={Path(t).stem: Path(t) for t in snakemake.input.tables},
            threshold=json.loads(snakemake.params.recipe)["threshold"],
            pictures=[Path(p) for p in snakemake.output.png],
        )
