"""Scores of single images, judged by scikit-learn, SimpleITK and scikit-image, and by analytic areas."""

import math

import cv2
import numpy as np
import pytest
import SimpleITK
from scipy import ndimage
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from mammoseg.evaluation.case_scores import CUTS, SCORES, Reference, binarise, ceiling, score_case
from mammoseg.images.letterbox import Letterbox

SIDE = 64


def blobs(rng: np.random.Generator, share: float) -> np.ndarray:
    """A mask of smooth random regions that holds about `share` of the pixels."""
    field = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
    return field > np.quantile(field, 1 - share)


def as_is(mask: np.ndarray, spacing: float = math.nan) -> Reference:
    """A reference whose original has the square's own size."""
    return Reference(mask, mask, Letterbox(*mask.shape, mask.shape[0], True), spacing)


def disc(rows: int, columns: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def original(mask: np.ndarray, side: int, spacing: float = 0.1, **box) -> Reference:
    """A reference that was drawn in the original."""
    letterbox = Letterbox(*mask.shape, side, **{"pad_right": True, **box})
    return Reference(letterbox.mask(mask), mask, letterbox, spacing)


def certain(mask: np.ndarray) -> np.ndarray:
    return mask * np.uint16(65535)


def test_scores_agree_with_scikit_learn_and_simpleitk():
    rng = np.random.default_rng(0)
    for share in (0.001, 0.02, 0.2, 0.6):
        for _ in range(5):
            reference = blobs(rng, share)
            predicted = np.roll(blobs(rng, share) | reference, rng.integers(-3, 4, 2), (0, 1))
            probability = np.where(
                predicted, rng.integers(32768, 65536, reference.shape), rng.integers(0, 32768, reference.shape)
            )
            row = score_case(probability.astype(np.uint16), as_is(reference), 0.5, 1)
            assert set(row) == set(SCORES)
            truth, answer = reference.ravel(), predicted.ravel()
            judges = {"dice": f1_score, "iou": jaccard_score, "precision": precision_score, "recall": recall_score}
            for name, judge in judges.items():
                assert row[name] == pytest.approx(judge(truth, answer), abs=1e-12)
                assert row[f"original_{name}"] == row[name], "the original is the square"
            components = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(predicted.astype(np.uint8)), True)
            assert row["predicted_regions"] == int(SimpleITK.GetArrayFromImage(components).max())
            assert (row["reference_pixels"], row["predicted_pixels"]) == (truth.sum(), answer.sum())
            assert row["true_positive_pixels"] == (truth & answer).sum()


def test_regions_that_touch_at_a_corner_are_one():
    probability = np.zeros((4, 4), np.uint16)
    probability[0, 0] = probability[1, 1] = probability[3, 0] = 65535
    assert score_case(probability, as_is(np.zeros((4, 4), bool)), 0.5, 1)["predicted_regions"] == 2


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.6, 0.05, 0.95])
def test_a_probability_equal_to_the_threshold_is_mass(threshold):
    levels = np.rint(65535 * np.array([threshold, threshold - 1e-4, threshold + 1e-4])).astype(np.uint16)
    assert binarise(levels, threshold).tolist() == [True, False, True]


def test_threshold_zero_takes_all_and_one_only_certainty():
    levels = np.array([0, 65534, 65535], np.uint16)
    assert binarise(levels, 0).all()
    assert binarise(levels, 1).tolist() == [False, False, True]


def test_undefined_scores_are_empty_and_a_false_alarm_scores_zero():
    nothing, all_of_it = np.zeros((8, 8), np.uint16), np.ones((8, 8), bool)
    empty = score_case(nothing, as_is(~all_of_it, 0.1), 0.5, 1)
    assert (empty["dice"], empty["iou"], empty["original_dice"], empty["hd95_mm"]) == (None,) * 4
    assert (empty["predicted_regions"], empty["reference_mm2"], empty["ceiling_square"]) == (0, 0, None)
    alarm = nothing.copy()
    alarm[2, 2] = 65535
    row = score_case(alarm, as_is(~all_of_it, 0.1), 0.5, 1)
    assert (row["dice"], row["precision"], row["recall"], row["hd95_mm"]) == (0, 0, None, math.inf)
    row = score_case(nothing, as_is(all_of_it, 0.1), 0.5, 1)
    assert (row["dice"], row["precision"], row["recall"], row["surface_dice_1mm"]) == (0, None, 0, 0)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shape", [(640, 400), (333, 501)])
