"""CBIS-DDSM: a small release with its known traps, in every layout; what is expected is written down by hand."""

import logging
import os
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from cbis_release import COLUMNS, LAYOUTS, ROWS, UID, Cbis, box, without_preamble
from conftest import ROOT
from index_dataset import main
from snakemake.utils import update_config

from mammoseg.acceptance import Code
from mammoseg.datasets.cbis_ddsm import CbisDdsmImporter
from mammoseg.datasets.phantom import Site
from mammoseg.datasets.pictures import is_picture, read_picture
from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.dicom.read import read_header
from mammoseg.errors import Unusable, UserError
from mammoseg.files import read_csv
from mammoseg.indexing import candidate_of, index_release, write_index
from mammoseg.preparation import render_shard
from mammoseg.shard_rows import Image as ShardImage
from mammoseg.study import DataSet, Study

MASS_TRAIN = "mass_case_description_train_set.csv"


def importer_of(cbis: Cbis) -> CbisDdsmImporter:
    return CbisDdsmImporter(cbis.root)


def cases(root: Path) -> tuple[dict, dict]:
    """Case and masks by view; reasons by the name of what is set aside, at once or when it is described."""
    importer = importer_for("cbis_ddsm", root)
    found, aside = importer.candidates()
    reasons = {x.path: x.reason for x in aside}
    described = {}
    for c in found:
        name = f"{c.facts['patient']}_{c.facts['laterality']}_{c.facts['view']}"
        try:
            header = None if is_picture(c.image) else read_header(root / c.image)
            case = importer.describe(c, header)
            described[name] = case, list(importer.mass_masks(c, ROWS, COLUMNS))
        except Unusable as bad:
            reasons[name] = bad.reason
    return described, reasons


def write_release(root: Path, layout: str = "csv") -> Cbis:
    cbis = Cbis(root, layout)
    # Two masses with the numbers 2 and 3, crop and mask in one series and in two.
    series = cbis.abnormality(
        "P_00001", "LEFT", "CC", 2, pathology="BENIGN", assessment="3", shape="ROUND", subtlety="0"
    )
    cbis.abnormality("P_00001", "LEFT", "CC", 3, mask=box(50, 80, 20, 50), film_series=series, separate=True,
                     pathology="MALIGNANT", assessment="5", shape="IRREGULAR-ARCHITECTURAL_DISTORTION", margins="SPICULATED")  # fmt: skip
    # Crop and mask under each other's names.
    cbis.abnormality("P_00001", "LEFT", "MLO", 1, reversed_names=True)
    # Calcifications alone, two of them, and in one view with a mass: the tables of calcifications give it another series.
    series = cbis.abnormality("P_00002", "RIGHT", "CC", 1, kind="calc", shape="PLEOMORPHIC", margins="CLUSTERED", density="0",
                              pathology="BENIGN_WITHOUT_CALLBACK", assessment="2")  # fmt: skip
    cbis.abnormality("P_00002", "RIGHT", "CC", 4, kind="calc", film_series=series, shape="N/A", margins="LINEAR", density="2",
                     pathology="BENIGN_WITHOUT_CALLBACK", assessment="0")  # fmt: skip
    cbis.abnormality("P_00002", "RIGHT", "MLO", 1, mask=box(5, 15, 30, 40))
    cbis.abnormality("P_00002", "RIGHT", "MLO", 1, kind="calc", shape="AMORPHOUS", margins="REGIONAL", density="0",
                     pathology="MALIGNANT", assessment="5")  # fmt: skip
    # In the training table of masses and the test table of calcifications; and the reverse.
    cbis.abnormality("P_00003", "LEFT", "CC", 1)
    cbis.abnormality("P_00003", "RIGHT", "CC", 1, kind="calc", split="test")
    cbis.abnormality("P_00004", "LEFT", "CC", 1, split="test")
    cbis.abnormality("P_00004", "LEFT", "MLO", 1, kind="calc")
    # A mask of 0.87 times the size, both ways, and masks that were scaled unequally: of a mass, of a calcification.
    cbis.abnormality("P_00145", "LEFT", "CC", 1, mask=box(20, 40, 10, 30, (174, 87)), split="test")
    cbis.abnormality("P_00353", "LEFT", "CC", 2, mask=box(20, 40, 10, 30, (ROWS - 1, COLUMNS)), split="test")
    cbis.abnormality(
        "P_00353", "LEFT", "MLO", 2, kind="calc", mask=box(20, 40, 10, 30, (ROWS - 2, COLUMNS)), split="test"
    )
    # Files that are not there.
    cbis.abnormality("P_00005", "LEFT", "CC", 1, write=("full", "crop"))
    cbis.abnormality("P_00005", "LEFT", "MLO", 1, write=("full",))
    cbis.abnormality("P_00006", "LEFT", "CC", 1, write=("crop", "mask"))
    cbis.save()
    return cbis


