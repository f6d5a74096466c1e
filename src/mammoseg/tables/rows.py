"""What all tables share: which cases stand in which row, and how numbers become text.

Scores of single cases come in as rows of the score tables, what is known of a model as its folds' model.json. Numbers leave as
text with a fixed number of decimals, so that the same study gives the same bytes.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

PARTS = ("holdout", "external", "out_of_fold")
"""Parts of the tables, in their order. New patients (who arrived after the lock) are scored too, but enter no mean."""

Scores = Mapping[tuple[str, str], Sequence[Mapping]]
"""(data set, model) → rows of results/<dataset>/scores/<model>.csv."""
Models = Mapping[str, Sequence[Mapping]]
"""Model name → its folds' model.json, in the config's order."""
DataSets = Mapping[str, Mapping]
"""Data set name → {"importer": str, "role": str, "phantom": bool}, in the config's order."""


def has_mass(case: Mapping) -> bool:
    """Whether a scored image has an annotated mass."""
    return int(case["n_masses"]) > 0


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample SD (n - 1), correctly rounded whatever the order; NaN where there are too few values."""
    mean = statistics.fmean(values) if values else math.nan
    return mean, statistics.stdev(values) if len(values) > 1 else math.nan


def decimals(value: float, places: int = 6) -> str:
    """A number as text with a fixed number of decimals; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.{places}f}"


def groups(scores: Scores, models: Models, datasets: DataSets) -> list[tuple[str, str, str, list[Mapping]]]:
    """(data set, part, model, cases) in the order of the tables: part, data set, model."""
    grouped = [
        (dataset, part, model, [c for c in scores.get((dataset, model), ()) if c["part"] == part])
        for part in PARTS
        for dataset in datasets
        for model in models
    ]
    return [group for group in grouped if group[3]]
