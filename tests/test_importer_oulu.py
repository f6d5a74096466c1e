"""Oulu annotation tool: a small release with its known traps; what is expected is written by hand."""

import logging
from pathlib import Path

import numpy as np
import pytest
from dicom_files import ramp, write_dicom
from PIL import Image

from mammoseg.datasets.oulu import OuluImporter
from mammoseg.datasets.registry import IMPORTERS, importer_for
from mammoseg.dicom.read import read_header
from mammoseg.runtime.errors import Unusable, UserError

ROWS, COLUMNS = 60, 40
STUDY = "1.3.6.1.4.1.9590.100.1.2.48"
KINDS = [f"{c}_{k}" for c in ("malignant", "benign") for k in ("mass", "calc", "architechtural_distortion")]


def write_image(root: Path, study: str, image: str, **attributes) -> None:
    write_dicom(
        root / "images" / study / f"{image}.dcm",
        ramp(ROWS, COLUMNS),
        SOPInstanceUID=f"1.2.826.{image}",
        StudyInstanceUID=study,
        **attributes,
    )


def write_masks(root: Path, study: str, image: str, **boxes) -> None:
    """All six masks, as the tool writes them; `boxes` are (top, bottom, left, right) by kind, several in a list."""
    for kind in KINDS:
        mask = np.zeros((ROWS, COLUMNS), np.uint8)
        for top, bottom, left, right in boxes.get(kind, []):
            mask[top:bottom, left:right] = 255
        (root / "masks" / study).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / study / f"{image}_mask_{kind}.png")


def write_info(root: Path, **status: int) -> None:
    rows = [f"{study},{i},{s},01.01.1970 00:00:01" for i, (study, s) in enumerate(status.items(), 1)]
    (root / "study_info.csv").write_bytes(
        "\r\n".join(["StudyInstanceUID,StudyIndex,AnnotationStatus,DateModified", *rows, ""]).encode()
    )


@pytest.fixture
def release(tmp_path) -> Path:
    """A ready study of four images named by UIDs with dots; a pending one without masks."""
    root = tmp_path / "OUDSM"
    a, b, c, d = (f"{STUDY}.{n}" for n in (20586908, 20586934, 20586960, 20586986))
    write_image(
        root,
        STUDY,
        a,
        PatientID="anon-7",
        AcquisitionDeviceProcessingDescription="CC DEX",
        ImagerPixelSpacing=[0.07, 0.07],
    )
    write_image(root, STUDY, b, PatientID="anon-7", ViewPosition="LCC")
    write_image(
        root,
        STUDY,
        c,
        PatientID="anon-7",
        ViewPosition="MLO",
        ImageLaterality="R",
        PhotometricInterpretation="MONOCHROME1",
    )
    write_image(root, STUDY, d, PatientID="anon-7", ViewPosition="", AcquisitionDeviceProcessingDescription="MLO SIN")
    # Two touching benign lesions are one component, a malignant mass beside them another; calcifications are no mass.
    write_masks(
        root,
        STUDY,
        a,
        benign_mass=[(5, 10, 5, 10), (10, 14, 10, 15)],
        malignant_mass=[(30, 40, 20, 30)],
        benign_calc=[(50, 52, 1, 3)],
    )
    write_masks(root, STUDY, b)
    write_masks(
        root,
        STUDY,
        c,
        malignant_mass=[(0, 3, 0, 3), (20, 30, 5, 9)],
        malignant_architechtural_distortion=[(40, 50, 5, 9)],
    )
    write_masks(root, STUDY, d, benign_architechtural_distortion=[(1, 9, 1, 9)])
    write_image(root, "pending", "e", PatientID="", ViewPosition="RMLO")
    write_info(root, **{STUDY: 2, "pending": 0})
    (root / "csv").mkdir()
    (root / "csv" / f"{STUDY}_breast_density.csv").write_text(f"Study,BreastDensity\r\n{STUDY},3\r\n")
    (root / "csv" / "pending_breast_density.csv").write_text("Study,BreastDensity\r\npending,0\r\n")
    return root


