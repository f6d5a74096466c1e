"""Synthetic releases on disk: against the formats as published, pydicom and SimpleITK, and our importers."""

import csv
import hashlib
import os
import plistlib
import re
from collections import Counter

import cv2
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.pixels import apply_voi_lut

from mammoseg.datasets.inbreast import InbreastImporter
from mammoseg.datasets.oulu import OuluImporter
from mammoseg.datasets.phantom import Site, add_patient, make_release
from mammoseg.dicom.read import read_header
from mammoseg.errors import UserError

OULU = {"layout": "oulu", "seed": 5, "rows": 208, "columns": 160}
INBREAST = {"layout": "inbreast", "seed": 6, "rows": 204, "columns": 166}
MASKS = [
    f"{c}_{kind}" for c in ("benign", "malignant") for kind in ("architechtural_distortion", "calc", "mass")
]  # with the tool's spelling
ROI_KEYS = [
    "Area", "Center", "Dev", "IndexInImage", "Max", "Mean", "Min", "Name", "NumberOfPoints", "Point_mm", "Point_px",
    "Total", "Type",
]  # fmt: skip
ABSENT = [
    "ViewPosition", "ImageLaterality", "PixelSpacing", "ImagerPixelSpacing", "WindowCenter", "WindowWidth",
    "VOILUTSequence", "RescaleSlope", "Manufacturer", "AcquisitionDate",
]  # fmt: skip
ROI_NAMES = {
    "Mass", "Calcification", "Cluster", "Distortion", "Spiculated Region", "Spiculated region", "Espiculated Region",
    "Unnamed", None,
}  # fmt: skip


def tree(root):
    """Digest of every file below `root`."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }


def times(root):
    return {p.relative_to(root).as_posix(): p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def read_by_itk(path):
    """Pixels as ITK gives them: MONOCHROME1 is inverted already."""
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]


@pytest.fixture(scope="module")
def oulu(tmp_path_factory):
    root = tmp_path_factory.mktemp("oulu")
    return root, make_release(root, patients=10, **OULU)


@pytest.fixture(scope="module")
def inbreast(tmp_path_factory):
    root = tmp_path_factory.mktemp("inbreast")
    return root, make_release(root, patients=6, **INBREAST)


def truth(options, number):
    """The patient's images as arrays, in the order in which they are written."""
    site = Site(options["layout"], options["seed"], options["rows"], options["columns"])
    return list(site.images(site.patient(number)))


def oulu_truth():
    """The truth of the release of the fixture by file: SOP instance UIDs end in 1000 + the image's position."""
    return {(number, position): m for number in range(1, 11) for position, m in enumerate(truth(OULU, number))}


def position_of(ds):
    return int(str(ds.PatientID)[1:5]), int(ds.SOPInstanceUID.rsplit(".", 1)[1]) - 1000


# --- determinism and growth ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [OULU, INBREAST], ids=["oulu", "inbreast"])
def test_same_seed_same_bytes_and_a_release_grows_without_touching_what_it_holds(options, tmp_path):
    one, other, grown = tmp_path / "one", tmp_path / "other", tmp_path / "grown"
    make_release(one, patients=4, **options)
    make_release(other, patients=4, **options)
    assert tree(one) == tree(other)

    make_release(grown, patients=2, **options)
    before, stamps = tree(grown), times(grown)
    make_release(grown, patients=2, **options)
    assert times(grown) == stamps
    add_patient(grown, number=3, **options)
    make_release(grown, patients=4, **options)
    assert tree(grown) == tree(one)
    tables = {"study_info.csv", "INbreast.csv"}
    assert {p: t for p, t in times(grown).items() if p in before and p not in tables} == {
        p: t for p, t in stamps.items() if p not in tables
    }


def test_another_seed_is_another_site(tmp_path):
    make_release(tmp_path / "a", patients=1, **OULU)
    make_release(tmp_path / "b", patients=1, **OULU | {"seed": 7})
    a, b = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert not {p for p in a if p.endswith(".dcm")} & {p for p in b if p.endswith(".dcm")}


