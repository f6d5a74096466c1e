"""Intervals, tests and components of variance, judged by SciPy, statsmodels where it is installed, and by hand."""

import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mammoseg.evaluation.statistics import (
    equivalence,
    holm,
    mean_interval,
    paired_test,
    proportion_interval,
    variance_components,
)


@pytest.fixture
def study():
    """Owner of each image and Dice of two models: 40 patients, 1 to 4 images."""
    draw = np.random.default_rng(11)
    owners = np.repeat(np.arange(40), draw.integers(1, 5, 40))
    common = draw.normal(size=40)[owners]
    a, b = (1 / (1 + np.exp(-1.2 - common - draw.normal(0, s, len(owners)))) for s in (0.5, 0.8))
    return owners, a, b


def bca(values, owners, confidence, resamples):
    """Efron's formulas (1987) written out, patients drawn one study at a time."""
    draw = np.random.default_rng(99)
    groups = [values[owners == owner] for owner in np.unique(owners)]
    n = len(groups)
    means = np.array([np.concatenate([groups[k] for k in draw.integers(0, n, n)]).mean() for _ in range(resamples)])
    left_out = np.array([np.concatenate(groups[:k] + groups[k + 1 :]).mean() for k in range(n)])
    u = left_out.mean() - left_out
    acceleration = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    bias = stats.norm.ppf((means < values.mean()).mean())
    tails = stats.t.ppf([(1 - confidence) / 2, (1 + confidence) / 2], n - 1) * np.sqrt(n / (n - 1))  # Hesterberg (2015)
    shares = stats.norm.cdf(bias + (bias + tails) / (1 - acceleration * (bias + tails)))
    return np.quantile(means, shares)


def test_interval_is_bca_over_patients(study):
    owners, a, _ = study
    for values, confidence in ((a, 0.95), ((1 - a) ** 4, 0.9)):  # the second is skewed: a percentile interval fails
        interval = mean_interval(values, owners, confidence, resamples=20_000)
        assert interval.estimate == pytest.approx(values.mean())
        width = interval.high - interval.low
        judge = bca(values, owners, confidence, 20_000)
        assert (interval.low, interval.high) == pytest.approx(judge, abs=0.04 * width)
    # An interval over images, as if they were independent, is narrower here: the judge above can tell.
    images = mean_interval(a, np.arange(len(a)))
    patients = mean_interval(a, owners)
    assert images.high - images.low < 0.85 * (patients.high - patients.low)


def test_one_image_a_patient_is_scipys_interval():
    # 12 patients: t is 2.200985, times sqrt(12/11) 2.298854, beyond which 0.010757 of the normal distribution lies a side.
    values = np.random.default_rng(0).beta(5, 2, 12)
    level = 1 - 2 * 0.010757
    judge = stats.bootstrap((values,), np.mean, confidence_level=level, n_resamples=20_000, rng=3).confidence_interval
    interval = mean_interval(values, np.arange(12), resamples=20_000)
    assert (interval.low, interval.high) == pytest.approx((judge.low, judge.high), abs=0.03 * (judge.high - judge.low))
    several_thousand = np.tile(values, 250)
    judge = stats.bootstrap((several_thousand,), np.mean, batch=100, rng=3).confidence_interval
    interval = mean_interval(several_thousand, np.arange(len(several_thousand)))
    assert (interval.low, interval.high) == pytest.approx((judge.low, judge.high), abs=0.0003)


def test_interval_is_the_same_twice_and_in_another_order(study):
    owners, a, _ = study
    order = np.random.default_rng(0).permutation(len(a))
    one = mean_interval(a, owners)
    assert mean_interval(a, owners) == one
    assert mean_interval(a[order], owners[order]) == pytest.approx(one, abs=1e-12)
    assert mean_interval(a, owners, seed=1) != one


def test_interval_where_there_is_none():
    for few in ("ppppp", "ppqqr", "pqrss"):
        interval = mean_interval([0.4, 0.6, 0.5, 0.4, 0.6], list(few))
        assert interval.estimate == 0.5
        assert np.isnan(interval[1:]).all()
    five = mean_interval([0.4, 0.6, 0.5, 0.4, 0.6], list("pqrst"))
    assert 0.4 <= five.low < 0.5 < five.high <= 0.6
    assert mean_interval([0.5] * 5, list("pqrst")) == (0.5, 0.5, 0.5)
    halves = mean_interval([0, 1] * 6, np.repeat(np.arange(6), 2))  # half of every patient's
    assert halves == (0.5, 0.5, 0.5)


