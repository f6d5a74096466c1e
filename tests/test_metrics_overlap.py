"""Overlap and distances of masks, judged by scikit-learn, SimpleITK, MONAI where it is installed, and by hand."""

import math

import numpy as np
import pytest
import SimpleITK
import torch
from scipy import ndimage
from sklearn.metrics import f1_score, jaccard_score

from mammoseg.metrics.overlap import Counts, area, counts, dice, iou, surface_scores


def random_pairs():
    draw = np.random.default_rng(7)
    for share in (0.001, 0.02, 0.3, 0.9, 1.0):
        for other in (0.001, 0.1, 0.7):
            yield draw.random((40, 53)) < share, draw.random((40, 53)) < other


def test_equal_to_scikit_learn():
    for prediction, reference in random_pairs():
        if not (prediction.any() or reference.any()):
            continue
        truth, guess = reference.ravel(), prediction.ravel()
        assert dice(prediction, reference) == pytest.approx(f1_score(truth, guess, zero_division=0.0), abs=1e-12)
        assert iou(prediction, reference) == pytest.approx(jaccard_score(truth, guess, zero_division=0.0), abs=1e-12)


def test_by_hand():
    prediction = np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)
    reference = np.array([[0, 1, 1], [1, 0, 0]], dtype=bool)
    assert counts(prediction, reference) == Counts(predicted=3, reference=3, true_positive=2)
    assert dice(prediction, reference) == pytest.approx(4 / 6)
    assert iou(prediction, reference) == pytest.approx(2 / 4)
    more = Counts(predicted=5, reference=8, true_positive=2)
    assert (more.precision, more.recall) == (2 / 5, 2 / 8)


def test_one_empty_is_zero_and_both_empty_is_undefined():
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    for metric in (dice, iou):
        assert metric(empty, full) == 0
        assert metric(full, empty) == 0
        assert metric(full, full) == 1
        assert math.isnan(metric(empty, empty))


def test_precision_and_recall_are_undefined_where_nothing_is_to_be_found():
    nothing_predicted, nothing_there = Counts(0, 7, 0), Counts(7, 0, 0)
    assert (nothing_predicted.recall, nothing_there.precision) == (0, 0)
    assert math.isnan(nothing_predicted.precision)
    assert math.isnan(nothing_there.recall)


def test_large_counts_do_not_wrap():
    full = np.ones((400, 400), np.uint8)
    assert dice(full, full) == 1


def test_other_shapes_and_other_values_are_errors():
    mask = np.ones((4, 4), bool)
    for metric in (dice, iou, counts):
        with pytest.raises(ValueError, match="shape"):
            metric(mask, mask[:1])  # would broadcast
        with pytest.raises(ValueError, match="threshold"):
            metric(mask * 0.7, mask)
        with pytest.raises(ValueError, match="reference is no mask"):
            metric(mask, mask * np.uint8(255))


def mask(draw, kind, shape):
    """A mask of a kind: empty, one pixel, touching the border, all, noise, or smooth regions."""
    made = np.zeros(shape, bool)
    row, column = (draw.integers(n) for n in shape)
    if kind == "pixel":
        made[row, column] = True
    elif kind == "border":
        made[row:, : column + 1] = True
    elif kind == "all":
        made[:] = True
    elif kind == "noise":
        made = draw.random(shape) < 0.2
    elif kind == "regions":
        field = ndimage.gaussian_filter(draw.normal(size=shape), 3)
        made = field > np.quantile(field, draw.uniform(0.5, 0.98))
    return made


def pairs_with_spacing():
    """200 pairs of masks of all kinds, some alike, with anisotropic spacing (row, column) in mm."""
    draw = np.random.default_rng(15)
    kinds = ("regions", "regions", "regions", "border", "pixel", "noise", "all", "empty")
    for k in range(200):
        shape = tuple(draw.integers(2, 60, 2))
        prediction, reference = (mask(draw, draw.choice(kinds), shape) for _ in range(2))
        if k % 3 == 0:  # as of a model that works
            prediction = np.roll(reference, draw.integers(-2, 3, 2), (0, 1))
        yield prediction, reference, tuple(draw.uniform(0.05, 0.9, 2))


def image_of(mask, spacing):
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((spacing[1], spacing[0]))
    return image


def directed_distances(prediction, reference, spacing):
    """From every boundary pixel to the other boundary, and back, by SimpleITK alone."""
    contours = [
        SimpleITK.LabelContour(SimpleITK.ConstantPad(image_of(m, spacing), (1, 1), (1, 1)), fullyConnected=False)
        for m in (prediction, reference)
    ]
    maps = [
        np.abs(
            SimpleITK.GetArrayFromImage(
                SimpleITK.SignedMaurerDistanceMap(c, squaredDistance=False, useImageSpacing=True)
            )
        )
        for c in contours
    ]
    one, other = (SimpleITK.GetArrayFromImage(c) > 0 for c in contours)
    return maps[1][one], maps[0][other]


