"""Write intervals of every model's mean Dice, and what tests say of every pair of models."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg import comparisons, tables
from mammoseg.files import read_csv, write_csv, write_text


def main(folder: Path, scores: Sequence[Path], models: Sequence[Path], recipe: Mapping) -> None:
    """Write intervals.csv, comparisons.csv and comparisons.md into `folder`. Paths as in summarise_scores."""
    cases = {(s.parts[-3], s.stem): read_csv(s, tables.OF_A_CASE) for s in scores}
    folds = {m: [json.loads(p.read_text()) for p in models if p.parts[-3] == m] for m in recipe["models"]}
    given = cases, folds, recipe["datasets"], recipe["require_mass"], recipe["statistics"]
    compared = comparisons.comparison_rows(*given)
    write_csv(folder / "intervals.csv", comparisons.INTERVALS, comparisons.interval_rows(*given))
    write_csv(folder / "comparisons.csv", comparisons.COMPARISONS, compared)
    write_text(folder / "comparisons.md", comparisons.markdown(compared, recipe["statistics"]))


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            Path(snakemake.output.comparisons).parent,
            [Path(s) for s in snakemake.input.scores],
            [Path(m) for m in snakemake.input.models],
            json.loads(snakemake.params.recipe),
        )
