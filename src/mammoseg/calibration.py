"""How far probabilities can be trusted: calibration of pixels, sweep of the threshold, disagreement of folds as a warning.

Pixels are never held together: cases are added one by one, and only counts are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mammoseg.metrics import as_masks, dice

THRESHOLDS = np.arange(256) / 256
"""Of the sweep; 0.5 is one of them."""


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

        Nearly all of a mammogram is sure not to be mass, so over whole images it is small for any model: compare models, or add
        only the pixels that matter.
        """
        used = self.count > 0
        if not used.any():
            return float("nan")
        return float(np.average(np.abs(self.share - self.probability)[used], weights=self.count[used]))


class PixelCounts:
    """Pixels and mass pixels at each of the 65,536 probabilities of a 16-bit map, over any number of cases (1 MB)."""

    def __init__(self):
        self.pixels = np.zeros(65536, np.int64)
        self.mass = np.zeros(65536, np.int64)

    def add(self, probability: np.ndarray, reference: np.ndarray) -> None:
        """Count the pixels of a case.

        Parameters
        ----------
        probability : array of uint8 or uint16
            255 or 65535 times the probability of mass.
        reference : array of bool
            Of the same shape.
        """
        probability, reference = _levels(probability, reference)
        if probability.dtype == np.uint8:
            probability = probability * np.uint16(257)
        self.pixels += np.bincount(probability, minlength=65536)
        self.mass += np.bincount(probability[reference], minlength=65536)

    def reliability(self, bins: int = 15) -> Reliability:
        """Curve over `bins` bins of one width; a probability on the limit of two belongs to the lower one, as in scikit-learn."""
        level = np.arange(65536) / 65535
        index = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], level)
        count = np.zeros(bins, np.int64)
        np.add.at(count, index, self.pixels)
        with np.errstate(invalid="ignore"):
            return Reliability(
                count,
                np.bincount(index, self.pixels * level, bins) / count,
                np.bincount(index, self.mass, bins) / count,
            )


class ThresholdSweep:
    """Mean Dice over cases at each of `THRESHOLDS`, from one histogram a case. For cases with a mass."""

    def __init__(self):
        self.n_cases = 0
        self._sum = np.zeros(len(THRESHOLDS))

    def add(self, probability: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Add a case (as `PixelCounts.add`) and return its Dice at each threshold, (256,) float.

        A pixel is mass where its probability is at least the threshold, both rounded alike, as in `scoring.binarise`.

        Raises
        ------
        ValueError
            The reference is empty: at thresholds that leave no pixel its Dice is undefined, and means would be over other cases.
        """
        probability, reference = _levels(probability, reference)
        if not reference.any():
            raise ValueError("the sweep is over cases with a mass, this reference is empty")
        full = np.iinfo(probability.dtype).max
        # How many thresholds each probability reaches; 8 bit cannot tell them all apart.
        reached = np.searchsorted(np.rint(full * THRESHOLDS), np.arange(full + 1), side="right")
        steps = reached[probability]
        # From pixels that reach exactly k thresholds to those that reach at least k; all reach the first.
        predicted, true_positive = (
            np.bincount(of, minlength=len(THRESHOLDS) + 1)[::-1].cumsum()[::-1][1:] for of in (steps, steps[reference])
        )
        scores = 2 * true_positive / (predicted + np.count_nonzero(reference))
        self.n_cases += 1
        self._sum += scores
        return scores

    @property
    def mean_dice(self) -> np.ndarray:
        """(256,) float; NaN before the first case."""
        return self._sum / (self.n_cases or float("nan"))


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


def fold_disagreement(probabilities: Sequence[np.ndarray], threshold: float = 0.5) -> tuple[np.ndarray, float]:
    """How far the models of the folds disagree on one image, as a map and as a score.

    Parameters
    ----------
    probabilities : (folds, rows, columns) array_like of float
        0..1, at least two folds.
    threshold : float
        Probability from which a pixel is mass.

    Returns
    -------
    (rows, columns) array of float32
        SD over the folds (n − 1).
    float
        1 − mean Dice over the pairs of folds, 0..1 (Roy et al., NeuroImage 195, 2019). Two folds that both find nothing agree.
    """
    probabilities = np.asarray(probabilities, dtype=np.float32)
    if len(probabilities) < 2:
        raise ValueError("one fold cannot disagree: give the probabilities of at least two")
    agreement = [dice(a, b) for a, b in combinations(probabilities >= threshold, 2)]
    return probabilities.std(axis=0, ddof=1), 1 - float(np.nan_to_num(agreement, nan=1.0).mean())


def _levels(probability: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both flat; the probability as the integers it is stored as."""
    if probability.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"the probability must be stored as uint8 or uint16, not {probability.dtype}")
    if probability.shape != np.shape(reference):
        raise ValueError(f"the probability has shape {probability.shape}, the reference {np.shape(reference)}")
    return probability.ravel(), as_masks(reference, reference)[0].ravel()
