"""Images that are no DICOM: PNG, JPEG and TIFF."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from mammoseg.dicom.read import MAX_PIXELS
from mammoseg.runtime.errors import Unusable

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
ORIENTATION, PHOTOMETRIC = 274, 262  # tags of a TIFF
FORMATS = ("PNG", "JPEG", "TIFF")


def is_picture(path: str | os.PathLike) -> bool:
    """Whether a file is a picture by its ending; everything else is read as DICOM."""
    return Path(path).suffix.lower() in SUFFIXES


class Header(NamedTuple):
    """What a picture's header says."""

    rows: int
    columns: int
    white_is_zero: bool
    """Whether it is a TIFF whose lowest value is white (PhotometricInterpretation WhiteIsZero)."""


def read_header(path: str | os.PathLike) -> Header:
    """Look at a picture without its pixels.

    Raises
    ------
    Unusable
        ``unreadable``, ``too_large``, ``multi_frame``; ``orientation`` for a TIFF that says it is stored turned or mirrored.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures; we refuse them below
        try:
            with Image.open(path, formats=FORMATS) as picture:
                columns, rows = picture.size
                tiff = picture.format == "TIFF"
                pages = getattr(picture, "n_frames", 1) if tiff else 1
                turned = tiff and picture.tag_v2.get(ORIENTATION) in range(2, 9)  # 1: as it is stored
                white_is_zero = tiff and picture.tag_v2.get(PHOTOMETRIC) == 0
        except Image.DecompressionBombError:
            raise _too_large() from None
        except Exception:  # Pillow raises almost anything on damaged files; its texts name the file
            raise Unusable("unreadable", "it is not a PNG, JPEG or TIFF picture, or damaged") from None
    if rows * columns > MAX_PIXELS:
        raise _too_large()
    if pages > 1:
        raise Unusable("multi_frame", "it holds several pages")
    if turned:
        # Viewers differ in whether they obey the tag, so nobody knows which way up its masks were drawn; OpenCV obeys it.
        raise Unusable(
            "orientation", "it is a TIFF with an orientation tag: save it as it is to be seen, without the tag"
        )
    return Header(rows, columns, white_is_zero)


def picture_size(path: str | os.PathLike) -> tuple[int, int]:
    """Rows and columns of a picture; raises as `read_header`."""
    return read_header(path)[:2]


def decode_picture(path: str | os.PathLike) -> np.ndarray:
    """Pixels of a picture as they are stored, the orientation of a JPEG not applied (annotations are in stored pixels).

    Returns
    -------
    (rows, columns) or (rows, columns, channels) array
        Channels in OpenCV's order: blue, green, red, alpha. 0 is black, also where a TIFF stores it otherwise.

    Raises
    ------
    Unusable
        As `read_header`; ``unreadable`` where the pixels are damaged.
    """
    header = read_header(path)  # first, so that no decompression bomb is unpacked
    try:
        # Decoded from memory: OpenCV would quote the path in its warnings.
        data = np.fromfile(path, np.uint8)
        array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error):
        array = None
    if array is None or array.shape[:2] != header[:2]:
        raise Unusable("unreadable", "its pixels are damaged")
    if array.dtype == np.uint16 and header.white_is_zero:
        array = ~array  # OpenCV does so itself for 1 and 8 bit
    return array


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """Read a picture as grey values; 0 is air.

    Returns
    -------
    (rows, columns) uint16 array
        8-bit values times 257, 16-bit values as they are. Three equal channels are one; colours are weighted to grey as
        OpenCV does (ITU-R BT.601); an alpha channel is dropped.

    Raises
    ------
    Unusable
        As `decode_picture`; ``pixel_type`` where it is neither 8 nor 16 bit, ``constant_image`` where all pixels are equal.
    """
    array = decode_picture(path)
    if array.dtype not in (np.uint8, np.uint16):
        raise Unusable("pixel_type", "its pixels are neither 8-bit nor 16-bit whole numbers")
    if array.ndim == 3:
        array = _grey(array)
    if array.min() == array.max():
        raise Unusable("constant_image", "all its pixels have the same value")
    return array if array.dtype == np.uint16 else array * np.uint16(257)


def _grey(array: np.ndarray) -> np.ndarray:
    """One grey channel of (rows, columns, 1..4): grey, grey and alpha, BGR, BGR and alpha."""
    if array.shape[2] < 3:
        return array[..., 0]
    blue, green, red = (array[..., i] for i in range(3))
    if np.array_equal(blue, green) and np.array_equal(green, red):
        return np.ascontiguousarray(blue)
    return cv2.cvtColor(np.ascontiguousarray(array[..., :3]), cv2.COLOR_BGR2GRAY)


def _too_large() -> Unusable:
    return Unusable("too_large", f"it claims more than {MAX_PIXELS // 1_000_000} million pixels")
