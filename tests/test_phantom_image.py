"""The phantoms' pixels and truth, before files: anatomy, lesions, difficulty."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from pydicom.uid import UID

from mammoseg.phantom import Site
from mammoseg.phantom.anatomy import texture
from mammoseg.phantom.image import acquire
from mammoseg.phantom.lesions import LARGEST_MM, SMALLEST_MM
from mammoseg.phantom.patient import Exposure
from mammoseg.phantom.seeds import generator, uid
from mammoseg.phantom.shapes import StarShape, ellipse, scaled

ROWS, COLUMNS = 208, 160


@pytest.fixture(scope="module")
def images():
    """All images of twelve patients of site A, as (patient, image)."""
    site = Site("oulu", 3, ROWS, COLUMNS)
    return [(p, m) for p in map(site.patient, range(1, 13)) for m in site.images(p)]


@pytest.fixture(scope="module")
def masses(images):
    """All masses with their images."""
    return [(m, f) for _, m in images for f in m.masses]


def polygon_area(points):
    x, y = points.T
    return 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def test_same_seed_same_pixels_other_seed_other_pixels():
    sites = (Site("oulu", seed, ROWS, COLUMNS) for seed in (1, 1, 2))
    one, same, other = (next(site.images(site.patient(3))) for site in sites)
    assert np.array_equal(one.brightness, same.brightness)
    assert not np.array_equal(one.brightness, other.brightness)


def test_air_is_zero_and_only_air(images):
    for _, m in images:
        assert m.brightness.dtype == np.float32
        assert m.brightness.max() <= 1
        assert np.array_equal(m.brightness > 0, m.breast)
        assert np.array_equal(m.stored(2970) > 0, m.breast)
        assert m.stored(2970).max() <= 2970
        assert 0.12 < m.breast.mean() < 0.75


def test_the_breast_is_one_piece_without_holes(images):
    for _, m in images:
        assert cv2.connectedComponents(m.breast.astype(np.uint8))[0] == 2
        assert cv2.connectedComponents((~m.breast).astype(np.uint8))[0] <= 3  # air; above and below at the chest wall


def test_left_breasts_have_the_chest_wall_on_the_left_edge_right_breasts_on_the_right(images):
    for _, m in images:
        left, right = m.breast[:, 0].mean(), m.breast[:, -1].mean()
        assert (left > 0.4 and right == 0) if m.exposure.laterality == "L" else (right > 0.4 and left == 0)


def test_mlo_has_a_bright_muscle_in_the_upper_corner_at_the_chest_wall(images):
    for _, m in images:
        corner = m.brightness[:20, :10] if m.exposure.laterality == "L" else m.brightness[:20, -10:]
        if m.exposure.view == "MLO":
            assert corner.mean() > 1.5 * np.median(m.brightness[m.breast])
            upper, lower = m.muscle[0], m.muscle[-1]
            at_wall = 0 if m.exposure.laterality == "L" else COLUMNS - 1
            assert abs(upper[0] - at_wall) > abs(lower[0] - at_wall)
            assert upper[1] < 0 < lower[1] < ROWS
        else:
            assert corner.mean() < 0.2
            assert m.muscle is None


def test_four_images_an_exam_and_a_second_exam_for_some(images):
    taken = {}
    for patient, m in images:
        taken.setdefault((patient.number, m.exposure.exam), []).append((m.exposure.laterality, m.exposure.view))
    assert all(sorted(views) == [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")] for views in taken.values())
    assert [number for number, exam in taken if exam == 2] == [5]


def test_about_three_images_in_ten_have_no_mass():
    site = Site("oulu", 8, ROWS, COLUMNS)
    patients = [site.patient(n) for n in range(1, 101)]
    with_mass = [any(lesion.kind == "mass" for _, lesion in p.lesions(e)) for p in patients for e in site.exposures(p)]
    assert 0.62 < np.mean(with_mass) < 0.78
    assert any(not any(lesion.kind == "mass" for side in p.breasts.values() for lesion in side) for p in patients)


def test_masses_are_of_all_kinds_and_of_3_to_40_mm():
    site = Site("oulu", 8, ROWS, COLUMNS)
    found = [f for n in range(1, 201) for side in site.patient(n).breasts.values() for f in side]
    masses = [f for f in found if f.kind == "mass"]
    assert {f.shape for f in masses} == {"round", "oval", "lobulated", "spiculated"}
    assert {f.pathology for f in masses} == {"benign", "malignant"}
    assert {(f.kind, f.shape) for f in found} >= {("calc", "cluster"), ("calc", "single"), ("distortion", "distortion")}
    assert {f.obscured for f in masses} == {True, False}
    diameters = np.array([f.diameter for f in masses])
    assert diameters.min() >= SMALLEST_MM
    assert diameters.max() <= LARGEST_MM
    assert 17 < diameters.mean() < 22
    assert (diameters < 10).mean() > 0.02
    assert (diameters > 30).mean() > 0.02
    assert {tuple(sorted(f.angle)) for f in masses} == {("CC",), ("MLO",), ("CC", "MLO")}


def test_the_same_mass_is_seen_in_both_views_at_the_same_size(images):
    diameters = {}
    for patient, m in images:
        for f in m.masses:
            key = (patient.number, m.exposure.exam, m.exposure.laterality, f.lesion.brightness)
            diameters.setdefault(key, []).append(2 * np.sqrt(polygon_area(f.contour) / np.pi) * m.spacing_mm)
    seen_twice = [d for d in diameters.values() if len(d) == 2]
    assert len(seen_twice) > 0.8 * len(diameters)
    assert all(d[0] == pytest.approx(d[1], rel=0.01) for d in seen_twice)


def test_masks_lie_in_the_breast_and_are_one_piece(masses):
    for m, f in masses:
        assert f.mask.shape == m.breast.shape
        assert f.mask.any()
        assert not (f.mask & ~m.breast).any()
        assert cv2.connectedComponents(f.mask.astype(np.uint8), connectivity=8)[0] == 2


def test_contour_and_mask_tell_of_the_same_area():
    """Area of the mask = area of the contour = area of a disc of the lesion's diameter, where the image does not cut it."""
    site = Site("oulu", 3, 832, 640)
    checked = 0
    for number in (2, 3, 6):
        patient = site.patient(number)
        for m in site.images(patient):
            for f in m.masses:
                inside = (f.contour > 0).all() and (f.contour < (639, 831)).all()
                if f.lesion.diameter > 5 and inside:
                    nominal = np.pi * (f.lesion.diameter / 2 / m.spacing_mm) ** 2
                    assert polygon_area(f.contour) == pytest.approx(nominal, rel=0.01)
                    assert f.mask.sum() == pytest.approx(nominal, rel=0.02)
                    checked += 1
    assert checked >= 8


