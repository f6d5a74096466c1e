"""Lesions found and missed, false positives and FROC, by hand; regions judged by SimpleITK."""

import math

import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from mammoseg.metrics.lesions import Detections, Mass, detect, froc
from mammoseg.metrics.overlap import dice


def masks(*drawings):
    """Masks from drawings: rows apart by spaces, # is mass."""
    return [np.array([[c == "#" for c in row] for row in drawing.split()]) for drawing in drawings]


def found(score):
    return Mass(10, score, 0.8, 0.9)


MISSED = found(math.nan)


def test_iou_or_centre_finds_a_mass():
    # Masses: A, 2 x 2 at the top left; B, 3 x 3 at the bottom left; C, one pixel at the right.
    # Candidates: a, 1 x 4, shares 2 of 6 pixels with A (IoU 1/3); b, one pixel in the middle of B (IoU 1/9, centre inside);
    # c beside C.
    prediction, reference = masks(
        "####.... ........ ........ ........ .#...... .......#",
        "##...... ##...... ........ ###..... ###..... ###..#..",
    )
    probability = np.where(prediction, 0.9, 0.1)
    probability[0, :4] = [1.0, 1.0, 0.8, 0.6]  # mean 0.85
    image = detect(prediction, probability, reference)
    by_size = {mass.pixels: mass for mass in image.masses}
    a, b, c = (by_size[pixels] for pixels in (4, 9, 1))
    assert (a.score, b.score) == pytest.approx((0.85, 0.9))
    assert (a.found, b.found, c.found) == (True, True, False)
    assert (a.dice_found, b.dice_found) == pytest.approx((2 * 2 / (4 + 4), 2 * 1 / (1 + 9)))
    assert math.isnan(c.dice_found)
    # In A's box the candidate has 2 pixels: 2·2/(2 + 4); in B's all it has; in C's none.
    assert (a.dice_in_box, b.dice_in_box, c.dice_in_box) == pytest.approx((4 / 6, 2 / 10, 0))
    assert image.false_positives == pytest.approx((0.9,))

    by_iou = detect(prediction, probability, reference, centre_inside=False)
    assert [mass.pixels for mass in by_iou.masses if mass.found] == [4]
    strict = detect(prediction, probability, reference, min_iou=0.34)
    assert [mass.pixels for mass in strict.masses if mass.found] == [9]
    assert len(by_iou.false_positives) == len(strict.false_positives) == 2


def test_iou_equal_to_the_limit_is_enough():
    # 1 of 5 pixels: IoU 0.2; the centre, at column 0 of 0..0, is inside too, so only IoU counts here.
    prediction, reference = masks("#....", "#####")
    image = detect(prediction, prediction * 1.0, reference, min_iou=0.2, centre_inside=False)
    assert image.masses[0].found


def test_the_pixel_that_holds_the_centre_decides():
    # The centre of columns 1..4 is 2.5, on the edge of pixels 2 and 3: the second one holds it.
    prediction, reference = masks(".####.", "...#..")
    assert detect(prediction, prediction * 1.0, reference, min_iou=1).masses[0].found
    prediction, reference = masks(".####.", "..#...")
    assert not detect(prediction, prediction * 1.0, reference, min_iou=1).masses[0].found


def test_two_candidates_of_one_mass_are_one_hit_and_no_false_alarm():
    prediction, reference = masks("##.##", "#####")
    probability = np.array([[0.6, 0.6, 0.1, 0.9, 0.7]])
    image = detect(prediction, probability, reference)
    assert image.false_positives == ()
    assert image.masses[0].score == pytest.approx(0.8)
    assert image.masses[0].dice_found == pytest.approx(2 * 4 / (4 + 5))


def test_one_candidate_may_find_two_masses():
    prediction, reference = masks("#####", "##.##")
    image = detect(prediction, prediction * 1.0, reference)
    assert [mass.found for mass in image.masses] == [True, True]
    assert [mass.dice_found for mass in image.masses] == pytest.approx([4 / 7, 4 / 7])


def test_pixels_that_touch_at_a_corner_are_one_lesion():
    prediction, reference = masks("#.. .#. ...", "#.. .#. ..#")
    assert len(detect(prediction, prediction * 1.0, reference).masses) == 1


def test_stored_probabilities_score_as_shares():
    prediction, reference = masks("#.", "#.")
    for full in (np.uint8(255), np.uint16(65535), np.float32(1)):
        image = detect(prediction, np.full((1, 2), full), reference)
        assert image.masses[0].score == 1


def test_empty_masks():
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert detect(empty, empty * 1.0, empty) == Detections((), ())
    assert detect(full, full * 0.5, empty) == Detections((), (0.5,))
    (mass,) = detect(empty, empty * 1.0, full).masses
    assert (mass.found, mass.dice_in_box) == (False, 0)


