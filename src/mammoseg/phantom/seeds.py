"""Where all randomness and all identifiers of the phantoms come from: the seed and running numbers, nothing else."""

import hashlib

import numpy as np

PYDICOM_ROOT = "1.2.826.0.1.3680043.8.498."  # pydicom's root for generated UIDs, free for all to use
MATLAB_ROOT = "1.3.6.1.4.1.9590.100.1.2."  # The MathWorks' root, as INbreast's re-exports carry it


def generator(seed: int, *path: int) -> np.random.Generator:
    """An independent stream for one purpose, e.g. ``generator(seed, patient, PLAN)``; the same path, the same numbers."""
    return np.random.default_rng([seed, *path])


def hexadecimal(digits: int, *parts: object) -> str:
    """`digits` (at most 64) lower-case hex digits that follow from `parts`."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:digits]


def uid(root: str, *parts: object) -> str:
    """A UID of at most 57 characters that follows from `parts`, so that a short suffix still fits below 64.

    No component starts with a zero, as PS3.5, 9.1 asks.
    """
    number = int(hexadecimal(32, *parts), 16) % 10**29
    return f"{root}1{number:029d}"