def test_shares_of_one_observation_a_patient_have_scipys_exact_interval():
    for hits, n in ((7, 10), (19, 20), (3, 40)):
        judge = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
        found = proportion_interval([True] * hits + [False] * (n - hits), range(n))
        # The error of a share over patients has n - 1 in it where the binomial one has n.
        assert found.estimate == hits / n
        assert (found.low, found.high) == pytest.approx((judge.low, judge.high), abs=0.02)
    for hits, n in ((0, 12), (12, 12)):
        judge = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
        of_patients = proportion_interval([hits > 0] * 3 * n, np.repeat(np.arange(n), 3))
        assert tuple(of_patients) == pytest.approx((hits / n, judge.low, judge.high))
    assert np.isnan(proportion_interval([True] * 8, list("pqrsppqq"))[1:]).all()


def test_shares_of_patients_whose_observations_are_alike():
    # Ten patients, two observations each, both hits in seven, none in three. Share 0.7; error² = 10/9 (7 · 0.6² + 3 · 1.4²)/20²
    # = 0.023333; 0.7 · 0.3 / 0.023333 = 9 observations, times (2.093024/2.262157)² = 0.856060 for t of 19 and of 9: 7.70454.
    found = proportion_interval([True] * 14 + [False] * 6, np.repeat(np.arange(10), 2))
    low, high = stats.beta.ppf(0.025, 5.393178, 3.311362), stats.beta.ppf(0.975, 6.393178, 2.311362)
    assert tuple(found) == pytest.approx((0.7, low, high), abs=1e-5)
    independent = proportion_interval([True] * 14 + [False] * 6, range(20))
    assert independent.high - independent.low < 0.75 * (found.high - found.low)


def test_intervals_of_shares_cover():
    """A short form of benchmarks/statistics_simulation.py; a bootstrap covers 41 to 66 % here."""
    draw = np.random.default_rng(4)
    for n, share in ((5, 0.9), (10, 0.95), (20, 0.95)):
        covered = [
            i.low <= share <= i.high
            for i in (proportion_interval(draw.random(n) < share, range(n)) for _ in range(400))
        ]
        assert np.mean(covered) > 0.93


def test_undefined_scores_and_wrong_lengths_are_errors():
    for undefined in (np.nan, np.inf):
        with pytest.raises(ValueError, match="not finite"):
            mean_interval([0.5, undefined], [1, 2])
        with pytest.raises(ValueError, match="not finite"):
            paired_test([0.5, undefined], [0.5, 0.5], [1, 2])
        with pytest.raises(ValueError, match="not finite"):
            variance_components([0.5, undefined], {"patient": [1, 2]})
    for values, patients in (([], []), ([0.5, 0.6], [1]), ([[0.5]], [[1]])):
        with pytest.raises(ValueError, match="one length"):
            mean_interval(values, patients)


def test_paired_test_by_hand():
    # Patients' mean differences: p 0.3, q (0.3 − 0.1)/2 = 0.1, r −0.2, s 0.4, t 0.
    # Ranks of those not 0: q 1, r 2, p 3, s 4. W+ = 1 + 3 + 4 = 8, W− = 2, effect (8 − 2)/10.
    # Of the 16 signs of four ranks those with W− <= 2 are {}, {1}, {2}: p = 2 · 3/16.
    a = [0.8, 0.9, 0.5, 0.4, 0.9, 0.7]
    b = [0.5, 0.6, 0.6, 0.6, 0.5, 0.7]
    result = paired_test(a, b, ["p", "q", "q", "r", "s", "t"])
    assert result == (5, pytest.approx(0.375), pytest.approx(0.6))
    turned = paired_test(b, a, ["p", "q", "q", "r", "s", "t"])
    assert turned == (5, pytest.approx(0.375), pytest.approx(-0.6))


def test_paired_test_is_scipys_on_patient_means(study):
    owners, a, b = study
    means = [(a - b)[owners == owner].mean() for owner in range(40)]
    assert paired_test(a, b, owners).p == pytest.approx(stats.wilcoxon(means).pvalue, rel=1e-9)
    with_ties = np.round(a, 1), np.round(b, 1)
    assert 0 < paired_test(*with_ties, owners).p <= 1


def test_equal_differences_are_ties_whatever_their_rounding():
    # 0.8 − 0.5 and 0.3 differ in the last bit. Ranks 1.5, 1.5, 3: effect (1.5 + 3 − 1.5)/6.
    assert paired_test([0.8, 0.0, 0.9], [0.5, 0.3, 0.1], [1, 2, 3]).rank_biserial == 0.5


