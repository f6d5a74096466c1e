"""How far probabilities can be trusted: calibration of pixels, sweep of the threshold, disagreement of folds as a warning.

Each case is counted by itself, and counts add up: pixels of several cases are never held together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mammoseg.metrics.overlap import as_masks, dice

BINS = 15
"""Of the reliability curve, of one width; a probability on the limit of two belongs to the lower one, as in scikit-learn."""
THRESHOLDS = np.arange(1, 20) / 20
"""Of the sweep: 0.05, 0.10, … 0.95."""


class Reliability(NamedTuple):
    """Reliability curve of pixels. Empty bins have a count of 0 and NaN elsewhere."""

    count: np.ndarray
    """(bins,) int64, pixels whose probability lies in the bin."""
    probability: np.ndarray
    """(bins,) float, their mean probability, 0..1."""
    share: np.ndarray
    """(bins,) float, how many of them are mass, 0..1."""

    @property
    def expected_calibration_error(self) -> float:
        """Mean over pixels of |share − probability| of their bin, 0..1 (Guo et al., ICML 2017); NaN without a pixel.

        Nearly all of a mammogram is sure not to be mass, so over whole images it is small for any model: compare models.
        """
        used = self.count > 0
        if not used.any():
            return float("nan")
        return float(np.average(np.abs(self.share - self.probability)[used], weights=self.count[used]))


def pixel_counts(probability: np.ndarray, reference: np.ndarray, bins: int = BINS) -> np.ndarray:
    """What one case adds to a reliability curve.

    Parameters
    ----------
    probability : array of uint16
        65535 times the probability of mass.
    reference : array of bool
        Of the same shape.

    Returns
    -------
    (bins, 3) array of int64
        Pixels, the sum of their `probability` as stored, and how many of them are mass. Sums over cases are those of all.
    """
    probability, reference = _levels(probability, reference)
    pixels, mass = (np.bincount(of, minlength=65536) for of in (probability, probability[reference]))
    of_bin = [np.bincount(_bin_of_level(bins), w, bins) for w in (pixels, pixels * np.arange(65536), mass)]
    return np.stack(of_bin, axis=1).astype(np.int64)  # below 2^53 for 500,000 cases: exact as float


def reliability(counts: np.ndarray) -> Reliability:
    """The curve of summed `pixel_counts`, (bins, 3)."""
    pixels, levels, mass = np.asarray(counts).T
    with np.errstate(invalid="ignore"):
        return Reliability(pixels, levels / 65535 / pixels, mass / pixels)


@cache
def _bin_of_level(bins: int) -> np.ndarray:
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], np.arange(65536) / 65535)


def dice_by_threshold(probability: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Dice of one case at each of `THRESHOLDS`, (19,) float.

    A pixel is mass where its probability is at least the threshold, both rounded alike, as in `case_scores.binarise`.

    Parameters
    ----------
    probability, reference
        As in `pixel_counts`.

    Raises
    ------
    ValueError
        The reference is empty: at thresholds that leave no pixel its Dice is undefined, and means would be over other cases.
    """
    probability, reference = _levels(probability, reference)
    if not reference.any():
        raise ValueError("the sweep is over cases with a mass, this reference is empty")
    lowest = np.rint(65535 * THRESHOLDS).astype(int)
    # Pixels of at least each level, counted from the top.
    predicted, true_positive = (
        np.bincount(of, minlength=65536)[::-1].cumsum()[::-1][lowest] for of in (probability, probability[reference])
    )
    return 2 * true_positive / (predicted + np.count_nonzero(reference))


@dataclass(frozen=True)
class RiskCoverage:
    """Mean risk of the cases a reader would keep, the least uncertain first."""

    coverage: np.ndarray
    """(cases,) float: 1/n, 2/n, … 1."""
    risk: np.ndarray
    """(cases,) float: mean risk at that coverage."""
    best_area: float
    """The area were the cases ranked by their risk itself."""

    @property
    def area(self) -> float:
        """Area under the curve (AURC): the mean of `risk`. Lower is better, from `best_area` to about `uninformed_area`."""
        return float(self.risk.mean())

    @property
    def uninformed_area(self) -> float:
        """The area that a random order has on average: the mean risk of all cases."""
        return float(self.risk[-1])


def risk_coverage(uncertainty: ArrayLike, risk: ArrayLike) -> RiskCoverage:
    """How well an uncertainty ranks the failures (Geifman & El-Yaniv, NeurIPS 2017).

    Parameters
    ----------
    uncertainty : (cases,) array_like of float
        Larger is less certain, such as `fold_disagreement`'s score. Cases of one uncertainty come in random order; the curve is
        its average.
    risk : (cases,) array_like of float
        What goes wrong, such as 1 − Dice.

    Raises
    ------
    ValueError
        There is no case, the lengths differ, or a value is not finite.
    """
    uncertainty, risk = np.asarray(uncertainty, dtype=float), np.asarray(risk, dtype=float)
    if uncertainty.ndim != 1 or uncertainty.shape != risk.shape or not len(risk):
        raise ValueError(
            f"uncertainty and risk must be two rows of one length, not {uncertainty.shape} and {risk.shape}"
        )
    if not (np.isfinite(uncertainty).all() and np.isfinite(risk).all()):
        raise ValueError("an uncertainty or a risk is not finite: leave undefined cases out, and say how many")
    group = np.unique(uncertainty, return_inverse=True)[1]
    of_equals = np.bincount(group, risk) / np.bincount(group)
    n = np.arange(1, len(risk) + 1)
    best = (np.sort(risk).cumsum() / n).mean()
    return RiskCoverage(n / len(risk), of_equals[np.sort(group)].cumsum() / n, float(best))


def fold_disagreement(masks: Sequence[np.ndarray]) -> float:
    """How far the models of the folds disagree on one image: 1 − mean Dice over the pairs of folds, 0..1.

    After Roy et al., NeuroImage 195 (2019). Two folds that both find nothing agree.

    Parameters
    ----------
    masks : (folds, rows, columns) array_like of bool
        What each fold predicts.

    Raises
    ------
    ValueError
        There are fewer than two.
    """
    if len(masks) < 2:
        raise ValueError("one fold cannot disagree: give the masks of at least two")
    agreement = [dice(a, b) for a, b in combinations(masks, 2)]
    return 1 - float(np.nan_to_num(agreement, nan=1.0).mean())


def fold_spread(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Where the folds disagree: SD over the folds (n − 1) of `masks`, as above; (rows, columns) float32, 0 where they agree."""
    return np.asarray(masks).std(axis=0, ddof=1, dtype=np.float32)


def _levels(probability: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both flat; the probability as the integers it is stored as."""
    if probability.dtype != np.uint16:
        raise ValueError(f"the probability must be stored as uint16, not {probability.dtype}")
    if probability.shape != np.shape(reference):
        raise ValueError(f"the probability has shape {probability.shape}, the reference {np.shape(reference)}")
    return probability.ravel(), as_masks(reference, reference)[0].ravel()
