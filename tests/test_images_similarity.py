"""Signatures and correlations: copies are alike whatever was done to them, images of different patients are not."""

from itertools import combinations

import cv2
import numpy as np
import pytest
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr

from mammoseg.images import similarity
from mammoseg.images.breast import chest_wall_on_left
from mammoseg.images.letterbox import Letterbox
from mammoseg.images.similarity import BITS, correlation, signature
from mammoseg.phantom import Site
from mammoseg.plan.leakage import ALIKE, SAME

PATIENTS = 8


def letterboxed(pixels, side):
    return Letterbox(*pixels.shape, side, pad_right=chest_wall_on_left(pixels)).image(pixels)


@pytest.fixture(scope="module")
def stored():
    """(patient, pixels before the letterbox), four images a patient, eight patients."""
    site = Site("oulu", 3, 640, 512)
    patients = [site.patient(n) for n in range(1, PATIENTS + 1)]
    return [(p.number, m.stored(65535)) for p in patients for m in site.images(p) if m.exposure.exam == 1]


@pytest.fixture(scope="module")
def images(stored):
    return [letterboxed(pixels, 512) for _, pixels in stored]


def bits_of(image):
    """In the order of the frequencies, from low to high."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(signature(image)), np.uint8))
    return bits.reshape(16, -1).T.ravel().astype(bool)


def distance(a, b):
    return (int(signature(a), 16) ^ int(signature(b), 16)).bit_count()


def toned(function):
    return lambda image: np.rint(65535 * np.clip(function(image / 65535), 0, 1)).astype(np.uint16)


def jpeg(image, quality=80):
    encoded = cv2.imencode(".jpg", np.rint(image / 257).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)


def mirrored(image):
    return np.ascontiguousarray(image[:, ::-1])


def smaller(image):
    small = cv2.resize(image, (460, 460), interpolation=cv2.INTER_AREA)
    left = 0 if chest_wall_on_left(image) else 52
    return np.pad(small, ((0, 52), (left, 52 - left)))


def shifted(image):
    away = 5 if chest_wall_on_left(image) else -5
    return cv2.warpAffine(image, np.float32([[1, 0, away], [0, 1, 3]]), image.shape)


CHANGES = {
    "gamma 0.5": toned(lambda x: x**0.5),
    "gamma 2": toned(lambda x: x**2),
    "sigmoid": toned(lambda x: 1 / (1 + np.exp(-8 * (x - 0.4))) - 1 / (1 + np.exp(3.2))),
    "window": toned(lambda x: (x - 0.05) / 0.65),
    "8 bit": lambda image: np.rint(image / 257).astype(np.uint8),
    "JPEG": jpeg,
    "mirrored": mirrored,
    "smaller": smaller,
    "black border": lambda image: np.pad(image, ((20, 50), (40, 30))),
    "shifted": shifted,
    "all at once": lambda image: jpeg(smaller(mirrored(toned(lambda x: x**1.5)(image))), 70),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_alike(images, change):
    for image in images:
        copy = CHANGES[change](image)
        assert distance(image, copy) <= ALIKE
        assert correlation(image, copy) >= SAME


@pytest.mark.parametrize("side", [64, 128, 256])
def test_the_side_of_the_rendered_image_does_not_matter(stored, images, side):
    for (_, pixels), image in zip(stored, images, strict=True):
        small = letterboxed(pixels, side)
        assert distance(image, small) <= ALIKE
        assert correlation(image, small) >= SAME


def test_images_of_different_patients_are_not_alike(stored, images):
    distances = {
        (i, j): distance(images[i], images[j])
        for i, j in combinations(range(len(images)), 2)
        if stored[i][0] != stored[j][0]
    }
    assert len(distances) == 16 * PATIENTS * (PATIENTS - 1) / 2
    assert min(distances.values()) > ALIKE
    assert np.mean(list(distances.values())) == pytest.approx(BITS / 2, rel=0.1)
    closest = sorted(distances, key=distances.get)[:100]
    assert max(correlation(images[i], images[j]) for i, j in closest) < SAME


def test_the_same_outline_with_other_tissue_is_not_alike():
    """Half an ellipse of smooth noise: outline and air, all that two of them share, count for nothing."""
    y, x = np.mgrid[:512, :512]
    depth = np.clip(1 - (x / 250) ** 2 - ((y - 230) / 200) ** 2, 0, None)
    rng = np.random.default_rng(0)
    textures = [gaussian_filter(rng.standard_normal((512, 512)), 8) for _ in range(6)]
    breasts = [np.uint16((20000 + 10000 * t / t.std()).clip(1000) * np.minimum(1, 3 * depth)) for t in textures]
    for a, b in combinations(breasts, 2):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.5  # what a plain correlation would say
        assert distance(a, b) > ALIKE
        assert abs(correlation(a, b)) < 0.3


def test_bits_are_signs_of_the_cosine_transform(images):
    """SciPy's transform as judge; a coefficient next to 0 may fall on either side."""
    frequencies = sorted(((v, u) for v in range(64) for u in range(64)), key=lambda at: (sum(at), at))[6 : 6 + BITS]
    for image in images[:4]:
        ranks, _ = similarity._small(image)
        judge = dctn(ranks.astype(np.float64), norm="ortho")
        expected = np.array([judge[at] for at in frequencies])
        clear = np.abs(expected) > 1e-4
        assert clear.mean() > 0.98
        assert np.array_equal(bits_of(image)[clear], (expected > 0)[clear])


