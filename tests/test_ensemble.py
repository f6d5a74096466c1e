"""The ensemble against numbers worked out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from mammoseg.ensemble import combine, predict, predict_each
from mammoseg.fold_model import FoldModel


class Shift(nn.Module):
    """Logit = input + a constant."""

    def __init__(self, shift: float):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))
        self.batches = []

    def forward(self, x):
        self.batches.append(len(x))
        return x + self.shift


def logit(p):
    return float(np.log(p / (1 - p)))


def models(*probabilities):
    return [FoldModel(Shift(logit(p))).eval() for p in probabilities]


BLACK = np.zeros((1, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        ("probability", (0.9 + 0.6 + 0.2) / 3),
        ("logit", 0.6),  # odds 9, 1.5 and 0.25: their geometric mean is 1.5
        ("vote", 2 / 3),
    ],
)
def test_three_models_by_hand(average, expected):
    maps = predict(models(0.9, 0.6, 0.2), BLACK, average, batch_size=4)
    assert maps.shape == (1, 4, 4)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected, atol=1e-6)


def test_pixels_are_averaged_one_by_one():
    logits = torch.tensor([[[0.0, 3.0], [-3.0, 1.0]], [[0.0, 1.0], [3.0, 1.0]]])
    p = 1 / (1 + np.exp(-logits.numpy().astype(float)))
    np.testing.assert_allclose(combine(logits, "probability"), p.mean(0), atol=1e-6)
    np.testing.assert_allclose(combine(logits, "logit"), 1 / (1 + np.exp([[0, -2], [0, -1]])), atol=1e-6)
    np.testing.assert_array_equal(combine(logits, "vote"), [[1, 1], [0.5, 1]])  # p = 0.5 is a vote for mass


def test_images_are_scaled_and_normalised_as_in_training():
    image = np.array([[[0, 51], [102, 255]]], np.uint8)
    model = FoldModel(Shift(0.0), mean=0.2, sd=0.5).eval()
    expected = 1 / (1 + np.exp(-(np.array([[0, 0.2], [0.4, 1.0]]) - 0.2) / 0.5))
    np.testing.assert_allclose(predict([model], image, "probability", 1)[0], expected, atol=1e-6)


def test_batches_of_a_stream_keep_their_order():
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.full((1, 4, 4), 40, np.uint8)
    ensemble = models(0.5, 0.5)
    maps = predict(ensemble, iter(images), "probability", batch_size=2)
    assert [m.network.batches for m in ensemble] == [[2, 2, 1], [2, 2, 1]]
    np.testing.assert_allclose(maps[:, 0, 0], 1 / (1 + np.exp(-np.arange(5) * 40 / 255)), atol=1e-6)
    np.testing.assert_array_equal(maps, predict(ensemble, images, "probability", batch_size=16))
    np.testing.assert_array_equal(maps, np.stack(list(predict_each(ensemble, images, "probability", 3))))


def test_nothing_to_predict():
    assert len(predict(models(0.5), [], "probability", 4)) == 0


def test_wrong_calls():
    with pytest.raises(ValueError, match="median"):
        predict(models(0.5), BLACK, "median", 4)
    with pytest.raises(ValueError, match="one model"):
        predict([], BLACK, "vote", 4)
