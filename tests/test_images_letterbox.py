"""Letterbox: areas against exact sums, landmarks, the way back, lesions that must not vanish."""

import cv2
import numpy as np
import pytest
import scipy.ndimage as ndi

from mammoseg.images.letterbox import Letterbox

SIZES = [(832, 640), (640, 832), (833, 641), (1021, 831), (512, 512), (300, 97), (97, 300), (63, 50)]


def disc(rows, columns, y, x, radius):
    yy, xx = np.mgrid[:rows, :columns]
    return (yy - y) ** 2 + (xx - x) ** 2 <= radius**2


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def exact_shares(array, box):
    """Area shares by exact sums over overlapping lengths, written down independently of OpenCV."""
    square = np.zeros((box.square, box.square))
    left = 0 if box.pad_right else box.square - box.columns
    square[: box.rows, left : left + box.columns] = array
    edges = np.arange(box.side + 1) * box.square / box.side
    cumulative = np.pad(square.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    grid = np.arange(box.square + 1)
    along_y = np.stack([np.interp(edges, grid, column) for column in cumulative.T], axis=1)
    integral = np.stack([np.interp(edges, grid, row) for row in along_y], axis=0)
    return np.diff(np.diff(integral, axis=0), axis=1) * (box.side / box.square) ** 2


@pytest.mark.parametrize("pad_right", [True, False])
@pytest.mark.parametrize(("rows", "columns"), SIZES[:5])
def test_image_is_the_mean_over_each_pixels_area(rows, columns, pad_right):
    image = np.random.default_rng(1).integers(0, 65536, (rows, columns)).astype(np.uint16)
    image[5, 7] = 0  # the darkest value, so that padding is 0 in the sums too
    box = Letterbox(rows, columns, 96, pad_right)
    got = box.image(image)
    assert got.dtype == np.uint16
    assert got.shape == (96, 96)
    assert np.abs(got - exact_shares(image, box)).max() <= 1


@pytest.mark.parametrize("pad_right", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [*SIZES, (3328, 2560), (4084, 3328), (3327, 2561), (2560, 3328)])
def test_only_a_part_is_resized_and_every_pixel_is_that_of_the_whole_square(rows, columns, pad_right):
    image = np.random.default_rng(0).integers(7, 65536, (rows, columns)).astype(np.uint16)
    side, far = max(rows, columns), max(rows, columns) - columns
    left, right = (0, far) if pad_right else (far, 0)
    square = cv2.copyMakeBorder(image, 0, side - rows, left, right, cv2.BORDER_CONSTANT, value=int(image.min()))
    whole = cv2.resize(square, (256, 256), interpolation=cv2.INTER_AREA if side >= 256 else cv2.INTER_LINEAR)
    assert np.array_equal(Letterbox(rows, columns, 256, pad_right).image(image), whole)


def test_padding_is_on_the_far_side_and_below_with_the_darkest_value():
    image = np.full((100, 60), 700, np.uint16)
    image[0, 0] = 300
    right, left = (Letterbox(100, 60, 50, pad).image(image) for pad in (True, False))
    assert (right[:, 30:] == 300).all()
    assert (right[1:, :30] == 700).all()
    assert (left[:, :20] == 300).all()
    assert (left[1:, 20:] == 700).all()
    wide = Letterbox(60, 100, 50, True).image(image.T.copy())
    assert (wide[30:] == 300).all()
    assert (wide[1:30, 1:] == 700).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_dtype_is_kept(dtype):
    box = Letterbox(40, 30, 16, True)
    array = np.arange(1200).reshape(40, 30).astype(dtype)
    assert box.image(array).dtype == dtype
    assert box.inverse(box.image(array)).dtype == dtype


@pytest.mark.parametrize("pad_right", [True, False])
@pytest.mark.parametrize(("rows", "columns"), SIZES[:5])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_mask_is_set_where_the_area_share_is_reached(rows, columns, pad_right, share):
    mask = disc(rows, columns, rows * 0.4, columns * 0.45, 90)
    box = Letterbox(rows, columns, 96, pad_right)
    exact = exact_shares(mask, box)
    got = box.mask(mask, share)
    assert got.dtype == bool
    certain = np.abs(exact - share) > 1e-4
    assert np.array_equal(got[certain], (exact >= share)[certain])
    assert not np.array_equal(got, box.mask(mask, 0.6))


def test_half_a_pixel_is_enough():
    mask = np.zeros((8, 8), bool)
    mask[2, 2:4] = True  # 2 of 4
    mask[6, 6] = True  # 1 of 4, and a lesion of its own
    mask[7, 7] = True
    assert np.argwhere(Letterbox(8, 8, 4, True).mask(mask)).tolist() == [[1, 1], [3, 3]]


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_landmarks_keep_their_place(rows, columns):
    """A blurred spot's centre of mass lands where the formula says, and comes back to where it was."""
    box = Letterbox(rows, columns, 96, pad_right=False)
    scale = 96 / max(rows, columns)
    y, x = rows * 0.3, columns * 0.7
    yy, xx = np.mgrid[:rows, :columns]
    spot = np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * (0.02 * max(rows, columns) + 2) ** 2)).astype(np.float64)
    small = box.image(spot)
    left = max(rows, columns) - columns
    expected = ((y + 0.5) * scale - 0.5, (x + left + 0.5) * scale - 0.5)
    assert np.allclose(ndi.center_of_mass(small), expected, atol=0.12)
    assert np.allclose(ndi.center_of_mass(box.inverse(small)), (y, x), atol=0.12 / scale)


