"""The augmentation table on SOLT 0.2.1, and its traps."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import solt.transforms as slt
import yaml
from scipy.ndimage import median_filter

from mammoseg.training.augmentation import augment, build_stream, derive_seed, fixed_seed

SETTINGS = yaml.safe_load((Path(__file__).parents[1] / "config" / "config.yaml").read_text())["augmentation"]
STEPS = [name for name in SETTINGS if name not in ("device", "probability")]
GEOMETRY = ("rotation", "scale", "translation", "crop", "flip")
SIDE = 128
ZOOM = 512 // SIDE
"""Sizes in the settings below are multiplied by it where the test wants them in pixels of its own images."""


def only(*names, probability=1.0, **changes):
    """The paper's settings with some steps alone."""
    kept = {name: SETTINGS[name] for name in names} | changes
    return {"probability": probability, **dict.fromkeys(STEPS), **kept}


def disc(row=40, column=70, radius=12):
    """An image with one bright disc, and its mask."""
    y, x = np.mgrid[:SIDE, :SIDE]
    mask = ((y - row) ** 2 + (x - column) ** 2 <= radius**2).astype(np.uint8)
    return mask * np.uint8(200), mask


def constant(value):
    return np.full((SIDE, SIDE), value, np.uint8)


def draws(settings, image, mask=None, n=200):
    stream = build_stream(settings, SIDE)
    return [augment(image, mask, stream, seed) for seed in range(n)]


def centre(mask):
    return np.argwhere(mask).mean(0)


def test_each_step_in_half_of_the_draws_and_in_the_tables_order():
    """Counted inside the whole stream, 2,000 draws: 0.5 ± 4 standard deviations of a fair coin."""
    stream = build_stream(SETTINGS, 64)
    applied, order = Counter(), []

    def count(name, transform):
        apply = transform.apply

        def counted(data):
            applied[name] += 1
            order.append(name)
            return apply(data)

        transform.apply = counted

    for name, step in zip(STEPS, stream.transforms, strict=True):
        count(name, getattr(step, "transforms", [step])[0])
    image = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    for seed in range(2000):
        order.clear()
        augment(image, image & 1, stream, seed)
        assert order == sorted(order, key=STEPS.index)
    assert set(applied) == set(STEPS)
    for name, number in applied.items():
        assert abs(number / 2000 - 0.5) < 4 * 0.5 / 2000**0.5, name


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("step", ["crop", "flip", "cutout"])
def test_probability_is_the_configs(step, probability):
    """Crop has no probability of its own in SOLT."""
    image = np.random.default_rng(0).integers(1, 256, (SIDE, SIDE)).astype(np.uint8)
    changed = np.mean([(drawn != image).any() for drawn, _ in draws(only(step, probability=probability), image)])
    assert abs(changed - probability) <= 4 * (probability * (1 - probability) / 200) ** 0.5


def test_brightness_contrast_and_gamma_stay_in_their_ranges():
    for step, value, lowest, highest in [
        ("brightness", 100, 130, 200),
        ("contrast", 100, 70, 130),
        ("gamma", 100, 255 * (100 / 255) ** (1 / 0.5), 255 * (100 / 255) ** (1 / 1.8)),
    ]:
        values = [drawn[0, 0] for drawn, _ in draws(only(step), constant(value), n=400)]
        assert lowest - 1 <= min(values) <= lowest + 0.05 * (highest - lowest), step
        assert highest - 0.05 * (highest - lowest) <= max(values) <= highest, step


def test_salt_and_pepper_share_and_values():
    shares, salt = [], 0
    for drawn, _ in draws(only("salt_and_pepper"), constant(100)):
        changed = drawn != 100
        shares.append(changed.mean())
        salt += (drawn == 255).sum()
        assert set(np.unique(drawn)) <= {0, 100, 255}
    assert max(shares) < 0.11
    assert abs(np.mean(shares) - 0.05) < 0.01
    assert abs(salt / (np.sum(shares) * SIDE**2) - 0.5) < 0.02


def test_gaussian_noise_is_a_mixture_of_up_to_half():
    """(1 − g)·image + g·noise, the noise stretched to 0..255: a white image loses up to half, a black one gains."""
    dark = [drawn.mean() for drawn, _ in draws(only("gaussian_noise"), constant(0))]
    white = [255 - drawn.mean() for drawn, _ in draws(only("gaussian_noise"), constant(255))]
    for lost in (dark, white):
        assert min(lost) < 5
        assert 55 < max(lost) < 70  # half of about 127