def test_a_posterior_mass_is_cut_by_the_image_edge_in_cc():
    site = Site("inbreast", 22, 408, 333)
    patient = site.patient(1)
    cc = acquire(patient, Exposure(1, "R", "CC"), 408, 333, site.spacing_mm)
    mass = cc.masses[0]
    assert (mass.contour[:, 0] > 332).any()
    assert mass.mask[:, -1].any()
    nominal = np.pi * (mass.lesion.diameter / 2 / cc.spacing_mm) ** 2
    assert 0.5 * nominal < mass.mask.sum() < 0.95 * nominal


def test_masses_are_brighter_than_their_surroundings_but_not_than_all_else(masses):
    kernel = np.ones((9, 9), np.uint8)
    contrast, rank = [], []
    for m, f in masses:
        ring = cv2.dilate(f.mask.astype(np.uint8), kernel).astype(bool) & ~m.mass_mask & m.breast
        level = m.brightness[f.mask].mean()
        contrast.append(level - m.brightness[ring].mean())
        rank.append((m.brightness[m.breast & ~m.mass_mask] > level).mean())
    assert np.mean(np.array(contrast) > 0.03) > 0.9
    assert np.median(contrast) < 0.4
    assert np.mean(np.array(rank) > 0.02) > 0.5  # in most images, normal tissue of some size is as bright


def test_no_brightness_threshold_finds_the_masses(images):
    """Neither one cut for all images nor the brightest share of each breast; both chosen with the truth at hand."""
    small = []
    for _, m in images:
        if m.masses:
            value = cv2.resize(m.brightness, (80, 104), interpolation=cv2.INTER_AREA)
            mask = cv2.resize(np.float32(m.mass_mask), (80, 104), interpolation=cv2.INTER_AREA) >= 0.5
            small.append((value, mask))

    def best(predict, cuts):
        return max(
            np.mean(
                [2 * (p & y).sum() / max(p.sum() + y.sum(), 1) for p, y in ((predict(v, cut), y) for v, y in small)]
            )
            for cut in cuts
        )

    assert best(lambda v, cut: v >= cut, np.linspace(0.05, 0.95, 91)) < 0.4
    assert best(lambda v, share: v >= np.quantile(v[v > 0], 1 - share), np.arange(1, 60) / 400) < 0.4


