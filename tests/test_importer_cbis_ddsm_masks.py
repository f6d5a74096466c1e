"""Masks of CBIS-DDSM: which of a series' files they are, which fit an image, and where they lie, judged by Pillow and SimpleITK."""

import numpy as np
import pydicom
import pytest
import SimpleITK
from cbis_release import COLUMNS, LAYOUTS, ROWS, VIEW, box, cases, film, importer_of, one_mass, write_release
from PIL import Image

from mammoseg.runtime.errors import Unusable


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_pixel_for_pixel(tmp_path, layout):
    release = write_release(tmp_path / "CBIS", layout)
    described, _ = cases(release.root)
    slack = 40 if release.layout == "jpeg" else 0  # its edges are blurred
    for view, k, drawn in [
        ("P_00001_L_CC", 0, box(10, 20, 10, 20)),
        ("P_00001_L_CC", 1, box(50, 80, 20, 50)),
        ("P_00001_L_MLO", 0, box(10, 20, 10, 20)),
        ("P_00002_R_MLO", 0, box(5, 15, 30, 40)),
    ]:
        mask = described[view][1][k]
        assert (mask.dtype, mask.shape) == (bool, (ROWS, COLUMNS))
        assert (mask ^ (drawn > 0)).sum() <= slack
    (scaled,) = described["P_00145_L_CC"][1]
    # Row r of the image lies over row floor(0.87 (r + 0.5)) of the mask, and its columns likewise.
    rows = [r for r in range(ROWS) if 20 <= int((r + 0.5) * 0.87) < 40]
    columns = [c for c in range(COLUMNS) if 10 <= int((c + 0.5) * 0.87) < 30]
    expected = box(rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) > 0
    assert (scaled ^ expected).sum() <= 2 * slack


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_mask_is_cut_at_128_as_pillow_decodes_it(tmp_path, mode):
    y, x = np.mgrid[:ROWS, :COLUMNS]
    drawn = ((y - 90) ** 2 + (x - 50) ** 2 < 30**2).astype(np.uint8) * 255
    cbis = one_mass(tmp_path, "jpeg", mask=drawn)
    Image.fromarray(drawn).convert(mode).save(cbis.files[VIEW, "mask1"], quality=40)
    stored = np.asarray(Image.open(cbis.files[VIEW, "mask1"]).convert("L"))
    assert len(np.unique(stored)) > 50  # no longer binary
    (mask,) = cases(cbis.root)[0]["P_00001_L_CC"][1]
    assert np.array_equal(mask, stored >= 128)


def test_a_mask_of_another_pitch_as_simpleitk_resamples_it(tmp_path):
    small = (film(3)[:174, :87] > 30_000).astype(np.uint8) * 255
    (mask,) = cases(one_mass(tmp_path, mask=small).root)[0]["P_00001_L_CC"][1]
    judge = SimpleITK.GetImageFromArray(small)
    pitch = 1 / 0.87
    judge.SetSpacing((pitch, pitch))
    judge.SetOrigin(
        (pitch / 2 - 0.5, pitch / 2 - 0.5)
    )  # the pictures' edges lie on each other, not their first pixels' centres
    judged = SimpleITK.Resample(judge, (COLUMNS, ROWS), SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    assert np.array_equal(mask, SimpleITK.GetArrayFromImage(judged) > 0)


@pytest.mark.parametrize(
    ("mask", "image", "fits"),
    [
        ((4386, 1789), (5041, 2056), True),  # known of the release
        ((4373, 2155), (5026, 2476), True),
        ((999, 1000), (1000, 1000), True),  # 0.1 %
        ((997, 1000), (1000, 1000), False),  # 0.3 %
        ((1000, 990), (1000, 1000), False),
        ((400, 400), (1000, 1000), False),  # a cropped picture that happens to be square
        ((1000, 1000), (400, 400), False),
    ],
)
def test_which_masks_fit_an_image(tmp_path, mask, image, fits):
    cbis = one_mass(tmp_path, mask=box(0, 200, 0, 200, mask))
    importer = importer_of(cbis)
    (candidate,) = importer.candidates()[0]
    if fits:
        (resized,) = importer.mass_masks(candidate, *image)
        assert resized.shape == image
        # 200 of the mask's pixels, in pixels of the image, to the one that an edge may fall on.
        assert resized.sum() == pytest.approx(200 * image[0] / mask[0] * 200 * image[1] / mask[1], rel=0.01)
    else:
        with pytest.raises(
            Unusable, match=f"mask_size: a mask has {mask[0]} x {mask[1]} pixels .* its image {image[0]} x"
        ):
            list(importer.mass_masks(candidate, *image))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_decided_is_recorded(tmp_path, layout):
    release = write_release(tmp_path / "CBIS", layout)
    described, _ = cases(release.root)

    def path(view, what):
        return release.files[view, what].relative_to(release.root).as_posix()

    two = described["P_00001_L_CC"][0].extra
    assert two["mask_files"] == f'["{path(VIEW, "mask2")}", "{path(VIEW, "mask3")}"]'
    assert two["n_masks_resized"] == "0"
    assert path("Mass-Training_P_00001_LEFT_MLO", "mask1") in described["P_00001_L_MLO"][0].extra["mask_files"]
    assert described["P_00145_L_CC"][0].extra["n_masks_resized"] == "1"


@pytest.mark.parametrize("layout", ["csv", "jpeg"])
@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((ROWS, COLUMNS), np.uint8), "bad_mask"),  # nothing drawn
        (np.full((ROWS, COLUMNS), 255, np.uint8), "bad_mask"),
        (np.repeat(np.arange(ROWS, dtype=np.uint8)[:, None], COLUMNS, axis=1), "bad_mask"),
        (film(9), "bad_mask"),
        (box(0, 100, 0, 50) + box(120, 180, 60, 90) // 255 * 120, "bad_mask"),  # three values
    ],
)
def test_files_that_are_no_mask(tmp_path, layout, mask, reason):
    assert cases(one_mass(tmp_path, layout, mask=mask).root) == ({}, {"P_00001_L_CC": reason})


def test_a_mask_may_have_any_two_values(tmp_path):
    cbis = one_mass(
        tmp_path, mask=box(10, 20, 10, 20) // 255 * 3 + 7
    )  # 7 around it, 10 in it: no brightness of theirs counts
    (mask,) = cases(cbis.root)[0]["P_00001_L_CC"][1]
    assert np.array_equal(mask, box(10, 20, 10, 20) > 0)


def test_a_cropped_picture_of_two_values_is_not_taken_for_the_mask(tmp_path):
    cbis = one_mass(tmp_path)
    crop = cbis.files[VIEW, "crop1"]  # it comes before the mask
    ds = pydicom.dcmread(crop)
    ds.PixelData = np.where(ds.pixel_array > 30_000, 60_000, 100).astype("<u2").tobytes()
    ds.save_as(crop)
    (mask,) = cases(cbis.root)[0]["P_00001_L_CC"][1]
    assert np.array_equal(mask, box(10, 20, 10, 20) > 0)


def test_a_damaged_crop_does_no_harm_and_a_damaged_mask_does(tmp_path):
    cbis = one_mass(tmp_path)
    crop, mask = (cbis.files[VIEW, what] for what in ("crop1", "mask1"))
    crop.write_bytes(crop.read_bytes()[:-100])
    assert list(cases(cbis.root)[0]) == ["P_00001_L_CC"]
    mask.write_bytes(mask.read_bytes()[:-100])
    assert cases(cbis.root) == ({}, {"P_00001_L_CC": "bad_mask"})
