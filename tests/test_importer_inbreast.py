"""INbreast: a small release with its known traps; what is expected is written down by hand."""

import logging
import os
import plistlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import xlwt
from dicom_files import ramp, write_dicom

from mammoseg.datasets.importer import SetAside
from mammoseg.datasets.inbreast import InbreastImporter, read_regions
from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.read import read_header
from mammoseg.runtime.errors import Unusable, UserError

ALICE, BERTA = "6c613a14b80a8591", "0b7396cdccacca82"
ROWS, COLUMNS = 60, 40
HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
BOX = [(10, 20), (15, 20), (15, 30), (10, 30)]  # x, y


def roi(points, name: str | None = "Mass") -> dict:
    texts = [f"({x:.6f}, {y:.6f})" for x, y in points]
    return {
        "Area": 1.0, "Center": "(0.0, 0.0)", "Dev": 0.0, "IndexInImage": 0, "Max": 0.0, "Mean": 0.0, "Min": 0.0,
        **({} if name is None else {"Name": name}),
        "NumberOfPoints": len(points), "Point_mm": ["(1.0, 2.0, 3.0)"] * len(points), "Point_px": texts, "Total": 0.0, "Type": 15,
    }  # fmt: skip


def write_xml(path: Path, rois: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]}, sort_keys=True)
    )


def write_image(path: Path, **attributes) -> None:
    """As the release's files: Modality OT, 16 bits stored of which about 12 are used, no windowing, no position."""
    pixels = ramp(ROWS, COLUMNS, 2970)
    write_dicom(path, pixels, bits=16, Modality="OT", PatientID="", **attributes)


def name(number: int, patient: str, side: str, view: str) -> str:
    return f"{number}_{patient}_MG_{side}_{view}_ANON.dcm"


@pytest.fixture
def release(tmp_path) -> Path:
    root = tmp_path / "INbreast Release 1.0"
    dicoms, xmls = root / "AllDICOMs", root / "AllXML"
    write_image(dicoms / name(20000001, ALICE, "R", "CC"))
    write_image(dicoms / name(20000002, ALICE, "R", "ML"))
    write_image(dicoms / name(20000003, ALICE, "L", "CC"))  # her second visit, no XML
    write_image(dicoms / name(20000004, BERTA, "L", "ML"))
    write_image(dicoms / name(20000005, BERTA, "L", "FB"))
    write_image(dicoms / name(20000006, BERTA, "R", "CC"))  # broken XML
    (dicoms / ("._" + name(20000001, ALICE, "R", "CC"))).write_bytes(b"left by macOS")
    write_image(dicoms / "notes.dcm")
    (root / "INbreast.csv").write_text(
        "\r\n".join(
            [
                HEADER,
                "removed;removed;R;CC;201001;20000001;2;5",
                "removed;removed;R;MLO;201001;20000002; 3 ;4a",
                "removed;removed;L;CC;201101;20000003;    ;1",
                "removed;removed;L;MLO;200801;20000004;1;6",
                "removed;removed;L;FB;200801;20000005;1;2",
                "removed;removed;R;CC;200801;20000006;1;2",
                ";;;;;;;",
                ";;;;;Total: 410;;",
            ]
        )
    )
    write_xml(
        xmls / "20000001.xml",
        [
            roi(BOX),
            roi([(3.2, 5.4)], " mass "),  # one point
            roi([], "Mass"),  # none
            roi(BOX, None),  # no name
            roi(BOX, "Espiculated Region"),
            roi(BOX, "Calcification"),
        ],
    )
    write_xml(xmls / "20000002.xml", [roi([(35, 50), (COLUMNS + 80, 50), (COLUMNS + 80, 55), (35, 55)], "MASS")])
    write_xml(xmls / "20000004.xml", [roi(BOX, "Cluster"), roi(BOX, "Unnamed")])
    (xmls / "20000006.xml").write_text("<plist><dict><key>Images</key>")
    pectoral = root / "PectoralMuscle" / "Pectoral Muscle XML"
    write_xml(pectoral / "20000003_muscle.xml", [roi(BOX, "Pectoral Muscle")])
    write_xml(pectoral / "20000003.xml", [roi(BOX, "Mass")])  # must not be taken for a lesion
    (pectoral / "20000004.xml").write_bytes(plistlib.dumps({"ROIPoints": ["{1.0, -2.0}"]}))
    return root


def cases(importer) -> tuple[dict, dict]:
    """Cases by key, and reasons by file name, as the index makes them."""
    found, aside = importer.candidates()
    reasons = {Path(a.path).name: a.reason for a in aside}
    described = {}
    for c in found:
        try:
            case = importer.describe(c, read_header(importer.root / c.image))
            described[case.key] = (c, case)
        except Unusable as bad:
            reasons[Path(c.image).name] = bad.reason
    return described, reasons


