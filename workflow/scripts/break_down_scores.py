"""Write the mean Dice by size, view, pathology, density, fold: of all models, data sets and parts."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.breakdowns import COLUMNS, READ, breakdown_rows
from mammoseg.files import read_csv, stream_csv, write_csv
from mammoseg.index_table import COLUMNS as INDEXED


def main(scores: Sequence[Path], models: Sequence[Path], indexes: Sequence[Path], splits: Path, table: Path,
         recipe: Mapping) -> None:  # fmt: skip
    """Write `table`. An index lies in <dataset>/; other paths as in summarise_scores."""
    cases = {(s.parts[-3], s.stem): read_csv(s, READ) for s in scores}
    folds = {m: [json.loads(p.read_text()) for p in models if p.parts[-3] == m] for m in recipe["models"]}
    scored = {
        d: {c["image_id"] for (of, _), rows in cases.items() if of == d for c in rows} for d in recipe["datasets"]
    }
    extras = {
        index.parent.name: {
            row["image_id"]: {k: v for k, v in row.items() if k not in INDEXED}
            for row in stream_csv(index)
            if row["image_id"] in scored[index.parent.name]
        }
        for index in indexes
    }
    fold_of = {(r["dataset"], r["patient_id"]): r["fold"] for r in stream_csv(splits)}
    rows = breakdown_rows(cases, folds, recipe["datasets"], extras, fold_of, recipe["statistics"])
    write_csv(table, COLUMNS, rows)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(
            [Path(s) for s in snakemake.input.scores],
            [Path(m) for m in snakemake.input.models],
            [Path(i) for i in snakemake.input.indexes],
            Path(snakemake.input.splits),
            Path(snakemake.output.breakdowns),
            json.loads(snakemake.params.recipe),
        )
