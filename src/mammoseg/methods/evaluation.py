"""Evaluation, in words: metrics, uncertainty and significance, robustness."""

from collections.abc import Mapping, Sequence

from mammoseg.evaluation.statistics import FEWEST_PATIENTS
from mammoseg.methods.prose import (
    listed,
    number,
    percent,
    sentences,
)
from mammoseg.methods.study import MethodsStudy
from mammoseg.metrics.calibration import BINS, THRESHOLDS
from mammoseg.metrics.lesions import RATES
from mammoseg.metrics.overlap import TOLERANCES
from mammoseg.tables.breakdowns import MIN_PATIENTS, SIZES_PERCENT


def evaluation(study: MethodsStudy) -> list[str]:
    """Metrics, significance and uncertainty, robustness."""
    return [
        sentences(*_overlap(study)),
        _detection(study.recipe["detection"]),
        sentences(*_probabilities(study)),
        sentences(*_statistics(study)),
        _robustness(study.recipe["statistics"]["sizes_mm"]),
    ]


def _overlap(study: MethodsStudy) -> list[str]:
    apart = study.require_mass
    return [
        "For each image the predicted mask P was compared with the reference R by the Dice coefficient, 2 |P ∩ R| / "
        "(|P| + |R|), the intersection over union (IoU), |P ∩ R| / |P ∪ R|, precision, |P ∩ R| / |P|, and recall, "
        "|P ∩ R| / |R|, on the square that the network sees.",
        f"Values are given as mean ± sample SD over the images{' with a mass' if apart else ''}, by data set and partition; a "
        "missed mass counts 0.",
        "Images without a mass were evaluated apart, by specificity (the share of them without a predicted region) and false "
        "positives per image."
        if apart
        else "",
        "The same measures were taken in the pixels of the original image, onto which the probabilities were laid back by linear "
        "interpolation, together with the 95th percentile of the Hausdorff distance and the average symmetric surface distance "
        f"(both as medians) and the surface Dice at {listed(map(number, TOLERANCES))} mm.",
    ]


def _detection(detection: Mapping) -> str:
    centre = " or its centre lay inside the mass" if detection["centre_inside"] else ""
    return (
        "Detection was judged by regions (8-connected): a predicted region found a mass where their IoU was at least "
        f"{number(detection['min_iou'])}{centre}; a region that found none was a false positive. Sensitivity is given at the "
        "threshold and, from the free-response operating characteristic (FROC; a region's score is its mean probability), at "
        f"{listed(map(number, RATES))} false positives per image."
    )


def _probabilities(study: MethodsStudy) -> list[str]:
    return [
        f"Calibration was measured by the expected calibration error over the pixels of all scored images ({BINS} bins; padding "
        "left out).",
        "The disagreement of an ensemble's folds (1 − the mean Dice between their masks) was judged as a warning of failures, by "
        "the area under the curve of risk (1 − Dice) against coverage."
        if study.tested
        else "",
        "As a baseline, the best brightness threshold was scored: of all 8-bit grey values, and of shares of the brightest "
        "pixels of the breast up to 50%, the one with the highest mean Dice on the training part.",
    ]


def _statistics(study: MethodsStudy) -> list[str]:
    s, several = study.recipe["statistics"], len(study.models) > 1
    alpha = f"The level of significance was {number(s['alpha'])}."
    return [
        "The patient was the unit of all intervals and tests, since images of one patient are alike. Confidence intervals "
        f"({percent(1 - s['alpha'])}) of the mean Dice and IoU are bias-corrected and accelerated bootstrap intervals (BCa) from "
        f"{number(s['resamples'])} draws of patients with all their images, expanded for small numbers of patients. Those of "
        f"sensitivity{' and specificity' if study.require_mass else ''} are exact (Clopper and Pearson), for as many independent "
        "observations as the patients were worth (Korn and Graubard). No interval is given for fewer than "
        f"{FEWEST_PATIENTS} patients.",
        "Every pair of networks was compared on the images with a mass that both were scored on: by the difference of the mean "
        "Dice with such an interval; by Wilcoxon's signed-rank test of the patients' mean differences, two-sided, corrected by "
        "Holm's method over the pairs of a data set and partition; and, lest a difference that is not significant be taken for "
        f"equality, by two one-sided t tests (TOST) of equivalence within ±{number(s['margin'])} Dice, not corrected. One "
        "network was called better only where test and interval pointed the same way. Pairs that differ in nothing but the "
        "encoder, the decoder or what the encoder started from were also taken together, one comparison for each question, "
        "corrected over the questions. All this concerns the networks as they were trained: how far the same networks would "
        "differ, trained once more, is not in the intervals."
        if several
        else "",
        "Ensembles were compared with their single folds by the same interval and test, corrected over the models."
        if study.tested
        else "",
        alpha if several or study.tested else "",
        "The variance of the single folds' Dice was divided among patients, images and folds and, where networks differ in their "
        "seed alone, seeds and trainings (Henderson's method I)."
        if study.tested
        else "",
    ]


def _robustness(sizes_mm: Sequence[float]) -> str:
    limits = f"{'limit' if len(sizes_mm) == 1 else 'limits'} at {listed(map(number, sizes_mm))} mm"
    return (
        f"For robustness, Dice was broken down by the diameter of the largest mass ({limits}; where the pixel spacing was "
        "unknown by that of all masses in % of the side of the network's square, limits at "
        f"{listed(map(number, SIZES_PERCENT))} %), view, laterality, fold, and what a release says of an "
        "image, such as density, BI-RADS or pathology; groups of fewer than "
        f"{MIN_PATIENTS} patients are not shown. The threshold was varied from {number(THRESHOLDS[0])} to "
        f"{number(THRESHOLDS[-1])} on the training part, for information only. No method of explanation was applied."
    )
