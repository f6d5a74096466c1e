"""Write the tables of evidence beside the means: breakdowns, detection, and how far the probabilities can be trusted."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.runtime.files import read_csv, stream_csv, write_csv
from mammoseg.index.columns import COLUMNS as INDEXED
from mammoseg.tables import breakdowns, detection, trust


def main(scores: Sequence[Path], lesions: Sequence[Path], counted: Sequence[Path], models: Sequence[Path],
         indexes: Sequence[Path], splits: Path, folder: Path, recipe: Mapping) -> None:  # fmt: skip
    """Write the tables into `folder`.

    Lesions lie in <dataset>/lesions/, what was counted in <dataset>/trust/, an index in <dataset>/; other paths as in
    summarise_scores.
    """
    cases = {(s.parts[-3], s.stem): read_csv(s, {*breakdowns.READ, *trust.READ}) for s in scores}
    folds = {m: [json.loads(p.read_text()) for p in models if p.parts[-3] == m] for m in recipe["models"]}
    study = folds, recipe["datasets"]

    fold_of = {(r["dataset"], r["patient_id"]): r["fold"] for r in stream_csv(splits)}
    extras = {index.parent.name: _extras(index, cases) for index in indexes}
    rows = breakdowns.breakdown_rows(cases, *study, extras, fold_of, {**recipe["statistics"], "side": recipe["side"]})
    write_csv(folder / "breakdowns.csv", breakdowns.COLUMNS, rows)

    found = {(x.parts[-3], x.stem): read_csv(x) for x in lesions}
    rows, curves = detection.detection_rows(cases, found, *study, recipe["statistics"])
    write_csv(folder / "detection.csv", detection.COLUMNS, rows)
    write_csv(folder / "froc.csv", detection.CURVE, curves)

    sums = {(c.parts[-3], c.stem): json.loads(c.read_text()) for c in counted}
    rows, curves = trust.trust_rows(cases, sums, *study)
    write_csv(folder / "trust.csv", trust.TRUST, rows)
    write_csv(folder / "risk_coverage.csv", trust.RISK_COVERAGE, curves)
    write_csv(folder / "calibration.csv", trust.CALIBRATION, trust.calibration_rows(sums, *study))
    write_csv(folder / "thresholds.csv", trust.THRESHOLDS, trust.threshold_rows(sums, *study))


def _extras(index: Path, cases: Mapping) -> dict[str, dict[str, str]]:
    """What a release carries along of the images that were scored."""
    scored = {c["image_id"] for (dataset, _), rows in cases.items() if dataset == index.parent.name for c in rows}
    return {
        row["image_id"]: {k: v for k, v in row.items() if k not in INDEXED}
        for row in stream_csv(index)
        if row["image_id"] in scored
    }


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        given = snakemake.input
        main(
            scores=[Path(p) for p in given.scores],
            lesions=[Path(p) for p in given.lesions],
            counted=[Path(p) for p in given.trust],
            models=[Path(p) for p in given.models],
            indexes=[Path(p) for p in given.indexes],
            splits=Path(given.splits),
            folder=Path(snakemake.output.detection).parent,
            recipe=json.loads(snakemake.params.recipe),
        )