def test_blurs_use_the_given_kernels_and_sigma():
    image = constant(0)
    image[64, 64] = 255
    for kernel in (3, 7, 11):
        blurred = draws(only(gaussian_blur={"kernels": [kernel * ZOOM], "sigma": [5 * ZOOM, 5 * ZOOM]}), image, n=1)[0][
            0
        ]
        touched = np.argwhere(blurred)
        assert tuple(touched.max(0) - touched.min(0) + 1) == (kernel, kernel)

        x = np.arange(kernel) - kernel // 2
        weights = np.exp(-(x**2) / (2 * 5**2))
        assert abs(int(blurred[64, 64]) - 255 * (weights.max() / weights.sum()) ** 2) <= 1

        rank = draws(only(median_blur={"kernels": [kernel * ZOOM]}), disc()[0], n=1)[0][0]
        np.testing.assert_array_equal(rank, median_filter(disc()[0], kernel, mode="nearest"))


def test_kernels_scale_with_the_side_and_stay_odd():
    def sizes(side):
        blur = build_stream(only("median_blur"), side).transforms[0]
        assert isinstance(blur, slt.Blur)
        return blur.k_size

    assert sizes(512) == (3, 7, 11)
    assert sizes(640) == (3, 9, 13)  # the nearest odd numbers to 3.75, 8.75, 13.75
    assert sizes(96) == (1, 1, 3)


def test_cutout_blackens_one_square_of_a_fifth_and_spares_the_mask():
    white, mask = constant(255), disc()[1]
    places = set()
    for drawn, drawn_mask in draws(only("cutout"), white, mask, n=50):
        holes = np.argwhere(drawn == 0)
        assert tuple(holes.max(0) - holes.min(0) + 1) == (25, 25)  # int(0.2 × 128)
        assert len(holes) == 25 * 25
        places.add(tuple(holes.min(0)))
        np.testing.assert_array_equal(drawn_mask, mask)
    assert len(places) > 40


def test_crop_is_padded_back_centred():
    """448 of 512 are 112 of 128: 8 dark pixels on each side, and the content shifts by −8..8."""
    white = constant(255)
    assert (np.pad(np.ones((112, 112)), 8) * 255 == draws(only("crop"), white, n=1)[0][0]).all()
    shifts = np.array([centre(m) - centre(disc()[1]) for _, m in draws(only("crop"), *disc())])
    assert shifts.min() >= -8
    assert shifts.max() <= 8
    assert (shifts.min(0) <= -7).all()
    assert (shifts.max(0) >= 6).all()


def test_flip_mirrors_both():
    image, mask = disc()
    for direction, view in (("horizontal", np.s_[:, ::-1]), ("vertical", np.s_[::-1])):
        drawn, drawn_mask = draws(only(flip=direction), image, mask, n=1)[0]
        np.testing.assert_array_equal(drawn, image[view])
        np.testing.assert_array_equal(drawn_mask, mask[view])


def test_translation_scales_with_the_side():
    shifts = np.array([centre(m) - centre(disc()[1]) for _, m in draws(only("translation"), *disc())])
    limit = 50 / ZOOM
    assert np.abs(shifts).max() <= limit + 0.5
    assert (shifts.min(0) < -0.9 * limit).all()
    assert (shifts.max(0) > 0.9 * limit).all()


def test_scale_is_the_same_both_ways_about_the_centre():
    areas = []
    for _, mask in draws(only("scale"), *disc(64, 64, 30)):
        height, width = np.ptp(np.argwhere(mask), axis=0) + 1
        assert abs(height - width) <= 1
        assert np.abs(centre(mask) - 63.5).max() <= 1
        areas.append(mask.sum() / (np.pi * 30**2))
    assert 0.45 < min(areas) < 0.55  # 0.7²
    assert 1.6 < max(areas) < 1.72  # 1.3²


def test_rotation_within_three_degrees():
    angles = []
    for _, mask in draws(only("rotation"), *disc(64, 118, 6)):
        row, column = centre(mask) - 63.5
        angles.append(np.degrees(np.arctan2(row - 0.5, column)))
    assert -3.6 < min(angles) < -2.4
    assert 2.4 < max(angles) < 3.6


@pytest.mark.parametrize("step", GEOMETRY)
def test_a_landmark_moves_with_the_image(step):
    image, mask = disc()
    for drawn, drawn_mask in draws(only(step), image, mask):
        assert set(np.unique(drawn_mask)) <= {0, 1}
        shown = drawn >= 100
        assert np.abs(centre(shown) - centre(drawn_mask)).max() < 1
        assert 2 * (shown & (drawn_mask > 0)).sum() / (shown.sum() + drawn_mask.sum()) > 0.93


