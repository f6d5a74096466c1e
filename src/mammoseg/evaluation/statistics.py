"""What scores of images say about patients: intervals, paired and equivalence tests, components of variance.

Images of one patient are alike, so the patient is the unit throughout: it is drawn, or left out, with all its images. Means are
over images, as in the tables, unless a function says otherwise. That intervals and tests keep their rates on skewed, correlated
scores like Dice is shown by benchmarks/statistics_simulation.py.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

RESAMPLES = 9999
FEWEST_PATIENTS = 5
"""Fewer say nothing of others: no interval, and nothing is called equivalent."""
# Patients drawn at once: bounds the memory of the bootstrap to some tens of MB whatever the study's size.
DRAWN_AT_ONCE = 1_000_000
# Differences are compared after rounding to this many decimals, so that equal ones stay equal.
DECIMALS = 12


class Interval(NamedTuple):
    """A mean and its confidence interval."""

    estimate: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """Wilcoxon's signed-rank test between two models."""

    n_patients: int
    p: float
    """Two-sided, not corrected for several comparisons."""
    rank_biserial: float
    """(W+ − W−) / (W+ + W−), −1..1: 1 where the first model is better in every patient who has a difference; 0 where none has."""


class Equivalence(NamedTuple):
    """Two one-sided tests of a mean difference against a margin."""

    estimate: float
    low: float
    high: float
    """Confidence interval of 1 − 2 alpha: equivalent where it lies within ±margin."""
    p: float
    equivalent: bool