def test_cases_and_exclusions(release):
    described, reasons = cases(importer_for("inbreast", release))
    got = {
        key: (
            c.patient,
            c.study,
            c.laterality,
            c.view,
            c.pixel_spacing_mm,
            c.n_masses,
            c.extra["birads"],
            c.extra["density"],
        )
        for key, (_, c) in described.items()
    }
    assert got == {
        "20000001": (ALICE, f"{ALICE}_201001", "R", "CC", None, 2, "5", "2"),
        "20000002": (ALICE, f"{ALICE}_201001", "R", "MLO", None, 1, "4a", "3"),
        "20000003": (ALICE, f"{ALICE}_201101", "L", "CC", None, 0, "1", ""),
        "20000004": (BERTA, f"{BERTA}_200801", "L", "MLO", None, 0, "6", "1"),
    }
    assert reasons == {
        name(20000005, BERTA, "L", "FB"): "view_from_below",
        name(20000006, BERTA, "R", "CC"): "bad_annotation",
        "notes.dcm": "unknown_name",
    }


def test_annotations_are_the_lesion_xmls_only(release):
    described, _ = cases(InbreastImporter(release))
    assert {key: c.annotations for key, (c, _) in described.items()} == {
        "20000001": ("AllXML/20000001.xml",),
        "20000002": ("AllXML/20000002.xml",),
        "20000003": (),
        "20000004": ("AllXML/20000004.xml",),
    }


def test_masks(release):
    importer = InbreastImporter(release)
    described, _ = cases(importer)
    box, point = importer.mass_masks(described["20000001"][0], ROWS, COLUMNS)
    expected = np.zeros((ROWS, COLUMNS), bool)
    expected[20:31, 10:16] = True  # rows are y, columns are x
    assert np.array_equal(box, expected)
    assert np.argwhere(point).tolist() == [[5, 3]]
    (cut,) = importer.mass_masks(described["20000002"][0], ROWS, COLUMNS)
    expected[:] = False
    expected[50:56, 35:] = True
    assert np.array_equal(cut, expected)
    assert list(importer.mass_masks(described["20000003"][0], ROWS, COLUMNS)) == []
    assert list(importer.mass_masks(described["20000004"][0], ROWS, COLUMNS)) == []


def test_number_of_masses_is_number_of_masks(release):
    write_xml(
        release / "AllXML" / "20000003.xml", [roi([(500, 500)]), roi([(500, 500), (510, 500), (505, 510)]), roi(BOX)]
    )
    importer = InbreastImporter(release)
    described, _ = cases(importer)
    for candidate, case in described.values():
        assert case.n_masses == len(list(importer.mass_masks(candidate, ROWS, COLUMNS)))
    assert described["20000003"][1].n_masses == 1  # two lie outside the image altogether


@pytest.mark.parametrize(
    ("size", "spacing"), [((4084, 3328), 0.07), ((3328, 2560), 0.07), ((3328, 2561), None), ((2560, 3328), None)]
)
def test_pixel_size_is_known_of_the_two_released_formats_only(release, size, spacing):
    importer = InbreastImporter(release)
    candidate = importer.candidates()[0][0]
    header = read_header(release / candidate.image)
    header.Rows, header.Columns = size
    assert importer.describe(candidate, header).pixel_spacing_mm == spacing
    header.PixelSpacing = [0.1, 0.1]
    assert importer.describe(candidate, header).pixel_spacing_mm == 0.1


@pytest.mark.parametrize("change", ["nested", "ALL-IMGS", "no table", "comma", "marked", "xls names", "xls"])
def test_mirrors_layouts(release, change, caplog):
    root = release
    table = release / "INbreast.csv"
    if change == "nested":
        root = release.parent / "mirror"
        root.mkdir()
        release.rename(root / "INbreast Release 1.0")
    elif change == "ALL-IMGS":
        (release / "AllDICOMs").rename(release / "ALL-IMGS")
    elif change == "no table":
        table.unlink()
    elif change == "comma":
        table.write_text(table.read_text().replace(";", ","))
    elif change == "marked":
        table.write_text(table.read_text(), encoding="utf-8-sig")
    elif change == "xls names":  # as an export of the xls: spaces in headers, file names as floats
        text = table.read_text().replace("Bi-Rads", "Bi-Rads ").replace("20000001;", "20000001.0;")
        table.write_text(text)
    elif change == "xls":  # numbers are floats there, a header ends in a space, and two lines of totals come last
        book = xlwt.Workbook()
        sheet = book.add_sheet("INbreast")
        for i, line in enumerate(line for line in table.read_text().splitlines() if "Total" not in line):
            for j, cell in enumerate([*line.split(";"), "Mass " if i == 0 else "X"]):
                sheet.write(i, j, float(cell) if cell.strip().isdigit() else cell)
        for k, words in enumerate(("Mass: 116", "Normal: 67")):
            sheet.write(i + 1 + k, 5, words)
        book.save(str(table.with_suffix(".xls")))
        table.unlink()
    with caplog.at_level(logging.WARNING):
        described, reasons = cases(InbreastImporter(root))
    assert sorted(described) == ["20000001", "20000002", "20000003", "20000004"]
    assert len(reasons) == 3
    case = described["20000001"][1]
    if change == "no table":
        assert (case.study, case.extra["birads"]) == (ALICE, "")
        assert "neither INbreast.csv nor .xls" in caplog.text
    else:
        assert (case.study, case.extra["birads"]) == (f"{ALICE}_201001", "5")


