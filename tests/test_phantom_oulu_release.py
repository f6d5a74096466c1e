"""The synthetic release in the Oulu tool's format: against the format as published, pydicom, SimpleITK, and our importer."""

import csv
import re
from collections import Counter

import cv2
import numpy as np
import pydicom
import pytest
from phantom_releases import OULU, read_by_itk, truth
from pydicom.pixels import apply_voi_lut

from mammoseg.datasets.oulu import OuluImporter
from mammoseg.dicom.read import read_header
from mammoseg.phantom import make_release


def oulu_side(ds):
    """Laterality by the annotation tool's three rules."""
    if "AcquisitionDeviceProcessingDescription" in ds and not ds.get("ViewPosition"):
        return {"SIN": "L", "DEX": "R"}[ds.AcquisitionDeviceProcessingDescription.split(" ")[1]]
    return ds.ViewPosition[0] if "ImageLaterality" not in ds else ds.ImageLaterality


MASKS = [
    f"{c}_{kind}" for c in ("benign", "malignant") for kind in ("architechtural_distortion", "calc", "mass")
]  # with the tool's spelling


@pytest.fixture(scope="module")
def oulu(tmp_path_factory):
    root = tmp_path_factory.mktemp("oulu")
    return root, make_release(root, patients=10, **OULU)


def oulu_truth():
    """The truth of the release of the fixture by file: SOP instance UIDs end in 1000 + the image's position."""
    return {(number, position): m for number in range(1, 11) for position, m in enumerate(truth(OULU, number))}


def position_of(ds):
    return int(str(ds.PatientID)[1:5]), int(ds.SOPInstanceUID.rsplit(".", 1)[1]) - 1000


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
