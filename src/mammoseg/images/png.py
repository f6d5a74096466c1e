"""The study's own pictures as files: written whole, and rendered images and masks read with a check."""

import os
from pathlib import Path

import cv2
import numpy as np

from mammoseg.rebuild import digests
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import whole


def write_png(path: Path, array: np.ndarray) -> str:
    """Write a grey PNG whole; its SHA-256.

    Parameters
    ----------
    array : (rows, columns) array of bool, uint8 or uint16
        bool becomes one bit a pixel, which is read as 0 and 255.
    """
    options = []
    if array.dtype == bool:
        array, options = array * np.uint8(255), [cv2.IMWRITE_PNG_BILEVEL, 1]
    with whole(path) as part:
        if not cv2.imwrite(str(part), array, options):
            raise OSError(f"could not write {path.name}")
    return digests.sha256(path)


def to_8bit(image: np.ndarray) -> np.ndarray:
    """The picture as the network sees it: round(v / 257), so that 0..65535 becomes 0..255.

    `image` is uint16 of any shape; 257 is odd, so that no value lies halfway between two.
    """
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


def read_image(path: str | os.PathLike, image_id: str) -> np.ndarray:
    """Read a rendered 16-bit PNG as (side, side) uint8; training and prediction see the same picture.

    Raises
    ------
    UserError
        Where the file is missing, is no square picture or is not 16-bit; names `image_id`, never the path.
    """
    return to_8bit(_read_png(Path(path), image_id, np.uint16, "PNG"))


def read_mask(path: str | os.PathLike, image_id: str) -> np.ndarray:
    """Read a mask PNG (0 or 255) as (side, side) uint8 of 0 and 1. Errors as `read_image`."""
    mask = _read_png(Path(path), image_id, np.uint8, "mask")
    if not np.isin(mask, (0, 255)).all():
        raise UserError(f"The mask of image {image_id} holds values other than 0 and 255: render it again.")
    return mask // 255


def read_reference(path: str | os.PathLike, image_id: str, rows: int, columns: int) -> np.ndarray:
    """Read a reference mask in the original's own pixels as (rows, columns) bool. Errors as `read_image`."""
    return _read_png(Path(path), image_id, np.uint8, "reference mask", (rows, columns)) > 0


def _read_png(path: Path, image_id: str, dtype: type, what: str, shape: tuple[int, int] | None = None) -> np.ndarray:
    """A picture of one channel, checked; square where no shape is given."""
    if not path.is_file():
        raise UserError(f"The {what} of image {image_id} is missing: render it again.")
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise UserError(f"The {what} of image {image_id} cannot be read: delete it and render it again.")
    if image.ndim != 2 or image.shape != (shape or image.shape[::-1]) or image.dtype != dtype:
        raise UserError(
            f"The {what} of image {image_id} is {'×'.join(map(str, image.shape))} {image.dtype}, "
            f"not {'×'.join(map(str, shape)) if shape else 'a square picture of'} {np.dtype(dtype)}: render it again."
        )
    return image