def mean_interval(
    values: ArrayLike, patients: Sequence, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Mean over images with a bootstrap interval: patients are drawn, their images follow (BCa; jackknife over patients).

    Serves for a model's scores, and for the difference of two models' scores of the same images. BCa after Efron, J Am Stat Assoc
    82 (1987), by `scipy.stats.bootstrap`, at a level that makes up for the narrowness of bootstrap intervals in small samples
    (Hesterberg, Am Stat 69, 2015: "expanded"): the tails of the normal distribution beyond t · sqrt(n / (n − 1)), n patients.

    Parameters
    ----------
    values : (images,) array_like of float
        Finite.
    patients : (images,) sequence
        Whose image it is.
    confidence : float
        0..1.
    resamples, seed : int
        Draws of the bootstrap, and where its random numbers start.

    Returns
    -------
    Interval
        Without limits (NaN) for fewer than `FEWEST_PATIENTS`; a point where the means of all patients are equal.

    Raises
    ------
    ValueError
        There is no value, one is not finite, or there is not one patient for each.
    """
    values, patients = _checked(values, patients)
    sums, images = _per_patient(values, patients)
    estimate, n = float(values.mean()), len(sums)
    if n < FEWEST_PATIENTS:
        return Interval(estimate, float("nan"), float("nan"))
    if np.ptp(np.round(sums / images, DECIMALS)) == 0:  # then every draw has the same mean
        return Interval(estimate, estimate, estimate)
    tail = stats.norm.sf(np.sqrt(n / (n - 1)) * stats.t.isf((1 - confidence) / 2, n - 1))
    interval = stats.bootstrap(
        (sums, images),
        lambda sums, images, axis: sums.sum(axis) / images.sum(axis),
        paired=True,
        vectorized=True,
        confidence_level=1 - 2 * tail,
        n_resamples=resamples,
        batch=max(1, DRAWN_AT_ONCE // n),
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(estimate, float(interval.low), float(interval.high))


def proportion_interval(hits: ArrayLike, patients: Sequence, confidence: float = 0.95) -> Interval:
    """Share of hits with an interval that holds its level near 0 and 1 too, where a bootstrap sees no variation.

    Clopper and Pearson's exact interval (Biometrika 26, 1934) for as many independent observations as say the same: those of one
    patient are alike (Korn & Graubard, Surv Methodol 24, 1998). Where all are hits or none is, nothing tells how alike; then the
    patients are counted.

    Parameters
    ----------
    hits : (observations,) array_like of bool
        Masses found, images left without a mark.
    patients, confidence
        As in `mean_interval`, which it raises like.

    Returns
    -------
    Interval
        Without limits (NaN) for fewer than `FEWEST_PATIENTS`.
    """
    hits, patients = _checked(hits, patients)
    sums, images = _per_patient(hits, patients)
    share, n, tail = float(hits.mean()), len(sums), (1 - confidence) / 2
    if n < FEWEST_PATIENTS:
        return Interval(share, float("nan"), float("nan"))
    effective = float(n)
    if 0 < share < 1:
        error = max(_standard_error(sums, images, share), np.finfo(float).tiny)
        # The error itself is known from n patients only.
        known = (stats.t.isf(tail, len(hits) - 1) / stats.t.isf(tail, n - 1)) ** 2
        effective = min(len(hits), share * (1 - share) / error**2 * known)
    found = share * effective
    low = stats.beta.ppf(tail, found, effective - found + 1) if found > 0 else 0.0
    high = stats.beta.isf(tail, found + 1, effective - found) if found < effective else 1.0
    return Interval(share, float(low), float(high))


def paired_test(a: ArrayLike, b: ArrayLike, patients: Sequence) -> PairedTest:
    """Compare two models on the same images by Wilcoxon's signed-rank test on the patients' mean differences.

    It asks whether differences lie symmetrically about 0, not whether means are equal: a model that misses more masses and
    outlines the others better may differ although the means do not. Give the interval of the mean difference beside it. Patients
    without a difference are left out, as Wilcoxon does; p is exact for few patients, else by the normal approximation
    (`scipy.stats.wilcoxon`, method "auto"). Effect size: matched-pairs rank-biserial correlation (Kerby, Comprehensive Psychology
    3, 2014).

    Parameters
    ----------
    a, b : (images,) array_like of float
        Scores of the two models, larger is better; finite.
    patients : (images,) sequence
        As in `mean_interval`, which it raises like.
    """
    differences, patients = _checked(np.subtract(a, b), patients)
    sums, images = _per_patient(differences, patients)
    means = np.round(sums / images, DECIMALS)
    moved = means[means != 0]
    if not len(moved):
        return PairedTest(len(means), 1.0, 0.0)
    ranks = stats.rankdata(np.abs(moved))
    return PairedTest(
        len(means), float(stats.wilcoxon(moved).pvalue), float((np.sign(moved) * ranks).sum() / ranks.sum())
    )


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's corrected p of several tests, in their order (Scand J Stat 6, 1979).

    Parameters
    ----------
    p : (tests,) array_like of float
        0..1.

    Returns
    -------
    (tests,) array of float
        Significant at alpha where at most alpha: then the chance of any false finding among the tests is at most alpha.
    """
    p = np.asarray(p, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p must be numbers from 0 to 1, not {p.tolist()}")
    order = np.argsort(p)
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return corrected


def equivalence(a: ArrayLike, b: ArrayLike, patients: Sequence, margin: float, alpha: float = 0.05) -> Equivalence:
    """Whether the mean difference of two models on the same images is smaller than a margin.

    Two one-sided t tests (Schuirmann, J Pharmacokinet Biopharm 15, 1987) of the mean over images, its standard error over
    patients, patients − 1 degrees of freedom. With one image a patient this is the paired t test's error.

    Parameters
    ----------
    a, b, patients
        As in `paired_test`.
    margin : float
        Largest difference that does not matter, above 0, in units of the score.
    alpha : float
        Chance of calling two models equivalent that differ by the margin.

    Returns
    -------
    Equivalence
        NaN limits and p, and not equivalent, for fewer than `FEWEST_PATIENTS`.
    """
    if not margin > 0:
        raise ValueError(f"the margin of equivalence is {margin}, must be above 0")
    differences, patients = _checked(np.subtract(a, b), patients)
    sums, images = _per_patient(differences, patients)
    estimate, n = float(differences.mean()), len(sums)
    if n < FEWEST_PATIENTS:
        return Equivalence(estimate, float("nan"), float("nan"), float("nan"), False)
    error = _standard_error(sums, images, estimate)
    reach = float(stats.t.isf(alpha, n - 1)) * error
    # The larger p of the two tests. All differences may be equal: then there is no error to divide by.
    p = float(stats.t.sf((margin - abs(estimate)) / max(error, np.finfo(float).tiny), n - 1))
    return Equivalence(estimate, estimate - reach, estimate + reach, p, p < alpha)


def variance_components(values: ArrayLike, factors: Mapping[str, Sequence]) -> dict[str, float]:
    """How much of the variance of a score lies between patients, folds, seeds, …

    Model: a common mean plus one random effect per level of each factor, crossed or nested, plus a residual. Henderson's method
    I (Biometrics 9, 1953; Searle, Casella & McCulloch, Variance Components, 5.3): the sums of squares between the levels are set
    equal to their expectations. Unbiased whatever the numbers of observations and the distributions; the analysis of variance
    where the design is balanced; a few passes over the values, where REML with crossed effects needs matrices of all levels.

    Parameters
    ----------
    values : (observations,) array_like of float
        Finite, such as the Dice of each image by each fold's model of each seed.
    factors : mapping of str to (observations,) sequence
        Name → the level of each observation. Levels of a nested factor are named apart: images by their own id. What no factor
        explains, such as interactions, is residual. A factor must be seen apart from the others: out of fold every patient
        has one fold, so that a fold's effect is what its patients do not explain.

    Returns
    -------
    dict of str to float
        The factors' variances in their order, then ``residual``. Unbiased, hence below 0 now and then where the true variance is
        about 0: read that as 0.

    Raises
    ------
    ValueError
        A value is not finite, lengths differ, a factor has one level, or factors cannot be told apart.
    """
    codes = {}
    for name, levels in factors.items():
        values, levels = _checked(values, levels)
        codes[name] = np.unique(levels, return_inverse=True)[1]
        if codes[name].max() == 0:
            raise ValueError(f"the factor {name} has one level: its variance cannot be estimated")
    names, n = list(factors), len(values)
    values = values - values.mean()  # sums of squares without cancellation
    observations = {name: np.bincount(codes[name]) for name in names}
    # Row by row: the sum of squares between the levels of a factor less the mean's, its expectation as coefficients of the
    # components; last the total sum of squares.
    squares = [np.square(np.bincount(codes[f], values)) @ (1 / observations[f]) for f in names] + [values @ values]
    of_mean = np.array([np.square(observations[f]).sum() / n for f in names] + [1.0])
    expected = np.full((len(names) + 1, len(names) + 1), float(n))
    for i, f in enumerate(names):
        for j, g in enumerate(names):
            pairs, together = np.unique(codes[f] * len(observations[g]) + codes[g], return_counts=True)
            expected[i, j] = (np.square(together) / observations[f][pairs // len(observations[g])]).sum()
        expected[i, -1] = len(observations[f])
    expected -= of_mean
    if np.linalg.cond(expected / n) > 1e10:
        raise ValueError(f"the factors {', '.join(names)} cannot be told apart, or leave no residual")
    return dict(zip([*names, "residual"], np.linalg.solve(expected, squares).tolist(), strict=True))


def _checked(values: ArrayLike, labels: Sequence) -> tuple[np.ndarray, np.ndarray]:
    values, labels = np.asarray(values, dtype=float), np.asarray(labels)
    if values.ndim != 1 or len(values) == 0 or labels.shape != values.shape:
        raise ValueError(
            f"values and their labels must be two rows of one length, not {values.shape} and {labels.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("a value is not finite: leave undefined scores out, and say how many")
    return values, labels


def _standard_error(sums: np.ndarray, images: np.ndarray, mean: float) -> float:
    """Of a mean over images: the linearised ratio of the patients' sums and images (Cochran, Sampling Techniques, 6.5)."""
    n = len(sums)
    return float(np.sqrt(n / (n - 1) * np.square(sums - mean * images).sum()) / images.sum())


def _per_patient(values: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values and number of images (float) of each patient.

    The order follows from these numbers, not from the patients' names: the bootstrap of a study with another key of the
    pseudonyms draws the same patients.
    """
    codes = np.unique(patients, return_inverse=True)[1]
    by_value = np.lexsort((values, codes))  # a sum does not depend on the order of the images
    sums, images = np.bincount(codes[by_value], values[by_value]), np.bincount(codes).astype(float)
    order = np.lexsort((sums, images))
    return sums[order], images[order]