def test_in_the_original_geometry(shape, mirrored):
    # A disc of 12 mm, predicted as one of 10 mm around the same centre: Dice 2 · 25 / (25 + 36), every boundary 1 mm apart.
    centre, spacing = (0.4 * shape[0], 0.3 * shape[1]), 0.2
    reference = original(disc(*shape, centre, 30), 256, spacing, pad_right=True, mirrored=mirrored)
    predicted = reference.box.mask(disc(*shape, centre, 25))
    row = score_case(certain(predicted), reference, 0.5, 1)
    assert row["original_dice"] == pytest.approx(2 * 25**2 / (25**2 + 30**2), abs=0.02)
    assert row["original_precision"] == pytest.approx(1, abs=0.005)
    assert row["original_recall"] == pytest.approx(25**2 / 30**2, abs=0.03)
    assert row["reference_mm2"] == pytest.approx(math.pi * 6**2, rel=0.01)
    assert row["predicted_mm2"] == pytest.approx(math.pi * 5**2, rel=0.05)
    assert row["average_surface_distance_mm"] == pytest.approx(1, abs=0.1)
    assert 0.9 < row["hd95_mm"] < 1.5
    assert row["surface_dice_2mm"] == 1


def test_distances_equal_simpleitk_on_the_masks_that_are_laid_back():
    reference = original(disc(500, 400, (200, 150), 40), 128, 0.14)
    probability = np.rint(65535 * ndimage.gaussian_filter(np.roll(reference.square, 2, 1).astype(float), 2)).astype(
        np.uint16
    )
    row = score_case(probability, reference, 0.5, 1)
    laid_back = binarise(reference.box.inverse(probability), 0.5)
    one, other = (SimpleITK.GetImageFromArray(m.astype(np.uint8)) for m in (laid_back, reference.original))
    judge = SimpleITK.LabelOverlapMeasuresImageFilter()
    judge.Execute(other, one)
    assert row["original_dice"] == pytest.approx(judge.GetDiceCoefficient(), abs=1e-12)
    assert row["original_iou"] == pytest.approx(judge.GetJaccardCoefficient(), abs=1e-12)
    judge = SimpleITK.HausdorffDistanceImageFilter()
    for image in (one, other):
        image.SetSpacing((0.14, 0.14))
    judge.Execute(one, other)
    assert row["average_surface_distance_mm"] <= row["hd95_mm"] <= judge.GetHausdorffDistance() + 1e-9


def test_unknown_spacing_leaves_pixels_and_no_millimetres():
    row = score_case(certain(blobs(np.random.default_rng(0), 0.2)), as_is(blobs(np.random.default_rng(1), 0.2)), 0.5, 1)
    in_mm = [k for k in SCORES if "mm" in k or k == "average_surface_distance_mm"]
    assert len(in_mm) == 6
    assert all(row[k] is None for k in in_mm)
    assert row["original_dice"] is not None


def test_a_coarser_grid_has_a_lower_ceiling():
    for radius, lowest in ((60, 0.97), (30, 0.93), (12, 0.8)):
        reference = original(disc(1000, 800, (400.3, 300.7), radius), 256)
        square, four, eight = (ceiling(reference, cell) for cell in (1, 4, 8))
        assert 1 > square > four > eight
        assert four > lowest
        laid_back = reference.box.inverse(reference.square)
        assert square == pytest.approx(f1_score(reference.original.ravel(), laid_back.ravel()), abs=1e-12)
    row = score_case(certain(reference.square), reference, 0.5, 4)
    assert row["ceiling_model"] == four
    assert row["ceiling_square"] == square
    assert row["original_dice"] == pytest.approx(square, abs=0.01), "the reference itself as the prediction"
    assert score_case(certain(reference.square), reference, 0.5, None)["ceiling_model"] is None


def test_folds_alone_and_their_disagreement():
    reference = np.zeros((8, 8), bool)
    reference[2:4, 2:4] = True
    half = reference.copy()
    half[2] = False
    row = score_case(certain(reference), as_is(reference), 0.5, 1, np.stack([reference, half, reference]))
    assert row["dice_of_folds"] == "1.000000;0.666667;1.000000"
    assert row["fold_disagreement"] == pytest.approx(1 - (2 / 3 + 1 + 2 / 3) / 3)
    nothing = np.zeros((2, 8, 8), bool)
    row = score_case(certain(nothing[0]), as_is(nothing[0]), 0.5, 1, nothing)
    assert (row["dice_of_folds"], row["fold_disagreement"]) == (";", 0)
    row = score_case(certain(reference), as_is(reference), 0.5, 1)
    assert (row["dice_of_folds"], row["fold_disagreement"]) == (None, None)


@pytest.mark.parametrize("radius", [3, 20, 90])
@pytest.mark.parametrize("cell", [1, 4, 8])
def test_no_answer_of_a_ceiling_strays_beyond_where_it_is_compared(radius, cell):
    # Near the border too: what is compared there must be all that is laid back.
    for centre in ((3.0, 5.0), (400.3, 300.7), (996.0, 790.0)):
        reference = original(disc(1000, 800, centre, radius), 128)
        coarse = cv2.resize(
            reference.square.astype(np.float32), None, fx=1 / cell, fy=1 / cell, interpolation=cv2.INTER_AREA
        )
        best = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_LINEAR)
        whole = [f1_score(reference.original.ravel(), (reference.box.inverse(best) >= c).ravel()) for c in CUTS]
        assert ceiling(reference, cell) == pytest.approx(whole[4] if cell == 1 else max(whole), abs=1e-9)