def test_grey_values_count_by_their_order_alone(stored):
    """At the overview's own side nothing is averaged: 250 grey levels spread in another way give the very same picture."""
    levels = np.sort(np.random.default_rng(0).choice(np.arange(2000, 65536), 250, replace=False)).astype(np.uint16)
    for _, pixels in stored[:8]:
        steps = letterboxed(pixels, similarity.OVERVIEW) // 263
        even = np.where(steps > 0, 2000 + 255 * steps, 0).astype(np.uint16)
        uneven = np.where(steps > 0, levels[steps], 0).astype(np.uint16)
        (ranks, breast), (same_ranks, same_breast) = similarity._small(even), similarity._small(uneven)
        assert ranks.dtype == breast.dtype == np.float32
        assert ranks.shape == breast.shape == (similarity.SIDE, similarity.SIDE)
        assert 0 <= ranks.min() < 0.1
        assert 0.9 < ranks.max() <= 1
        assert np.array_equal(breast, same_breast)
        assert np.array_equal(ranks, same_ranks)
        assert signature(even) == signature(uneven)


def test_the_small_picture_has_the_chest_wall_on_the_left(images):
    """Half an ellipse on the left edge that is brightest there, and its mirror image."""
    y, x = np.mgrid[:256, :256]
    inside = (x / 120) ** 2 + ((y - 128) / 100) ** 2 < 1
    breast = np.uint16(inside * (60000 - 300 * x))
    for image in (breast, mirrored(breast)):
        columns = similarity._small(image)[0].max(axis=0)
        assert columns[:32].mean() > columns[32:].mean() + 0.15
    for image in images:
        assert np.abs(similarity._small(image)[0] - similarity._small(mirrored(image))[0]).mean() < 0.01
    assert 0 < sum(map(chest_wall_on_left, images)) < len(images)


def test_correlation_is_pearsons_of_the_detail_in_both_breasts(images):
    a, b = images[0], CHANGES["all at once"](images[0])
    (x, x_breast), (y, y_breast) = similarity._small(a), similarity._small(b)
    common = (x_breast > 0.99) & (y_breast > 0.99)
    x, y = (
        r - gaussian_filter(r, 4) / np.maximum(gaussian_filter(m, 4), 0.01) for r, m in ((x, x_breast), (y, y_breast))
    )
    assert correlation(a, b) == pytest.approx(pearsonr(x[common], y[common]).statistic, abs=0.01)
    assert correlation(a, b) == pytest.approx(correlation(b, a))
    assert correlation(a, a) == pytest.approx(1)


def test_a_label_in_the_air_hardly_matters(images):
    for image in images[:8]:
        labelled = image.copy()
        corner = slice(440, 480) if chest_wall_on_left(image) else slice(32, 72)
        labelled[20:40, corner] = 65535
        assert distance(image, labelled) <= ALIKE
        assert correlation(image, labelled) >= SAME


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_an_image_without_a_breast_is_like_nothing(images, value):
    blank = np.full((64, 64), value, np.uint16)
    assert signature(blank) == ""
    assert correlation(blank, blank) == correlation(blank, images[0]) == correlation(images[0], blank) == 0


def test_a_signature_is_hex_of_fixed_length_and_the_same_each_time(images):
    text = signature(images[0])
    assert len(text) == BITS / 4
    assert set(text) <= set("0123456789abcdef")
    assert text == signature(images[0].copy())
