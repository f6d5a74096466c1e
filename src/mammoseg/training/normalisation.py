"""Mean and standard deviation of a fold's training images, as the network will see them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from mammoseg.runtime.errors import UserError
from mammoseg.training.augmentation import augment, build_stream, derive_seed

PASSES = 2


class Normalisation(NamedTuple):
    """The network's input is (v / 255 − mean) / sd, v the 8-bit value."""

    mean: float
    sd: float


def mean_and_sd(
    images: np.ndarray, rows: Iterable[int], names: Iterable[str], augmentation: Mapping | None, seed: int | str
) -> Normalisation:
    """Mean and SD over all pixels of the training images, in units of the 0..1 image.

    With augmentation, every image is drawn twice (two passes over the set, each with seeds of its own) and all draws
    are pooled. The stream is its own, so that nothing it remembers reaches the training's. The sums are whole
    numbers: the result does not depend on the order of the images.

    Parameters
    ----------
    images : numpy.ndarray
        (N, side, side) uint8, e.g. those of a pack; only `rows` are read.
    rows : iterable of int
        This fold's training images.
    names : iterable of str
        Their draw ids; with `seed` they decide what is drawn.
    augmentation : mapping or None
        The config's section `augmentation`; None measures the images as they are.
    seed : int or str
        Of this fold.

    Returns
    -------
    Normalisation
        mean in 0..1 and SD (n pixels, not n − 1) above 0.

    Raises
    ------
    UserError
        Where all pixels are equal.
    """
    cases = list(zip(rows, names, strict=True))
    stream = build_stream(augmentation, images.shape[1]) if augmentation is not None else None
    histogram = np.zeros(256, np.int64)
    for number in range(PASSES if stream is not None else 1):
        for row, name in cases:
            image = images[row]
            if stream is not None:
                image, _ = augment(image, None, stream, derive_seed(seed, "normalisation", number, name))
            histogram += np.bincount(image.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = float(histogram @ values / histogram.sum())
    sd = float(np.sqrt(histogram @ (values - mean) ** 2 / histogram.sum()))
    if not sd > 0:
        raise UserError(f"All pixels of the {len(cases)} training images are equal: look at the rendered PNGs.")
    return Normalisation(mean, sd)
