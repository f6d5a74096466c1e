"""Write how many masses each model finds, and at how many false positives."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.detection import COLUMNS, CURVE, detection_rows
from mammoseg.files import read_csv, write_csv


def main(
    scores: Sequence[Path], lesions: Sequence[Path], models: Sequence[Path], folder: Path, recipe: Mapping
) -> None:
    """Write detection.csv and froc.csv into `folder`. Lesions lie in <dataset>/lesions/, other paths as in summarise_scores."""
    cases = {(s.parts[-3], s.stem): read_csv(s, ("image_id", "patient_id", "part")) for s in scores}
    found = {(x.parts[-3], x.stem): read_csv(x) for x in lesions}
    folds = {m: [json.loads(p.read_text()) for p in models if p.parts[-3] == m] for m in recipe["models"]}
    rows, curves = detection_rows(cases, found, folds, recipe["datasets"], recipe["statistics"])
    write_csv(folder / "detection.csv", COLUMNS, rows)
    write_csv(folder / "froc.csv", CURVE, curves)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(
            [Path(s) for s in snakemake.input.scores],
            [Path(x) for x in snakemake.input.lesions],
            [Path(m) for m in snakemake.input.models],
            Path(snakemake.output.detection).parent,
            json.loads(snakemake.params.recipe),
        )
