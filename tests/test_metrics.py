import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score

from mammoseg.metrics import Counts, counts, dice, dice_per_image, iou


def random_pairs():
    draw = np.random.default_rng(7)
    for share in (0.001, 0.02, 0.3, 0.9, 1.0):
        for other in (0.001, 0.1, 0.7):
            yield draw.random((40, 53)) < share, draw.random((40, 53)) < other


def test_equal_to_scikit_learn():
    for prediction, reference in random_pairs():
        if not (prediction.any() or reference.any()):
            continue
        truth, guess = reference.ravel(), prediction.ravel()
        assert dice(prediction, reference) == pytest.approx(f1_score(truth, guess, zero_division=0.0), abs=1e-12)
        assert iou(prediction, reference) == pytest.approx(jaccard_score(truth, guess, zero_division=0.0), abs=1e-12)


def test_by_hand():
    prediction = np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)
    reference = np.array([[0, 1, 1], [1, 0, 0]], dtype=bool)
    assert counts(prediction, reference) == Counts(predicted=3, reference=3, true_positive=2)
    assert dice(prediction, reference) == pytest.approx(4 / 6)
    assert iou(prediction, reference) == pytest.approx(2 / 4)


def test_one_empty_is_zero_and_both_empty_is_undefined():
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    for metric in (dice, iou):
        assert metric(empty, full) == 0
        assert metric(full, empty) == 0
        assert metric(full, full) == 1
        assert math.isnan(metric(empty, empty))


def test_large_counts_do_not_wrap():
    full = np.ones((400, 400), np.uint8)
    assert dice(full, full) == 1


def test_other_shapes_and_other_values_are_errors():
    mask = np.ones((4, 4), bool)
    for metric in (dice, iou, counts):
        with pytest.raises(ValueError, match="shape"):
            metric(mask, mask[:1])  # would broadcast
        with pytest.raises(ValueError, match="threshold"):
            metric(mask * 0.7, mask)
        with pytest.raises(ValueError, match="reference is no mask"):
            metric(mask, mask * np.uint8(255))


def test_dice_per_image_is_dice_of_each_image():
    pairs = [(p, r) for p, r in random_pairs()] + [(np.zeros((40, 53), bool), np.zeros((40, 53), bool))]
    logits = torch.tensor(np.stack([np.where(p, 0.0, -0.01) for p, _ in pairs]))[:, None]
    target = torch.tensor(np.stack([r for _, r in pairs]))[:, None].float()
    expected = [dice(p, r) for p, r in pairs]
    assert math.isnan(expected[-1])
    np.testing.assert_allclose(dice_per_image(logits, target).numpy(), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        dice_per_image(logits, target[:1])
