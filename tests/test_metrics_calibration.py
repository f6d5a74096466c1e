"""Reliability, threshold sweep and risk-coverage curve, judged by scikit-learn, by the scores themselves, and by hand."""

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from mammoseg.evaluation.case_scores import binarise
from mammoseg.metrics.calibration import (
    THRESHOLDS,
    dice_by_threshold,
    fold_disagreement,
    fold_spread,
    pixel_counts,
    reliability,
    risk_coverage,
)
from mammoseg.metrics.overlap import dice


@pytest.fixture
def cases():
    """Probabilities (uint16) that are not calibrated, and references of eight cases of different sizes."""
    draw = np.random.default_rng(1)
    made = []
    for _ in range(8):
        probability = draw.beta(0.5, 2, draw.integers(20, 60, 2))
        reference = draw.random(probability.shape) < probability**1.5
        made.append((np.rint(65535 * probability).astype(np.uint16), reference))
    return made


def test_reliability_equals_scikit_learn(cases):
    truth = np.concatenate([reference.ravel() for _, reference in cases])
    probability = np.concatenate([p.ravel() for p, _ in cases]) / 65535
    for bins in (5, 10, 15):
        curve = reliability(sum(pixel_counts(p, reference, bins) for p, reference in cases))
        share, mean = calibration_curve(truth, probability, n_bins=bins)
        np.testing.assert_allclose(curve.share[curve.count > 0], share, rtol=1e-12)
        np.testing.assert_allclose(curve.probability[curve.count > 0], mean, rtol=1e-9)
        assert curve.count.sum() == len(truth)
        weights = curve.count[curve.count > 0] / len(truth)
        assert curve.expected_calibration_error == pytest.approx((weights * np.abs(share - mean)).sum())


def test_calibration_error_by_hand():
    # Bins of a half. 0.2 four times, once mass: |0.25 − 0.2| = 0.05. 0.8 and 1.0 once each, both mass: |1 − 0.9| = 0.1.
    # (4 · 0.05 + 2 · 0.1) / 6 = 0.4 / 6. In 16 bit 0.2, 0.8 and 1 are 51, 204, 255 times 257/65535.
    shares = np.array([[51, 51, 51], [51, 204, 255]], np.uint16) * 257
    counts = pixel_counts(shares, np.array([[True, False, False], [False, True, True]]), 2)
    assert counts.tolist() == [[4, 4 * 51 * 257, 1], [2, (204 + 255) * 257, 2]]
    curve = reliability(counts)
    assert curve.count.tolist() == [4, 2]
    assert curve.probability == pytest.approx([0.2, 0.9])
    assert curve.share == pytest.approx([0.25, 1])
    assert curve.expected_calibration_error == pytest.approx(0.4 / 6)


def test_empty_bins_and_no_pixels_are_undefined():
    assert math.isnan(reliability(np.zeros((15, 3), int)).expected_calibration_error)
    curve = reliability(pixel_counts(np.full((2, 2), 65535, np.uint16), np.ones((2, 2), bool), 4))
    assert curve.count.tolist() == [0, 0, 0, 4]
    assert np.isnan(curve.share[:3]).all()
    assert curve.expected_calibration_error == 0


def test_counts_of_large_images_do_not_wrap():
    white = np.full((4096, 4096), 65535, np.uint16)
    assert pixel_counts(white, white > 0)[-1].tolist() == [4096**2, 4096**2 * 65535, 4096**2]


def test_sweep_is_the_dice_of_each_thresholds_mask(cases):
    assert THRESHOLDS[9] == 0.5
    for probability, reference in cases:
        expected = [dice(binarise(probability, t), reference) for t in THRESHOLDS]
        np.testing.assert_allclose(dice_by_threshold(probability, reference), expected, rtol=1e-12)


def test_sweep_by_hand():
    # At a threshold up to 0.25 all four pixels, up to 0.75 two, above none: 2·1/(4 + 1), 2·1/(2 + 1), 0.
    probability = np.rint(65535 * np.array([[0.25, 0.75], [0.25, 0.75]])).astype(np.uint16)
    scores = dice_by_threshold(probability, np.array([[False, True], [False, False]]))
    assert scores == pytest.approx([2 / 5] * 5 + [2 / 3] * 10 + [0] * 4)
    with pytest.raises(ValueError, match="with a mass"):
        dice_by_threshold(probability, np.zeros((2, 2), bool))


