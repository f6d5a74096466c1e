"""The manifest: every column, several masks, paths that lead nowhere or out, tables that are none."""

import os
from pathlib import Path

import numpy as np
import pytest
from dicom_files import ramp, write_dicom
from PIL import Image

from mammoseg.datasets.importer import SetAside
from mammoseg.datasets.manifest import ManifestImporter
from mammoseg.datasets.pictures import is_picture
from mammoseg.dicom.read import read_header
from mammoseg.runtime.errors import Unusable, UserError

ROWS, COLUMNS = 60, 40


def write_picture(path: Path, *boxes) -> None:
    """A picture, black but for boxes (top, bottom, left, right)."""
    array = np.zeros((ROWS, COLUMNS), np.uint8)
    for top, bottom, left, right in boxes:
        array[top:bottom, left:right] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def archive(tmp_path) -> Path:
    root = tmp_path / "archive"
    write_picture(root / "images" / "a.png", (0, 50, 0, 30))
    write_picture(root / "images" / "b.tif", (0, 50, 0, 30))
    write_dicom(
        root / "images" / "c.dcm",
        ramp(ROWS, COLUMNS),
        ViewPosition="MLO",
        ImageLaterality="L",
        ImagerPixelSpacing=[0.1, 0.1],
        SOPInstanceUID="1.2.3.4",
        StudyInstanceUID="1.2.9",
    )
    write_picture(root / "masks" / "a1.png", (5, 10, 5, 10), (20, 30, 5, 10))
    write_picture(root / "masks" / "a2.png", (25, 35, 8, 14), (50, 55, 30, 35))
    return root


def write_table(root: Path, *lines: str, name: str = "manifest.csv") -> None:
    (root / name).write_text("\n".join(lines) + "\n")


def describe(importer: ManifestImporter, candidate):
    path = importer.root / candidate.image
    return importer.describe(candidate, None if is_picture(path) else read_header(path))


FULL = (
    "Image , mask,patient,study,laterality,view,pixel_spacing_mm,BI-RADS,Reader note",
    'images/a.png,masks/a1.png;masks/a2.png,P1,S1,left,cc,0.05,4a,"two, touching"',
    "images/b.tif,,P1,,R,MLO,,,",
    "./images/c.dcm,,P2,,,,,2,",
)


def test_cases(archive):
    write_table(archive, *FULL)
    importer = ManifestImporter(archive)
    candidates, aside = importer.candidates()
    assert aside == []
    a, b, c = (describe(importer, x) for x in candidates)
    assert (a.key, a.patient, a.study, a.laterality, a.view, a.pixel_spacing_mm) == (
        "images/a.png",
        "P1",
        "S1",
        "L",
        "CC",
        0.05,
    )
    assert a.n_masses == 3  # two, two, of which one of each overlaps
    assert dict(a.extra) == {"bi_rads": "4a", "reader_note": "two, touching"}
    assert (b.key, b.patient, b.study, b.laterality, b.view, b.pixel_spacing_mm) == (
        "images/b.tif",
        "P1",
        "P1",
        "R",
        "MLO",
        None,
    )
    assert b.n_masses == 0
    # What the table leaves out, the header says.
    assert (c.key, c.patient, c.study, c.laterality, c.view, c.pixel_spacing_mm) == (
        "1.2.3.4",
        "P2",
        "1.2.9",
        "L",
        "MLO",
        0.1,
    )
    assert c.n_masses == 0
    assert candidates[0].annotations == ("masks/a1.png", "masks/a2.png")


def test_masks(archive):
    write_table(archive, *FULL)
    importer = ManifestImporter(archive)
    candidates, _ = importer.candidates()
    masks = list(importer.mass_masks(candidates[0], ROWS, COLUMNS))
    joined = np.zeros((ROWS, COLUMNS), bool)
    joined[20:30, 5:10] = joined[25:35, 8:14] = True
    assert len(masks) == 3
    assert any(np.array_equal(m, joined) for m in masks)
    assert list(importer.mass_masks(candidates[1], ROWS, COLUMNS)) == []


def test_without_a_mask_column_nothing_is_known(archive):
    write_table(archive, "image,patient", "images/a.png,P1")
    importer = ManifestImporter(archive)
    (candidate,), _ = importer.candidates()
    assert describe(importer, candidate).n_masses is None


