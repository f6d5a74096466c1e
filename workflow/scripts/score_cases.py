"""Score one model on one data set, case by case."""

import _bootstrap

import json
import logging
from pathlib import Path

from mammoseg.acceptance import Code
from mammoseg.files import write_csv
from mammoseg.scoring import COLUMNS, score_cases


def main(predictions: Path, manifests: list[Path], scores: Path, threshold: float, code: Code) -> None:
    """Write one row per image that has a reference; what was scored before is remembered beside it."""
    rows, scored = score_cases(predictions, manifests, threshold, code, scores.with_name(f".{scores.name}"))
    write_csv(scores, COLUMNS, rows)
    logging.getLogger("mammoseg").info(
        "%s on %s: %d of %d cases scored, %d kept (prediction, mask and threshold are the same)",
        scores.stem, scores.parts[-3], scored, len(rows), len(rows) - scored,
    )  # fmt: skip


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            Path(snakemake.input.predictions),
            [Path(m) for m in snakemake.input.manifests],
            Path(snakemake.output.scores),
            json.loads(snakemake.params.recipe)["threshold"],
            _bootstrap.code(snakemake, study),
        )
