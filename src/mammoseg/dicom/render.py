"""From stored pixels to what a viewer shows, as the standard defines it, in 16 bit.

Modality LUT, then one VOI transformation, then one inversion. All three depend on a pixel's value alone, so
they are computed once for every word a pixel can hold, in float64, and the image is one table lookup.
"""

import os

import cv2
import numpy as np
from pydicom.dataset import Dataset

from mammoseg.dicom.decode import decode, refuse_constant
from mammoseg.dicom.read import check_image, read_encoded
from mammoseg.dicom.values import text
from mammoseg.dicom.voi_lut import modality_values, voi_shares


def render(dataset: Dataset) -> np.ndarray:
    """Render one mammogram.

    Parameters
    ----------
    dataset : Dataset
        With pixel data; not changed.

    Returns
    -------
    (rows, columns) uint16 array
        65535 · share of the nominal output range (0..2^bits − 1 of a VOI LUT, the y range of a window, without windowing
        the range of BitsStored), rounded; 0 is air whatever the photometric interpretation. PixelPaddingValue is shown as
        any other value: the background belongs to the picture.

    Raises
    ------
    Unusable
        Where the header describes no grey image, the pixels cannot be decoded, or a lookup table or window is broken.
    """
    check_image(dataset)
    return cv2.LUT(decode(dataset), lookup_table(dataset))


def render_file(path: str | os.PathLike) -> np.ndarray:
    """Render the mammogram of a DICOM file, as `render` does.

    Raises
    ------
    Unusable
        As `read_header` and `render`; ``constant_image`` where all pixels are equal.
    """
    dataset = read_encoded(path)
    words = decode(dataset)
    refuse_constant(words, dataset.BitsStored)
    return cv2.LUT(words, lookup_table(dataset))


def lookup_table(dataset: Dataset) -> np.ndarray:
    """What each word that a pixel can hold is rendered to.

    Returns
    -------
    (256,) or (65536,) uint16 array
        Indexed by the word as it is stored, of BitsAllocated bits: bits that are not part of the value, such as overlays
        above BitsStored, do not matter, and signed values are understood.
    """
    bits = dataset.BitsStored
    stored = np.arange(2**bits)
    if dataset.PixelRepresentation == 1:
        stored = (stored ^ 2 ** (bits - 1)) - 2 ** (bits - 1)  # two's complement
    values, lowest, highest = modality_values(dataset, stored)
    shares = voi_shares(dataset, values)
    if shares is None:
        shares = (values - lowest) / (highest - lowest)
    if inverted(dataset):
        shares = 1 - shares
    levels = np.rint(65535 * shares).astype(np.uint16)
    return levels[np.arange(2**dataset.BitsAllocated) % 2**bits]


def inverted(dataset: Dataset) -> bool:
    """Whether the lowest output is white. Two attributes say so, each alone or both: it is inverted once."""
    return (
        text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
        or text(dataset, "PresentationLUTShape").upper() == "INVERSE"
    )
