"""Write intervals of every model's mean Dice, tests of every pair of models, and the answers to the study's questions."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.runtime.files import read_csv, write_csv, write_text
from mammoseg.tables import comparisons, questions, segmentation


def main(folder: Path, scores: Sequence[Path], models: Sequence[Path], recipe: Mapping) -> None:
    """Write the tables into `folder`. Paths as in summarise_scores."""
    cases = {(s.parts[-3], s.stem): read_csv(s, {*comparisons.READ, *questions.READ}) for s in scores}
    folds = {m: [json.loads(p.read_text()) for p in models if p.parts[-3] == m] for m in recipe["models"]}
    study, statistics = (cases, folds, recipe["datasets"]), recipe["statistics"]
    warnings = segmentation.warnings(*study[1:])
    intervals = comparisons.interval_rows(*study, recipe["require_mass"], statistics)
    write_csv(folder / "intervals.csv", comparisons.INTERVALS, intervals)
    compared = comparisons.comparison_rows(*study, statistics)
    write_csv(folder / "comparisons.csv", comparisons.COMPARISONS, compared)
    write_text(folder / "comparisons.md", comparisons.markdown(compared, statistics, warnings))
    answers = questions.answer_rows(*study, statistics)
    write_csv(folder / "answers.csv", questions.ANSWERS, answers)
    write_text(folder / "answers.md", questions.markdown(answers, statistics, warnings))
    write_csv(folder / "ensembles.csv", questions.ENSEMBLES, questions.ensemble_rows(*study, statistics))
    write_csv(folder / "variance_components.csv", questions.VARIANCES, questions.variance_rows(*study))


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            folder=Path(snakemake.output.comparisons).parent,
            scores=[Path(s) for s in snakemake.input.scores],
            models=[Path(m) for m in snakemake.input.models],
            recipe=json.loads(snakemake.params.recipe),
        )
