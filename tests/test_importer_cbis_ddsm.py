"""CBIS-DDSM: a small release with its known traps, in every layout; what is expected is written down by hand."""

from pathlib import Path

import numpy as np
import pytest
from cbis_release import COLUMNS, LAYOUTS, ROWS, Cbis, box

from mammoseg.datasets.cbis_ddsm import CbisDdsmImporter
from mammoseg.datasets.pictures import is_picture
from mammoseg.dicom.read import read_header
from mammoseg.errors import Unusable, UserError


def cases(root: Path) -> tuple[dict, dict]:
    """Candidate, case and masks by key; reasons by the name of what is set aside, at once or when it is described."""
    importer = CbisDdsmImporter(root)
    found, aside = importer.candidates()
    reasons = {x.path: x.reason for x in aside}
    described = {}
    for c in found:
        name = f"{c.facts['patient']}_{c.facts['laterality']}_{c.facts['view']}"
        try:
            case = importer.describe(c, None if is_picture(c.image) else read_header(root / c.image))
            described[name] = case, importer.mass_masks(c, ROWS, COLUMNS)
        except Unusable as bad:
            reasons[name] = bad.reason
    return described, reasons


def whole_release(root: Path, layout: str) -> Path:
    cbis = Cbis(root, layout)
    # Two masses with the numbers 2 and 3, crop and mask in one series and in two.
    film = cbis.abnormality("P_00001", "LEFT", "CC", 2, pathology="BENIGN", assessment="3", shape="ROUND")
    cbis.abnormality("P_00001", "LEFT", "CC", 3, mask=box(50, 80, 20, 50), film_series=film, separate=True,
                     pathology="MALIGNANT", assessment="5", shape="IRREGULAR-ARCHITECTURAL_DISTORTION", margins="SPICULATED")  # fmt: skip
    # Crop and mask under each other's names.
    cbis.abnormality("P_00001", "LEFT", "MLO", 1, reversed_names=True)
    # Calcifications alone, and in one view with a mass, which the tables of calcifications give another series.
    cbis.abnormality("P_00002", "RIGHT", "CC", 1, kind="calc", shape="PLEOMORPHIC", margins="CLUSTERED", pathology="BENIGN_WITHOUT_CALLBACK")  # fmt: skip
    cbis.abnormality("P_00002", "RIGHT", "MLO", 1, mask=box(5, 15, 30, 40))
    cbis.abnormality(
        "P_00002", "RIGHT", "MLO", 1, kind="calc", shape="AMORPHOUS", margins="N/A", density="0", assessment="4"
    )
    # In the training table of masses and the test table of calcifications.
    cbis.abnormality("P_00003", "LEFT", "CC", 1)
    cbis.abnormality("P_00003", "RIGHT", "CC", 1, kind="calc", split="test")
    cbis.abnormality("P_00004", "LEFT", "CC", 1, split="test")
    # A mask of 0.87 times the size, both ways, and one that was scaled unequally.
    small = box(20, 40, 10, 30, (174, 87))
    cbis.abnormality("P_00145", "LEFT", "CC", 1, mask=small, split="test")
    cbis.abnormality("P_00353", "LEFT", "CC", 2, mask=box(20, 40, 10, 30, (ROWS - 1, COLUMNS)), split="test")
    # Files that are not there.
    cbis.abnormality("P_00005", "LEFT", "CC", 1, write=("full", "crop"))
    cbis.abnormality("P_00005", "LEFT", "MLO", 1, write=("full",))
    cbis.abnormality("P_00006", "LEFT", "CC", 1, write=("crop", "mask"))
    return cbis.save()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_case(tmp_path, layout):
    described, reasons = cases(whole_release(tmp_path / "CBIS", layout))
    got = {
        k: (c.n_masses, c.patient, c.laterality, c.view, c.extra["official_split"]) for k, (c, _) in described.items()
    }
    assert got == {
        "P_00001_L_CC": (2, "P_00001", "L", "CC", "train"),
        "P_00001_L_MLO": (1, "P_00001", "L", "MLO", "train"),
        "P_00002_R_CC": (0, "P_00002", "R", "CC", "train"),
        "P_00002_R_MLO": (1, "P_00002", "R", "MLO", "train"),
        "P_00003_L_CC": (1, "P_00003", "L", "CC", "train"),
        "P_00003_R_CC": (0, "P_00003", "R", "CC", "train"),  # the tables of masses decide for the whole patient
        "P_00004_L_CC": (1, "P_00004", "L", "CC", "test"),
        "P_00145_L_CC": (1, "P_00145", "L", "CC", "test"),
    }
    assert reasons == {
        "P_00353_L_CC": "mask_size",
        "P_00005_L_CC": "bad_mask",  # the cropped image is no mask
        "P_00005_L_MLO": "missing_mask",
        "P_00006_LEFT_CC": "missing_file",
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_pixel_for_pixel(tmp_path, layout):
    described, _ = cases(whole_release(tmp_path / "CBIS", layout))
    first, second = described["P_00001_L_CC"][1]
    slack = 40 if layout == "jpeg" else 0  # its edges are blurred
    assert (first ^ (box(10, 20, 10, 20) > 0)).sum() <= slack
    assert (second ^ (box(50, 80, 20, 50) > 0)).sum() <= slack
    (swapped,) = described["P_00001_L_MLO"][1]
    assert (swapped ^ (box(10, 20, 10, 20) > 0)).sum() <= slack
    (scaled,) = described["P_00145_L_CC"][1]
    # Row r of the image lies over row floor(0.87 (r + 0.5)) of the mask, and its columns likewise.
    rows = [r for r in range(ROWS) if 20 <= int((r + 0.5) * 0.87) < 40]
    columns = [c for c in range(COLUMNS) if 10 <= int((c + 0.5) * 0.87) < 30]
    expected = box(rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) > 0
    assert (scaled ^ expected).sum() <= 2 * slack


def test_what_is_carried_along(tmp_path):
    described, _ = cases(whole_release(tmp_path / "CBIS", "csv"))
    both = described["P_00001_L_CC"][0].extra
    assert both["pathology"] == "malignant"
    assert both["birads"] == "5"
    assert both["mass_shape"] == "ROUND;IRREGULAR-ARCHITECTURAL_DISTORTION"
    assert both["mass_margins"] == "N/A;SPICULATED"  # a word of the tables, no missing value
    assert (both["lesion_type"], both["n_calcifications"]) == ("mass", "0")
    calcifications = described["P_00002_R_CC"][0].extra
    assert calcifications["pathology"] == "benign_without_callback"
    assert (calcifications["calc_type"], calcifications["calc_distribution"]) == ("PLEOMORPHIC", "CLUSTERED")
    assert (calcifications["lesion_type"], calcifications["n_calcifications"]) == ("calcification", "1")
    assert described["P_00002_R_MLO"][0].extra["lesion_type"] == "both"
    assert described["P_00002_R_MLO"][0].extra["density"] == "3"  # that of the first row that gives one


def test_counts_of_the_tables_are_known(tmp_path):
    importer = CbisDdsmImporter(whole_release(tmp_path / "CBIS", "csv"))
    importer.candidates()
    assert importer.expected == {"images with a mass": 10, "masses": 11}


def test_series_are_found_by_their_headers_where_no_folder_helps(tmp_path):
    root = whole_release(tmp_path / "CBIS", "csv")
    before, _ = cases(root)
    for k, path in enumerate(sorted(root.rglob("*.dcm"))):
        target = root / "flat" / f"{k}.dcm"
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    after, reasons = cases(root)
    assert after.keys() == before.keys()
    assert all(np.array_equal(a, b) for k in after for a, b in zip(after[k][1], before[k][1], strict=True))
    assert len(reasons) == 4


def test_a_path_of_the_tables_is_only_a_name(tmp_path):
    cbis = Cbis(tmp_path / "CBIS")
    cbis.abnormality("P_00001", "LEFT", "CC", 1)
    cbis.abnormality("P_00002", "LEFT", "CC", 1)
    cbis.tables["mass", "train"][1][11] = "../../../etc/passwd"
    cbis.tables["mass", "train"][1][13] = "/etc/passwd"
    described, reasons = cases(cbis.save())
    assert list(described) == ["P_00001_L_CC"]
    assert reasons == {"P_00002_LEFT_CC": "missing_file"}


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\0\0\0"])
def test_not_a_release(tmp_path, content):
    (tmp_path / "mass_case_description_train_set.csv").write_text(content)
    with pytest.raises(UserError, match=r"table|CBIS"):
        CbisDdsmImporter(tmp_path).candidates()


def test_a_cell_of_ten_megabytes_is_refused_by_name(tmp_path):
    cbis = Cbis(tmp_path / "CBIS")
    cbis.abnormality("P_00001", "LEFT", "CC", 1, shape="X" * 10_000_000)
    with pytest.raises(UserError, match=r"mass_case_description_train_set\.csv is not a well-formed CSV"):
        CbisDdsmImporter(cbis.save()).candidates()