@pytest.fixture(params=LAYOUTS)
def release(request, tmp_path) -> Cbis:
    """The release in each of its layouts."""
    return write_release(tmp_path / "CBIS", request.param)


def one_mass(tmp_path: Path, layout: str = "csv", **how) -> Cbis:
    """A release of one view with one mass."""
    cbis = Cbis(tmp_path / "CBIS", layout)
    cbis.abnormality("P_00001", "LEFT", "CC", 1, **how)
    cbis.save()
    return cbis


VIEW = "Mass-Training_P_00001_LEFT_CC"


def test_every_case(release):
    described, reasons = cases(release.root)
    got = {
        k: (c.key, c.n_masses, c.patient, c.study, c.laterality, c.view, c.extra["official_split"], c.extra["in_both_splits"])
        for k, (c, _) in described.items()
    }  # fmt: skip
    assert got == {
        k: (k, n_masses, k[:7], k[:7], *k[8:].split("_"), split, both)
        for k, n_masses, split, both in [
            ("P_00001_L_CC", 2, "train", "no"),
            ("P_00001_L_MLO", 1, "train", "no"),
            ("P_00002_R_CC", 0, "train", "no"),
            ("P_00002_R_MLO", 1, "train", "no"),
            ("P_00003_L_CC", 1, "train", "yes"),
            ("P_00003_R_CC", 0, "train", "yes"),  # the tables of masses decide for the whole patient
            ("P_00004_L_CC", 1, "test", "yes"),
            ("P_00004_L_MLO", 0, "test", "yes"),
            ("P_00145_L_CC", 1, "test", "no"),
            ("P_00353_L_MLO", 0, "test", "no"),  # masks of calcifications are not opened
        ]
    }
    assert all(c.pixel_spacing_mm is None for c, _ in described.values())
    second = release.files["Calc-Training_P_00002_RIGHT_MLO", "full"].relative_to(release.root).as_posix()
    assert reasons == {
        "P_00353_L_CC": "mask_size",
        "P_00005_L_CC": "bad_mask",  # the cropped image is no mask
        "P_00005_L_MLO": "missing_mask",
        "P_00006_LEFT_CC": "missing_file",
        second: "same_view",
    }
    assert "same_view" in CbisDdsmImporter.by_design


def test_the_image_is_the_one_of_the_table_of_masses(release):
    found = {
        c.facts["patient"] + c.facts["laterality"] + c.facts["view"]: c for c in importer_of(release).candidates()[0]
    }
    expected = release.files["Mass-Training_P_00002_RIGHT_MLO", "full"]
    assert release.root / found["P_00002RMLO"].image == expected


def test_the_film_of_the_calcifications_does_not_stand_in_for_a_missing_one(tmp_path):
    cbis = Cbis(tmp_path / "CBIS")
    cbis.abnormality("P_00001", "LEFT", "CC", 1, write=("crop", "mask"))
    cbis.abnormality("P_00001", "LEFT", "CC", 1, kind="calc")
    cbis.abnormality("P_00001", "LEFT", "MLO", 1)
    cbis.save()
    described, reasons = cases(cbis.root)
    assert reasons == {"P_00001_LEFT_CC": "missing_file"}
    assert list(described) == ["P_00001_L_MLO"]


def test_files_without_preamble_and_meta_group(tmp_path):
    cbis = one_mass(tmp_path)
    for path in cbis.files.values():
        without_preamble(path)
        assert path.read_bytes()[:4] == b"\x08\x00\x16\x00"  # it begins with SOPClassUID (0008,0016)
    case, (mask,) = cases(cbis.root)[0]["P_00001_L_CC"]
    assert case.n_masses == 1
    assert np.array_equal(mask, box(10, 20, 10, 20) > 0)