def test_root_may_be_the_table(archive):
    write_table(archive, "image,patient", "images/a.png,P1", name="mine.csv")
    importer = ManifestImporter(archive / "mine.csv")
    assert importer.root == archive
    assert importer.candidates()[0][0].image == "images/a.png"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators(archive, separator):
    text = (
        separator.join(["image", "patient", "mask"])
        + "\n"
        + separator.join(["images/a.png", "P1", '"masks/a1.png;masks/a2.png"'])
    )
    (archive / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (candidate,), _ = ManifestImporter(archive).candidates()
    assert candidate.annotations == ("masks/a1.png", "masks/a2.png")


def test_rows_set_aside(archive, tmp_path):
    write_picture(tmp_path / "outside.png", (0, 9, 0, 9))
    os.symlink(tmp_path / "outside.png", archive / "images" / "link.png")
    os.symlink(tmp_path, archive / "door")
    write_picture(archive / "images" / "d.png", (0, 9, 0, 9))
    rows = [
        ("images/none.png", "", "P1", "", "", "missing_file"),
        ("images/b.tif", "masks/none.png", "P1", "", "", "missing_mask"),
        ("../outside.png", "", "P1", "", "", "outside_root"),
        (str(tmp_path / "outside.png"), "", "P1", "", "", "outside_root"),
        ("images/link.png", "", "P1", "", "", "outside_root"),
        ("door/outside.png", "", "P1", "", "", "outside_root"),
        ("images/d.png", "masks/a1.png;../outside.png", "P1", "", "", "outside_root"),
        ("images/e.png", "", "", "", "", "no_patient"),
        ("", "", "P1", "", "", "no_image"),
        ("images/f.png", "", "P1", "both", "", "bad_laterality"),
        ("images/g.png", "", "P1", "L", "0,07 mm", "bad_pixel_spacing"),
        ("images/h.png", "", "P1", "L", "-1", "bad_pixel_spacing"),
        ("images/" + "x" * 5000, "", "P1", "", "", "missing_file"),
    ]
    lines = [f'{i},{m},{p},{s},"{mm}"' for i, m, p, s, mm, _ in rows]
    write_table(archive, "image,mask,patient,laterality,pixel_spacing_mm", "images/a.png,masks/a1.png,P1,L,", *lines)
    candidates, aside = ManifestImporter(archive).candidates()
    assert [c.image for c in candidates] == ["images/a.png"]
    assert [(a.path, a.reason) for a in aside] == [(os.path.normpath(r[0]) if r[0] else "", r[-1]) for r in rows]
    assert all("outside" not in a.explanation and "P1" not in a.explanation for a in aside)


def test_one_image_twice(archive):
    write_table(
        archive, "image,patient", "images/a.png,P1", "images/../images/a.png,P1", "images/b.tif,P1", "./images/b.tif,P2"
    )
    candidates, aside = ManifestImporter(archive).candidates()
    assert [c.image for c in candidates] == ["images/a.png"]
    assert aside == [
        SetAside("images/a.png", "duplicate", "the manifest lists it twice"),
        SetAside("images/b.tif", "two_patients", "the manifest lists it under two patients"),
        SetAside("images/b.tif", "two_patients", "the manifest lists it under two patients"),
    ]


def test_a_row_without_image_or_patient_says_nothing_of_other_patients(archive):
    write_table(archive, "image,patient", ",P1", ",P2", "images/a.png,", "images/a.png,P2")
    candidates, aside = ManifestImporter(archive).candidates()
    assert [a.reason for a in aside] == ["no_image", "no_image", "no_patient"]
    assert [c.facts["patient"] for c in candidates] == ["P2"]


@pytest.mark.parametrize(
    ("laterality", "view", "got"),
    [
        ("", "cc", ("", "CC")),
        ("", "LMLO", ("L", "MLO")),
        ("right", "rcc", ("R", "CC")),
        ("L", "LM", ("L", "LM")),  # latero-medial, no left "M"
        ("L", "XCCL", ("L", "XCCL")),
        ("L", "RMLO", "bad_laterality"),
        ("L", "Smith, Jane", "unknown_view"),
        ("L", "=1+1", "unknown_view"),
    ],
)
def test_views(archive, laterality, view, got):
    write_table(archive, "image;patient;laterality;view", f"images/a.png;P1;{laterality};{view}")
    importer = ManifestImporter(archive)
    candidates, aside = importer.candidates()
    if isinstance(got, str):
        assert [a.reason for a in aside] == [got]
        assert view not in aside[0].explanation
        return
    case = describe(importer, candidates[0])
    assert (case.laterality, case.view) == got


def test_mask_of_another_size(archive):
    Image.fromarray(np.zeros((ROWS + 1, COLUMNS), np.uint8)).save(archive / "masks" / "a1.png")
    write_table(archive, "image,patient,mask", "images/a.png,P1,masks/a1.png")
    importer = ManifestImporter(archive)
    with pytest.raises(Unusable, match="mask_size"):
        describe(importer, importer.candidates()[0][0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"image,patient\n", "a header line and no image"),
        (b"image,person\na.png,P1\n", "no column 'patient'; its first line must hold"),
        (b"file;patient\na.png;P1\n", "no column 'image'; its first line must hold"),
        (b"image,patient,Image\na.png,P1,b.png\n", "columns 1 and 3 of the table .* have the same name"),
        (b"image,patient,,Jane Smith,Jane  Smith\na.png,P1,,,\n", "columns 4 and 5 of the table .* have the same name"),
        (b'image,patient\n"a.png,P1\n', "not a well-formed CSV"),
        (b"image,patient\na\0.png,P1\n", None),
        (b"image,patient,note\na.png,P1," + b"x" * 200_000 + b"\n", "not a well-formed CSV"),
    ],
)
def test_tables_that_are_none(archive, content, message):
    (archive / "manifest.csv").write_bytes(content)
    if message is None:  # a NUL byte: a csv error in Python 3.10, part of a path that does not exist since
        _, aside = ManifestImporter(archive).candidates()
        assert [a.reason for a in aside] == ["outside_root"]
        return
    with pytest.raises(UserError, match=message) as error:
        ManifestImporter(archive).candidates()
    assert str(archive / "manifest.csv") in str(error.value)
    assert "jane" not in str(error.value).lower()  # a header may be a name
    assert "\n" not in str(error.value)


def test_no_manifest(tmp_path):
    with pytest.raises(UserError, match="manifest.csv does not exist"):
        ManifestImporter(tmp_path).candidates()


def test_latin_1_table(archive):
    (archive / "manifest.csv").write_bytes("image,patient,note\nimages/a.png,P1,größer\n".encode("latin-1"))
    importer = ManifestImporter(archive)
    assert describe(importer, importer.candidates()[0][0]).extra["note"] == "größer"
