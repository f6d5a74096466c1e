"""From the original pixels to the network's square and back."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True)
class Letterbox:
    """The way from an image's own grid to a square of `side` pixels, aspect ratio kept, and back.

    The image is mirrored where asked for, padded to a square at the bottom and on the side away from the chest wall, and
    resized. Pixel centres correspond: coordinate x of the (mirrored) original lies at
    (x + 0.5) · side / max(rows, columns) − 0.5 (plus the padding, where that is on the left).

    Parameters
    ----------
    rows, columns : int
        Size of the original image, pixels.
    side : int
        Side of the square, pixels.
    pad_right : bool
        Whether padding goes to the right (chest wall on the left) or to the left, in the square as it is.
    mirrored : bool
        Whether left and right of the original change places.
    """

    rows: int
    columns: int
    side: int
    pad_right: bool
    mirrored: bool = False

    def __post_init__(self):
        if min(self.rows, self.columns, self.side) < 1:
            raise ValueError(f"a letterbox needs positive sizes, not {self.rows} x {self.columns} -> {self.side}")

    @property
    def square(self) -> int:
        """Side of the padded square in original pixels."""
        return max(self.rows, self.columns)

    @property
    def left(self) -> int:
        """Columns of padding on the left, in original pixels."""
        return 0 if self.pad_right else self.square - self.columns

    @property
    def content(self) -> tuple[slice, slice]:
        """Rows and columns of the square that hold any of the image: what lies outside is padding."""
        bottom, right = (-(-n * self.side // self.square) for n in (self.rows, self.left + self.columns))
        return slice(0, bottom), slice(self.left * self.side // self.square, right)

    def image(self, array: np.ndarray) -> np.ndarray:
        """Lay an image into the square; padding takes the image's darkest value.

        Parameters
        ----------
        array : (rows, columns) array of uint8, uint16, float32 or float64

        Returns
        -------
        (side, side) array of the same dtype
            Means over the area of each pixel; interpolated linearly where the image is smaller than the square.
        """
        self._check(array)
        if self.mirrored:
            array = cv2.flip(array, 1)
        return self._resize(array, array.min().item())

    def mask(self, array: np.ndarray, share: float = 0.5) -> np.ndarray:
        """Lay a mask into the square.

        Parameters
        ----------
        array : (rows, columns) array of bool
        share : float, 0 < share <= 1
            A pixel is set where at least this share of its area is.

        Returns
        -------
        (side, side) array of bool
            A lesion (8-connected) of which no pixel would be left keeps the one pixel it covers most.
        """
        array = np.asarray(array, dtype=bool)
        self._check(array)
        if self.mirrored:
            return replace(self, mirrored=False).mask(np.ascontiguousarray(array[:, ::-1]), share)
        result = self._shares(array) >= share - 1e-5  # float32: half a pixel may come out as 0.4999999
        if array.any():
            for pixel in list(self._vanished(array, result)):
                result[pixel] = True
        return result

    def inverse(self, array: np.ndarray) -> np.ndarray:
        """Lay an answer on the square back onto the original pixels; what fell on the padding is dropped.

        Parameters
        ----------
        array : (side, side) array of bool, uint8, uint16, float32 or float64
            Quantities such as probabilities, not class labels: they are interpolated linearly.

        Returns
        -------
        (rows, columns) array of the same dtype
            For bool: where the interpolated mask is at least 0.5.
        """
        array = np.asarray(array)
        if array.shape != (self.side, self.side):
            raise ValueError(f"the letterbox holds {self.side} x {self.side} pixels, the array is {array.shape}")
        if array.dtype == bool:
            return self.inverse(array.astype(np.float32)) >= 0.5
        # By area where the square is larger than the original, else linearly (INTER_AREA would give blocks).
        method = cv2.INTER_AREA if self.side > self.square else cv2.INTER_LINEAR
        square = cv2.resize(array, (self.square, self.square), interpolation=method)
        original = square[: self.rows, self.left : self.left + self.columns]
        return np.ascontiguousarray(original[:, ::-1] if self.mirrored else original)

    def inverse_mask(self, array: np.ndarray, at_least: float) -> np.ndarray:
        """``inverse(array) >= at_least`` for a value above 0, but laid back only around the pixels that reach it.

        Parameters
        ----------
        array : (side, side) array of uint8, uint16, float32 or float64

        Returns
        -------
        (rows, columns) array of bool
        """
        x, y, width, height = cv2.boundingRect((array >= at_least).view(np.uint8))
        if not width:
            return np.zeros((self.rows, self.columns), bool)
        # A value between pixels is never above all of them: two pixels around those that reach it are enough. The window
        # begins and ends where a pixel of the square begins with one of the original.
        step = 1 if self.side > self.square else self.side // math.gcd(self.side, self.square)
        (top, bottom), (left, right) = (
            (max(0, first - 2) // step * step, min(self.side, -(-(first + length + 2) // step) * step))
            for first, length in ((y, height), (x, width))
        )
        if self.side > self.square or (bottom - top) * (right - left) > array.size / 2:
            return self.inverse(array) >= at_least
        down, up, across, back = (n * self.square // self.side for n in (top, bottom, left, right))
        window = cv2.resize(array[top:bottom, left:right], (back - across, up - down), interpolation=cv2.INTER_LINEAR)
        square = np.zeros((self.rows, self.square), bool)
        square[down:up, across:back] = window[: max(0, self.rows - down)] >= at_least
        original = square[:, self.left : self.left + self.columns]
        return np.ascontiguousarray(original[:, ::-1] if self.mirrored else original)

    def _check(self, array: np.ndarray) -> None:
        if array.shape != (self.rows, self.columns):
            raise ValueError(f"the letterbox is for {self.rows} x {self.columns} pixels, the array is {array.shape}")

    def _resize(self, array: np.ndarray, value: float) -> np.ndarray:
        """Resize the padded square. Only what holds a pixel of the original is: the rest of the answer is `value`."""
        rows, columns = self._whole_pixels(self.rows), self._whole_pixels(self.columns)
        down, across = (n * self.square // self.side for n in (rows, columns))
        left, right = (0, across - self.columns) if self.pad_right else (across - self.columns, 0)
        window = cv2.copyMakeBorder(array, 0, down - self.rows, left, right, cv2.BORDER_CONSTANT, value=value)
        method = cv2.INTER_LINEAR if self.side > self.square else cv2.INTER_AREA
        small = cv2.resize(window, (columns, rows), interpolation=method)
        if (rows, columns) == (self.side, self.side):
            return small
        result = np.full((self.side, self.side), value, array.dtype)
        first = 0 if self.pad_right else self.side - columns
        result[:rows, first : first + columns] = small
        return result

    def _whole_pixels(self, length: int) -> int:
        """Pixels of the square that `length` original ones reach into, as many more as make a whole number of original ones."""
        if self.side > self.square:
            return self.side  # linear interpolation looks beyond the edge
        step = self.side // math.gcd(self.side, self.square)
        return min(self.side, step * math.ceil(length * self.side / (self.square * step)))

    def _shares(self, array: np.ndarray) -> np.ndarray:
        """Share of each pixel of the square that a mask covers; as `_resize` does it, but only where the mask is."""
        if self.side > self.square:
            return self._resize(array.astype(np.float32), 0)
        shares = np.zeros((self.side, self.side), np.float32)
        x, y, width, height = cv2.boundingRect(array.view(np.uint8))
        if width:
            scale = self.side / self.square
            row, down = _overlaps(y, height, scale)
            column, across = _overlaps(x + self.left, width, scale)
            box = array[y : y + height, x : x + width].astype(np.float32)
            covered = down.astype(np.float32) @ box @ across.astype(np.float32).T
            shares[row : row + len(down), column : column + len(across)] = covered[
                : self.side - row, : self.side - column
            ]
        return shares

    def _vanished(self, array: np.ndarray, kept: np.ndarray) -> Iterator[tuple[int, int]]:
        """Best pixel, as (row, column) of the square, of every lesion that has no pixel (by its centre) in `kept`."""
        x0, y0, width, height = cv2.boundingRect(array.view(np.uint8))
        window = array[y0 : y0 + height, x0 : x0 + width].astype(np.uint8)
        n, labels, boxes, _ = cv2.connectedComponentsWithStats(window, connectivity=8)
        scale = self.side / self.square
        for label in range(1, n):
            x, y, width, height = boxes[label, :4]
            lesion = labels[y : y + height, x : x + width] == label
            top, left = y0 + y, x0 + x + self.left  # of the lesion's box in the padded square
            rows = ((np.arange(top, top + height) + 0.5) * scale).astype(int)
            columns = ((np.arange(left, left + width) + 0.5) * scale).astype(int)
            if (kept[np.ix_(rows, columns)] & lesion).any():
                continue
            first_row, down = _overlaps(top, height, scale)
            first_column, across = _overlaps(left, width, scale)
            areas = down @ lesion @ across.T
            row, column = np.unravel_index(areas.argmax(), areas.shape)
            yield first_row + row, first_column + column


def diameter(pixels: int) -> float:
    """Diameter of a disc of so many pixels: 2 √(pixels / π), in pixels."""
    return 2 * math.sqrt(pixels / math.pi)


def _overlaps(start: int, length: int, scale: float) -> tuple[int, np.ndarray]:
    """Lengths that pixels of the square share with the original pixels `start` … `start + length - 1`.

    Returns
    -------
    first : int
        The first pixel of the square that shares any.
    lengths : (pixels, length) array
        In pixels of the square.
    """
    first = int(start * scale)
    pixels = np.arange(first, int(np.ceil((start + length) * scale)))[:, None]
    originals = np.arange(start, start + length)
    lengths = np.minimum(pixels + 1, (originals + 1) * scale) - np.maximum(pixels, originals * scale)
    return first, np.clip(lengths, 0, None)