@pytest.mark.parametrize("counted", [pixel_counts, dice_by_threshold])
def test_probabilities_that_are_not_stored_ones_are_errors(counted):
    mask = np.ones((2, 2), bool)
    for wrong in (mask * 0.5, mask * np.uint8(200)):
        with pytest.raises(ValueError, match="uint16"):
            counted(wrong, mask)
    with pytest.raises(ValueError, match="shape"):
        counted(np.ones((2, 2), np.uint16), mask[:1])
    with pytest.raises(ValueError, match="no mask"):
        counted(np.ones((2, 2), np.uint16), mask * 255)


def test_risk_coverage_by_hand():
    # Kept from the most certain on: risks 0.1, 0.4, 0.2, 0.9.
    # Means 0.1, 0.5/2, 0.7/3, 1.6/4; area their mean. In the best order 0.1, 0.3/2, 0.7/3, 0.4.
    curve = risk_coverage([0.7, 0.0, 0.3, 0.2], [0.9, 0.1, 0.2, 0.4])
    assert curve.coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert curve.risk == pytest.approx([0.1, 0.25, 0.7 / 3, 0.4])
    assert curve.area == pytest.approx((0.1 + 0.25 + 0.7 / 3 + 0.4) / 4)
    assert curve.best_area == pytest.approx((0.1 + 0.15 + 0.7 / 3 + 0.4) / 4)
    assert curve.uninformed_area == pytest.approx(0.4)


def test_equal_uncertainties_give_the_mean_of_all_their_orders():
    # 0.0 first; then 0.2 and 0.8 in either order: second point (0.2/2 + 0.8/2)/2 = 0.25.
    curve = risk_coverage([1, 0, 1], [0.2, 0.0, 0.8])
    assert curve.risk == pytest.approx([0, 0.25, 1 / 3])
    blind = risk_coverage(np.zeros(5), [0.1, 0.9, 0.4, 0.4, 0.2])
    assert blind.risk == pytest.approx([0.4] * 5)
    assert blind.area == pytest.approx(blind.uninformed_area)


def test_risk_ranked_by_itself_is_the_best():
    risk = np.random.default_rng(0).random(200)
    draw = np.random.default_rng(1)
    assert risk_coverage(risk, risk).area == pytest.approx(risk_coverage(risk, risk).best_area)
    some = risk_coverage(risk + draw.normal(0, 0.3, 200), risk)
    assert some.best_area < some.area < some.uninformed_area < risk_coverage(-risk, risk).area


def test_what_cannot_be_ranked_is_an_error():
    for uncertainty, risk in (([], []), ([0.1], [0.1, 0.2])):
        with pytest.raises(ValueError, match="one length"):
            risk_coverage(uncertainty, risk)
    with pytest.raises(ValueError, match="not finite"):
        risk_coverage([0.1, 0.2], [0.1, np.nan])


def test_disagreement_by_hand():
    # The first two folds agree on two pixels, the third has one of them: Dice 1, 2/3, 2/3.
    folds = np.array([[[1, 1, 0]], [[1, 1, 0]], [[1, 0, 0]]], bool)
    assert fold_disagreement(folds) == pytest.approx(1 - (1 + 2 / 3 + 2 / 3) / 3)
    spread = fold_spread(folds)
    assert spread == pytest.approx(np.array([[0, 3**-0.5, 0]]), abs=1e-6)  # 1, 1, 0: sqrt((1/9 + 1/9 + 4/9) / 2)
    assert spread.dtype == np.float32


def test_folds_that_find_nothing_agree():
    nothing = np.zeros((3, 3), bool)
    assert fold_disagreement([nothing, nothing]) == 0
    assert fold_disagreement([nothing, ~nothing]) == 1
    with pytest.raises(ValueError, match="at least two"):
        fold_disagreement([nothing])