def test_a_model_against_itself(study):
    owners, a, _ = study
    assert paired_test(a, a, owners) == (40, 1, 0)
    assert equivalence(a, a, owners, 0.05) == (0, 0, 0, 0, True)


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.04, and never falling.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.5]).tolist() == [1, 1]
    assert holm([0.2]) == [0.2]
    assert len(holm([])) == 0
    for no_p in ([0.5, np.nan], [1.2], [[0.1]]):
        with pytest.raises(ValueError, match="0 to 1"):
            holm(no_p)


def test_holm_equals_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    draw = np.random.default_rng(5)
    for n in (1, 2, 7, 30):
        p = draw.random(n) ** 3
        np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1], rtol=1e-12)


def test_equivalence_by_hand():
    # Differences 0.02 | 0.04, 0.00 | 0.06 | 0.03 | 0.03 of five patients: sums 0.02, 0.04, 0.06, 0.03, 0.03, images 1, 2, 1, 1, 1;
    # mean 0.18/6 = 0.03. Residual sums −0.01, −0.02, 0.03, 0, 0: squares 0.0014; error sqrt(5/4 · 0.0014)/6 = 0.0069722.
    # t quantile (0.95, 4 degrees) 2.131847: reach 0.0148636.
    # p at the margin 0.1: t = 0.07/0.0069722 = 10.0399; with 4 degrees, u = t/sqrt(1 + t²/4), p = 1/2 − 3/8 u (1 − u²/12).
    a, patients = np.array([0.52, 0.54, 0.50, 0.56, 0.53, 0.53]), ["p", "q", "q", "r", "s", "t"]
    result = equivalence(a, np.full(6, 0.5), patients, margin=0.1)
    assert result[:3] == pytest.approx((0.03, 0.03 - 0.0148636, 0.03 + 0.0148636), abs=1e-6)
    assert result.p == pytest.approx(0.0002767, abs=1e-6)
    assert result.equivalent
    assert not equivalence(a, np.full(6, 0.5), patients, margin=0.04).equivalent


def test_nothing_is_equivalent_in_four_patients():
    for values in (np.zeros(6), np.linspace(0, 0.001, 6)):
        result = equivalence(values, np.zeros(6), ["p", "q", "q", "r", "s", "s"], margin=0.1)
        assert np.isnan(result[1:4]).all()
        assert not result.equivalent


def test_equivalence_is_two_one_sided_t_tests_with_one_image_a_patient():
    draw = np.random.default_rng(8)
    for shift in (-0.06, 0.01, 0.04, 0.07):
        a = draw.beta(5, 2, 50)
        b = a - shift + draw.normal(0, 0.1, 50)
        result = equivalence(a, b, np.arange(50), 0.05)
        above = stats.ttest_1samp(a - b, 0.05, alternative="less").pvalue
        below = stats.ttest_1samp(a - b, -0.05, alternative="greater").pvalue
        assert result.p == pytest.approx(max(above, below), rel=1e-9)
        assert result.equivalent == (result.p < 0.05) == (result.low > -0.05 and result.high < 0.05)
        judge = stats.ttest_1samp(a - b, 0).confidence_interval(0.9)
        assert (result.low, result.high) == pytest.approx(judge, rel=1e-9)


def test_equivalence_equals_statsmodels():
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    draw = np.random.default_rng(9)
    a = draw.beta(5, 2, 50)
    b = a + draw.normal(0.01, 0.1, 50)
    judge = weightstats.ttost_paired(a, b, -0.05, 0.05)[0]
    assert equivalence(a, b, np.arange(50), 0.05).p == pytest.approx(judge, rel=1e-9)


def test_equivalence_of_one_patient_is_unknown():
    result = equivalence([0.5, 0.6], [0.5, 0.6], ["p", "p"], 0.05)
    assert not result.equivalent
    assert np.isnan([result.low, result.high, result.p]).all()
    with pytest.raises(ValueError, match="margin"):
        equivalence([0.5], [0.5], ["p"], 0)


def test_components_by_hand():
    # Two patients with 1, 3 and 5, 7: mean squares 2 · (4² / 2) = 16 between, (2 + 2)/2 = 2 within; (16 − 2)/2 = 7.
    assert variance_components([1, 3, 5, 7], {"patient": list("aabb")}) == pytest.approx({"patient": 7, "residual": 2})


