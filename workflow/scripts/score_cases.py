"""Score one model on one data set, case by case."""

import _bootstrap

import json
from pathlib import Path

from mammoseg.files import write_csv
from mammoseg.scoring import COLUMNS, score_cases


def main(predictions: Path, manifests: list[Path], scores: Path, threshold: float) -> None:
    """Write one row per image that has a reference."""
    write_csv(scores, COLUMNS, score_cases(predictions, manifests, threshold))


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(
            Path(snakemake.input.predictions),
            [Path(m) for m in snakemake.input.manifests],
            Path(snakemake.output.scores),
            json.loads(snakemake.params.recipe)["threshold"],
        )