def test_a_damaged_file_is_mended(tmp_path):
    make_release(tmp_path, patients=1, **OULU)
    whole = tree(tmp_path)
    victim = next(tmp_path.rglob("*.dcm"))
    os.truncate(victim, 1000)
    make_release(tmp_path, patients=1, **OULU)
    assert tree(tmp_path) == whole


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"layout": "vindr"}, "unknown phantom layout 'vindr'"),
        ({"patients": 0}, "at least one patient"),
        ({"seed": -1}, "must not be negative"),
        ({"rows": 32}, "64 x 64 pixels or more, not 32 x 160"),
    ],
)
def test_senseless_arguments_are_a_users_mistake(tmp_path, change, text):
    with pytest.raises(UserError, match=text):
        make_release(tmp_path, **{"patients": 1, **OULU, **change})
    assert not list(tmp_path.iterdir())


def test_no_patient_number_zero(tmp_path):
    with pytest.raises(UserError, match="numbered from 1"):
        add_patient(tmp_path, number=0, **OULU)


# --- site A -------------------------------------------------------------------------------------------------------------


def test_oulu_summary_counts_what_lies_on_disk(oulu):
    root, summary = oulu
    files = sorted(root.glob("images/*/*.dcm"))
    headers = [pydicom.dcmread(f, stop_before_pixels=True) for f in files]
    with_mass = sum(
        any(
            cv2.imread(str(p), cv2.IMREAD_UNCHANGED).any()
            for p in (root / "masks" / f.parent.name).glob(f"{f.stem}_mask_*_mass.png")
        )
        for f in files
    )
    assert summary["patients"] == len({ds.PatientID for ds in headers}) == 10
    assert summary["studies"] == len({ds.StudyInstanceUID for ds in headers}) == 11
    assert summary["images"] == len(files) == 44
    assert summary["images_with_mass"] == with_mass
    assert summary["masses"] == sum(len(m.masses) for m in oulu_truth().values())
    names = {"1.2.840.10008.1.2.1": "uncompressed", "1.2.840.10008.1.2.5": "rle", "1.2.840.10008.1.2.4.90": "jpeg2000"}
    assert summary["transfer_syntax"] == Counter(names[ds.file_meta.TransferSyntaxUID] for ds in headers)
    assert summary["photometric"] == Counter(ds.PhotometricInterpretation for ds in headers)
    assert summary["size"] == {"208 x 160": 44}
    assert sum(summary["windowing"].values()) == 44


def test_oulu_layout(oulu):
    root, _ = oulu
    studies = sorted(p.name for p in (root / "images").iterdir())
    assert sorted(p.name for p in (root / "masks").iterdir()) == studies
    for study in studies:
        images = sorted((root / "images" / study).iterdir())
        assert len(images) == 4
        expected = {f"{p.name[:-4]}_mask_{name}.png" for p in images for name in MASKS}
        assert {p.name for p in (root / "masks" / study).iterdir()} == expected
        assert all(p.name.count(".") > 8 and len(p.stem) <= 64 for p in images)  # UID-style, and a valid UID


