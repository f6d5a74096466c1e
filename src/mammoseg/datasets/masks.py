"""Masks of masses in image pixels: from outlines, and from mask files. A pixel's centre has whole coordinates."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.dataset import Dataset

from mammoseg.datasets.pictures import decode_picture, picture_size
from mammoseg.dicom.values import items
from mammoseg.runtime.errors import Unusable

LOSSY = frozenset({".jpg", ".jpeg"})
MAX_MASSES = 500  # in one mask; no breast has a tenth of it
FARTHEST = 1e9  # pixels: differences of the largest floats would be infinite


def draw_region(points: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Fill an outline that need not be closed.

    Parameters
    ----------
    points : (n, 2) array of float
        x (column) and y (row) of the outline, 0-based; points may lie outside the image, where the region is cut off.
    rows, columns : int
        Size of the image.

    Returns
    -------
    (rows, columns) array of bool
        Pixels whose centre is inside (even-odd rule) or on the outline, which makes the area that of the polygon; where
        there is none (one or two points, a sliver), the pixels nearest to the points. Empty only if all of it is outside.

    Raises
    ------
    ValueError
        Where a number is not finite: tables hold NaN, and 1e400 is infinite.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("an outline needs finite numbers")
    points = np.clip(points, -FARTHEST, FARTHEST)
    mask = np.zeros((rows, columns), dtype=bool)
    if len(points) >= 3:
        _fill(mask, points)
    if not mask.any():
        x, y = np.rint(points).T
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        mask[y[inside].astype(int), x[inside].astype(int)] = True
    return mask


def draw_ellipse(
    x: float, y: float, x_radius: float, y_radius: float, angle: float, rows: int, columns: int
) -> np.ndarray:
    """Fill an ellipse.

    Parameters
    ----------
    x, y : float
        Centre: column and row, 0-based.
    x_radius, y_radius : float
        Half axes, pixels, before it is turned.
    angle : float
        By which it is turned, radians; from the x axis towards the y axis, which is clockwise as images are shown.
    rows, columns : int
        Size of the image.

    Returns
    -------
    (rows, columns) array of bool
        Pixels whose centre is inside; where there is none, the pixel nearest to the centre. Empty only if all is outside.

    Raises
    ------
    ValueError
        Where a number is not finite or a radius negative.
    """
    if not np.isfinite([x, y, x_radius, y_radius, angle]).all() or min(x_radius, y_radius) < 0:
        raise ValueError("an ellipse needs finite numbers and radii that are not negative")
    mask = np.zeros((rows, columns), dtype=bool)
    reach = max(x_radius, y_radius)
    top, bottom = (int(np.clip(v, 0, rows)) for v in (np.floor(y - reach), np.ceil(y + reach) + 1))
    left, right = (int(np.clip(v, 0, columns)) for v in (np.floor(x - reach), np.ceil(x + reach) + 1))
    dy, dx = np.mgrid[top:bottom, left:right] - np.array([y, x]).reshape(2, 1, 1)
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    if min(x_radius, y_radius) > 0:
        mask[top:bottom, left:right] = (along / x_radius) ** 2 + (across / y_radius) ** 2 <= 1
    return mask if mask.any() else draw_region(np.array([[x, y]]), rows, columns)


def _fill(mask: np.ndarray, points: np.ndarray) -> None:
    """Set the pixels of `mask` whose centres lie inside or on a polygon.

    Every row of pixel centres is crossed by the edges; to the right of each crossing, inside and outside change places.
    """
    start = np.clip(np.floor(points.min(axis=0)), 0, mask.shape[::-1]).astype(int)
    stop = np.clip(np.ceil(points.max(axis=0)) + 1, 0, mask.shape[::-1]).astype(int)
    mask, points = mask[start[1] : stop[1], start[0] : stop[0]], points - start  # the part inside the polygon's box
    rows, columns = mask.shape
    if not mask.size:
        return
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    first = np.clip(np.ceil(np.minimum(y0, y1)), 0, rows).astype(int)
    last = np.clip(np.floor(np.maximum(y0, y1)), -1, rows - 1).astype(int)
    counts = np.where(y0 == y1, 0, np.maximum(last - first + 1, 0))
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    x = x0[edge] + (row - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
    x = np.round(np.clip(x, -1, columns), 9)  # a crossing through a centre must not miss it by a rounding error

    # The upper end of an edge counts, the lower one does not, so that two edges that meet cross a row once.
    crosses = row < np.maximum(y0, y1)[edge]
    changes = np.zeros((rows, columns + 1), dtype=np.int32)
    np.add.at(changes, (row[crosses], np.clip(np.ceil(x[crosses]), 0, columns).astype(int)), 1)
    np.bitwise_or(mask, np.cumsum(changes[:, :columns], axis=1) % 2 == 1, out=mask)

    # Centres on the outline, on slanted and then on horizontal edges.
    on = (x == np.round(x)) & (x >= 0) & (x < columns)
    mask[row[on], x[on].astype(int)] = True
    for i in np.flatnonzero((y0 == y1) & (y0 == np.round(y0)) & (y0 >= 0) & (y0 < rows)):
        left, right = np.clip([min(x0[i], x1[i]), max(x0[i], x1[i])], -1, columns)
        mask[int(y0[i]), max(0, int(np.ceil(left))) : int(np.floor(right)) + 1] = True


def read_mask(path: str | os.PathLike, rows: int, columns: int) -> np.ndarray:
    """Read a mask file.

    Parameters
    ----------
    path : path
        PNG, TIFF or JPEG; several channels are joined, an alpha channel is ignored.
    rows, columns : int
        Size of the image that it belongs to.

    Returns
    -------
    (rows, columns) array of bool
        Everything above 0; in a JPEG, whose values are blurred by compression, from half the range on.

    Raises
    ------
    Unusable
        ``mask_size`` where it is not of the image's size, ``bad_mask`` where it cannot be read.
    """
    path = Path(path)
    try:
        size = picture_size(path)
        if size != (rows, columns):
            raise Unusable(
                "mask_size", f"a mask has {size[0]} x {size[1]} pixels (rows x columns), its image {rows} x {columns}"
            )
        array = decode_picture(path)
    except Unusable as bad:
        if bad.reason == "mask_size":
            raise
        raise Unusable("bad_mask", f"a mask cannot be used: {bad.explanation}") from None
    if array.ndim == 3:
        array = array[..., : 3 if array.shape[2] >= 3 else 1].max(axis=2)
    return array >= 128 if path.suffix.lower() in LOSSY else array > 0


def read_segmentation(path: str | os.PathLike, image: str, rows: int, columns: int) -> np.ndarray:
    """Read the masses of one image from a DICOM SEG.

    Parameters
    ----------
    image : str
        SOP instance UID of the image; empty for a picture, to which any segmentation of one image may belong.

    Returns
    -------
    (rows, columns) array of bool
        The segments whose label or type names a mass; all segments where none does.

    Raises
    ------
    Unusable
        ``bad_mask`` where it cannot be read or is of other images, ``mask_size`` where it is not of the image's size.
    """
    from highdicom.seg import Segmentation  # only where there is such a file: it is not quick to import

    try:
        seg = Segmentation.from_dataset(_with_thickness(pydicom.dcmread(path)), copy=False)
        sources = [uid for _, _, uid in seg.get_source_image_uids()]
        size = seg.Rows, seg.Columns
        numbers = [n for n in seg.segment_numbers if "mass" in _says(seg.get_segment_description(n))]
    except Exception:  # pydicom and highdicom raise almost anything on damaged files; their texts quote values
        raise Unusable("bad_mask", "a mask is no DICOM SEG, or damaged") from None
    if (image and image not in sources) or (len(set(sources)) > 1 and not image):
        raise Unusable("bad_mask", "a mask, a DICOM SEG, belongs to another image")
    if size != (rows, columns):
        raise Unusable(
            "mask_size", f"a mask has {size[0]} x {size[1]} pixels (rows x columns), its image {rows} x {columns}"
        )
    try:
        planes = seg.get_pixels_by_source_instance(
            [image or sources[0]],
            segment_numbers=numbers or list(seg.segment_numbers),
            ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )
    except Exception:
        raise Unusable("bad_mask", "a mask, a DICOM SEG, cannot be decoded") from None
    return (planes[0] >= 0.5).any(axis=2)


def _with_thickness(dataset: Dataset) -> Dataset:
    """Highdicom wants the thickness of a slice, which a segmentation of a projection need not have."""
    for group in items(dataset, "SharedFunctionalGroupsSequence"):
        for measures in items(group, "PixelMeasuresSequence"):
            if "SliceThickness" not in measures:
                measures.SliceThickness = 1
    return dataset


def _says(segment) -> str:
    """What a segment is called, in lower case."""
    return f"{segment.segment_label} {segment.segmented_property_type.meaning}".lower()


def components(mask: np.ndarray) -> Iterator[np.ndarray]:
    """The 8-connected components of a mask, each as a boolean array of its shape; masses that touch are one.

    One after the other, so that many need no more memory than one.
    """
    n, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    for label in range(1, n):
        yield labels == label


def count_components(mask: np.ndarray) -> int:
    """How many 8-connected components a mask has.

    Raises
    ------
    Unusable
        ``too_many_masses`` where it has more than `MAX_MASSES`: drawing them would take until the worker's time is up.
    """
    n = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1 if mask.any() else 0
    if n > MAX_MASSES:
        raise Unusable(
            "too_many_masses", f"its mask has more than {MAX_MASSES} separate regions, as noise has: clean it"
        )
    return n
