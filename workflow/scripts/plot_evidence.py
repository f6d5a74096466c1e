"""Draw one figure of the evidence from the tables it shows."""

import _bootstrap

import json
from collections.abc import Mapping
from pathlib import Path

from mammoseg.breakdowns import SIZE
from mammoseg.figures import evidence, save
from mammoseg.files import read_csv


def main(name: str, tables: Mapping[str, Path], recipe: Mapping, png: Path, svg: Path) -> None:
    """Draw figure `name`; `tables` is name of a table → results/tables/<name>.csv."""
    rows = {table: read_csv(path) for table, path in tables.items()}
    match name:
        case "differences":
            figure = evidence.differences(rows["comparisons"])
        case "sizes":
            figure = evidence.sizes(rows["breakdowns"], SIZE)
        case "groups":
            figure = evidence.groups(rows["breakdowns"], SIZE)
        case "froc":
            figure = evidence.froc_curves(rows["froc"], rows["detection"])
        case "calibration":
            figure = evidence.reliability_curves(rows["calibration"], rows["trust"])
        case "thresholds":
            figure = evidence.threshold_curves(rows["thresholds"], recipe["threshold"])
        case "disagreement":
            figure = evidence.risk_coverage_curves(rows["risk_coverage"], rows["trust"])
    save(figure, png, svg)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(
            snakemake.wildcards.evidence,
            {Path(t).stem: Path(t) for t in snakemake.input.tables},
            json.loads(snakemake.params.recipe),
            Path(snakemake.output.png),
            Path(snakemake.output.svg),
        )
