"""The pixel grid: where pixels lie in millimetres, windows of an image, and lines drawn into it."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np


@dataclass(frozen=True)
class Window:
    """A part of an image's pixel grid (or all of it). Pixel (row, column) is centred at (row + ½, column + ½) · spacing mm.

    Attributes
    ----------
    rows, columns : slice
        Which pixels, cut at the image's edges.
    spacing : float
        Side of a pixel, mm.
    """

    rows: slice
    columns: slice
    spacing: float

    @classmethod
    def whole(cls, rows: int, columns: int, spacing: float) -> "Window":
        """The window that is the image."""
        return cls(slice(0, rows), slice(0, columns), spacing)

    def around(self, x: float, y: float, reach: float) -> "Window":
        """The part of this window within `reach` of (x, y), all in mm; empty where that lies outside."""

        def cut(middle: float, limits: slice) -> slice:
            low, high = int((middle - reach) / self.spacing), int((middle + reach) / self.spacing) + 2
            start = min(max(low, limits.start), limits.stop)
            return slice(start, max(start, min(high, limits.stop)))

        return Window(cut(y, self.rows), cut(x, self.columns), self.spacing)

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index the image with."""
        return self.rows, self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the window."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @cached_property
    def x(self) -> np.ndarray:
        """(1, columns) float32, mm from the chest wall's edge."""
        return (np.arange(self.columns.start, self.columns.stop, dtype=np.float32)[None] + 0.5) * np.float32(
            self.spacing
        )

    @cached_property
    def y(self) -> np.ndarray:
        """(rows, 1) float32, mm from the upper edge."""
        return (np.arange(self.rows.start, self.rows.stop, dtype=np.float32)[:, None] + 0.5) * np.float32(self.spacing)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(n, 2) of (column, row) within this window, where a pixel's centre is a whole number, for (n, 2) of (x, y) in mm."""
        return np.asarray(points) / self.spacing - 0.5 - (self.columns.start, self.rows.start)

    def lines(self, polylines: list[tuple[np.ndarray, float]]) -> np.ndarray:
        """Draw polylines, each of (n, 2) points and a width in mm; returns float32 in 0..1, (rows, columns).

        A line thinner than a pixel is drawn one pixel wide and fainter.
        """
        canvas = np.zeros(self.shape, np.float32)
        for points, width in polylines:
            one = np.zeros(self.shape, np.uint8)
            wide = width / self.spacing
            at = np.rint(self.pixels(points) * 16).astype(np.int32)
            cv2.polylines(one, [at], False, 255, max(1, round(wide)), cv2.LINE_AA, 4)
            np.maximum(canvas, one * np.float32(min(1.0, wide) / 255), out=canvas)
        return canvas
