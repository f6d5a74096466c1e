"""Mean and SD of a fold's training images."""

import numpy as np
import pytest

from mammoseg.runtime.errors import UserError
from mammoseg.training.normalisation import mean_and_sd

OFF = dict.fromkeys(
    ("rotation", "scale", "translation", "crop", "flip", "gamma", "brightness", "contrast", "salt_and_pepper",
     "gaussian_noise", "gaussian_blur", "median_blur", "cutout")
)  # fmt: skip


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 200, (6, 32, 32)).astype(np.uint8)


def test_without_augmentation_as_numpy(images):
    mean, sd = mean_and_sd(images, [4, 1, 2], "abc", None, seed=1)
    chosen = images[[1, 2, 4]] / 255
    assert mean == pytest.approx(chosen.mean(), rel=1e-12)
    assert sd == pytest.approx(chosen.std(), rel=1e-12)


def test_with_augmentation_by_hand(images):
    """Brightness +51 on every draw lifts the mean by 51/255 and leaves the SD."""
    brighter = {"probability": 1, **OFF, "brightness": [51, 51]}
    plain = mean_and_sd(images, range(6), "abcdef", None, seed=1)
    drawn = mean_and_sd(images, range(6), "abcdef", brighter, seed=1)
    assert drawn.mean == pytest.approx(plain.mean + 0.2, abs=1e-12)
    assert drawn.sd == pytest.approx(plain.sd, abs=1e-12)


def test_two_passes_draw_anew(images):
    """Brightness of +50 or none: over one pass the mean of 1 image would be one of two values, over two one of three."""
    coin = {"probability": 0.5, **OFF, "brightness": [50, 50]}
    plain = mean_and_sd(images, [0], "a", None, seed=1).mean
    lifts = {round(255 * (mean_and_sd(images, [0], "a", coin, seed).mean - plain)) for seed in range(30)}
    assert lifts == {0, 25, 50}


def test_seeded_and_independent_of_order(images):
    flicker = {"probability": 0.5, **OFF, "brightness": [0, 50], "gaussian_noise": [0, 0.5]}
    first = mean_and_sd(images, [0, 1, 2], "abc", flicker, seed=7)
    assert mean_and_sd(images, [2, 0, 1], "cab", flicker, seed=7) == first
    assert mean_and_sd(images, [0, 1, 2], "abc", flicker, seed=8) != first


def test_read_only_images_are_enough(images):
    images.flags.writeable = False
    mean_and_sd(images, [0], "a", {"probability": 1, **OFF, "cutout": 0.2}, seed=0)


def test_constant_images_are_refused():
    with pytest.raises(UserError, match="2 training images are equal"):
        mean_and_sd(np.full((2, 8, 8), 7, np.uint8), [0, 1], "ab", None, seed=0)
