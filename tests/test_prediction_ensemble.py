"""The ensemble against numbers worked out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from mammoseg.evaluation.case_scores import votes_of
from mammoseg.models.fold_model import FoldModel
from mammoseg.prediction.ensemble import combine, predict, predict_each


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
    maps, votes = predict(models(0.9, 0.6, 0.2), BLACK, average, batch_size=4)
    assert maps.shape == (1, 4, 4)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    assert votes.dtype == np.uint16
    assert (votes == 1 + 2).all(), "the first two say mass"


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
    np.testing.assert_allclose(predict([model], image, "probability", 1)[0][0], expected, atol=1e-6)


def test_batches_of_a_stream_keep_their_order():
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.full((1, 4, 4), 40, np.uint8)
    ensemble = models(0.5, 0.5)
    maps, votes = predict(ensemble, iter(images), "probability", batch_size=2)
    assert [m.network.batches for m in ensemble] == [[2, 2, 1], [2, 2, 1]]
    np.testing.assert_allclose(maps[:, 0, 0], 1 / (1 + np.exp(-np.arange(5) * 40 / 255)), atol=1e-6)
    for other in (
        predict(ensemble, images, "probability", 16),
        zip(*predict_each(ensemble, images, "probability", 3), strict=True),
    ):
        for ours, theirs in zip((maps, votes), other, strict=True):
            np.testing.assert_array_equal(ours, np.stack(list(theirs)))


def test_a_probability_of_one_half_is_a_vote():
    below = float(np.nextafter(np.float32(0), np.float32(-1)) - 1e-3)
    ensemble = [FoldModel(Shift(shift)).eval() for shift in (0.0, below)]
    assert (predict(ensemble, BLACK, "vote", 4)[1] == 1).all()


def test_every_model_has_a_bit_of_its_own():
    draw = np.random.default_rng(0)
    p = draw.random(16)
    _, votes = predict(models(*p), BLACK, "probability", 4)
    np.testing.assert_array_equal(votes_of(votes[0], 16)[:, 0, 0], p >= 0.5)
    assert (votes_of(votes[0].astype(np.uint8), 8) == votes_of(votes[0], 16)[:8]).all()


def test_nothing_to_predict():
    assert [len(made) for made in predict(models(0.5), [], "probability", 4)] == [0, 0]


def test_wrong_calls():
    with pytest.raises(ValueError, match="median"):
        predict(models(0.5), BLACK, "median", 4)
    for count in (0, 17):
        with pytest.raises(ValueError, match=f"one to 16 models, not {count}"):
            predict(models(*[0.5] * count), BLACK, "vote", 4)
