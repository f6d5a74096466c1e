"""The tables of trust: calibration, the threshold on the training part, and whether the folds' disagreement warns of failures."""

from collections.abc import Mapping

import numpy as np

from mammoseg.metrics.calibration import BINS, reliability, risk_coverage
from mammoseg.tables.rows import PARTS, DataSets, Models, Scores, decimals, groups, has_mass

TRUST = (
    "dataset", "part", "model", "n_images", "expected_calibration_error", "n_disagreement", "risk_coverage_area",
    "risk_coverage_area_best", "risk_coverage_area_uninformed",
)  # fmt: skip
CALIBRATION = ("dataset", "part", "model", "bin_low", "bin_high", "pixels", "probability", "share_of_mass")
THRESHOLDS = ("dataset", "part", "model", "threshold", "n_images", "dice_mean")
RISK_COVERAGE = ("dataset", "part", "model", "coverage", "risk")
READ = ("image_id", "patient_id", "part", "n_masses", "dice", "fold_disagreement")
"""Columns of the scores that the first and the last are made from."""
SWEPT = "out_of_fold"
"""The only part on which the threshold is varied: a threshold chosen on test data would flatter the model."""
MOST_POINTS = 100

Counted = Mapping[tuple[str, str], Mapping]
"""(data set, model) → results/<dataset>/trust/<model>.json (`mammoseg.evaluation.score_dataset.write_outputs`)."""


def calibration_rows(counted: Counted, models: Models, datasets: DataSets) -> list[dict]:
    """Reliability curves of all scored images' pixels, by `CALIBRATION`, values as text; empty bins are left out."""
    rows = []
    for of, part in _parts(counted, models, datasets):
        curve = reliability(part["pixels"])
        for k in np.flatnonzero(curve.count):
            rows.append(
                of
                | {
                    "bin_low": decimals(k / BINS),
                    "bin_high": decimals((k + 1) / BINS),
                    "pixels": int(curve.count[k]),
                    "probability": decimals(float(curve.probability[k])),
                    "share_of_mass": decimals(float(curve.share[k])),
                }
            )
    return rows


def threshold_rows(counted: Counted, models: Models, datasets: DataSets) -> list[dict]:
    """Mean Dice of the images with a mass at each threshold, in the training part alone, by `THRESHOLDS`, values as text.

    Each image is scored by the fold that was not trained on it. Shown, never applied: the config's threshold stays.
    """
    return [
        of | {"threshold": f"{threshold:.2f}", "n_images": part["cases"], "dice_mean": decimals(dice)}
        for of, part in _parts(counted, models, datasets)
        if of["part"] == SWEPT and part["cases"]
        for threshold, dice in zip(counted[of["dataset"], of["model"]]["thresholds"], part["dice"], strict=True)
    ]


def trust_rows(scores: Scores, counted: Counted, models: Models, datasets: DataSets) -> tuple[list[dict], list[dict]]:
    """One figure per question, and the risk–coverage curves; values as text.

    Returns
    -------
    list of dict
        By `TRUST`. The area under the risk–coverage curve has the risk 1 − Dice and the disagreement of the folds as uncertainty,
        over the images with a mass that an ensemble predicted; beside it the best possible area and that of a random order.
    list of dict
        By `RISK_COVERAGE`, at most `MOST_POINTS` a model.
    """
    rows, curves = [], []
    of_group = {(d, p, m): cases for d, p, m, cases in groups(scores, models, datasets)}
    for of, part in _parts(counted, models, datasets):
        row = of | {
            "n_images": part["images"],
            "expected_calibration_error": decimals(reliability(part["pixels"]).expected_calibration_error),
        }
        ranked = [
            (float(c["fold_disagreement"]), 1 - float(c["dice"]))
            for c in of_group.get(tuple(of.values()), ())
            if has_mass(c) and c["dice"] and c["fold_disagreement"]
        ]
        row["n_disagreement"] = len(ranked)
        if ranked:
            curve = risk_coverage(*zip(*ranked, strict=True))
            row |= {
                "risk_coverage_area": decimals(curve.area),
                "risk_coverage_area_best": decimals(curve.best_area),
                "risk_coverage_area_uninformed": decimals(curve.uninformed_area),
            }
            for k in np.unique(np.linspace(0, len(ranked) - 1, MOST_POINTS).round().astype(int)):
                point = {"coverage": decimals(float(curve.coverage[k])), "risk": decimals(float(curve.risk[k]))}
                curves.append(of | point)
        rows.append(row)
    return rows, curves


def _parts(counted: Counted, models: Models, datasets: DataSets) -> list[tuple[dict, Mapping]]:
    """What was counted, in the order of the tables."""
    found = [
        ({"dataset": dataset, "part": part, "model": model}, counted[dataset, model]["parts"].get(part))
        for part in PARTS
        for dataset in datasets
        for model in models
        if (dataset, model) in counted
    ]
    return [(of, part) for of, part in found if part]