def test_what_is_carried_along(tmp_path):
    described, _ = cases(write_release(tmp_path / "CBIS").root)

    def extra(view):
        return {k: v for k, v in described[view][0].extra.items() if k != "mask_files"}

    assert extra("P_00001_L_CC") == {
        "official_split": "train", "in_both_splits": "no", "lesion_type": "mass", "pathology": "malignant", "birads": "5",
        "density": "3", "subtlety": "0;5", "mass_shape": "ROUND;IRREGULAR-ARCHITECTURAL_DISTORTION",
        "mass_margins": "N/A;SPICULATED",  # N/A is a word of the tables
        "calc_type": "", "calc_distribution": "", "n_calcifications": "0", "n_masks_resized": "0",
    }  # fmt: skip
    assert extra("P_00002_R_CC") == {
        "official_split": "train", "in_both_splits": "no", "lesion_type": "calcification",
        "pathology": "benign_without_callback", "birads": "2", "density": "2",  # of the second row: the first has 0, unknown
        "subtlety": "", "mass_shape": "", "mass_margins": "", "calc_type": "PLEOMORPHIC;N/A",
        "calc_distribution": "CLUSTERED;LINEAR", "n_calcifications": "2", "n_masks_resized": "0",
    }  # fmt: skip
    assert extra("P_00002_R_MLO") == {
        "official_split": "train", "in_both_splits": "no", "lesion_type": "both", "pathology": "malignant", "birads": "5",
        "density": "3", "subtlety": "5", "mass_shape": "OVAL", "mass_margins": "N/A", "calc_type": "AMORPHOUS",
        "calc_distribution": "REGIONAL", "n_calcifications": "1", "n_masks_resized": "0",
    }  # fmt: skip


def test_counts_of_the_tables(tmp_path, caplog):
    importer = importer_of(write_release(tmp_path / "CBIS"))
    with caplog.at_level(logging.INFO):
        importer.candidates()
    # Patients 1 to 6, 145 and 353. Masses: 2 + 1 of P_00001, P_00002, 3, 4, 145, 353, two views of 5, 6.
    assert importer.expected == {"patients": 8, "images with a mass": 10, "masses": 11}
    # Views: 2 each of 1, 2, 3, 4, 353, 5; 145 and 6. Without an image 6 (and its mass), without a mask one of 5.
    assert "name 14 views and 11 masses; files are here of 13 and 9" in caplog.text
    assert "2 patients are in a training and in a test table" in caplog.text
    assert not re.search(r"P_\d|\d\.\d+\.|LEFT", caplog.text)  # numbers, and nobody


def test_no_image_is_opened_to_find_the_images(release, monkeypatch):
    before = importer_of(release).candidates()
    for path in release.files.values():
        path.write_bytes(b"")
    monkeypatch.setattr(pydicom, "dcmread", None)
    assert importer_of(release).candidates() == before


def test_headers_are_read_once_and_only_of_files_in_unknown_folders(tmp_path, monkeypatch):
    cbis = write_release(tmp_path / "CBIS")
    before, _ = cases(cbis.root)
    moved = [p for (view, _), p in cbis.files.items() if "P_00001" in view]
    for k, path in enumerate(moved):
        (cbis.root / "flat").mkdir(exist_ok=True)
        path.rename(cbis.root / "flat" / f"{k}.dcm")
    read = []
    dcmread = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda path, **how: (read.append(path), dcmread(path, **how))[1])
    after, reasons = cases(cbis.root)
    assert sorted(read) == sorted((cbis.root / "flat").iterdir())
    assert after.keys() == before.keys()
    assert all(np.array_equal(a, b) for k in after for a, b in zip(after[k][1], before[k][1], strict=True))
    assert len(reasons) == 5


@pytest.mark.parametrize("series", [True, False])
def test_headers_name_the_series_or_the_patient(tmp_path, series):
    cbis = one_mass(tmp_path)
    for k, path in enumerate(cbis.files.values()):
        ds = pydicom.dcmread(path)
        if series:
            ds.PatientID = "removed"
        else:
            ds.SeriesInstanceUID = f"1.2.{k}"
        ds.save_as(cbis.root / f"{k}.dcm")
        without_preamble(cbis.root / f"{k}.dcm")
        path.unlink()
    (cbis.root / "report.dcm").write_bytes(b"no DICOM at all")
    assert list(cases(cbis.root)[0]) == ["P_00001_L_CC"]


def test_folders_of_other_uids_are_found_by_the_patient(tmp_path):
    cbis = write_release(tmp_path / "CBIS")
    before, _ = cases(cbis.root)
    for folder in (cbis.root / "CBIS-DDSM").glob("*/*/*"):
        folder.rename(folder.with_name("1.2." + folder.name.rsplit(".", 1)[-1]))
    after, _ = cases(cbis.root)
    assert {k: c.n_masses for k, (c, _) in after.items()} == {k: c.n_masses for k, (c, _) in before.items()}