def test_oulu_tables(oulu):
    root, _ = oulu
    raw = (root / "study_info.csv").read_bytes()
    assert raw.startswith(b"StudyInstanceUID,StudyIndex,AnnotationStatus,DateModified\r\n")
    assert raw.count(b"\r\n") == raw.count(b"\n") == 12
    rows = list(csv.DictReader(raw.decode().splitlines()))
    assert {r["StudyInstanceUID"] for r in rows} == {p.name for p in (root / "images").iterdir()}
    assert [int(r["StudyIndex"]) for r in rows] == list(range(1, 12))
    assert {r["AnnotationStatus"] for r in rows} == {"2"}
    assert all(re.fullmatch(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", r["DateModified"]) for r in rows)
    for study in (r["StudyInstanceUID"] for r in rows):
        (density,) = csv.DictReader((root / "csv" / f"{study}_breast_density.csv").read_text().splitlines())
        assert list(density) == ["Study", "BreastDensity"]
        assert density["BreastDensity"] in "1234"
        (found,) = csv.DictReader((root / "csv" / f"{study}_classification.csv").read_text().splitlines())
        assert list(found) == ["Study", "RightBenign", "LeftBenign", "RightMalignant", "LeftMalignant"]
        seen = Counter()
        for path in (root / "images" / study).iterdir():
            side = "Right" if oulu_side(pydicom.dcmread(path, stop_before_pixels=True)) == "R" else "Left"
            for name in MASKS:
                mask = cv2.imread(str(root / "masks" / study / f"{path.stem}_mask_{name}.png"), cv2.IMREAD_UNCHANGED)
                seen[side + name.split("_")[0].title()] |= int(mask.any())
        assert {k: int(v) for k, v in found.items() if k != "Study"} == seen


def oulu_side(ds):
    """Laterality by the annotation tool's three rules."""
    if "AcquisitionDeviceProcessingDescription" in ds and not ds.get("ViewPosition"):
        return {"SIN": "L", "DEX": "R"}[ds.AcquisitionDeviceProcessingDescription.split(" ")[1]]
    return ds.ViewPosition[0] if "ImageLaterality" not in ds else ds.ImageLaterality


def test_oulu_headers(oulu):
    root, _ = oulu
    ways = Counter()
    for path in root.glob("images/*/*.dcm"):
        ds = pydicom.dcmread(path)
        assert ds.Modality == "MG"
        assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.1.2"
        assert ds.PresentationIntentType == "FOR PRESENTATION"
        assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (16, 12, 11, 0)
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID == path.name[:-4]
        assert ds.StudyInstanceUID == path.parent.name
        assert all(u.is_valid for u in (ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID))
        inverse = ds.PhotometricInterpretation == "MONOCHROME1"
        assert ds.PresentationLUTShape == ("INVERSE" if inverse else "IDENTITY")
        assert float(ds.ImagerPixelSpacing[0]) * ds.Rows == pytest.approx(233, abs=0.5)
        side = oulu_side(ds)
        assert ds.PatientOrientation[0] == ("A" if side == "L" else "P")
        ways[("AcquisitionDeviceProcessingDescription" in ds, "ImageLaterality" in ds)] += 1
    assert set(ways) == {(False, True), (False, False), (True, False)}


def test_oulu_pixels_decode_to_the_truth_by_two_readers(oulu):
    root, _ = oulu
    expected = oulu_truth()
    seen = Counter()
    for path in root.glob("images/*/*.dcm"):
        ds = pydicom.dcmread(path)
        m = expected[position_of(ds)]
        stored = m.stored(4000)
        if ds.PhotometricInterpretation == "MONOCHROME1":
            stored = 4095 - stored
        assert np.array_equal(ds.pixel_array, stored)
        assert oulu_side(ds) == m.exposure.laterality
        assert np.array_equal(read_by_itk(path), m.stored(4000))
        seen[ds.file_meta.TransferSyntaxUID.name] += 1
    assert len(seen) == 3
    assert min(seen.values()) >= 10


def test_oulu_masks_are_the_truth(oulu):
    root, _ = oulu
    expected = oulu_truth()
    spelled = {"mass": "mass", "calc": "calc", "distortion": "architechtural_distortion"}
    used = set()
    for path in root.glob("images/*/*.dcm"):
        m = expected[position_of(pydicom.dcmread(path, stop_before_pixels=True))]
        for name in MASKS:
            mask = cv2.imread(
                str(root / "masks" / path.parent.name / f"{path.stem}_mask_{name}.png"), cv2.IMREAD_UNCHANGED
            )
            assert mask.dtype == np.uint8
            assert mask.shape == m.breast.shape
            assert set(np.unique(mask)) <= {0, 255}
            found = [f.mask for f in m.findings if f"{f.lesion.pathology}_{spelled[f.lesion.kind]}" == name]
            assert np.array_equal(mask > 0, np.any(found, axis=0) if found else np.zeros_like(m.breast))
            used.update([name] if found else [])
    assert used >= {"benign_mass", "malignant_mass", "benign_calc"}
    assert any(name.endswith("architechtural_distortion") for name in used)


def test_windowing_kinds_as_the_headers_have_them(oulu):
    root, summary = oulu
    found = Counter()
    for path in root.glob("images/*/*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        pairs = ds["WindowCenter"].VM if "WindowCenter" in ds else 0
        found[(pairs, ds.get("VOILUTFunction", ""), len(ds.get("VOILUTSequence", [])))] += 1
    assert found == {
        (1, "", 0): summary["windowing"]["window"],
        (3, "LINEAR", 0): summary["windowing"]["windows"],
        (1, "LINEAR_EXACT", 0): summary["windowing"]["linear_exact"],
        (1, "SIGMOID", 0): summary["windowing"]["sigmoid"],
        (0, "", 2): summary["windowing"]["voi_lut"],
        (3, "SIGMOID", 1): summary["windowing"]["voi_lut_and_windows"],
    }
    assert min(found.values()) >= 4


def test_every_windowing_kind_shows_the_breast_as_it_is(oulu):
    """By pydicom: after windowing and inversion air is darkest, brightness rises with the truth, and contrast is left."""
    root, _ = oulu
    expected = oulu_truth()
    kinds = set()
    for path in root.glob("images/*/*.dcm"):
        ds = pydicom.dcmread(path)
        m = expected[position_of(ds)]
        bits = ds.VOILUTSequence[0].LUTDescriptor[2] if "VOILUTSequence" in ds else 12
        shown = apply_voi_lut(ds.pixel_array, ds).astype(float) / (2**bits - 1)
        inverse = ds.PhotometricInterpretation == "MONOCHROME1"
        shown = 1 - shown if inverse else shown
        order = np.argsort(m.stored(4000), axis=None)
        assert (np.diff(shown.ravel()[order]) >= -1e-9).all()
        assert shown[~m.breast].max() < 0.12
        low, high = np.percentile(shown[m.breast], [5, 98])
        assert high - low > 0.2
        assert (shown[m.breast] >= 0.999).mean() < 0.2
        kinds.add((bits, inverse, ds.get("VOILUTFunction", "")))
    assert len(kinds) >= 8


def test_two_patients_hold_every_windowing_kind_syntax_and_photometric_interpretation(tmp_path):
    summary = make_release(tmp_path, patients=2, **OULU)
    assert len(summary["windowing"]) == 6
    assert len(summary["transfer_syntax"]) == 3
    assert len(summary["photometric"]) == 2


def test_the_oulu_importer_reads_the_truth(oulu):
    root, summary = oulu
    expected = oulu_truth()
    importer = OuluImporter(root)
    candidates, aside = importer.candidates()
    assert (len(candidates), aside) == (44, [])
    with_mass = 0
    for candidate in candidates:
        header = read_header(root / candidate.image)
        m = expected[position_of(header)]
        case = importer.describe(candidate, header)
        assert (case.laterality, case.view) == (m.exposure.laterality, m.exposure.view)
        assert case.pixel_spacing_mm == pytest.approx(m.spacing_mm)
        masks = list(importer.mass_masks(candidate, *m.breast.shape))
        assert np.array_equal(np.any(masks, axis=0) if masks else np.zeros_like(m.breast), m.mass_mask)
        with_mass += case.n_masses > 0
    assert with_mass == summary["images_with_mass"]


# --- site B -------------------------------------------------------------------------------------------------------------


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