def cases(root: Path) -> tuple[dict, dict]:
    """Candidates with cases by file name, and reasons by path."""
    importer = OuluImporter(root)
    found, aside = importer.candidates()
    described, reasons = {}, {a.path: a.reason for a in aside}
    for c in found:
        try:
            described[Path(c.image).name] = (c, importer.describe(c, read_header(root / c.image)))
        except Unusable as bad:
            reasons[c.image] = bad.reason
    return described, reasons


def test_cases(release):
    described, reasons = cases(release)
    got = {n: (c.patient, c.study, c.laterality, c.view, c.n_masses, dict(c.extra)) for n, (_, c) in described.items()}
    ready = {"density": "3", "annotation_status": "ready"}
    assert got == {
        f"{STUDY}.20586908.dcm": ("anon-7", STUDY, "R", "CC", 2, {"pathology": "both", **ready}),
        f"{STUDY}.20586934.dcm": ("anon-7", STUDY, "L", "CC", 0, {"pathology": "", **ready}),
        f"{STUDY}.20586960.dcm": ("anon-7", STUDY, "R", "MLO", 2, {"pathology": "malignant", **ready}),
        f"{STUDY}.20586986.dcm": ("anon-7", STUDY, "L", "MLO", 0, {"pathology": "", **ready}),
        "e.dcm": (
            "pending",
            "pending",
            "R",
            "MLO",
            None,
            {"pathology": "", "density": "", "annotation_status": "pending"},
        ),
    }
    assert reasons == {}
    assert described[f"{STUDY}.20586908.dcm"][1].pixel_spacing_mm == 0.07
    assert described["e.dcm"][1].pixel_spacing_mm is None
    assert described["e.dcm"][1].key == "1.2.826.e"


def test_masks(release):
    described, _ = cases(release)
    candidate, case = described[f"{STUDY}.20586908.dcm"]
    assert candidate.annotations == tuple(
        f"masks/{STUDY}/{STUDY}.20586908_mask_{k}_mass.png" for k in ("benign", "malignant")
    )
    masks = list(OuluImporter(release).mass_masks(candidate, ROWS, COLUMNS))
    benign, malignant = np.zeros((2, ROWS, COLUMNS), bool)
    benign[5:10, 5:10] = benign[10:14, 10:15] = True
    malignant[30:40, 20:30] = True
    assert len(masks) == case.n_masses == 2
    assert np.array_equal(masks[0], benign)
    assert np.array_equal(masks[1], malignant)
    for name in (f"{STUDY}.20586934.dcm", f"{STUDY}.20586986.dcm", "e.dcm"):
        assert list(OuluImporter(release).mass_masks(described[name][0], ROWS, COLUMNS)) == []


@pytest.mark.parametrize(("status", "expected"), [(0, (2, None)), (1, (2, None)), (2, (2, 0)), (7, (2, 0))])
def test_an_empty_mask_means_no_mass_only_where_the_study_is_ready(release, status, expected, caplog):
    write_info(release, **{STUDY: status})
    with caplog.at_level(logging.WARNING):
        described, _ = cases(release)
    assert (described[f"{STUDY}.20586908.dcm"][1].n_masses, described[f"{STUDY}.20586934.dcm"][1].n_masses) == expected
    assert ("1 of 1 studies are not marked ready" in caplog.text) == (status in (0, 1))


def test_without_study_info(release):
    (release / "study_info.csv").unlink()
    described, _ = cases(release)
    assert described[f"{STUDY}.20586934.dcm"][1].n_masses == 0  # masks are there and empty
    assert described["e.dcm"][1].n_masses is None  # no masks


def test_ready_without_a_mask_file(release):
    (release / "masks" / STUDY / f"{STUDY}.20586934_mask_benign_mass.png").unlink()
    _, reasons = cases(release)
    assert reasons == {f"images/{STUDY}/{STUDY}.20586934.dcm": "missing_mask"}