@pytest.mark.parametrize("pad_right", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(832, 640), (640, 832), (833, 641)])
@pytest.mark.parametrize(("radius", "least"), [(70, 0.98), (35, 0.96), (12, 0.85)])
def test_there_and_back(rows, columns, pad_right, radius, least):
    box = Letterbox(rows, columns, 128, pad_right)
    mask = disc(rows, columns, rows * 0.55, columns * 0.4, radius)
    back = box.inverse(box.mask(mask))
    assert back.shape == mask.shape
    assert back.dtype == bool
    assert dice(back, mask) > least
    assert np.allclose(ndi.center_of_mass(back), ndi.center_of_mass(mask), atol=0.5 * max(rows, columns) / 128)


def kept_of_an_ideal_disc(box: Letterbox, y: float, x: float, radius: float) -> float:
    """Dice that a disc keeps on the way through the square and back, by area shares of the ideal circle (supersampled) and
    SciPy's linear interpolation; y, x and radius in pixels of the (mirrored) original."""
    scale, fine = box.side / box.square, 20
    cy, cx, r = (y + 0.5) * scale, (x + box.left + 0.5) * scale, radius * scale
    top, left = int(cy - r) - 3, int(cx - r) - 3
    n = int(2 * r) + 8
    sub = (np.arange(n * fine) + 0.5) / fine
    inside = (sub[:, None] + top - cy) ** 2 + (sub + left - cx) ** 2 <= r**2
    small = inside.reshape(n, fine, n, fine).mean(axis=(1, 3)) >= 0.5
    yy, xx = np.mgrid[int(y - radius) - 20 : int(y + radius) + 20, int(x - radius) - 20 : int(x + radius) + 20]
    at = [(yy + 0.5) * scale - 0.5 - top, (xx + box.left + 0.5) * scale - 0.5 - left]
    back = ndi.map_coordinates(small.astype(float), at, order=1) >= 0.5
    return dice(back, (yy - y) ** 2 + (xx - x) ** 2 <= radius**2)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(3328, 2560), (4084, 3328), (3327, 2561), (2560, 3328)])
def test_there_and_back_at_true_size(rows, columns, mirrored):
    box = Letterbox(rows, columns, 512, True, mirrored)
    rng = np.random.default_rng(0)
    for mm in (3, 5, 8, 12, 20):
        radius = mm / 2 / 0.07
        y, x = rng.uniform(200, rows - 200), rng.uniform(200, columns - 200)
        mask = np.zeros((rows, columns), bool)
        part = np.s_[int(y - radius) - 2 : int(y + radius) + 3, int(x - radius) - 2 : int(x + radius) + 3]
        yy, xx = np.ogrid[part]
        mask[part] = (yy - y) ** 2 + (xx - x) ** 2 <= radius**2
        back = box.inverse(box.mask(mask))
        kept = dice(back, mask)
        ideal = kept_of_an_ideal_disc(box, y, columns - 1 - x if mirrored else x, radius)
        assert abs(kept - ideal) <= 0.02, mm
        assert kept >= (0.98 if mm == 20 else 0.88)
        centre = np.argwhere(back).mean(axis=0)
        assert np.abs(centre - (y, x)).max() < max(rows, columns) / 512


def test_back_to_the_original_by_probability():
    box = Letterbox(100, 60, 50, False)
    ramp = np.tile(np.linspace(0, 1, 50, dtype=np.float32), (50, 1))
    back = box.inverse(ramp)
    assert back.shape == (100, 60)
    # Column j of the original lies at (j + 40 + 0.5) / 2 - 0.5 on the square.
    expected = np.interp((np.arange(60) + 40 + 0.5) / 2 - 0.5, np.arange(50), ramp[0])
    assert np.allclose(back, expected, atol=1e-5)
    assert 0 <= back.min() <= back.max() <= 1


def test_same_size_is_the_identity():
    box = Letterbox(64, 64, 64, True)
    array = np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16)
    assert np.array_equal(box.image(array), array)
    assert np.array_equal(box.inverse(array), array)
    assert np.array_equal(box.mask(array > 30000), array > 30000)


