"""Reliability, threshold sweep and risk-coverage curve, judged by scikit-learn, by the scores themselves, and by hand."""

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from mammoseg.calibration import (
    THRESHOLDS,
    PixelCounts,
    ThresholdSweep,
    fold_disagreement,
    risk_coverage,
)
from mammoseg.metrics import dice
from mammoseg.scoring import binarise


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
    counts = PixelCounts()
    for probability, reference in cases:
        counts.add(probability, reference)
    truth = np.concatenate([reference.ravel() for _, reference in cases])
    probability = np.concatenate([p.ravel() for p, _ in cases]) / 65535
    for bins in (5, 10, 15):
        curve = counts.reliability(bins)
        share, mean = calibration_curve(truth, probability, n_bins=bins)
        np.testing.assert_allclose(curve.share[curve.count > 0], share, rtol=1e-12)
        np.testing.assert_allclose(curve.probability[curve.count > 0], mean, rtol=1e-9)
        assert curve.count.sum() == len(truth)
        weights = curve.count[curve.count > 0] / len(truth)
        assert curve.expected_calibration_error == pytest.approx((weights * np.abs(share - mean)).sum())


def test_calibration_error_by_hand():
    # Bins of a half. 0.2 four times, once mass: |0.25 − 0.2| = 0.05. 0.8 and 1.0 once each, both mass: |1 − 0.9| = 0.1.
    # (4 · 0.05 + 2 · 0.1) / 6 = 0.4 / 6. In 8 and 16 bit: 0.2, 0.8 and 1 are 51, 204, 255 times 1/255.
    shares = np.array([[51, 51, 51], [51, 204, 255]])
    reference = np.array([[True, False, False], [False, True, True]])
    for stored in (shares.astype(np.uint8), (shares * 257).astype(np.uint16)):
        counts = PixelCounts()
        counts.add(stored, reference)
        curve = counts.reliability(2)
        assert curve.count.tolist() == [4, 2]
        assert curve.probability == pytest.approx([0.2, 0.9])
        assert curve.share == pytest.approx([0.25, 1])
        assert curve.expected_calibration_error == pytest.approx(0.4 / 6)


def test_empty_bins_and_no_pixels_are_undefined():
    counts = PixelCounts()
    assert math.isnan(counts.reliability().expected_calibration_error)
    counts.add(np.full((2, 2), 255, np.uint8), np.ones((2, 2), bool))
    curve = counts.reliability(4)
    assert curve.count.tolist() == [0, 0, 0, 4]
    assert np.isnan(curve.share[:3]).all()
    assert curve.expected_calibration_error == 0


def test_counts_do_not_wrap():
    counts = PixelCounts()
    for _ in range(3):
        counts.add(np.full((300, 300), 255, np.uint8), np.ones((300, 300), bool))
    assert counts.pixels[65535] == counts.mass[65535] == 270_000


def test_sweep_is_the_dice_of_each_thresholds_mask(cases):
    assert THRESHOLDS[128] == 0.5
    sweep = ThresholdSweep()
    expected = []
    for probability, reference in cases:
        expected.append([dice(binarise(probability, t), reference) for t in THRESHOLDS])
        np.testing.assert_allclose(sweep.add(probability, reference), expected[-1], rtol=1e-12)
    assert sweep.n_cases == len(cases)
    np.testing.assert_allclose(sweep.mean_dice, np.mean(expected, axis=0), rtol=1e-12)


def test_sweep_of_8_bit_probabilities():
    draw = np.random.default_rng(2)
    probability = draw.integers(0, 256, (40, 30), dtype=np.uint8)
    reference = probability > draw.integers(0, 256, (40, 30))
    expected = [dice(probability >= np.rint(255 * t), reference) for t in THRESHOLDS]
    np.testing.assert_allclose(ThresholdSweep().add(probability, reference), expected, rtol=1e-12)


def test_sweep_by_hand():
    # At a threshold up to 0.25 all four pixels, up to 0.75 two, above none: 2·1/(4 + 1), 2·1/(2 + 1), 0.
    probability = np.rint(65535 * np.array([[0.25, 0.75], [0.25, 0.75]])).astype(np.uint16)
    scores = ThresholdSweep().add(probability, np.array([[False, True], [False, False]]))
    steps = {0: 2 / 5, 64: 2 / 5, 65: 2 / 3, 128: 2 / 3, 192: 2 / 3, 193: 0, 255: 0}
    assert {k: scores[k] for k in steps} == pytest.approx(steps)
    assert np.isnan(ThresholdSweep().mean_dice).all()
    with pytest.raises(ValueError, match="with a mass"):
        ThresholdSweep().add(probability, np.zeros((2, 2), bool))


def test_probabilities_that_are_not_stored_ones_are_errors():
    mask = np.ones((2, 2), bool)
    for streamed in (PixelCounts(), ThresholdSweep()):
        with pytest.raises(ValueError, match="uint8 or uint16"):
            streamed.add(mask * 0.5, mask)
        with pytest.raises(ValueError, match="shape"):
            streamed.add(np.ones((2, 2), np.uint8), mask[:1])
        with pytest.raises(ValueError, match="no mask"):
            streamed.add(np.ones((2, 2), np.uint8), mask * 255)


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
    # Masks at 0.5: the first two folds agree on two pixels, the third has one of them: Dice 1, 2/3, 2/3.
    folds = [np.array([[0.9, 0.9, 0.0]]), np.array([[0.9, 0.6, 0.0]]), np.array([[0.9, 0.3, 0.0]])]
    spread, score = fold_disagreement(folds)
    assert score == pytest.approx(1 - (1 + 2 / 3 + 2 / 3) / 3)
    assert spread == pytest.approx(np.array([[0, 0.3, 0]]), abs=1e-6)  # 0.9, 0.6, 0.3: sqrt((0.09 + 0.09)/2)
    assert spread.dtype == np.float32


def test_folds_that_find_nothing_agree():
    nothing = np.zeros((3, 3))
    assert fold_disagreement([nothing, nothing])[1] == 0
    assert fold_disagreement([nothing, nothing + 1])[1] == 1
    with pytest.raises(ValueError, match="at least two"):
        fold_disagreement([nothing])
