"""From stored pixels to what a viewer shows, as the standard defines it, in 16 bit.

Modality LUT, then one VOI transformation, then one inversion. All three depend on a pixel's value alone, so
they are computed once for every word a pixel can hold, in float64, and the image is one table lookup.
"""

import cv2
import numpy as np
from pydicom.dataset import Dataset

from mammoseg.dicom.decode import decode
from mammoseg.dicom.read import check_image
from mammoseg.dicom.values import text
from mammoseg.dicom.voi_lut import Windowing, find_windowing, modality_values, voi_shares


def render(dataset: Dataset) -> np.ndarray:
    """Render one mammogram, by its first VOI LUT, else by its first window.

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
    return cv2.LUT(decode(dataset), lookup_table(dataset, find_windowing(dataset)))


def lookup_table(dataset: Dataset, windowing: Windowing) -> np.ndarray:
    """What each word that a pixel can hold is rendered to.

    Returns
    -------
    (256,) or (65536,) uint16 array
        Indexed by the word as it is stored, of BitsAllocated bits: bits that are not part of the value, such as overlays
        above BitsStored, do not matter, and signed values are understood.
    """
    values, lowest, highest = modality_values(dataset, _stored_values(dataset))
    shares = voi_shares(dataset, values, windowing)
    if shares is None:
        shares = (values - lowest) / (highest - lowest)
    if inverted(dataset):
        shares = 1 - shares
    return _by_word(dataset, np.rint(65535 * shares).astype(np.uint16))


def value_of_word(dataset: Dataset) -> np.ndarray:
    """What the modality transformation makes of each word that a pixel can hold; (256,) or (65536,) float64."""
    return _by_word(dataset, modality_values(dataset, _stored_values(dataset))[0])


def _stored_values(dataset: Dataset) -> np.ndarray:
    """All values that BitsStored allows, in the order of the words that stand for them."""
    bits = dataset.BitsStored
    words = np.arange(2**bits)
    return (
        (words ^ 2 ** (bits - 1)) - 2 ** (bits - 1) if dataset.PixelRepresentation == 1 else words
    )  # two's complement


def _by_word(dataset: Dataset, of_value: np.ndarray) -> np.ndarray:
    return of_value[np.arange(2**dataset.BitsAllocated) % len(of_value)]


def inverted(dataset: Dataset) -> bool:
    """Whether the lowest output is white. Two attributes say so, each alone or both: it is inverted once."""
    return (
        text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
        or text(dataset, "PresentationLUTShape").upper() == "INVERSE"
    )
