"""Where the breast is in a picture, and which way it faces."""

import cv2
import numpy as np

# Side on which facing is decided: large enough for a breast's outline, small enough to average noise away.
OVERVIEW = 256
# Tissue is what is brighter than air by this share of the image's range. From 0.03 to 0.08 all of 165 real mammograms
# (8-bit JPEG, tightly cropped or letterboxed) face the right way, also with noise of 20 grey levels added.
TISSUE = 0.05


def breast_mask(image: np.ndarray) -> np.ndarray:
    """The largest bright region.

    Parameters
    ----------
    image : (rows, columns) array of real numbers
        The darkest is air; some hundred pixels a side, or noise is taken for holes.

    Returns
    -------
    (rows, columns) array of bool
        Empty where nothing stands out from the air.
    """
    air, bright = np.percentile(image, [1, 99])
    tissue = (image > air + TISSUE * (bright - air)).astype(np.uint8)
    tissue = cv2.morphologyEx(tissue, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    n, labels, boxes, _ = cv2.connectedComponentsWithStats(tissue, connectivity=8)
    return labels == 1 + boxes[1:, cv2.CC_STAT_AREA].argmax() if n > 1 else np.zeros(image.shape, bool)


def chest_wall_on_left(image: np.ndarray, laterality: str = "") -> bool:
    """Decide from the pixels whether the breast hangs from the left edge.

    A breast is tall at the chest wall and narrow at the nipple: of the largest bright region, the outer thirds' heights
    (first to last row of tissue in each column, so that dark fat inside does not count) are compared. The region's own
    box is used, not the image's edges, so tight crops, letterboxed images and labels in the air do no harm.

    Parameters
    ----------
    image : (rows, columns) array of uint8, uint16 or float32; 0 or the darkest value is air
    laterality : str, optional
        ``"L"`` or ``"R"``, asked only where the pixels do not tell.

    Returns
    -------
    bool
        Heights within 2 % of each other are a tie. It goes to the edge that the region is closer to, then to the side
        where `laterality` has its chest wall as mammograms are hung (L: left), and last to the left.
    """
    breast = breast_mask(_overview(image))
    if not breast.any():
        return laterality != "R"
    x, y, width, height = cv2.boundingRect(breast.astype(np.uint8))
    box = breast[y : y + height, x : x + width]
    heights = height - box.argmax(axis=0) - box[::-1].argmax(axis=0)  # every column of the box holds tissue
    third = max(1, width // 3)
    taller = heights[:third].mean() - heights[-third:].mean()
    if abs(taller) > 0.02 * height:
        return bool(taller > 0)
    left_gap, right_gap = x, breast.shape[1] - (x + width)
    return laterality != "R" if left_gap == right_gap else bool(left_gap < right_gap)


def _overview(image: np.ndarray) -> np.ndarray:
    """Means of blocks of pixels, `OVERVIEW` to twice as many along the longer side: a whole factor is OpenCV's fast path."""
    factor = max(1, max(image.shape) // OVERVIEW)
    rows, columns = (max(1, n // factor) for n in image.shape)
    if factor == 1 or min(image.shape) < factor:
        return image
    return cv2.resize(image[: rows * factor, : columns * factor], (columns, rows), interpolation=cv2.INTER_AREA)