def test_mask_of_another_size(release):
    Image.fromarray(np.zeros((COLUMNS, ROWS), np.uint8)).save(
        release / "masks" / STUDY / f"{STUDY}.20586934_mask_benign_mass.png"
    )
    _, reasons = cases(release)
    assert reasons == {f"images/{STUDY}/{STUDY}.20586934.dcm": "mask_size"}


def test_set_aside(release):
    write_dicom(release / "images" / "stray.dcm")
    write_dicom(release / "images" / STUDY / "deeper" / "a.dcm")
    write_image(release, STUDY, "capture", Modality="OT")
    write_image(release, STUDY, "raw", PresentationIntentType="FOR PROCESSING")
    (release / "images" / STUDY / ".hidden.dcm").write_bytes(b"")
    _, reasons = cases(release)
    assert reasons == {
        "images/stray.dcm": "misplaced",
        f"images/{STUDY}/deeper/a.dcm": "misplaced",
        f"images/{STUDY}/capture.dcm": "secondary_capture",
        f"images/{STUDY}/raw.dcm": "for_processing",
    }


@pytest.mark.parametrize(
    "content", [b"", b'Id,BreastDensity\n"1,2', b"BreastDensity,breast density,BreastDensity\n1,2,3\n"]
)
def test_a_table_of_density_that_is_none_costs_no_more_than_the_density(release, content, caplog):
    table = release / "csv" / f"{STUDY}_breast_density.csv"
    table.parent.mkdir(exist_ok=True)
    table.write_bytes(content)
    found, _ = OuluImporter(release).candidates()
    assert {c.facts["density"] for c in found if c.facts["study"] == STUDY} == {""}
    assert "density of 1 studies cannot be read" in caplog.text
    assert STUDY not in caplog.text


def test_a_table_that_is_a_link_out_of_the_release_is_not_read(release, tmp_path, caplog):
    table = release / "csv" / f"{STUDY}_breast_density.csv"
    table.parent.mkdir(exist_ok=True)
    table.unlink(missing_ok=True)
    (tmp_path / "elsewhere.csv").write_text("BreastDensity\n4\n")
    table.symlink_to(tmp_path / "elsewhere.csv")
    found, _ = OuluImporter(release).candidates()
    assert "4" not in {c.facts["density"] for c in found}
    assert "density of 1 studies cannot be read" in caplog.text
    (release / "study_info.csv").rename(tmp_path / "study_info.csv")
    (release / "study_info.csv").symlink_to(tmp_path / "study_info.csv")
    with pytest.raises(UserError, match="study_info.csv is a link that leaves the data root"):
        OuluImporter(release).candidates()


def test_upper_case_ending(release):
    (release / "images" / "pending" / "e.dcm").rename(release / "images" / "pending" / "e.DCM")
    write_masks(release, "pending", "e", benign_mass=[(1, 9, 1, 9)])
    described, _ = cases(release)
    assert described["e.DCM"][1].n_masses == 1


def test_wrong_roots(tmp_path, release):
    with pytest.raises(UserError, match="does not exist; expected there: a folder of the Oulu annotation tool"):
        OuluImporter(tmp_path / "absent").candidates()
    with pytest.raises(UserError, match="images does not exist"):
        OuluImporter(release / "masks").candidates()
    (tmp_path / "empty" / "images").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no image"):
        OuluImporter(tmp_path / "empty").candidates()
    (release / "study_info.csv").write_text("Study,Status\n1,2\n")
    with pytest.raises(UserError, match="no column annotationstatus; put the annotation tool's own there"):
        OuluImporter(release).candidates()


def test_registry(tmp_path):
    assert {name: type(importer_for(name, tmp_path)).__name__ for name in IMPORTERS} == IMPORTERS
    with pytest.raises(
        UserError, match="no importer 'ouluu'; known here: inbreast, oulu, cbis_ddsm, cdd_cesm, manifest"
    ):
        importer_for("ouluu", tmp_path)
