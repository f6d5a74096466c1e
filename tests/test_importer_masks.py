"""Outlines filled as exact arithmetic says; mask files of every kind; pictures."""

import tracemalloc
from fractions import Fraction

import cv2
import numpy as np
import pytest
import scipy.ndimage as ndi
import tifffile
from PIL import Image

from mammoseg.datasets.masks import components, count_components, draw_region, read_mask
from mammoseg.datasets.pictures import decode_picture, is_picture, picture_size, read_picture
from mammoseg.runtime.errors import Unusable


def pixels(mask) -> list[list[int]]:
    return np.argwhere(mask).tolist()


def inside_or_on(polygon, x: int, y: int) -> bool:
    """Even-odd rule in exact fractions."""
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        x0, y0, x1, y1 = (Fraction(float(v)) for v in (x0, y0, x1, y1))
        on_line = (x1 - x0) * (y - y0) == (y1 - y0) * (x - x0)
        if on_line and min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1):
            return True
        if (y0 <= y) != (y1 <= y) and x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


@pytest.mark.parametrize("seed", range(12))
def test_polygons_against_exact_arithmetic(seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(8, 25, 2)
    polygon = rng.uniform(-8, 30, (rng.integers(3, 12), 2))
    if seed % 3:
        polygon = np.rint(polygon * (seed % 3)) / (seed % 3)  # whole and half coordinates: centres lie on outlines
    expected = [[y, x] for y in range(rows) for x in range(columns) if inside_or_on(polygon, x, y)]
    assert expected
    assert pixels(draw_region(polygon, rows, columns)) == expected


def test_polygons_by_hand():
    square = [(1, 1), (3, 1), (3, 2), (1, 2)]  # x, y: the outline itself belongs to it
    assert pixels(draw_region(square, 5, 6)) == [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]
    between = [(0.6, 0.6), (3.4, 0.6), (3.4, 2.4), (0.6, 2.4)]
    assert pixels(draw_region(between, 5, 6)) == [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]
    closed = [*square, square[0]]
    assert pixels(draw_region(closed, 5, 6)) == pixels(draw_region(square, 5, 6))


@pytest.mark.parametrize("radius", [36, 100, 286])  # 5, 14 and 40 mm at 0.07 mm
def test_area_of_an_outline(radius):
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    points = np.stack([400.3 + radius * np.cos(angle), 350.8 + 0.8 * radius * np.sin(angle)], axis=1)
    area = np.pi * 0.8 * radius**2
    assert draw_region(points, 700, 800).sum() == pytest.approx(area, rel=0.01)


def test_one_two_and_flat_points():
    assert pixels(draw_region([(3.2, 1.7)], 5, 6)) == [[2, 3]]
    assert pixels(draw_region([(0, 0), (4.6, 3.1)], 5, 6)) == [[0, 0], [3, 5]]
    assert pixels(draw_region([(1.2, 1.2), (1.3, 1.2), (1.3, 1.3)], 5, 6)) == [[1, 1]]  # a sliver between centres
    assert pixels(draw_region([(9, 9)], 5, 6)) == []


def test_points_outside_are_cut_off():
    # A rectangle from column 3 to 80 columns beyond the image's edge, and from above the first row.
    mask = draw_region([(3, -7), (86, -7), (86, 1), (3, 1)], 5, 6)
    assert pixels(mask) == [[0, 3], [0, 4], [0, 5], [1, 3], [1, 4], [1, 5]]
    assert not draw_region([(10, 10), (20, 10), (15, 30)], 5, 6).any()
    assert draw_region([(-1e12, -1e12), (1e12, -1e12), (0, 1e12)], 5, 6).all()


def test_components():
    mask = np.zeros((6, 8), bool)
    mask[0, 0] = mask[1, 1] = True  # touching by a corner: one
    mask[4:, 5:] = True
    expected, n = ndi.label(mask, np.ones((3, 3)))
    assert count_components(mask) == n == 2
    assert {tuple(map(tuple, pixels(c))) for c in components(mask)} == {
        tuple(map(tuple, pixels(expected == i))) for i in (1, 2)
    }
    assert list(components(np.zeros((6, 8), bool))) == []
    assert count_components(np.zeros((6, 8), bool)) == 0


def test_many_components_need_no_more_memory_than_one():
    mask = np.zeros((1000, 1000), bool)
    mask[::100, ::100] = True
    tracemalloc.start()
    assert sum(int(c.sum()) for c in components(mask)) == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000  # labels and two masks; all of them at once would be a hundred megabytes


def test_a_mask_of_noise_is_set_aside_by_a_reason_of_its_own():
    mask = np.zeros((100, 100), bool)
    mask[::4, ::5] = True
    assert count_components(mask) == 500
    mask[-1, -1] = True
    with pytest.raises(Unusable, match="too_many_masses: its mask has more than 500 separate regions"):
        count_components(mask)


MASK = np.zeros((6, 8), np.uint8)
MASK[1:3, 2:6] = 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize(
    ("mode", "array"),
    [
        ("L", MASK * 255),
        ("L", MASK),
        ("L", MASK * 100),
        ("1", (MASK * 255)),
        ("I;16", MASK.astype(np.uint16) * 40000),
        ("RGB", np.dstack([MASK * 0, MASK * 200, MASK * 0])),
        ("RGBA", np.dstack([MASK * 255, MASK * 0, MASK * 0, np.full_like(MASK, 255)])),
    ],
)
def test_mask_files(tmp_path, mode, array, suffix):
    image = Image.fromarray(array).convert("1") if mode == "1" else Image.fromarray(array)
    assert image.mode == mode
    image.save(tmp_path / f"mask{suffix}", format="PNG" if suffix.lower() == ".png" else "TIFF")
    assert np.array_equal(read_mask(tmp_path / f"mask{suffix}", 6, 8), MASK == 1)


def test_jpeg_mask_is_cut_at_half(tmp_path):
    large = np.zeros((64, 64), np.uint8)
    large[16:48, 20:50] = 255
    Image.fromarray(large).save(tmp_path / "mask.jpg", quality=30)
    assert len(np.unique(cv2.imread(str(tmp_path / "mask.jpg"), 0))) > 2
    assert np.array_equal(read_mask(tmp_path / "mask.jpg", 64, 64), large == 255)


def test_masks_that_cannot_be_used(tmp_path, capfd):
    Image.fromarray(MASK * 255).save(tmp_path / "mask.png")
    (tmp_path / "text.png").write_text("no picture")
    whole = (tmp_path / "mask.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) - 20])
    for name, size, reason in [
        ("mask.png", (8, 6), "mask_size"),
        ("text.png", (6, 8), "bad_mask"),
        ("cut.png", (6, 8), "bad_mask"),
        ("absent.png", (6, 8), "bad_mask"),
    ]:
        with pytest.raises(Unusable) as bad:
            read_mask(tmp_path / name, *size)
        assert bad.value.reason == reason
        assert name not in bad.value.explanation
    assert str(tmp_path) not in "".join(capfd.readouterr())


def test_pictures(tmp_path):
    grey8 = np.arange(48, dtype=np.uint8).reshape(6, 8)
    grey16 = grey8.astype(np.uint16) * 1000
    Image.fromarray(grey8).save(tmp_path / "a.png")
    Image.fromarray(grey16).save(tmp_path / "b.tif")
    Image.fromarray(np.dstack([grey8] * 3)).save(tmp_path / "c.png")
    Image.fromarray(np.dstack([grey8] * 3 + [np.full_like(grey8, 9)])).save(tmp_path / "d.png")
    for name in ("a.png", "c.png", "d.png"):
        assert np.array_equal(read_picture(tmp_path / name), grey8.astype(np.uint16) * 257)
        assert read_picture(tmp_path / name).dtype == np.uint16
        assert picture_size(tmp_path / name) == (6, 8)
    assert np.array_equal(read_picture(tmp_path / "b.tif"), grey16)
    cv2.imwrite(str(tmp_path / "e.png"), np.dstack([grey16] * 3))
    assert np.array_equal(read_picture(tmp_path / "e.png"), grey16)


def test_colour_is_weighted_to_grey(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / "a.png")
    expected = np.rint(colour @ np.array([0.299, 0.587, 0.114])) * 257  # ITU-R BT.601
    assert np.abs(read_picture(tmp_path / "a.png") - expected).max() <= 257


def test_exif_rotation_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(tmp_path / "a.jpg", exif=exif, quality=100)
    assert picture_size(tmp_path / "a.jpg") == read_picture(tmp_path / "a.jpg").shape == (6, 8)


def test_pictures_that_cannot_be_used(tmp_path):
    Image.fromarray(np.full((6, 8), 7, np.uint8)).save(tmp_path / "constant.png")
    Image.fromarray(np.ones((6, 8), np.float32) * np.arange(8, dtype=np.float32)).save(tmp_path / "pixel_type.tif")
    page = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8))
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page])
    (tmp_path / "empty.png").write_bytes(b"")
    bomb = bytearray((tmp_path / "constant.png").read_bytes())
    bomb[16:24] = (60000).to_bytes(4, "big") * 2  # width and height of the PNG header
    import zlib

    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bytes(bomb))
    for name, reason in [
        ("constant.png", "constant_image"),
        ("pixel_type.tif", "pixel_type"),
        ("pages.tif", "multi_frame"),
        ("empty.png", "unreadable"),
        ("bomb.png", "too_large"),
        ("absent.png", "unreadable"),
    ]:
        with pytest.raises(Unusable) as bad:
            read_picture(tmp_path / name)
        assert bad.value.reason == reason, name


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_never_mirrored_in_silence(tmp_path, orientation, compression):
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(array).save(tmp_path / "a.tif", tiffinfo={274: orientation}, compression=compression)
    if orientation == 1:
        assert np.array_equal(read_mask(tmp_path / "a.tif", 6, 8), array > 0)
        return
    with pytest.raises(Unusable, match="orientation"):
        read_picture(tmp_path / "a.tif")
    with pytest.raises(Unusable, match="bad_mask.*orientation tag"):
        read_mask(tmp_path / "a.tif", 6, 8)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.PNG", True), ("a.b.jpeg", True), ("a.tif", True), ("a.dcm", False), ("a", False)]
)
def test_is_picture(name, expected):
    assert is_picture(name) == expected


def test_outlines_that_reach_very_far_are_cut_off():
    far = np.finfo(float).max
    assert draw_region([[0, 0], [far, 5], [-far, 10]], 20, 20).any()
    assert draw_region([[-far, -far], [far, -far], [far, far], [-far, far]], 20, 20).all()
    assert not draw_region([[far, far], [far, -far], [far, 0]], 20, 20).any()
    with pytest.raises(ValueError, match="finite"):
        draw_region([[0, 0], [np.inf, 5], [3, 10]], 20, 20)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_lowest_value_is_white(tmp_path, dtype):
    shown = np.zeros((40, 30), dtype)
    shown[5:9, 3:20] = np.iinfo(dtype).max
    tifffile.imwrite(tmp_path / "a.tif", ~shown, photometric="miniswhite")
    assert np.array_equal(decode_picture(tmp_path / "a.tif"), shown)
    assert np.array_equal(read_mask(tmp_path / "a.tif", 40, 30), shown > 0)
