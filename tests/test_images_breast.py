"""Where the breast is, and which way it faces."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from mammoseg.images.breast import breast_mask, chest_wall_on_left


def breast(rows=500, columns=400, seed=0) -> np.ndarray:
    """A breast on the left edge: half an ellipse, dark fat inside, 16 bit, with noise also in the air."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:rows, :columns]
    shape = (xx / (0.7 * columns)) ** 2 + ((yy - rows / 2) / (0.45 * rows)) ** 2 < 1
    texture = ndi.gaussian_filter(rng.normal(size=(rows, columns)), 9)
    image = np.where(shape, 22000 + 60000 * texture, 0) + rng.normal(400, 250, (rows, columns))
    return np.clip(image, 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("seed", range(4))
def test_facing(seed):
    image = breast(seed=seed)
    assert chest_wall_on_left(image)
    assert not chest_wall_on_left(image[:, ::-1])
    assert chest_wall_on_left((image >> 8).astype(np.uint8))
    tight = image[:, :285]  # cropped at the nipple
    assert chest_wall_on_left(tight)
    assert not chest_wall_on_left(tight[:, ::-1])
    assert not chest_wall_on_left(np.pad(tight[:, ::-1], ((0, 0), (100, 130))))  # letterboxed


def test_facing_does_not_mind_a_label_in_the_air():
    image = breast()
    image[20:60, 330:395] = 65535
    assert chest_wall_on_left(image)


def test_facing_ties():
    blank = np.zeros((50, 40), np.uint8)
    assert chest_wall_on_left(blank)
    assert not chest_wall_on_left(blank, "R")
    block = blank.copy()
    block[:, 30:] = 200  # a rectangle is as tall on both sides: the nearer edge decides
    assert not chest_wall_on_left(block)
    assert not chest_wall_on_left(block, "L")
    middle = blank.copy()
    middle[:, 10:30] = 200
    assert chest_wall_on_left(middle)
    assert chest_wall_on_left(middle, "L")
    assert not chest_wall_on_left(middle, "R")


def test_the_breast_and_not_the_label():
    image = breast()
    image[20:60, 330:395] = 65535
    mask = breast_mask(image[::2, ::2])
    assert mask[125, 10]
    assert not mask[20, 180]
    assert not breast_mask(np.zeros((50, 40))).any()
