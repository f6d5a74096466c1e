"""Whether two rendered mammograms show the same exposure: a signature to search by, a correlation to confirm by.

Both look at one small picture of the breast, in which windowing, mirroring, borders and size no longer show. The thresholds
that go with them, and what they were measured on, stand in `leakage`.
"""

from functools import cache

import cv2
import numpy as np

BITS = 256
"""Length of a signature; `BITS` / 4 hex digits."""

# The breast is found on a picture of this side: air's noise is averaged away, and the cost does not depend on the image's side.
OVERVIEW = 128
# Tissue is what is brighter than air by this share of the image's range, in pieces of at least this share of the largest one:
# an arm or a fold that dark fat cuts off belongs to it, a letter of a label does not. With more of either, a dark windowing
# changes what counts as breast; with less, noise and labels do.
TISSUE = 0.012
PIECE = 0.02
# The small picture: pixels a side, and how far it reaches from the breast's middle, in standard deviations. Farther out it shows
# more of the outline, which all breasts have in common; less far, and a crop at the chest wall moves more of it.
SIDE = 64
REACH = 1.6
# The correlation is taken after subtraction of a Gaussian mean of this standard deviation, in pixels of the small picture.
DETAIL = 4.0
# Too few pixels in common are no evidence: a sixteenth of the small picture.
FEWEST = SIDE * SIDE // 16


def signature(image: np.ndarray) -> str:
    """Perceptual hash of a rendered image: copies differ in few bits, images of different exposures in about half.

    The signs of `BITS` coefficients of the two-dimensional cosine transform (DCT-II) of the small picture, of the lowest
    frequencies but for the six lowest, which tell of the breast's outline only. After Zauner, Implementation and Benchmarking of
    Perceptual Image Hash Functions (2010), with 0 in place of the median, about which these coefficients lie anyway.

    Parameters
    ----------
    image : (rows, columns) array of uint8 or uint16
        0 or the darkest value is air.

    Returns
    -------
    str
        `BITS` / 4 hex digits. Neighbouring frequencies stand `BITS` / 16 bits apart, so that any four digits hold low and high
        ones. Empty where the image shows no breast (all of one value): such images are like nothing.
    """
    small = _small(image)
    if small is None:
        return ""
    rows, columns = _frequencies()
    bits = cv2.dct(small[0])[rows, columns] > 0
    return np.packbits(bits.reshape(16, -1).T).tobytes().hex()


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of the detail of two rendered images, where both show the breast.

    Detail is what is left of the small picture after subtraction of its local mean: without that, any two breasts correlate.

    Parameters
    ----------
    a, b : (rows, columns) arrays of uint8 or uint16
        They may differ in size, type, windowing, orientation and border.

    Returns
    -------
    float
        -1..1; 0 where one of them shows no breast or they have too little in common.
    """
    smalls = _small(a), _small(b)
    if None in smalls:
        return 0.0
    (x, x_breast), (y, y_breast) = smalls
    common = (x_breast > 0.99) & (y_breast > 0.99)
    if common.sum() < FEWEST:
        return 0.0
    x, y = (_detail(*s)[common].astype(np.float64) for s in smalls)
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm > 0 else 0.0


def _small(image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The small picture of the breast.

    Grey values become ranks within the breast: a windowing, which keeps their order, does not change them. The picture is
    laid out by the ranks' mean and standard deviation in both directions, not by a bounding box: a nipple or a skin line
    that another windowing hides would move the box, but hardly moves these.

    Returns
    -------
    ranks : (SIDE, SIDE) float32 array
        0..1, dark to bright; 0 in air. The chest wall is on the left.
    breast : (SIDE, SIDE) float32 array
        Share of each pixel that lies in the breast.
    None
        Where there is no breast.
    """
    method = cv2.INTER_AREA if max(image.shape) > OVERVIEW else cv2.INTER_LINEAR
    values = cv2.resize(image, (OVERVIEW, OVERVIEW), interpolation=method)
    breast = _breast(values)
    if breast is None:
        return None
    at = np.arange(OVERVIEW)
    across = breast.sum(axis=0) / breast.sum()
    if across @ (at - across @ at) ** 3 < 0:  # a breast's outline tapers away from the chest wall, to the skewed side
        values, breast = values[:, ::-1], breast[:, ::-1]
    counts = np.bincount(values[breast], minlength=np.iinfo(values.dtype).max + 1)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()  # equal values share their middle rank
    ranks = ranks[values].astype(np.float32) * breast
    to_overview = np.zeros((2, 3))
    for axis in (0, 1):
        weight = ranks.sum(axis=axis, dtype=np.float64) / ranks.sum(dtype=np.float64)
        middle = weight @ at
        reach = REACH * np.sqrt(weight @ (at - middle) ** 2)
        step = 2 * reach / SIDE
        to_overview[axis, axis], to_overview[axis, 2] = step, middle - reach + step / 2
    how = {"dsize": (SIDE, SIDE), "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP}
    return cv2.warpAffine(ranks, to_overview, **how), cv2.warpAffine(np.float32(breast), to_overview, **how)


def _breast(values: np.ndarray) -> np.ndarray | None:
    """The convex hull of all large pieces of tissue, bool; None where there is none. The hull closes over dark fat."""
    air, bright = np.percentile(values, [1, 99])
    tissue = (values > air + TISSUE * (bright - air)).astype(np.uint8)
    tissue = cv2.morphologyEx(tissue, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    n, labels, boxes, _ = cv2.connectedComponentsWithStats(tissue, connectivity=8)
    if n < 2:
        return None
    areas = boxes[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # the air
    large = (areas >= PIECE * areas.max()).astype(np.uint8)
    hull = np.zeros_like(tissue)
    cv2.fillConvexPoly(hull, cv2.convexHull(cv2.findNonZero(large[labels])), 1)
    return hull.astype(bool)


def _detail(ranks: np.ndarray, breast: np.ndarray) -> np.ndarray:
    """Ranks less their local mean; air counts for nothing in it."""
    sums, weights = (cv2.GaussianBlur(a, (0, 0), DETAIL) for a in (ranks, breast))
    return ranks - sums / np.maximum(weights, 1e-2)


@cache
def _frequencies() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the coefficients that make a signature, from low frequencies to high."""
    grid = [(v, u) for v in range(SIDE // 2) for u in range(SIDE // 2)]
    grid.sort(key=lambda at: (sum(at), at))
    return tuple(np.array(grid[6 : 6 + BITS]).T)
