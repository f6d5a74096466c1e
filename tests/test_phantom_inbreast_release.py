"""The synthetic release in INbreast's format: against the format as published, pydicom, SimpleITK, and our importer."""

import csv
import plistlib
import re
from collections import Counter

import numpy as np
import pydicom
import pytest
from phantom_releases import INBREAST, read_by_itk, truth

from mammoseg.datasets.inbreast import InbreastImporter
from mammoseg.dicom.read import read_header
from mammoseg.phantom import make_release

ROI_NAMES = {
    "Mass", "Calcification", "Cluster", "Distortion", "Spiculated Region", "Spiculated region", "Espiculated Region",
    "Unnamed", None,
}  # fmt: skip
ABSENT = [
    "ViewPosition", "ImageLaterality", "PixelSpacing", "ImagerPixelSpacing", "WindowCenter", "WindowWidth",
    "VOILUTSequence", "RescaleSlope", "Manufacturer", "AcquisitionDate",
]  # fmt: skip
ROI_KEYS = [
    "Area", "Center", "Dev", "IndexInImage", "Max", "Mean", "Min", "Name", "NumberOfPoints", "Point_mm", "Point_px",
    "Total", "Type",
]  # fmt: skip


@pytest.fixture(scope="module")
def inbreast(tmp_path_factory):
    root = tmp_path_factory.mktemp("inbreast")
    return root, make_release(root, patients=6, **INBREAST)


def inbreast_files(root):
    """Each image's path by id."""
    return {int(p.name[:8]): p for p in (root / "AllDICOMs").iterdir()}


def inbreast_truth():
    """Truth in the order of the ids, which is that of patient and position."""
    return [m for number in range(1, 7) for m in truth(INBREAST, number)]


def test_inbreast_names_and_dicoms(inbreast):
    root, summary = inbreast
    files = inbreast_files(root)
    assert len(files) == summary["images"] == 6 * 4 + 4 + 2  # two exams of patient 5; one FB, one repeated exposure
    sizes, hashes = Counter(), set()
    for (_, path), m in zip(sorted(files.items()), inbreast_truth(), strict=True):
        name = re.fullmatch(r"\d{8}_([0-9a-f]{16})_MG_([LR])_(CC|ML|FB)_ANON\.dcm", path.name)
        assert name
        assert name[2] == m.exposure.laterality
        assert name[3] == {"MLO": "ML"}.get(m.exposure.view, m.exposure.view)
        hashes.add(name[1])
        ds = pydicom.dcmread(path)
        assert ds.Modality == "OT"
        assert ds.SecondaryCaptureDeviceManufacturer == "The MathWorks"
        assert ds.ConversionType == "WSD"
        assert ds.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (16, 16, 15, 0)
        assert ds.PhotometricInterpretation == "MONOCHROME2"
        assert ds.PatientID == ""
        assert not [keyword for keyword in ABSENT if keyword in ds]
        pixels = ds.pixel_array
        assert np.array_equal(pixels, m.stored(2970))
        assert np.array_equal(read_by_itk(path), pixels)
        assert 1200 < pixels.max() <= 2970
        wall = pixels[:, -1] if name[2] == "R" else pixels[:, 0]
        outer = pixels[:, 0] if name[2] == "R" else pixels[:, -1]
        assert (wall > 0).mean() > 0.4
        assert not outer.any()
        sizes[pixels.shape] += 1
    assert len(hashes) == 6
    assert summary["size"] == {"204 x 166": sizes[204, 166], "166 x 128": sizes[166, 128]}
    assert set(sizes) == {(204, 166), (166, 128)}
    assert sum(p.name.endswith("_FB_ANON.dcm") for p in files.values()) == 1