def test_a_table_that_lies_at_two_places_counts_once(tmp_path, caplog):
    cbis = write_release(tmp_path / "CBIS")
    before = importer_of(cbis).candidates()
    again = (cbis.root / MASS_TRAIN).read_text()
    (cbis.root / "tables").mkdir()
    (cbis.root / "tables" / MASS_TRAIN).write_text(again.replace("SPICULATED", "OBSCURED"))
    assert importer_of(cbis).candidates() == before
    assert "8 rows of the tables repeat an abnormality" in caplog.text  # 3 of P_00001, 1 each of 2, 3, 6, 2 of 5


def test_tables_of_masses_alone(tmp_path, caplog):
    cbis = write_release(tmp_path / "CBIS")
    for split in ("train", "test"):
        (cbis.root / f"calc_case_description_{split}_set.csv").unlink()
    described, reasons = cases(cbis.root)
    assert sorted(described) == ["P_00001_L_CC", "P_00001_L_MLO", "P_00002_R_MLO", "P_00003_L_CC", "P_00004_L_CC", "P_00145_L_CC"]  # fmt: skip
    assert "same_view" not in reasons.values()
    assert described["P_00003_L_CC"][0].extra["in_both_splits"] == "no"
    for split in ("train", "test"):
        assert f"there is no table calc_case_description_{split}_set.csv" in caplog.text


PATH = f"{VIEW}_1/{UID}.2/{UID}.3.2/000000.dcm"


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        (0, "", "no_patient"),
        (0, "P_00009", "bad_row"),  # another patient than in its paths
        (2, "BOTH", "bad_laterality"),
        (2, "RIGHT", "bad_row"),
        (3, "AXL", "unknown_view"),
        (4, "2", "bad_row"),
        (11, "../../../etc/passwd", "bad_row"),
        (11, "/etc/passwd", "bad_row"),
        (11, "", "bad_row"),
        (13, "../" + PATH, "bad_row"),
        (13, PATH.rpartition("/")[0], "bad_row"),
        (13, PATH.replace("_1/", "_2/"), "bad_row"),
        (13, PATH.replace(f"{UID}.3.2", "CBIS-DDSM"), "bad_row"),  # a folder that holds everything
        (13, PATH.replace("P_00001", "P_0\0001"), "bad_row"),
    ],
)
def test_rows_that_contradict_themselves(tmp_path, column, cell, reason):
    cbis = Cbis(tmp_path / "CBIS")
    cbis.abnormality("P_00001", "LEFT", "CC", 1)
    cbis.abnormality("P_00002", "LEFT", "CC", 1)
    cbis.tables["mass", "train"][0][column] = cell
    described, reasons = cases(cbis.save())
    assert list(described) == ["P_00002_L_CC"]
    assert list(reasons.values()) == [reason]


def test_one_image_under_two_patients(tmp_path):
    cbis = Cbis(tmp_path / "CBIS", "rest")
    series = cbis.abnormality("P_00001", "LEFT", "CC", 1)
    cbis.abnormality("P_00002", "LEFT", "CC", 1, film_series=series)
    cbis.abnormality("P_00003", "LEFT", "CC", 1)
    described, reasons = cases(cbis.save())
    assert list(described) == ["P_00003_L_CC"]
    assert reasons == {cbis.files[VIEW, "full"].relative_to(cbis.root).as_posix(): "two_views"}


def test_explanations_name_no_one(tmp_path):
    cbis = write_release(tmp_path / "CBIS")
    cbis.tables["mass", "train"][0][3] = "Xanthippe"
    cbis.save()
    importer = importer_of(cbis)
    found, aside = importer.candidates()
    said = [x.explanation for x in aside]
    for c in found:
        try:
            importer.describe(c, read_header(cbis.root / c.image))
        except Unusable as bad:
            said.append(bad.explanation)
    assert len(said) == 6
    assert not [s for s in said if re.search(r"P_\d|1\.3|Xanthippe|LEFT", s)]


def test_same_order_whatever_the_disk_says(tmp_path, monkeypatch):
    cbis = write_release(tmp_path / "CBIS")
    first = importer_of(cbis).candidates()
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda top, **how: ((f, d, n[::-1]) for f, d, n in list(walk(top, **how))[::-1]))
    assert importer_of(cbis).candidates() == first


def test_same_order_whatever_the_tables_say(tmp_path):
    cbis = write_release(tmp_path / "CBIS")
    first = importer_of(cbis).candidates()
    for rows in cbis.tables.values():
        rows.reverse()
    cbis.save()
    assert importer_of(cbis).candidates() == first


