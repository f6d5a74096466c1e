"""CBIS-DDSM: what contradicts itself, leads elsewhere or is something else is set aside, or refused in one sentence."""

import re

import pydicom
import pytest
from cbis_release import MASS_TRAIN, UID, VIEW, Cbis, cases, importer_of, index, one_mass, write_release

from mammoseg.datasets.cbis_ddsm import CbisDdsmImporter
from mammoseg.dicom.read import read_header
from mammoseg.runtime.errors import Unusable, UserError

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
