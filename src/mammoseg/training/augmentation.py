"""The paper's augmentation on SOLT 0.2.1, and the one door for its randomness.

SOLT draws from Python's global `random` and from generators seeded by it, and keeps what it drew in its objects.
`augment` seeds around the call, so that a sample depends on its seed alone, whatever was drawn before it.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import solt
import solt.transforms as slt

REFERENCE_SIDE = 512
"""Pixel sizes in the settings are for images of this side."""

IMAGE_AND_MASK = (0, 1)
"""Positions in SOLT's container. Set from the start: a transform first called on an image alone would otherwise
remember position 0 and never move a mask afterwards."""


class Sometimes(solt.Stream):
    """A stream that runs as a whole with probability `p`: Crop and Pad take no probability of their own."""

    serializable_name = None  # else SOLT would register it in place of its own Stream

    def __init__(self, transforms: list, p: float):
        super().__init__(transforms)
        self.p = p

    def __call__(self, data, **options):
        return super().__call__(data, **options) if random.random() <= self.p else data


def build_stream(settings: Mapping, side: int) -> solt.Stream:
    """Build the steps in the order of the paper's table.

    Parameters
    ----------
    settings : mapping
        The config's section `augmentation`. A step that is None or absent is left out. Pixel sizes (translation,
        crop, kernels, sigma) are for 512 × 512 and scale with `side`; a kernel becomes the nearest odd number, 1
        (no blur) at the least.
    side : int
        Side of the square images, in pixels.

    Returns
    -------
    solt.Stream
        For `augment`. One stream serves images with and without a mask.
    """
    p = settings["probability"]
    scale = side / REFERENCE_SIDE

    def crop(size: float) -> Sometimes:
        kept = max(1, min(side, round(size * scale)))
        return Sometimes([slt.Crop(kept, crop_mode="r"), slt.Pad(side, padding="z")], p)

    def kernels(sizes: list[int]) -> tuple[int, ...]:
        return tuple(2 * max(0, round((size * scale - 1) / 2)) + 1 for size in sizes)

    def gaussian_blur(blur: Mapping) -> slt.Blur:
        sigma = tuple(value * scale for value in blur["sigma"])
        return slt.Blur(p=p, blur_type="g", k_size=kernels(blur["kernels"]), gaussian_sigma=sigma)

    def translation(pixels: list[float]) -> slt.Translate:
        limits = tuple(value * scale for value in pixels)
        return slt.Translate(range_x=limits, range_y=limits, p=p)

    steps = {
        "rotation": lambda degrees: slt.Rotate(angle_range=tuple(degrees), p=p),
        "scale": lambda factors: slt.Scale(range_x=tuple(factors), range_y=tuple(factors), same=True, p=p),
        "translation": translation,
        "crop": crop,
        "flip": lambda direction: slt.Flip(p=p, axis={"horizontal": 1, "vertical": 0}[direction]),
        "gamma": lambda exponents: slt.GammaCorrection(p=p, gamma_range=tuple(exponents)),
        "brightness": lambda added: slt.Brightness(p=p, brightness_range=tuple(added)),
        "contrast": lambda factors: slt.Contrast(p=p, contrast_range=tuple(factors)),
        "salt_and_pepper": lambda share: slt.SaltAndPepper(p=p, gain_range=tuple(share)),
        "gaussian_noise": lambda gain: slt.Noise(p=p, gain_range=tuple(gain)),
        "gaussian_blur": gaussian_blur,
        "median_blur": lambda blur: slt.Blur(p=p, blur_type="m", k_size=kernels(blur["kernels"])),
        "cutout": lambda share: slt.CutOut(p=p, cutout_size=float(share)),
    }
    chosen = [build(settings[name]) for name, build in steps.items() if settings.get(name) is not None]
    for step in chosen:
        for transform in getattr(step, "transforms", [step]):
            transform.data_indices = IMAGE_AND_MASK
    return solt.Stream(chosen)


def augment(
    image: np.ndarray, mask: np.ndarray | None, stream: solt.Stream, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw one augmented sample.

    Parameters
    ----------
    image : numpy.ndarray
        (side, side) uint8; never written to.
    mask : numpy.ndarray or None
        (side, side) uint8 of 0 and 1, moved with the image by nearest neighbours; never written to.
    stream : solt.Stream
        From `build_stream`. Its objects carry state during the call: share it between calls, not between threads.
    seed : int
        Decides everything that is drawn; see `derive_seed`.

    Returns
    -------
    image, mask : numpy.ndarray
        New arrays of the same shape and dtype; mask None where None was given.
    """
    if image.dtype != np.uint8 or (mask is not None and mask.dtype != np.uint8):
        raise ValueError("image and mask must be uint8: several steps of SOLT break on other types")
    sample = {"image": image[:, :, np.newaxis].copy()}  # SOLT wants a channel; its CutOut writes into what it gets
    if mask is not None:
        sample["mask"] = mask.copy()
    with fixed_seed(seed):
        drawn = stream(sample, return_torch=False, normalize=False).data
    return drawn[0][:, :, 0], drawn[1] if mask is not None else None


@contextmanager
def fixed_seed(seed: int) -> Iterator[None]:
    """Seed Python's and NumPy's global generators, and give them back their state afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def derive_seed(*parts: int | str) -> int:
    """A number of 63 bits that follows from `parts` alone, e.g. (study seed, "sample", fold, epoch, draw id)."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