def test_second_copy_of_an_image_is_set_aside(release):
    write_image(release / "ALL-IMGS" / name(20000001, ALICE, "R", "CC"))
    _, aside = InbreastImporter(release).candidates()
    assert (
        SetAside(
            "AllDICOMs/" + name(20000001, ALICE, "R", "CC"),
            "duplicate",
            "the release holds this image at another place too",
        )
        in aside
    )


def test_same_order_whatever_the_disk_says(release, monkeypatch):
    first = InbreastImporter(release).candidates()
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda top, **how: ((f, d, n[::-1]) for f, d, n in list(walk(top, **how))[::-1]))
    assert InbreastImporter(release).candidates() == first


def no_entry(monkeypatch, closed: Path) -> None:
    """As another user finds a folder of mode 000."""
    scandir = os.scandir

    def refuse(path="."):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_outlines_that_cannot_be_read_are_not_taken_for_none(release, monkeypatch, caplog, tmp_path):
    (release / "lost+found").mkdir()  # where the root is a disk of its own
    no_entry(monkeypatch, release / "lost+found")
    before = InbreastImporter(release).candidates()
    no_entry(monkeypatch, release / "AllXML")
    with pytest.raises(
        UserError, match=r"a folder in .* cannot be read \(Permission denied\); check the rights"
    ) as said:
        InbreastImporter(release).candidates()
    assert "AllXML" not in str(said.value)  # a folder may be named after a patient
    monkeypatch.undo()
    assert InbreastImporter(release).candidates() == before
    assert not caplog.records
    (release / "AllXML").rename(tmp_path / "elsewhere")
    (release / "AllXML").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="holds no XML with outlines of masses"):
        InbreastImporter(release).candidates()
    assert len(caplog.records) == 1  # though a release is walked through several times
    assert "1 folders of the release are links, which are not entered" in caplog.text
    assert str(release) not in caplog.text


def test_wrong_roots(tmp_path, release):
    with pytest.raises(UserError, match="does not exist; expected there: an INbreast release"):
        InbreastImporter(tmp_path / "absent").candidates()
    with pytest.raises(UserError, match="is not a folder"):
        InbreastImporter(release / "INbreast.csv").candidates()
    with pytest.raises(UserError, match="holds no INbreast image"):
        InbreastImporter(release / "AllXML").candidates()
    (release / "INbreast.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="no column 'File Name'; put the release's own there"):
        InbreastImporter(release).candidates()


BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<plist version="1.0"><dict><key>Images</key><array><dict><key>ROIs</key><array><dict><key>Name</key><string>&b;</string>
<key>Point_px</key><array><string>(1, 2)</string></array></dict></array></dict></array></dict></plist>"""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        BOMB,
        plistlib.dumps({"ROIPoints": ["{1.0, 2.0}"]}),
        plistlib.dumps({"Images": [{"ROIs": "none"}]}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["(1.0)"]}]}]}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["(1e999, 2)"]}]}]}),
        plistlib.dumps({"Images": [{"ROIs": [{"Name": "Mass", "Point_px": [3]}]}]}),
        plistlib.dumps({"Images": []}, fmt=plistlib.FMT_BINARY),
    ],
)
def test_annotations_that_cannot_be_read(tmp_path, content):
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(Unusable) as bad:
        read_regions(tmp_path / "a.xml")
    assert bad.value.reason == "bad_annotation"


def test_points_of_odd_spelling(tmp_path, caplog):
    rois = [{"Name": "Mass", "NumberOfPoints": 7, "Point_px": ["(1,-2.5)", "( 3e0 ,4, 5)"]}]
    (tmp_path / "a.xml").write_bytes(plistlib.dumps({"Images": [{"ROIs": rois}]}))
    ((region, points),) = read_regions(tmp_path / "a.xml")
    assert region == "mass"
    assert points.tolist() == [[1, -2.5], [3, 4]]
    assert "another number of points" in caplog.text


def test_images_that_are_no_mammograms(release):
    write_dicom(release / "AllDICOMs" / name(20000007, BERTA, "R", "ML"), ramp(ROWS, COLUMNS), Modality="CT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, reasons = cases(InbreastImporter(release))
    assert reasons[name(20000007, BERTA, "R", "ML")] == "not_mammography"


def test_a_table_that_is_a_link_out_of_the_release_is_not_read(release, tmp_path):
    table = release / "INbreast.csv"
    table.unlink()
    (tmp_path / "elsewhere.csv").write_text("Smith;Jane\n")
    table.symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(
        UserError, match="INbreast.csv is a link that leaves the data root; put the table itself there"
    ) as said:
        InbreastImporter(release).candidates()
    assert "smith" not in str(said.value).lower()