def index(root: Path):
    return index_release(CbisDdsmImporter(root), dataset="cbis", site="cbis", key=b"k" * 32, code=Code("1", frozenset({"1"})),
                         seen=[], rendered_sha256={}.get)  # fmt: skip


def test_the_index(release, tmp_path):
    made = index(release.root)
    assert sorted(x.reason for x in made.excluded) == [
        "bad_mask",
        "mask_size",
        "missing_file",
        "missing_mask",
        "same_view",
    ]
    write_index(made, tmp_path / "public", tmp_path / "private")
    rows = read_csv(tmp_path / "public/index.csv")
    assert sorted((r["official_split"], r["in_both_splits"], r["n_masses"], r["mass_margins"]) for r in rows) == [
        ("test", "no", "0", ""), ("test", "no", "1", "N/A"), ("test", "yes", "0", ""), ("test", "yes", "1", "N/A"),
        ("train", "no", "0", ""), ("train", "no", "1", "N/A"), ("train", "no", "1", "N/A"), ("train", "no", "2", "N/A;SPICULATED"),
        ("train", "yes", "0", ""), ("train", "yes", "1", "N/A"),
    ]  # fmt: skip
    assert "n_masks_resized" in rows[0]
    public = b"".join(p.read_bytes() for p in (tmp_path / "public").iterdir())
    assert not re.search(rb"P_0|1\.3\.6|\.dcm|jpg", public)  # neither patients nor files
    assert b"mask_files" in (tmp_path / "private/seen.jsonl").read_bytes()
    # The masks that are rendered later, from what the index left, are the same.
    importer = CbisDdsmImporter(release.root)
    masses = [
        list(importer.mass_masks(candidate_of(s), ROWS, COLUMNS)) for s in read_csv(tmp_path / "private/sources.csv")
    ]
    assert [str(len(m)) for m in masses] == [r["n_masses"] for r in rows]


@pytest.mark.parametrize("where", [{}, {"official_split": "train"}])
def test_a_chosen_part_of_the_release_is_not_compared_with_the_whole(tmp_path, caplog, where):
    root = write_release(tmp_path / "CBIS").root
    dataset = DataSet("cbis", "cbis_ddsm", root, "train", "cbis", True, None, max_excluded=1, where=where)
    main(dataset, tmp_path / "public", tmp_path / "private" / "cbis", False, Code("1", frozenset({"1"})), 1)
    # Usable are 10 views of patients 1 to 4, 145 and 353, 6 of them with 7 masses.
    whole = "8 patients, here 6, 10 images with a mass, here 6, 11 masses, here 7"
    assert (f"differs from what is known of the whole: {whole}" in caplog.text) == (not where)
    assert ("differs" in caplog.text) == (not where)


def test_links_that_leave_the_root(tmp_path):
    cbis = Cbis(tmp_path / "CBIS")
    for k in range(1, 5):
        cbis.abnormality(f"P_0000{k}", "LEFT", "CC", 1)
    root = cbis.save()

    def move_out(patient, what):
        path = cbis.files[f"Mass-Training_{patient}_LEFT_CC", what]
        out = tmp_path / f"{patient}_{what}.dcm"
        path.rename(out)
        path.symlink_to(out)
        return path

    move_out("P_00001", "full")
    move_out("P_00002", "mask1")
    hidden = move_out("P_00003", "full")
    hidden.rename(root / "flat.dcm")  # would be found by its header
    assert sorted(x.reason for x in index(root).excluded) == ["missing_file", "outside_root", "outside_root"]
    (root / MASS_TRAIN).rename(tmp_path / MASS_TRAIN)
    (root / MASS_TRAIN).symlink_to(tmp_path / MASS_TRAIN)
    with pytest.raises(UserError, match="is a link that leaves the data root"):
        CbisDdsmImporter(root).candidates()