def test_overlap_equals_simpleitk():
    measured = 0
    for prediction, reference, spacing in pairs_with_spacing():
        if not (prediction.any() and reference.any()):
            continue
        judge = SimpleITK.LabelOverlapMeasuresImageFilter()
        judge.Execute(image_of(prediction, spacing), image_of(reference, spacing))
        ours = counts(prediction, reference)
        assert ours.dice == pytest.approx(judge.GetDiceCoefficient(1), abs=1e-12)
        assert ours.iou == pytest.approx(judge.GetJaccardCoefficient(1), abs=1e-12)
        assert ours.recall == pytest.approx(1 - judge.GetFalseNegativeError(1), abs=1e-12)
        assert ours.precision == pytest.approx(1 - judge.GetFalseDiscoveryRate(1), abs=1e-12)
        shape = SimpleITK.LabelShapeStatisticsImageFilter()
        shape.Execute(image_of(reference, spacing))
        assert area(ours.reference, spacing) == pytest.approx(shape.GetPhysicalSize(1), rel=1e-9)
        measured += 1
    assert measured > 120


def test_surface_scores_equal_simpleitk():
    tolerances = (0.313, 1.013)  # no number of pixels lies on them: SimpleITK's distances are float32
    measured = 0
    for prediction, reference, spacing in pairs_with_spacing():
        ours = surface_scores(prediction, reference, spacing, tolerances)
        if not (prediction.any() and reference.any()):
            either = prediction.any() or reference.any()
            expected = (math.inf, math.inf, (0, 0)) if either else (math.nan, math.nan, (math.nan, math.nan))
            np.testing.assert_equal(tuple(ours), expected)
            continue
        directed = directed_distances(prediction, reference, spacing)
        both = np.concatenate(directed)
        assert ours.hd95 == pytest.approx(max(np.percentile(d, 95) for d in directed), rel=1e-5, abs=1e-5)
        assert ours.average_distance == pytest.approx(both.mean(), rel=1e-5, abs=1e-5)
        assert ours.surface_dice == tuple((both <= tolerance).mean() for tolerance in tolerances)
        measured += 1
    assert measured > 120


def test_surface_scores_equal_monai():
    monai = pytest.importorskip("monai.metrics")
    tolerances = (0.313, 1.013)
    for prediction, reference, spacing in pairs_with_spacing():
        if not (prediction.any() and reference.any()):
            continue
        ours = surface_scores(prediction, reference, spacing, tolerances)
        one, other = (torch.tensor(m)[None, None] for m in (prediction, reference))
        as_theirs = {"include_background": True, "spacing": list(spacing)}
        hd95 = monai.compute_hausdorff_distance(one, other, percentile=95, **as_theirs)
        average = monai.compute_average_surface_distance(one, other, symmetric=True, **as_theirs)
        shares = [monai.compute_surface_dice(one, other, class_thresholds=[t], **as_theirs) for t in tolerances]
        assert ours.hd95 == pytest.approx(hd95.item(), rel=1e-5, abs=1e-5)
        assert ours.average_distance == pytest.approx(average.item(), rel=1e-5, abs=1e-5)
        assert ours.surface_dice == pytest.approx([s.item() for s in shares], abs=1e-6)


def test_surface_scores_by_hand():
    # A bar of three pixels, and the same bar two columns to the right with a fourth pixel above its right end:
    #   . . . . . o        columns 0.5 mm apart, rows 2 mm.
    #   P P P b o o        P: prediction only, b: both, o: reference only.
    prediction, reference = np.zeros((2, 6), bool), np.zeros((2, 6), bool)
    prediction[1, 0:4] = True
    reference[1, 3:6] = reference[0, 5] = True
    # From the prediction's pixels 1.5, 1.0, 0.5, 0; from the reference's 0, 0.5, 1.0, and sqrt(1.0² + 2²) above.
    there, back = [0, 0.5, 1.0, 1.5], [0, 0.5, 1.0, math.sqrt(5)]
    ours = surface_scores(prediction, reference, (2.0, 0.5), tolerances=(0.5, 1.0, 3.0))
    assert ours.average_distance == pytest.approx((sum(there) + sum(back)) / 8)
    # 95th percentile of four values: rank 0.95 · 3 = 2.85, so 0.15 · third + 0.85 · fourth.
    assert ours.hd95 == pytest.approx(0.15 * 1.0 + 0.85 * math.sqrt(5))
    assert ours.surface_dice == (4 / 8, 6 / 8, 1.0)


def test_unknown_spacing_is_never_guessed():
    full, empty = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    for spacing in ((math.nan, math.nan), (0.07, math.nan)):
        for other in (full, empty):
            scores = surface_scores(full, other, spacing)
            assert np.isnan([scores.hd95, scores.average_distance, *scores.surface_dice]).all()
        assert math.isnan(area(16, spacing))


def test_a_distance_of_the_tolerance_is_within_it_wherever_the_masks_lie():
    for column in range(60):
        prediction, reference = np.zeros((3, 80), bool), np.zeros((3, 80), bool)
        prediction[1, column] = reference[1, column + 10] = True  # 10 · 0.1 mm
        assert surface_scores(prediction, reference, (0.1, 0.1), (1.0, 0.99)).surface_dice == (1, 0)


def test_spacing_and_shapes_that_are_none_are_errors():
    mask = np.ones((4, 4), bool)
    for spacing in ((0, 0.1), (0.1, -1), (0.1,), 0.1, (math.inf, 0.1)):
        with pytest.raises(ValueError, match="pixel spacing"):
            surface_scores(mask, mask, spacing)
        with pytest.raises(ValueError, match="pixel spacing"):
            area(3, spacing)
    with pytest.raises(ValueError, match="two dimensions"):
        surface_scores(mask[None], mask[None], (0.1, 0.1))
    with pytest.raises(ValueError, match="shape"):
        surface_scores(mask, mask[:2], (0.1, 0.1))
