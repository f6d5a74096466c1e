"""Whether intervals and tests keep their rates on made-up studies of known truth.

    PYTHONPATH=src python benchmarks/statistics_simulation.py [--studies N] [--patients N] [--seed N]

A study has 1 to 4 images of each patient and the Dice of two models. Dice is skewed as on real mammograms: most masses are
outlined well, some badly, and some are missed altogether. Scores of one patient are alike, those of one image more so. Under the
null hypothesis both models are equally good; at the margin the second one's mean Dice is lower by exactly that margin. Unlike
models have the same mean Dice: the second one misses more and outlines better what it finds.

The same network trained twice is two networks: how often the test calls one better is looked at for some SD of the mean Dice
between trainings.

Shares, such as sensitivity, have their intervals looked at for few patients too, with 1 to 4 masses each, alike within a patient.

A rate of 5 % in 1000 studies has a standard error of 0.7 %: too much to tell 94 from 93 %, so by default there are more. The
bootstrap draws less often than the library's default, which makes its intervals noisier and cannot flatter them.
"""

import argparse
import time

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import beta

from mammoseg.evaluation.statistics import equivalence, mean_interval, paired_test, proportion_interval

MARGIN = 0.05
ALPHA = 0.05
# The log odds of Dice: their mean, and the SD between patients, between a patient's images, and of a model on an image.
MEAN, OF_PATIENT, OF_IMAGE, OF_MODEL = 1.4, 1.0, 0.8, 0.8
MISSED = 0.05  # share of the images in which a model finds nothing, whatever the other one does
MISSED_BY_UNLIKE = 0.15
LIMITS = {"coverage": (0.93, 0.97), "error rate": (0.03, 0.07)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dice = scores_of(np.random.default_rng(arguments.seed), 100_000)[1]
    print(f"Dice {dice.mean():.3f} ± {dice.std():.3f}, {(dice == 0).mean():.1%} missed, ", end="")
    print("quartiles " + " ".join(f"{q:.2f}" for q in np.quantile(dice, (0.25, 0.5, 0.75))))
    start = time.perf_counter()
    rates = simulate(arguments.studies, arguments.patients, arguments.seed)
    for name, rate in rates.items():
        error = np.sqrt(rate * (1 - rate) / arguments.studies)
        print(f"{name:60} {rate:6.1%} ± {error:.1%}", end="")
        for low, high in (limits for kind, limits in LIMITS.items() if kind in name):
            print(f", {'within' if low <= rate <= high else 'OUTSIDE'} {low:.0%} to {high:.0%}", end="")
        print()
    print(f"{arguments.studies} studies of {arguments.patients} patients: {time.perf_counter() - start:.0f} s")
    for patients in (100, 300):
        for sd in (0.0, 0.01, 0.02):
            found = differences_of_trainings(arguments.studies, patients, sd, arguments.seed)
            print(f"two trainings of one network, SD {sd:.2f}, {patients} patients: called different {found:6.1%}")
    for patients, share in ((5, 0.9), (10, 0.95), (20, 0.95), (40, 0.95), (40, 0.7), (100, 0.7)):
        exact, bootstrap = coverage_of_shares(arguments.studies, patients, share, arguments.seed)
        print(f"coverage of a share of {share}, {patients:3} patients: {exact:6.1%}; of a bootstrap {bootstrap:6.1%}")


def simulate(studies: int, patients: int, seed: int, resamples: int = 1999) -> dict[str, float]:
    """Share of the studies in which an interval holds the truth or a test errs, by its name."""
    rng = np.random.default_rng(seed)
    true_mean = mean_dice()
    harder = brentq(lambda harder: true_mean - mean_dice(harder) - MARGIN, 0, 2)
    easier = brentq(lambda harder: true_mean - mean_dice(harder, MISSED_BY_UNLIKE), -2, 0)
    outcomes = []
    for study in range(studies):
        owners, a, b = scores_of(rng, patients)
        of_model = mean_interval(a, owners, resamples=resamples, seed=study)
        of_difference = mean_interval(a - b, owners, resamples=resamples, seed=study)
        owners_there, better, worse = scores_of(rng, patients, harder)
        at_margin = mean_interval(better - worse, owners_there, resamples=resamples, seed=study)
        owners_of_unlike, one, other = scores_of(rng, patients, easier, MISSED_BY_UNLIKE)
        of_unlike = mean_interval(one - other, owners_of_unlike, resamples=resamples, seed=study)
        outcomes.append(
            {
                "coverage of a model's mean Dice": of_model.low <= true_mean <= of_model.high,
                "coverage of the difference of two equal models": of_difference.low <= 0 <= of_difference.high,
                "coverage of a difference of the margin": at_margin.low <= MARGIN <= at_margin.high,
                "coverage of the difference of unlike models": of_unlike.low <= 0 <= of_unlike.high,
                "error rate of the paired test of two equal models": paired_test(a, b, owners).p < ALPHA,
                "error rate of the equivalence test at the margin": equivalence(
                    better, worse, owners_there, MARGIN, ALPHA
                ).equivalent,
                # No error: it compares ranks, which do differ.
                "paired test finds a difference of unlike models": paired_test(one, other, owners_of_unlike).p < ALPHA,
            }
        )
    return {name: float(np.mean([outcome[name] for outcome in outcomes])) for name in outcomes[0]}


def differences_of_trainings(studies: int, patients: int, sd: float, seed: int) -> float:
    """Share of the studies in which the paired test tells two networks apart that differ by chance of training alone."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(studies):
        owners, a, b = scores_of(rng, patients)
        a, b = (np.where(dice > 0, np.clip(dice + rng.normal(0, sd), 0, 1), 0) for dice in (a, b))
        found.append(paired_test(a, b, owners).p < ALPHA)
    return float(np.mean(found))


def coverage_of_shares(studies: int, patients: int, share: float, seed: int) -> tuple[float, float]:
    """Share of the studies in which the exact interval of a share, and a bootstrap's, holds the truth."""
    rng = np.random.default_rng(seed)
    held = []
    for study in range(studies):
        owners = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
        of_patient = beta.rvs(4 * share, 4 * (1 - share), size=patients, random_state=rng)  # correlation 1/(4 + 1)
        hits = rng.random(len(owners)) < of_patient[owners]
        exact, bootstrap = proportion_interval(hits, owners), mean_interval(hits, owners, resamples=999, seed=study)
        held.append([i.low - 1e-9 <= share <= i.high + 1e-9 for i in (exact, bootstrap)])
    return tuple(np.mean(held, axis=0))


def scores_of(
    rng: np.random.Generator, patients: int, harder: float = 0.0, missed: float = MISSED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Owner of each image and the Dice of two models; the second one's log odds are lower by `harder`, and it misses `missed`."""
    owners = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    n = len(owners)
    common = MEAN + OF_PATIENT * rng.normal(size=patients)[owners] + OF_IMAGE * rng.normal(size=n)
    a, b = (
        expit(common - less + OF_MODEL * rng.normal(size=n)) * (rng.random(n) >= share)
        for less, share in ((0.0, MISSED), (harder, missed))
    )
    return owners, a, b


def mean_dice(harder: float = 0.0, missed: float = MISSED) -> float:
    """The true mean Dice: the log odds are normal (Gauss-Hermite quadrature), and a share `missed` of the images has 0."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    spread = np.sqrt(OF_PATIENT**2 + OF_IMAGE**2 + OF_MODEL**2)
    return float((1 - missed) * np.average(expit(MEAN - harder + spread * points), weights=weights))


if __name__ == "__main__":
    main()