def test_steps_on_grey_values_leave_the_mask_alone():
    """Geometry comes first in the table, so that without the other steps the same seed moves the mask alike."""
    image, mask = disc()
    whole, geometry = build_stream(SETTINGS, SIDE), build_stream(only(*GEOMETRY, probability=0.5), SIDE)
    moved = 0
    for seed in range(300):
        _, with_all = augment(image, mask, whole, seed)
        _, alone = augment(image, mask, geometry, seed)
        np.testing.assert_array_equal(with_all, alone)
        assert set(np.unique(with_all)) <= {0, 1}
        moved += (alone != mask).any()
    assert moved > 200


def test_a_call_without_mask_does_not_pin_later_masks():
    """SOLT remembers what it first saw: after images alone it would never move a mask again."""
    image, mask = disc()
    used, fresh = build_stream(SETTINGS, SIDE), build_stream(SETTINGS, SIDE)
    for seed in range(100):
        alone, nothing = augment(image, None, used, seed)
        assert nothing is None
        assert alone.shape == image.shape
    for seed in range(100):
        for ours, theirs in zip(augment(image, mask, used, seed), augment(image, mask, fresh, seed), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_sample_depends_on_its_seed_alone():
    image, mask = disc()
    stream = build_stream(SETTINGS, SIDE)
    forwards = [augment(image, mask, stream, seed) for seed in range(40)]
    backwards = [augment(image, mask, stream, seed) for seed in reversed(range(40))][::-1]
    random.seed(99)
    np.random.seed(99)
    alone = augment(image, mask, build_stream(SETTINGS, SIDE), 23)
    for (a, b), (c, d) in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    np.testing.assert_array_equal(alone[0], forwards[23][0])
    np.testing.assert_array_equal(alone[1], forwards[23][1])
    assert len({a.tobytes() for a, _ in forwards}) > 35


def test_the_callers_arrays_are_never_written_nor_shared():
    image, mask = disc()
    kept = image.copy(), mask.copy()
    for array in (image, mask):
        array.flags.writeable = False
    for settings in (SETTINGS, only("cutout"), only(probability=0.0), only("flip")):
        for drawn, drawn_mask in draws(settings, image, mask, n=30):
            assert drawn.flags.writeable
            assert drawn_mask.flags.writeable
            assert not np.shares_memory(drawn, image)
            assert not np.shares_memory(drawn_mask, mask)
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(mask, kept[1])


def test_global_generators_get_their_state_back():
    random.seed(5)
    np.random.seed(6)
    expected = random.random(), np.random.rand()
    random.seed(5)
    np.random.seed(6)
    augment(*disc(), build_stream(SETTINGS, SIDE), 1)
    with pytest.raises(ZeroDivisionError), fixed_seed(3):
        random.random()
        np.random.rand()
        raise ZeroDivisionError
    assert (random.random(), np.random.rand()) == expected


@pytest.mark.parametrize("step", STEPS)
def test_null_switches_a_step_off(step):
    whole = build_stream(SETTINGS, SIDE).transforms
    without = build_stream({**SETTINGS, step: None}, SIDE).transforms
    assert len(without) == len(whole) - 1
    position = STEPS.index(step)
    assert [type(t) for t in without] == [type(t) for t in whole[:position] + whole[position + 1 :]]


def test_with_all_steps_off_the_sample_is_the_image():
    image, mask = disc()
    drawn, drawn_mask = augment(image, mask, build_stream(only(), SIDE), 0)
    np.testing.assert_array_equal(drawn, image)
    np.testing.assert_array_equal(drawn_mask, mask)


def test_other_types_are_refused():
    image, mask = disc()
    with pytest.raises(ValueError, match="uint8"):
        augment(image.astype(np.uint16), mask, build_stream(SETTINGS, SIDE), 0)
    with pytest.raises(ValueError, match="uint8"):
        augment(image, mask.astype(bool), build_stream(SETTINGS, SIDE), 0)


def test_derived_seeds_are_stable_and_keep_their_parts_apart():
    assert derive_seed(2022, "sample", 0, 3, "abc") == derive_seed(2022, "sample", 0, 3, "abc")
    assert derive_seed("1", "23") != derive_seed("12", "3")
    seeds = {derive_seed(2022, "sample", epoch, f"image{i}") for epoch in range(50) for i in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)
