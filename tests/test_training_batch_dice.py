"""Dice on tensors is the Dice of the metrics."""

import math

import numpy as np
import pytest
import torch

from mammoseg.metrics.overlap import dice
from mammoseg.training.batch_dice import dice_per_image


def random_pairs():
    draw = np.random.default_rng(7)
    for share in (0.001, 0.02, 0.3, 0.9, 1.0):
        yield draw.random((40, 53)) < share, draw.random((40, 53)) < 0.1


def test_dice_per_image_is_dice_of_each_image():
    pairs = [*random_pairs(), (np.zeros((40, 53), bool), np.zeros((40, 53), bool))]
    logits = torch.tensor(np.stack([np.where(p, 0.0, -0.01) for p, _ in pairs]))[:, None]
    target = torch.tensor(np.stack([r for _, r in pairs]))[:, None].float()
    expected = [dice(p, r) for p, r in pairs]
    assert math.isnan(expected[-1])
    np.testing.assert_allclose(dice_per_image(logits, target).numpy(), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        dice_per_image(logits, target[:1])
