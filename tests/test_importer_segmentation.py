"""Masks as DICOM SEG, written by highdicom, through the manifest."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_files import ramp, write_dicom
from PIL import Image
from pydicom.sr.codedict import codes

from mammoseg.datasets.manifest import ManifestImporter
from mammoseg.dicom.read import read_header
from mammoseg.runtime.errors import Unusable

ROWS, COLUMNS = 60, 40
MASS = np.zeros((ROWS, COLUMNS), bool)
MASS[10:20, 5:15] = True
MUSCLE = np.zeros((ROWS, COLUMNS), bool)
MUSCLE[:30, 30:] = True
NEEDED = {"PatientName": "Some^Body", "PatientBirthDate": "", "PatientSex": "F", "StudyDate": "", "StudyTime": "", "StudyID": "",
          "AccessionNumber": "", "ReferringPhysicianName": "", "Manufacturer": "x", "InstanceNumber": 1, "SeriesNumber": 1,
          "PatientOrientation": ["A", "F"], "ImageType": ["DERIVED", "PRIMARY"], "PixelSpacing": [0.1, 0.1],
          "SeriesInstanceUID": "1.2.3.5", "ImageLaterality": "L"}  # fmt: skip


def segment(number: int, label: str, kind) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def write_seg(path: Path, image: Path, masks: list[np.ndarray], segments, **how) -> None:
    source = pydicom.dcmread(image)
    seg = hd.seg.Segmentation(
        source_images=[source],
        pixel_array=np.stack(masks, axis=-1)[None].astype(how.pop("dtype", np.uint8)),
        segmentation_type=how.pop("kind", hd.seg.SegmentationTypeValues.BINARY),
        segment_descriptions=segments,
        series_instance_uid=hd.UID(),
        series_number=2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        **how,
    )
    seg.save_as(path)


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("a", "b"):
        write_dicom(tmp_path / f"{name}.dcm", ramp(ROWS, COLUMNS), **NEEDED)
    return tmp_path


def masks_of(root: Path, mask: str, image: str = "a.dcm") -> list[np.ndarray]:
    (root / "manifest.csv").write_text(f"image,patient,mask\n{image},P1,{mask}\n")
    importer = ManifestImporter(root)
    (candidate,), aside = importer.candidates()
    assert not aside
    header = None if image.endswith(".png") else read_header(root / image)
    case = importer.describe(candidate, header)
    found = list(importer.mass_masks(candidate, ROWS, COLUMNS))
    assert case.n_masses == len(found)
    return found


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_a_mass_pixel_for_pixel(root, kind):
    how = {"dtype": np.float32} if kind == "FRACTIONAL" else {}
    kind = getattr(hd.seg.SegmentationTypeValues, kind)
    write_seg(root / "m.dcm", root / "a.dcm", [MASS], [segment(1, "Mass 1", codes.SCT.Mass)], kind=kind, **how)
    (mass,) = masks_of(root, "m.dcm")
    assert np.array_equal(mass, MASS)


def test_only_the_masses_of_several_segments(root):
    segments = [segment(1, "muscle", codes.SCT.Muscle), segment(2, "Mass", codes.SCT.Mass)]
    write_seg(root / "m.dcm", root / "a.dcm", [MUSCLE, MASS], segments)
    (mass,) = masks_of(root, "m.dcm")
    assert np.array_equal(mass, MASS)


def test_all_segments_where_none_is_called_a_mass(root):
    write_seg(
        root / "m.dcm", root / "a.dcm", [MUSCLE, MASS], [segment(n, f"lesion {n}", codes.SCT.Lesion) for n in (1, 2)]
    )
    assert np.array_equal(sum(masks_of(root, "m.dcm")) > 0, MUSCLE | MASS)


def test_several_files_of_one_image(root):
    for name, mask in (("m1", MASS), ("m2", np.roll(MASS, 30, axis=0))):
        write_seg(root / f"{name}.dcm", root / "a.dcm", [mask], [segment(1, "Mass", codes.SCT.Mass)])
    assert len(masks_of(root, "m1.dcm;m2.dcm")) == 2


def test_of_a_picture(root):
    Image.fromarray((ramp(ROWS, COLUMNS) >> 4).astype(np.uint8)).save(root / "a.png")
    write_seg(root / "m.dcm", root / "a.dcm", [MASS], [segment(1, "Mass", codes.SCT.Mass)])
    (mass,) = masks_of(root, "m.dcm", "a.png")
    assert np.array_equal(mass, MASS)


def test_of_another_image(root):
    write_seg(root / "m.dcm", root / "b.dcm", [MASS], [segment(1, "Mass", codes.SCT.Mass)])
    with pytest.raises(Unusable, match=r"bad_mask.*another image"):
        masks_of(root, "m.dcm")


def test_of_another_size(root):
    write_seg(root / "m.dcm", root / "a.dcm", [MASS], [segment(1, "Mass", codes.SCT.Mass)])
    write_dicom(root / "c.dcm", ramp(ROWS * 2, COLUMNS), SOPInstanceUID=pydicom.dcmread(root / "a.dcm").SOPInstanceUID)
    with pytest.raises(Unusable, match="mask_size"):
        masks_of(root, "m.dcm", "c.dcm")


@pytest.mark.parametrize("content", [b"", b"no DICOM", "image", "cut"])
def test_what_is_no_segmentation(root, content):
    write_seg(root / "m.dcm", root / "a.dcm", [MASS], [segment(1, "Canary", codes.SCT.Mass)])
    whole = (root / "m.dcm").read_bytes()
    (root / "m.dcm").write_bytes(
        {"image": (root / "a.dcm").read_bytes(), "cut": whole[: len(whole) // 2]}.get(content, content)
    )
    with pytest.raises(Unusable, match="bad_mask") as bad:
        masks_of(root, "m.dcm")
    assert "Canary" not in str(bad.value)