@pytest.mark.parametrize("what", ["full", "mask1"])
@pytest.mark.parametrize("layout", ["csv", "jpeg"])
def test_decompression_bombs(tmp_path, layout, what):
    cbis = Cbis(tmp_path / "CBIS", layout)
    cbis.abnormality("P_00001", "LEFT", "CC", 1)
    cbis.abnormality("P_00002", "LEFT", "CC", 1)
    path = cbis.files[VIEW, what]
    if layout == "jpeg":
        data = path.read_bytes()
        at = data.index(b"\xff\xc0") + 5  # marker SOF0: length, precision, then height and width
        path.write_bytes(data[:at] + b"\xff\xdc\xff\xdc" + data[at + 4 :])  # 65500 x 65500
    else:
        ds = pydicom.dcmread(path)
        ds.Rows = ds.Columns = 65500
        ds.save_as(path)
    (aside,) = index(cbis.save()).excluded
    assert aside.reason == ("too_large" if what == "full" else "bad_mask")
    assert "it claims more than 100 million pixels" in aside.explanation


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "has no column 'patient_id'"),
        (b"\0" * 64, "has no column 'patient_id'|is empty"),
        ("utf-16", "has no column 'patient_id'"),
        (b'"unclosed', "is not a well-formed CSV"),
        ("cell", "is not a well-formed CSV"),
    ],
)
def test_a_table_that_is_none_is_refused_by_name(tmp_path, content, message):
    cbis = write_release(tmp_path / "CBIS")
    table = cbis.root / MASS_TRAIN
    if content == "utf-16":
        content = table.read_text().encode("utf-16")
    elif content == "cell":
        content = table.read_bytes().replace(b"ROUND", b"X" * 10_000_000)
    table.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        importer_of(cbis).candidates()
    assert str(table) in str(error.value)
    assert "\n" not in str(error.value)


def test_other_encodings_and_line_ends(tmp_path):
    cbis = write_release(tmp_path / "CBIS")
    before = importer_of(cbis).candidates()
    table = cbis.root / MASS_TRAIN
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    assert importer_of(cbis).candidates() == before
    table.write_bytes(table.read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"ROUND", b"R\xd6ND"))  # Latin-1
    assert cases(cbis.root)[0]["P_00001_L_CC"][0].extra["mass_shape"].startswith("RÖND;")


def test_tables_of_others_are_left_alone(tmp_path):
    cbis = write_release(tmp_path / "CBIS")
    before = importer_of(cbis).candidates()
    (cbis.root / "metadata.csv").write_bytes(b'"' + b"\0" * 200_000)
    assert importer_of(cbis).candidates() == before


def test_not_a_release(tmp_path):
    with pytest.raises(UserError, match="does not exist; expected there: the CBIS-DDSM release"):
        CbisDdsmImporter(tmp_path / "absent").candidates()
    with pytest.raises(UserError, match="holds no table of cases; expected there: the CBIS-DDSM release"):
        CbisDdsmImporter(tmp_path).candidates()
    cbis = one_mass(tmp_path, write=())
    with pytest.raises(UserError, match="holds none of the images that its tables name"):
        importer_of(cbis).candidates()


def test_an_image_that_is_no_mammogram(tmp_path):
    cbis = one_mass(tmp_path)
    path = cbis.files[VIEW, "full"]
    ds = pydicom.dcmread(path)
    ds.Modality = "CT"
    ds.SOPClassUID = pydicom.uid.CTImageStorage
    ds.save_as(path)
    assert cases(cbis.root) == ({}, {"P_00001_L_CC": "not_mammography"})


@pytest.mark.parametrize("example", ["cbis_ddsm", "cbis_to_inbreast"])
def test_the_ready_studies_show_films_of_16_bits_with_their_tissue(tmp_path, config, schema, example):
    cbis = one_mass(tmp_path)
    path = cbis.files[VIEW, "full"]
    ds = pydicom.dcmread(path)
    site = Site("oulu", 3, ROWS, COLUMNS)
    ds.PixelData = next(iter(site.images(site.patient(1)))).stored(65535).tobytes()
    ds.save_as(path)
    update_config(config, yaml.safe_load((ROOT / f"config/examples/{example}.yaml").read_text()))
    study = Study(config, schema)
    importer = importer_for("cbis_ddsm", cbis.root)
    how = {"dataset": "d", "site": "s", "key": b"k" * 32, "code": Code("1", frozenset({"1"})), "seen": []}
    index = index_release(importer, **how, rendered_sha256={}.get)
    row = {k: str(v) for k, v in index.rows[0].items()}
    missing = MissingWindowing(study.injection_recipe())
    recipe = {**study.render_recipe(), "side": 128}
    render_shard(
        [ShardImage(row, index.sources[0])], importer, None, tmp_path / "png", recipe, how["code"], 1, missing=missing
    )
    shown = read_picture(tmp_path / "png" / f"{row['image_id']}.png")
    breast = shown[shown > 0]
    assert (breast == 65535).mean() < 0.1
    assert len(np.unique(breast)) > 1000