def test_equal_to_an_image_by_image_search_with_simpleitk():
    draw = np.random.default_rng(3)
    several = 0
    for _ in range(60):
        shape = tuple(draw.integers(20, 50, 2))
        field = ndimage.gaussian_filter(draw.normal(size=shape), 1.5)
        reference = field > np.quantile(field, draw.uniform(0.7, 0.97))
        other = field + draw.uniform(0, 1) * ndimage.gaussian_filter(draw.normal(size=shape), 1.5)
        probability = np.clip(0.5 + other, 0, 1)
        prediction = other > np.quantile(other, draw.uniform(0.7, 0.97))
        candidates, lesions = (
            [labels == k for k in range(1, labels.max() + 1)]
            for labels in (
                SimpleITK.GetArrayFromImage(
                    SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(m.astype(np.uint8)), True)
                )
                for m in (prediction, reference)
            )
        )
        alarms = dict(enumerate(candidates))
        expected = []
        for lesion in lesions:
            mine = []
            for k, candidate in enumerate(candidates):
                row, column = (math.floor(c + 0.5) for c in ndimage.center_of_mass(candidate))
                if (candidate & lesion).sum() / (candidate | lesion).sum() >= 0.2 or lesion[row, column]:
                    mine.append(k)
                    alarms.pop(k, None)
            several += len(mine) > 1
            union = np.any([candidates[k] for k in mine], axis=0) if mine else lesion
            score = max((probability[candidates[k]].mean() for k in mine), default=math.nan)
            expected.append((lesion.sum(), score, dice(union, lesion) if mine else math.nan))
        image = detect(prediction, probability, reference)
        np.testing.assert_allclose(sorted(m[:3] for m in image.masses), sorted(expected), rtol=1e-9)
        np.testing.assert_allclose(
            sorted(image.false_positives), sorted(probability[c].mean() for c in alarms.values()), rtol=1e-9
        )
    assert several


def test_froc_by_hand():
    # Four images, the last one without a mass; four masses, of which one is missed.
    images = [
        Detections((found(0.9),), (0.8,)),
        Detections((found(0.7), MISSED), (0.7, 0.3)),
        Detections((found(0.4),), ()),
        Detections((), (0.6,)),
    ]
    curve = froc(images)
    # threshold        inf   0.9   0.8   0.7   0.6   0.4   0.3
    # false positives  0     0     1     2     3     3     4
    # masses found     0     1     1     2     2     3     3
    assert curve.thresholds.tolist() == [math.inf, 0.9, 0.8, 0.7, 0.6, 0.4, 0.3]
    assert curve.false_positives_per_image.tolist() == [0, 0, 0.25, 0.5, 0.75, 0.75, 1]
    assert curve.sensitivity.tolist() == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    # At 0.6 the curve stands where it stood at 0.5; beyond 1 it goes no higher.
    at = {0: 0.25, 0.25: 0.25, 0.5: 0.5, 0.6: 0.5, 0.75: 0.75, 1: 0.75, 2: 0.75}
    assert {rate: curve.sensitivity_at(rate) for rate in at} == at


def test_froc_where_nothing_is_found_or_nothing_is_there():
    silent = froc([Detections((MISSED,), ())])
    assert [silent.sensitivity_at(rate) for rate in (0.25, 2)] == [0, 0]
    loud = froc([Detections((MISSED,), (0.5, 0.6))])
    assert [loud.sensitivity_at(rate) for rate in (0.25, 2)] == [0, 0]
    assert math.isnan(froc([Detections((), (0.5,))]).sensitivity_at(1))
    with pytest.raises(ValueError, match="at least one image"):
        froc([])


def test_froc_counts_as_a_loop_does():
    draw = np.random.default_rng(4)
    images = []
    for _ in range(50):
        masses = tuple(
            found(round(draw.random(), 1)) if draw.random() < 0.7 else MISSED for _ in range(draw.integers(3))
        )
        images.append(Detections(masses, tuple(np.round(draw.random(draw.integers(4)), 1).tolist())))
    n_masses = sum(len(image.masses) for image in images)
    curve = froc(images)
    for k, threshold in enumerate(curve.thresholds):
        alarms = sum(score >= threshold for image in images for score in image.false_positives)
        hits = sum(mass.found and mass.score >= threshold for image in images for mass in image.masses)
        assert curve.false_positives_per_image[k] == pytest.approx(alarms / 50)
        assert curve.sensitivity[k] == pytest.approx(hits / n_masses)


def test_what_is_no_mask_is_an_error():
    mask = np.ones((3, 3), bool)
    with pytest.raises(ValueError, match="threshold"):
        detect(mask * 0.7, mask * 0.7, mask)
    with pytest.raises(ValueError, match="shape"):
        detect(mask, mask[:1] * 1.0, mask)
    with pytest.raises(ValueError, match="min_iou"):
        detect(mask, mask * 1.0, mask, min_iou=0)