def test_texture_has_the_power_spectrum_asked_for():
    """Slope of the radial spectrum in log-log between 1 cycle in 20 mm and 1 in 2 mm, against -beta."""
    for beta in (2.8, 3.2):
        slopes = []
        for field in texture(generator(4), 500, 400, 0.5, beta):
            assert field.dtype == np.float32
            assert field.mean() == pytest.approx(0, abs=1e-3)
            assert field.std() == pytest.approx(1, abs=1e-3)
            window = np.hanning(500)[:, None] * np.hanning(400)
            power = np.abs(np.fft.fft2(field * window)) ** 2
            f = np.hypot(np.fft.fftfreq(500, 0.5)[:, None], np.fft.fftfreq(400, 0.5))
            edges = np.geomspace(0.05, 0.5, 9)
            mean = [np.log(power[(f >= a) & (f < b)].mean()) for a, b in pairwise(edges)]
            slopes.append(np.polyfit(np.log(edges[:-1] * edges[1:]) / 2, mean, 1)[0])
        assert np.mean(slopes) == pytest.approx(-beta, abs=0.35)


def test_distance_to_a_circle_and_an_ellipse():
    x, y = np.arange(41, dtype=np.float32)[None], np.arange(41, dtype=np.float32)[:, None]
    circle = StarShape(20.0, 18.0, np.full(4096, 9.0))
    assert np.allclose(circle.distance(x, y), 9 - np.hypot(x - 20, y - 18), atol=1e-4)
    oval = StarShape(20.0, 18.0, scaled(ellipse(0.5, 0.7), 20))
    turned_x = (x - 20) * np.cos(0.7) + (y - 18) * np.sin(0.7)
    turned_y = -(x - 20) * np.sin(0.7) + (y - 18) * np.cos(0.7)
    level = (turned_x / (10 * 2**0.5)) ** 2 + (turned_y / (10 / 2**0.5)) ** 2
    clear = np.abs(level - 1) > 0.02
    assert np.array_equal((oval.distance(x, y) > 0)[clear], (level < 1)[clear])
    assert polygon_area(oval.contour(400)) == pytest.approx(np.pi * 100, rel=0.001)


def test_a_uid_is_valid_and_follows_from_its_parts():
    value = uid("1.2.3.", "a", 1)
    assert value == uid("1.2.3.", "a", 1) != uid("1.2.3.", "a", 2)
    assert UID(uid("1.2.826.0.1.3680043.8.498.", 7) + ".1007").is_valid


@pytest.mark.parametrize(("layout", "rows", "columns"), [("oulu", 3328, 2560), ("inbreast", 4084, 3328)])
def test_true_sizes(layout, rows, columns):
    site = Site(layout, 3, rows, columns)
    assert site.spacing_mm == pytest.approx(0.07)
    m = acquire(site.patient(1), Exposure(1, "L", "MLO"), rows, columns, site.spacing_mm)
    assert m.brightness.shape == (rows, columns)
    assert m.mass_mask.sum() == pytest.approx(
        sum(np.pi * (f.lesion.diameter / 2 / 0.07) ** 2 for f in m.masses), rel=0.01
    )


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (97, 211), (333, 101)])
def test_any_size(rows, columns):
    site = Site("oulu", 3, rows, columns)
    for m in site.images(site.patient(2)):
        assert m.brightness.shape == (rows, columns)
        assert all(f.mask.any() and not (f.mask & ~m.breast).any() for f in m.findings)


def test_the_second_format_of_inbreast_and_the_physical_size_of_a_small_phantom():
    true, small = Site("inbreast", 1, 4084, 3328), Site("inbreast", 1, 408, 333)
    assert (true.format_of(1), true.format_of(2)) == ((4084, 3328), (3328, 2560))
    assert (small.format_of(1), small.format_of(2)) == ((408, 333), (332, 256))
    assert small.spacing_mm * 408 == pytest.approx(285.9, abs=0.5)
    demo = Site("oulu", 1, 416, 320)
    assert (demo.spacing_mm * 416, demo.spacing_mm * 320) == pytest.approx((233.0, 179.2), abs=0.1)
