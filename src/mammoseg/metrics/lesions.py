"""Masses as lesions: which of them a prediction finds, and at the price of how many false positives.

Candidates are the connected components (8 neighbours) of the predicted mask, masses those of the reference mask. A candidate
finds a mass where their IoU is at least a given value, or where the candidate's centre lies inside the mass. A candidate may
find several masses and several candidates one mass; a candidate that finds none is a false positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from mammoseg.metrics.overlap import as_masks, counts

RATES = (0.25, 0.5, 1.0, 2.0)
"""False positives per image at which sensitivities are given."""


class Mass(NamedTuple):
    """One mass of the reference, and what the prediction made of it."""

    pixels: int
    score: float
    """The highest score of the candidates that find it; NaN where it is missed."""
    dice_found: float
    """Dice with the candidates that find it, taken together; NaN where it is missed. Averages over found masses leave the misses
    out: for comparison with publications that do so."""
    dice_in_box: float
    """Dice inside the mass's bounding box, as if an oracle had cut it out: what lies outside costs nothing."""

    @property
    def found(self) -> bool:
        """Whether a candidate finds it."""
        return not np.isnan(self.score)


class Detections(NamedTuple):
    """What was found in one image."""

    masses: tuple[Mass, ...]
    false_positives: tuple[float, ...]
    """Scores of the candidates that find no mass."""


@dataclass(frozen=True)
class Froc:
    """Free-response operating characteristic: one operating point per score, from the strictest on.

    The first point, at an infinite threshold, marks nothing.
    """

    thresholds: np.ndarray
    """(points,) float, falling: candidates with at least this score count."""
    false_positives_per_image: np.ndarray
    """(points,) float, rising."""
    sensitivity: np.ndarray
    """(points,) float, rising: share of all masses that are found; NaN where there are none."""

    def sensitivity_at(self, rate: float) -> float:
        """The highest sensitivity of an operating point with at most `rate` false positives per image.

        A step, not a line between points: nothing is claimed that no threshold reaches. Beyond the last point the curve stays
        where it is, as there are no further candidates.
        """
        return float(self.sensitivity[np.searchsorted(self.false_positives_per_image, rate, side="right") - 1])


def detect(
    prediction: np.ndarray,
    probability: np.ndarray,
    reference: np.ndarray,
    min_iou: float = 0.2,
    centre_inside: bool = True,
) -> Detections:
    """Match the candidates of one image to its masses.

    Parameters
    ----------
    prediction, reference : (rows, columns) array of bool
        Where the probability reaches the threshold, and where the masses are.
    probability : (rows, columns) array of uint8, uint16 or float
        Integers mean shares of their type's largest value. A candidate's score is the mean over its pixels, 0..1.
    min_iou : float, 0 < min_iou <= 1
        Of a candidate and a mass from which it is found.
    centre_inside : bool
        Whether it is also found where the pixel that holds the candidate's centre of gravity belongs to it.

    Raises
    ------
    ValueError
        The shapes differ, an array is no mask, or min_iou is out of range.
    """
    prediction, reference = as_masks(prediction, reference)
    if probability.shape != reference.shape:
        raise ValueError(f"the probability has shape {probability.shape}, the reference {reference.shape}")
    if not 0 < min_iou <= 1:
        raise ValueError(f"min_iou is {min_iou}, must be above 0 and at most 1")
    x, y, width, height = cv2.boundingRect((prediction | reference).view(np.uint8))
    if not width:
        return Detections((), ())
    all_marks = np.s_[y : y + height, x : x + width]  # the rest of a mammogram only costs time
    prediction, probability, reference = prediction[all_marks], probability[all_marks], reference[all_marks]
    candidates, candidate_pixels, _, centres = _components(prediction)
    masses, mass_pixels, boxes, _ = _components(reference)
    n, m = len(candidate_pixels), len(mass_pixels)

    marked = np.flatnonzero(prediction)
    label, mass = candidates.ravel()[marked] - 1, masses.ravel()[marked]
    both = np.bincount(label * (m + 1) + mass, minlength=n * (m + 1)).reshape(n, m + 1)[:, 1:]
    finds = both / (candidate_pixels[:, None] + mass_pixels - both) >= min_iou
    if centre_inside:
        column, row = np.floor(centres + 0.5).astype(int).T
        finds |= masses[row, column][:, None] == np.arange(1, m + 1)
    full = np.iinfo(probability.dtype).max if np.issubdtype(probability.dtype, np.integer) else 1
    scores = np.bincount(label, probability.ravel()[marked], minlength=n) / full / candidate_pixels

    found = []
    for j in range(m):
        mine = finds[:, j]
        x, y, width, height = boxes[j]
        box = np.s_[y : y + height, x : x + width]
        overlap = 2 * both[mine, j].sum() / (candidate_pixels[mine].sum() + mass_pixels[j])
        found.append(
            Mass(
                int(mass_pixels[j]),
                float(scores[mine].max()) if mine.any() else float("nan"),
                float(overlap) if mine.any() else float("nan"),
                counts(prediction[box], reference[box]).dice,
            )
        )
    return Detections(tuple(found), tuple(scores[~finds.any(axis=1)].tolist()))


def froc(images: Sequence[Detections]) -> Froc:
    """FROC of a set of images, with and without masses: false positives are counted on all of them.

    Raises
    ------
    ValueError
        There is no image.
    """
    if not images:
        raise ValueError("a FROC needs at least one image")
    masses = [mass for image in images for mass in image.masses]
    hits = np.sort([mass.score for mass in masses if mass.found])
    alarms = np.sort([score for image in images for score in image.false_positives])
    thresholds = np.append(np.inf, np.unique(np.concatenate([hits, alarms]))[::-1])
    return Froc(
        thresholds,
        (len(alarms) - np.searchsorted(alarms, thresholds)) / len(images),
        (len(hits) - np.searchsorted(hits, thresholds)) / (len(masses) or float("nan")),
    )


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Components of a mask, 8 neighbours.

    Returns
    -------
    labels : (rows, columns) int32
        1..n, 0 outside.
    pixels : (n,) int64
    boxes : (n, 4) int
        First column, first row, width, height.
    centres : (n, 2) float
        Column, row.
    """
    _, labels, boxes, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels, boxes[1:, cv2.CC_STAT_AREA].astype(np.int64), boxes[1:, :4], centres[1:]
