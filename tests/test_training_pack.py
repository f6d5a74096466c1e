"""The pack: what is written is what the PNGs hold, and a broken case is named."""

import pickle

import cv2
import numpy as np
import pytest

from mammoseg.images.png import read_image, read_mask, to_8bit
from mammoseg.runtime.errors import UserError
from mammoseg.training.pack import Entry, open_pack, write_pack


@pytest.fixture
def entries(tmp_path):
    """Three cases of side 8 with known pixels."""
    made = []
    for i in range(3):
        image = np.full((8, 8), 1000 * i, np.uint16)
        image[i, 0] = 65535
        mask = np.zeros((8, 8), np.uint8)
        mask[i, :3] = 255
        made.append(Entry(f"img{i}", f"pat{i // 2}", "site", tmp_path / f"{i}.png", tmp_path / f"{i}_mask.png"))
        cv2.imwrite(str(made[-1].image), image)
        cv2.imwrite(str(made[-1].mask), mask)
    return made


def test_eight_bits_are_the_rounded_quotient():
    values = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(to_8bit(values), np.round(values / 257).astype(np.uint8))


def test_write_and_open(tmp_path, entries):
    summary = write_pack(tmp_path / "pack", (tuple(entry) for entry in entries))
    pack = open_pack(tmp_path / "pack")
    assert summary == {"images": 3, "side": 8}
    assert pack.side == 8
    assert pack.images.dtype == pack.masks.dtype == np.uint8
    assert [case["image_id"] for case in pack.cases] == ["img0", "img1", "img2"]
    assert pack.cases[2] == {"image_id": "img2", "patient_id": "pat1", "dataset": "site"}
    for i in range(3):
        expected = np.full((8, 8), round(1000 * i / 257))
        expected[i, 0] = 255
        np.testing.assert_array_equal(pack.images[i], expected)
        np.testing.assert_array_equal(np.argwhere(pack.masks[i]), [[i, 0], [i, 1], [i, 2]])
        assert set(np.unique(pack.masks[i])) == {0, 1}
    assert pack.rows_of({"pat0"}) == [0, 1]
    assert sorted(p.name for p in (tmp_path / "pack").iterdir()) == ["cases.csv", "images.npy", "masks.npy"]


def test_read_only_and_memory_mapped(tmp_path, entries):
    write_pack(tmp_path / "pack", entries)
    pack = open_pack(tmp_path / "pack")
    assert isinstance(pack.images, np.memmap)
    for array in (pack.images, pack.masks):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1


def test_pickled_by_path_not_by_pixels(tmp_path, entries):
    write_pack(tmp_path / "pack", entries)
    pack = open_pack(tmp_path / "pack")
    copy = pickle.loads(pickle.dumps(pack))
    assert isinstance(copy.images, np.memmap)
    np.testing.assert_array_equal(copy.images, pack.images)


@pytest.mark.parametrize(
    ("file", "pixels", "words"),
    [
        ("1.png", None, "missing"),
        ("1_mask.png", None, "missing"),
        ("1.png", np.zeros((8, 8), np.uint8), "uint8"),
        ("1.png", np.zeros((8, 6), np.uint16), "8×6"),
        ("1.png", np.zeros((6, 6), np.uint16), "side 6, the pack has 8"),
        ("1_mask.png", np.zeros((6, 6), np.uint8), "side 6, the pack has 8"),
        ("1_mask.png", np.full((8, 8), 128, np.uint8), "other than 0 and 255"),
        ("1_mask.png", np.zeros((8, 8, 3), np.uint8), "8×8×3"),
    ],
)
def test_a_broken_case_is_named_and_leaves_no_pack(tmp_path, entries, file, pixels, words):
    write_pack(tmp_path / "pack", entries[:1])  # an older pack must not look whole afterwards
    if pixels is None:
        (tmp_path / file).unlink()
    else:
        cv2.imwrite(str(tmp_path / file), pixels)
    with pytest.raises(UserError, match=words) as error:
        write_pack(tmp_path / "pack", entries)
    assert "img1" in str(error.value)
    assert str(tmp_path) not in str(error.value)
    with pytest.raises(UserError):
        open_pack(tmp_path / "pack")


def test_unreadable_png_is_named(tmp_path, entries):
    entries[2].image.write_bytes(b"not a picture")
    with pytest.raises(UserError, match="img2 cannot be read"):
        write_pack(tmp_path / "pack", entries)


def test_no_entries_and_duplicates(tmp_path, entries):
    with pytest.raises(UserError, match="no image to train on"):
        write_pack(tmp_path / "pack", [])
    with pytest.raises(UserError, match="img0 stands twice"):
        write_pack(tmp_path / "pack", [entries[0], entries[1], entries[0]])


def test_files_of_two_packs_do_not_open(tmp_path, entries):
    write_pack(tmp_path / "a", entries)
    write_pack(tmp_path / "b", entries[:2])
    (tmp_path / "b" / "masks.npy").replace(tmp_path / "a" / "masks.npy")
    with pytest.raises(UserError, match="do not belong together"):
        open_pack(tmp_path / "a")


def test_one_picture_at_a_time(entries):
    """What prediction reads is what training saw."""
    assert read_image(entries[2].image, "img2")[2, 0] == 255
    assert read_mask(entries[2].mask, "img2").sum() == 3
