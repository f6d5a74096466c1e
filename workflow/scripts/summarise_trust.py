"""Write how far probabilities can be trusted: calibration, the threshold on the training part, disagreement of the folds."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg import trust
from mammoseg.files import read_csv, write_csv


def main(
    scores: Sequence[Path], counted: Sequence[Path], models: Sequence[Path], folder: Path, recipe: Mapping
) -> None:
    """Write the tables into `folder`. What was counted lies in <dataset>/trust/, other paths as in summarise_scores."""
    cases = {(s.parts[-3], s.stem): read_csv(s, trust.READ) for s in scores}
    sums = {(c.parts[-3], c.stem): json.loads(c.read_text()) for c in counted}
    folds = {m: [json.loads(p.read_text()) for p in models if p.parts[-3] == m] for m in recipe["models"]}
    rows, curves = trust.trust_rows(cases, sums, folds, recipe["datasets"])
    write_csv(folder / "trust.csv", trust.TRUST, rows)
    write_csv(folder / "calibration.csv", trust.CALIBRATION, trust.calibration_rows(sums, folds, recipe["datasets"]))
    write_csv(folder / "thresholds.csv", trust.THRESHOLDS, trust.threshold_rows(sums, folds, recipe["datasets"]))
    write_csv(folder / "risk_coverage.csv", trust.RISK_COVERAGE, curves)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(
            [Path(s) for s in snakemake.input.scores],
            [Path(c) for c in snakemake.input.trust],
            [Path(m) for m in snakemake.input.models],
            Path(snakemake.output.trust).parent,
            json.loads(snakemake.params.recipe),
        )
