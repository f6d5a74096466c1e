"""The ensemble against numbers worked out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from mammoseg.ensemble import combine, from_png16, mask_of, predict, predict_each, to_png16
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


def test_sixteen_bits_and_back():
    p = np.linspace(0, 1, 100_001, dtype=np.float32)
    stored = to_png16(p)
    assert stored.dtype == np.uint16
    assert (stored[0], stored[-1]) == (0, 65535)
    assert np.abs(from_png16(stored) - p.astype(float)).max() <= 0.5 / 65535 + 1e-7
    np.testing.assert_array_equal(to_png16(from_png16(np.arange(65536, dtype=np.uint16))), np.arange(65536))


@pytest.mark.parametrize("k", range(1, 11))
def test_a_share_of_votes_equal_to_the_threshold_is_mass(k):
    """Two of four, three of five …: equality counts, before and after the 16 bits."""
    for n in range(k, 11):
        votes = combine(torch.tensor([1.0] * k + [-1.0] * (n - k))[:, None], "vote").numpy()
        assert mask_of(votes, k / n).all()
        kept = from_png16(to_png16(votes))
        assert mask_of(kept, 0.5).all() == (2 * k >= n)
        if 65535 * k % n == 0:  # the share is one of the 65536 numbers that are kept
            assert mask_of(kept, k / n).all()


def test_the_half_is_mass_and_just_below_is_not():
    p = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0))], np.float32)
    np.testing.assert_array_equal(mask_of(p, 0.5), [True, False])
    np.testing.assert_array_equal(mask_of(from_png16(to_png16(p)), 0.5), [True, False])
