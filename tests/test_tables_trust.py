"""Tables of trust: sums by hand, areas as the library gives them."""

import numpy as np
import pytest

from mammoseg.metrics.calibration import BINS, THRESHOLDS, reliability, risk_coverage
from mammoseg.tables.trust import (
    CALIBRATION,
    RISK_COVERAGE,
    TRUST,
    calibration_rows,
    threshold_rows,
    trust_rows,
)
from mammoseg.tables.trust import THRESHOLDS as THRESHOLD_COLUMNS

MODELS, DATASETS = {"m": [{}]}, {"site": {}}
PIXELS = np.zeros((BINS, 3), int)
PIXELS[0], PIXELS[-1] = (900, 900 * 655, 9), (100, 100 * 64880, 80)


def part(images=7, cases=5):
    return {
        "images": images,
        "pixels": PIXELS.tolist(),
        "cases": cases,
        "dice": list(np.linspace(0.2, 0.8, 19)) if cases else [],
    }


COUNTED = {("site", "m"): {"thresholds": THRESHOLDS.tolist(), "parts": {"external": part(), "out_of_fold": part(9)}}}


def case(k, disagreement, dice, masses="1"):
    return {
        "image_id": f"i{k}", "patient_id": f"p{k}", "part": "external", "n_masses": masses, "dice": dice,
        "fold_disagreement": disagreement,
    }  # fmt: skip


def test_calibration_leaves_empty_bins_out():
    rows = calibration_rows(COUNTED, MODELS, DATASETS)
    assert all(tuple(r) == CALIBRATION for r in rows)
    first, last = rows[:2]
    assert (first["part"], first["bin_low"], first["pixels"], first["share_of_mass"]) == (
        "external",
        "0.000000",
        900,
        "0.010000",
    )
    assert float(first["probability"]) == pytest.approx(655 / 65535, abs=1e-6)
    assert (last["bin_high"], last["pixels"], last["share_of_mass"]) == ("1.000000", 100, "0.800000")
    assert len(rows) == 4


def test_the_threshold_is_swept_in_the_training_part_alone():
    rows = threshold_rows(COUNTED, MODELS, DATASETS)
    assert all(tuple(r) == THRESHOLD_COLUMNS for r in rows)
    assert {r["part"] for r in rows} == {"out_of_fold"}
    assert [(r["threshold"], r["dice_mean"]) for r in rows][::9] == [
        ("0.05", "0.200000"),
        ("0.50", "0.500000"),
        ("0.95", "0.800000"),
    ]
    nothing = {("site", "m"): {"thresholds": THRESHOLDS.tolist(), "parts": {"out_of_fold": part(3, 0)}}}
    assert threshold_rows(nothing, MODELS, DATASETS) == []


def test_one_figure_per_question():
    disagreement, dice = [0.1, 0.5, 0.3, 0.2], [0.9, 0.1, 0.6, 0.6]
    cases = [case(k, str(u), str(d)) for k, (u, d) in enumerate(zip(disagreement, dice, strict=True))]
    cases += [
        case(8, "", "0.5"),
        case(9, "0.4", ""),
        case(10, "0.3", "0.0", "0"),
    ]  # out of fold, undefined, without a mass
    rows, curve = trust_rows({("site", "m"): cases}, COUNTED, MODELS, DATASETS)
    assert [r["part"] for r in rows] == ["external", "out_of_fold"]
    row = rows[0]
    assert set(row) == set(TRUST)
    assert (row["n_images"], row["n_disagreement"]) == (7, 4)
    expected = risk_coverage(disagreement, 1 - np.array(dice))
    assert float(row["expected_calibration_error"]) == pytest.approx(
        reliability(PIXELS).expected_calibration_error, abs=1e-6
    )
    assert float(row["risk_coverage_area"]) == pytest.approx(expected.area, abs=1e-6)
    assert float(row["risk_coverage_area_uninformed"]) == pytest.approx(0.45, abs=1e-6)
    assert all(tuple(r) == RISK_COVERAGE for r in curve)
    assert [float(r["risk"]) for r in curve] == pytest.approx(expected.risk, abs=1e-6)
    assert "risk_coverage_area" not in rows[1], "nobody but ensembles can disagree"