def test_components_of_a_balanced_study_are_the_analysis_of_variance():
    patients, folds, seeds = 6, 5, 3
    y = np.random.default_rng(2).normal(size=(patients, folds, seeds)) + np.arange(patients)[:, None, None]
    design = np.array(list(itertools.product(range(patients), range(folds), range(seeds)))).T
    ours = variance_components(y.ravel(), dict(zip(("patient", "fold", "seed"), design, strict=True)))
    deviations = [y.mean((1, 2)) - y.mean(), y.mean((0, 2)) - y.mean(), y.mean((0, 1)) - y.mean()]
    squares = [(d**2).sum() * y.size / len(d) for d in deviations]
    error = ((y - y.mean()) ** 2).sum() - sum(squares)
    error /= y.size - 1 - sum(len(d) - 1 for d in deviations)
    expected = [(s / (len(d) - 1) - error) * len(d) / y.size for s, d in zip(squares, deviations, strict=True)]
    assert list(ours.values()) == pytest.approx([*expected, error])


def test_components_are_unbiased_in_any_design():
    # The estimate is a quadratic form y'Qy, whose expectation is the sum over components of variance · trace(Q Z Z'). The
    # trace is the sum of the estimates made of the columns of Z as values: 1 for the component itself, 0 for the others.
    draw = np.random.default_rng(6)
    patient = draw.integers(0, 9, 70)
    factors = {
        "patient": patient,
        "image": patient * 10 + draw.integers(0, 3, 70),
        "fold": draw.integers(0, 4, 70) * (patient < 7),
        "seed": draw.integers(0, 3, 70),
    }
    columns = {name: levels == np.unique(levels)[:, None] for name, levels in factors.items()}
    columns["residual"] = np.eye(70)
    for name, of_levels in columns.items():
        traces = sum(np.array(list(variance_components(c, factors).values())) for c in of_levels)
        np.testing.assert_allclose(traces, [other == name for other in columns], atol=1e-9)
    y = draw.normal(size=70)
    shifted = variance_components(y + 1000, factors)
    assert list(shifted.values()) == pytest.approx(list(variance_components(y, factors).values()), abs=1e-9)


def test_components_equal_statsmodels_reml():
    mixed = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    draw = np.random.default_rng(12)
    owners = np.repeat(np.arange(30), 4)
    y = draw.normal(size=30)[owners] + draw.normal(0, 0.7, 120)
    fit = mixed.MixedLM(y, np.ones((120, 1)), owners).fit(reml=True)
    ours = variance_components(y, {"patient": owners})
    assert ours["patient"] == pytest.approx(fit.cov_re[0, 0], rel=1e-3)  # balanced: REML is the analysis of variance
    assert ours["residual"] == pytest.approx(fit.scale, rel=1e-3)


def test_components_that_cannot_be_estimated_are_errors():
    y = np.arange(6) ** 2.0
    with pytest.raises(ValueError, match="fold has one level"):
        variance_components(y, {"patient": list("aabbcc"), "fold": list("000000")})
    with pytest.raises(ValueError, match="cannot be told apart"):
        variance_components(y, {"patient": list("aabbcc"), "fold": list("001122")})
    with pytest.raises(ValueError, match="leave no residual"):
        variance_components(y, {"image": list("abcdef")})


def test_rates_on_studies_of_known_truth():
    simulation = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks/statistics_simulation.py"))
    # The formula for the truth, against a study so large that it needs none.
    _, a, b = simulation["scores_of"](np.random.default_rng(0), 200_000, 0.3, 0.2)
    assert simulation["mean_dice"]() == pytest.approx(a.mean(), abs=0.003)
    assert simulation["mean_dice"](0.3, 0.2) == pytest.approx(b.mean(), abs=0.003)
    rates = simulation["simulate"](400, 100, seed=1, resamples=999)
    assert rates.pop("paired test finds a difference of unlike models") > 0.1
    assert len(rates) == 6
    for name, rate in rates.items():  # wide: 400 studies at 5 % have a standard error of 1.1 %
        low, high = (0.91, 0.985) if "coverage" in name else (0.015, 0.09)
        assert low <= rate <= high, name


def test_neither_the_patients_names_nor_the_order_of_the_images_change_a_result(study):
    """A study with another key of the pseudonyms has the same tables."""
    owners, a, b = study
    draw = np.random.default_rng(3)
    names = draw.permutation(40)[owners]
    order = draw.permutation(len(owners))
    moved = a[order], b[order], names[order]
    expected = mean_interval(a - b, owners, resamples=999)
    assert mean_interval(moved[0] - moved[1], moved[2], resamples=999) == pytest.approx(expected, abs=1e-12)
    assert paired_test(*moved) == pytest.approx(paired_test(a, b, owners), abs=1e-12)
    assert equivalence(*moved, margin=0.05)[:4] == pytest.approx(equivalence(a, b, owners, margin=0.05)[:4], abs=1e-12)
    hits = proportion_interval(moved[0] > 0.7, moved[2])
    assert hits == pytest.approx(proportion_interval(a > 0.7, owners), abs=1e-12)
