"""Scores of one image: on the network's square, as in the paper, and laid back onto the original's own pixels.

Both are worth having: scores on the square are what the literature gives, those in the original geometry what a reader of the
mammogram would see. The ceilings are the Dice that the reference mask itself keeps on that way there and back.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from mammoseg.images.letterbox import Letterbox
from mammoseg.metrics.calibration import fold_disagreement
from mammoseg.metrics.overlap import Counts, area, counts, surface_scores

SCORES = (
    "reference_pixels", "predicted_pixels", "true_positive_pixels", "dice", "iou", "precision", "recall", "predicted_regions",
    "original_dice", "original_iou", "original_precision", "original_recall", "reference_mm2", "predicted_mm2", "hd95_mm",
    "average_surface_distance_mm", "surface_dice_1mm", "surface_dice_2mm", "ceiling_square", "ceiling_model", "dice_of_folds",
    "fold_disagreement",
)  # fmt: skip
# Of the shares of cells, for `ceiling`.
CUTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True)
class Reference:
    """What an image is scored against.

    Attributes
    ----------
    square : (side, side) bool
        Reference mask on the network's square.
    original : (rows, columns) bool
        The same in the original's own pixels.
    box : Letterbox
        The way between them.
    spacing : float
        Distance of the original's pixels, mm; NaN where it is unknown.
    """

    square: np.ndarray
    original: np.ndarray
    box: Letterbox
    spacing: float

    @cached_property
    def place(self) -> tuple[int, int, int, int]:
        """First column and row, width and height of the box around the original mask; width 0 where it is empty."""
        return cv2.boundingRect(self.original.view(np.uint8))


def score_case(
    probability: np.ndarray, reference: Reference, threshold: float, cell: int | None, folds: np.ndarray | None = None
) -> dict:
    """Score one image.

    Parameters
    ----------
    probability : (side, side) uint16
        65535 times the probability of mass.
    reference : Reference
    threshold : float
        Probability from which a pixel is mass, 0..1.
    cell : int or None
        Side, in pixels of the square, of the cells on which the model computes its logits; None where it is not known.
    folds : (folds, side, side) bool, optional
        What each fold predicts where an ensemble does; at least two.

    Returns
    -------
    dict
        By `SCORES`, undefined ones None: empty cells, never a zero. Pixels, ``dice``, ``iou``, ``precision`` and ``recall`` on
        the square; ``original_…``, areas, distances and ceilings in the original's own pixels. A region is a connected component
        of the prediction on the square, 8 neighbours. Distances are inf where one mask is empty (`mammoseg.metrics.overlap`).
    """
    predicted = binarise(probability, threshold)
    square = counts(predicted, reference.square)
    laid_back, truth = _where_either_is(lay_back(probability, reference.box, threshold), reference)
    original = counts(laid_back, truth)
    spacing = (reference.spacing, reference.spacing)
    of_square = ceiling(reference, 1)
    surface = surface_scores(laid_back, truth, spacing)
    scores = {
        "reference_pixels": square.reference,
        "predicted_pixels": square.predicted,
        "true_positive_pixels": square.true_positive,
        **_overlap(square, ""),
        "predicted_regions": cv2.connectedComponents(predicted.view(np.uint8), connectivity=8)[0] - 1,
        **_overlap(original, "original_"),
        "reference_mm2": area(original.reference, spacing),
        "predicted_mm2": area(original.predicted, spacing),
        "hd95_mm": surface.hd95,
        "average_surface_distance_mm": surface.average_distance,
        "surface_dice_1mm": surface.surface_dice[0],
        "surface_dice_2mm": surface.surface_dice[1],
        "ceiling_square": of_square,
        "ceiling_model": of_square if cell == 1 else ceiling(reference, cell) if cell else float("nan"),
    }
    scores |= _of_folds(folds, reference.square)
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in scores.items()}


def ceiling(reference: Reference, cell: int) -> float:
    """Dice that the reference keeps in the original geometry through cells of `cell` × `cell` pixels; NaN without a mass.

    Cells of one pixel: the mask on the square itself. Larger ones: the share of each cell that it covers, enlarged linearly as a
    network enlarges its logits, at the best of `CUTS`. No bound: a soft map can carry more than a mask, most for small masses.
    """
    x, y, width, height = reference.place
    if not width:
        return float("nan")
    best, cuts = reference.square.astype(np.float32), (0.5,)
    if cell > 1:
        coarse = cv2.resize(best, None, fx=1 / cell, fy=1 / cell, interpolation=cv2.INTER_AREA)
        best, cuts = cv2.resize(coarse, best.shape[::-1], interpolation=cv2.INTER_LINEAR), CUTS
    reach = math.ceil(3 * cell * reference.box.square / reference.box.side)  # farther no answer strays from the mask
    near = np.s_[max(0, y - reach) : y + height + reach, max(0, x - reach) : x + width + reach]
    answers = (reference.box.inverse_mask(best, cut)[near] for cut in cuts)
    return max(counts(answer, reference.original[near]).dice for answer in answers)


def lay_back(probability: np.ndarray, box: Letterbox, threshold: float) -> np.ndarray:
    """`binarise` of a probability map that is laid back onto the original's pixels; (rows, columns) bool."""
    return box.inverse_mask(probability, np.rint(65535 * threshold))


def _where_either_is(laid_back: np.ndarray, reference: Reference) -> tuple[np.ndarray, np.ndarray]:
    """Both masks of the original inside the box that holds all of either: the rest of a mammogram only costs time."""
    boxes = [b for b in (cv2.boundingRect(laid_back.view(np.uint8)), reference.place) if b[2]]
    if not boxes:
        return laid_back[:1, :1], reference.original[:1, :1]
    top, left = min(y for _, y, _, _ in boxes), min(x for x, _, _, _ in boxes)
    bottom, right = max(y + h for _, y, _, h in boxes), max(x + w for x, _, w, _ in boxes)
    box = np.s_[top:bottom, left:right]
    return laid_back[box], reference.original[box]


def binarise(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Mask of the pixels whose 16-bit `probability` is at least `threshold` (0..1), as bool.

    The threshold is rounded as the probabilities were, so that a probability equal to it is always mass.
    """
    return probability >= np.rint(65535 * threshold)


def votes_of(votes: np.ndarray, models: int) -> np.ndarray:
    """Masks of the single models, (models, ...) bool, from their `votes`, (...) uint8 or uint16.

    `mammoseg.prediction.ensemble.predict` makes the votes.
    """
    return votes >> np.arange(models, dtype=votes.dtype).reshape(-1, *[1] * votes.ndim) & 1 > 0


def _overlap(of: Counts, prefix: str) -> Mapping[str, float]:
    return {f"{prefix}{name}": getattr(of, name) for name in ("dice", "iou", "precision", "recall")}


def _of_folds(folds: np.ndarray | None, reference: np.ndarray) -> dict:
    """Dice of each fold alone, ``;`` between them, and how far they disagree."""
    if folds is None:
        return {"dice_of_folds": None, "fold_disagreement": None}
    dice = [counts(mask, reference).dice for mask in folds]
    return {
        "dice_of_folds": ";".join("" if np.isnan(d) else f"{d:.6f}" for d in dice),
        "fold_disagreement": fold_disagreement(folds),
    }
