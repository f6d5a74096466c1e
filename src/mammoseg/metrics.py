"""Overlap of a predicted with a reference mask, from three counts of pixels.

Where both masks are empty there is no overlap to measure: Dice and IoU are NaN, never 0 or 1.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from torch import Tensor


class Counts(NamedTuple):
    """Pixels that are mass in the prediction, in the reference, and in both."""

    predicted: int
    reference: int
    true_positive: int

    @property
    def dice(self) -> float:
        """2 |P ∩ R| / (|P| + |R|), 0..1; NaN where both are empty."""
        total = self.predicted + self.reference
        return 2 * self.true_positive / total if total else float("nan")

    @property
    def iou(self) -> float:
        """|P ∩ R| / |P ∪ R|, 0..1; NaN where both are empty."""
        union = self.predicted + self.reference - self.true_positive
        return self.true_positive / union if union else float("nan")


def counts(prediction: ArrayLike, reference: ArrayLike) -> Counts:
    """Count the pixels of two masks.

    Parameters
    ----------
    prediction, reference : array_like of bool
        Of one shape, any number of dimensions; integers are taken where all are 0 or 1.

    Raises
    ------
    ValueError
        The shapes differ, or an array is no mask (probabilities, 0 and 255).
    """
    prediction, reference = _mask(prediction, "prediction"), _mask(reference, "reference")
    if prediction.shape != reference.shape:
        raise ValueError(f"the prediction has shape {prediction.shape}, the reference {reference.shape}")
    return Counts(
        int(np.count_nonzero(prediction)),
        int(np.count_nonzero(reference)),
        int(np.count_nonzero(prediction & reference)),
    )


def dice(prediction: ArrayLike, reference: ArrayLike) -> float:
    """Dice of two masks (see `counts`), 0..1; NaN where both are empty."""
    return counts(prediction, reference).dice


def iou(prediction: ArrayLike, reference: ArrayLike) -> float:
    """Intersection over union of two masks (see `counts`), 0..1; NaN where both are empty."""
    return counts(prediction, reference).iou


def dice_per_image(logits: "Tensor", target: "Tensor") -> "Tensor":
    """Dice of each image of a batch, mass being where the probability is at least 0.5.

    Parameters
    ----------
    logits : Tensor
        (B, ...), any floating type.
    target : Tensor
        Same shape, mass where above 0.5.

    Returns
    -------
    Tensor
        (B,) float32; NaN where both masks are empty.
    """
    if logits.shape != target.shape:
        raise ValueError(f"logits have shape {tuple(logits.shape)}, the target has {tuple(target.shape)}")
    prediction, reference = (logits >= 0).flatten(1), (target > 0.5).flatten(1)
    return 2 * (prediction & reference).sum(1) / (prediction.sum(1) + reference.sum(1))


def _mask(array: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype != bool:
        if not np.isin(array, (0, 1)).all():
            raise ValueError(f"the {name} is no mask: {array.dtype} values other than 0 and 1; apply a threshold first")
        array = array.astype(bool)
    return array