def test_small_images_are_enlarged():
    box = Letterbox(40, 30, 96, True)
    assert (
        box.image(np.full((40, 30), 9, np.uint8)).tolist()
        == np.pad(np.full((96, 72), 9), ((0, 0), (0, 24)), constant_values=9).tolist()
    )
    mask = disc(40, 30, 20, 12, 8)
    small = box.mask(mask)
    assert small.sum() == pytest.approx(mask.sum() * (96 / 40) ** 2, rel=0.05)
    assert dice(box.inverse(small), mask) > 0.98


@pytest.mark.parametrize("pad_right", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_no_lesion_vanishes(seed, pad_right):
    """Specks beside a large mass: each leaves exactly its best pixel, and the large mass is as without them."""
    rng = np.random.default_rng(seed)
    rows, columns, side = 832, 640, 64
    big = disc(rows, columns, 600, 300, 80)
    mask, box = big.copy(), Letterbox(rows, columns, side, pad_right)
    specks = []
    for y, x in ((50, 60), (200, 500), (333, 111), (450, 630)):
        y, x = y + int(rng.integers(0, 9)), x + int(rng.integers(0, 9))
        speck = np.zeros_like(mask)
        speck[y : y + 4, x : x + 5] = True
        specks.append(speck)
        mask |= speck
    extra = box.mask(mask) & ~box.mask(big)
    for speck in specks:
        areas = exact_shares(speck, box)
        assert areas.max() < 0.5
        assert areas[extra].max() == pytest.approx(areas.max(), abs=1e-9)
    assert extra.sum() == 4
    assert (box.mask(big) <= box.mask(mask)).all()


def test_diagonal_pixels_are_one_lesion():
    mask = np.zeros((80, 80), bool)
    mask[[40, 41, 42], [39, 40, 41]] = True  # 8-connected across the border of two pixels: one lesion, one pixel
    assert Letterbox(80, 80, 8, True).mask(mask).sum() == 1
    assert Letterbox(80, 80, 8, True).mask(np.zeros((80, 80), bool)).sum() == 0


@pytest.mark.parametrize(("rows", "columns"), [(96, 48), (97, 50), (50, 97), (64, 64), (131, 90)])
@pytest.mark.parametrize("pad_right", [True, False])
def test_content_is_where_any_of_the_image_lies(rows, columns, pad_right):
    box = Letterbox(rows, columns, 64, pad_right)
    touched = box.mask(np.ones((rows, columns), bool), share=0.001)
    content = np.zeros((64, 64), bool)
    content[box.content] = True
    np.testing.assert_array_equal(content, touched)


def test_wrong_shapes_are_refused():
    box = Letterbox(80, 60, 32, True)
    for call, shape in ((box.image, (60, 80)), (box.mask, (80, 61)), (box.inverse, (80, 60))):
        with pytest.raises(ValueError, match="array is"):
            call(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="positive"):
        Letterbox(0, 60, 32, True)


@pytest.mark.parametrize(("rows", "columns"), [(80, 61), (61, 80), (83, 40)])
def test_mirrored_is_the_mirrored_picture_in_the_same_box(rows, columns):
    rng = np.random.default_rng(1)
    image, mask = rng.integers(0, 65536, (rows, columns)).astype(np.uint16), rng.random((rows, columns)) < 0.1
    plain, mirrored = Letterbox(rows, columns, 32, True), Letterbox(rows, columns, 32, True, mirrored=True)
    assert np.array_equal(mirrored.image(image), plain.image(np.ascontiguousarray(image[:, ::-1])))
    assert np.array_equal(mirrored.mask(mask), plain.mask(mask[:, ::-1]))
    answer = rng.random((32, 32)).astype(np.float32)
    assert np.array_equal(mirrored.inverse(answer), plain.inverse(answer)[:, ::-1])
    lesion = disc(rows, columns, 30, 12, 8)
    back = mirrored.inverse(mirrored.mask(lesion))
    assert dice(back, lesion) > 0.9  # on the side where it was


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pad_right", [False, True])
@pytest.mark.parametrize("shape", [(3328, 2560), (2560, 3328), (640, 512), (333, 500), (64, 40), (512, 512)])
def test_a_mask_laid_back_in_a_window_is_the_one_laid_back_whole(shape, pad_right, mirrored):
    box = Letterbox(*shape, 128, pad_right, mirrored)
    draw = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(draw.random((128, 128)).astype(np.float32), (0, 0), 3)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    for k in range(4):
        keep = np.zeros((128, 128), np.float32)
        row, column = draw.integers(0, 110, 2)
        keep[row : row + 18, column : column + 18] = 1
        for array in (smooth * keep, np.rint(65535 * smooth * (keep if k else 1)).astype(np.uint16)):
            at_least = float(0.6 * array.max()) if array.dtype == np.float32 else round(0.6 * array.max())
            whole = box.inverse(array) >= at_least
            assert np.count_nonzero(whole != box.inverse_mask(array, at_least)) <= 1e-5 * whole.size
    assert not box.inverse_mask(np.zeros((128, 128), np.uint16), 1).any()