def test_inbreast_csv(inbreast):
    root, _ = inbreast
    text = (root / "INbreast.csv").read_text()
    assert text.splitlines()[0] == "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
    rows = list(csv.DictReader(text.splitlines(), delimiter=";"))
    files = inbreast_files(root)
    assert {int(r["File Name"]) for r in rows} == set(files)
    dates = {}
    for r in rows:
        parts = files[int(r["File Name"])].name.split("_")
        assert (r["Patient ID"], r["Patient age"]) == ("removed", "removed")
        assert r["Laterality"] == parts[3]
        assert r["View"] == {"ML": "MLO"}.get(parts[4], parts[4])
        assert re.fullmatch(r"20\d\d0[12]", r["Acquisition date"])
        assert r["Bi-Rads"] in ("1", "2", "3", "4a", "4b", "4c", "5", "6")
        dates.setdefault(parts[1], set()).add(r["Acquisition date"])
    assert Counter(r["ACR"].strip() == "" for r in rows) == {False: 26, True: 4}
    assert all(r["ACR"].strip() in ("", "1", "2", "3", "4") for r in rows)
    assert "    " in {r["ACR"] for r in rows}
    assert sorted(map(len, dates.values())) == [1, 1, 1, 1, 1, 2]
    exposures = Counter((files[int(r["File Name"])].name.split("_", 1)[1], r["Acquisition date"]) for r in rows)
    assert sorted(exposures.values())[-2:] == [1, 2]  # one repeated exposure: same patient, date, side and view


def test_inbreast_outlines(inbreast):
    root, _ = inbreast
    annotated, names, outside, empty = set(), Counter(), 0, 0
    files = inbreast_files(root)
    for path in (root / "AllXML").iterdir():
        data = plistlib.loads(path.read_bytes())
        (image,) = data["Images"]
        assert image["NumberOfROIs"] == len(image["ROIs"])
        annotated.add(int(path.stem))
        rows, columns = pydicom.dcmread(files[int(path.stem)]).pixel_array.shape
        for roi in image["ROIs"]:
            assert list(roi) == [k for k in ROI_KEYS if k in roi]
            assert set(ROI_KEYS) - set(roi) <= {"Name"}
            assert roi["NumberOfPoints"] == len(roi["Point_px"]) == len(roi["Point_mm"])
            assert all(re.fullmatch(r"\(-?\d+\.\d+, -?\d+\.\d+\)", p) for p in roi["Point_px"])
            points = [tuple(map(float, p.strip("()").split(","))) for p in roi["Point_px"]]
            names[roi.get("Name")] += 1
            empty += not points
            outside += any(not (0 <= x < columns and 0 <= y < rows) for x, y in points)
            if roi.get("Name") == "Calcification":
                assert len(points) == 1
    expected = {number for (number, m) in zip(sorted(files), inbreast_truth(), strict=True) if m.findings}
    assert annotated == expected
    assert annotated < set(files)
    assert set(names) <= ROI_NAMES
    assert names[None] == names["Unnamed"] == 2
    assert names["Mass"] == sum(len(m.masses) for m in inbreast_truth())
    assert min(names["Calcification"], names["Cluster"], names["Distortion"]) > 0
    assert outside > 0
    assert empty == 2


def test_inbreast_pectoral_muscles_in_two_schemas(inbreast):
    root, _ = inbreast
    schemas = Counter()
    files = inbreast_files(root)
    for path in (root / "PectoralMuscle" / "Pectoral Muscle XML").iterdir():
        number = int(path.name.removesuffix("_muscle.xml"))
        assert "_ML_" in files[number].name
        data = plistlib.loads(path.read_bytes())
        if "ROIPoints" in data:
            assert all(re.fullmatch(r"\{-?\d+\.\d+, -?\d+\.\d+\}", p) for p in data["ROIPoints"])
            assert any(", -" in p for p in data["ROIPoints"])
        else:
            assert data["Images"][0]["ROIs"][0]["Name"] == "Pectoral Muscle"
        schemas["ROIPoints" in data] += 1
    assert sum(schemas.values()) == 14
    assert min(schemas.values()) >= 6


def test_the_inbreast_importer_reads_the_truth(inbreast):
    root, _ = inbreast
    expected = dict(zip(sorted(inbreast_files(root)), inbreast_truth(), strict=True))
    importer = InbreastImporter(root)
    candidates, aside = importer.candidates()
    assert len(candidates) == 29
    assert [a.reason for a in aside] == ["view_from_below"]
    for candidate in candidates:
        header = read_header(root / candidate.image)
        case = importer.describe(candidate, header)
        m = expected[int(case.key)]
        assert (case.laterality, case.view) == (m.exposure.laterality, m.exposure.view)
        assert case.n_masses == len(m.masses)
        masks = importer.mass_masks(candidate, *m.breast.shape)
        for mask, finding in zip(masks, m.masses, strict=True):
            union = (mask | finding.mask).sum()
            assert (mask & finding.mask).sum() >= 0.9 * union or union < 30
