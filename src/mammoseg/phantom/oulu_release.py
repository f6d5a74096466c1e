"""Site A: a release as the Oulu annotation tool leaves it, its DICOMs as several vendors write them.

Windowing, photometric interpretation and transfer syntax change from image to image, so that even a release of two
patients holds all of them.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammoseg.phantom import windowing
from mammoseg.phantom.dicom_writing import SYNTAXES, encoded, mammogram
from mammoseg.phantom.image import Mammogram
from mammoseg.phantom.patient import Exposure, Patient
from mammoseg.phantom.seeds import PYDICOM_ROOT, generator, hexadecimal, uid
from mammoseg.phantom.site import Site
from mammoseg.phantom.writing import put, put_mask, put_table, rows_of

HEADER = 100  # purpose of a random stream: what only the header holds
KINDS = {"mass": "mass", "calc": "calc", "distortion": "architechtural_distortion"}  # the tool's spelling
CLASSES = ("benign", "malignant")
STUDY_COLUMNS = ("StudyInstanceUID", "StudyIndex", "AnnotationStatus", "DateModified")
CLASSIFICATION_COLUMNS = ("Study", "RightBenign", "LeftBenign", "RightMalignant", "LeftMalignant")
READY = 2
VIEW_CODES = {"CC": ("R-10242", "cranio-caudal"), "MLO": ("R-10226", "medio-lateral oblique")}
ORIENTATION = {  # direction of the rows, then of the columns
    ("L", "CC"): ["A", "R"],
    ("R", "CC"): ["P", "L"],
    ("L", "MLO"): ["A", "FR"],
    ("R", "MLO"): ["P", "FL"],
}


def write_patient(folder: Path, site: Site, patient: Patient) -> list[dict[str, object]]:
    """Write a patient's images, masks and tables of the study; returns one row of facts per image."""
    facts = []
    seen: dict[int, list[Mammogram]] = {exam: [] for exam in range(1, patient.exams + 1)}
    for position, image in enumerate(site.images(patient)):
        facts.append(write_image(folder, site, patient, image, position))
        seen[image.exposure.exam].append(image)
    for exam, images in seen.items():
        study = study_uid(patient, exam)
        classes = {
            f"{side}{name.title()}": int(
                any(f.lesion.pathology == name for m in images if m.exposure.laterality == side[0] for f in m.findings)
            )
            for name in CLASSES
            for side in ("Right", "Left")
        }
        put_table(folder / "csv" / f"{study}_classification.csv", CLASSIFICATION_COLUMNS, [{"Study": study, **classes}])
        density = {"Study": study, "BreastDensity": patient.body.density}
        put_table(folder / "csv" / f"{study}_breast_density.csv", tuple(density), [density])
    return facts


def write_tables(folder: Path, site: Site, patients: Iterable[Patient]) -> None:
    """Add the patients' studies to study_info.csv; those that it names already stay as they are."""
    path = folder / "study_info.csv"
    rows = {row["StudyInstanceUID"]: row for row in rows_of(path)}
    for patient in patients:
        for exam in range(1, patient.exams + 1):
            study = study_uid(patient, exam)
            day = study_date(patient, exam)
            modified = f"{day[6:]}.{day[4:6]}.{int(day[:4]) + 1} 12:00:00"
            row = (study, len(rows) + 1, READY, modified)
            rows.setdefault(study, dict(zip(STUDY_COLUMNS, row, strict=True)))
    put_table(path, STUDY_COLUMNS, rows.values(), end="\r\n")


def write_image(folder: Path, site: Site, patient: Patient, image: Mammogram, position: int) -> dict[str, object]:
    """Write one DICOM and its six masks; returns its facts. position: of the image among its patient's."""
    exposure = image.exposure
    number = patient.number
    kind = list(windowing.KINDS)[(number + 2 * position) % len(windowing.KINDS)]
    syntax = list(SYNTAXES)[(number // 2 + position) % len(SYNTAXES)]
    inverse = (number // 3 + position) % 3 == 0
    study = study_uid(patient, exposure.exam)
    instance = f"{study}.{1000 + position}"

    pixels = image.stored(site.white)
    ds = mammogram(windowing.TOP - pixels if inverse else pixels, study, f"{study}.1", instance, windowing.BITS)
    ds.PhotometricInterpretation = "MONOCHROME1" if inverse else "MONOCHROME2"
    ds.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    ds.ImagerPixelSpacing = [f"{image.spacing_mm:.8g}"] * 2
    describe(ds, patient, exposure)
    name_view(ds, number, exposure)
    rng = generator(site.seed, number, HEADER, position)
    center, width = site.white * rng.uniform(0.37, 0.52), site.white * rng.uniform(0.7, 0.95)
    windowing.KINDS[kind](ds, center, width, inverse)

    put(folder / "images" / study / f"{instance}.dcm", encoded(ds, syntax))
    for name in CLASSES:
        for found, spelled in KINDS.items():
            masks = [f.mask for f in image.findings if (f.lesion.pathology, f.lesion.kind) == (name, found)]
            mask = np.logical_or.reduce([np.zeros_like(image.breast), *masks])
            put_mask(folder / "masks" / study / f"{instance}_mask_{name}_{spelled}.png", mask)
    return {
        "study": study,
        "masses": len(image.masses),
        "windowing": kind,
        "transfer_syntax": syntax,
        "photometric": ds.PhotometricInterpretation,
        "size": f"{ds.Rows} x {ds.Columns}",
    }


def describe(ds: Dataset, patient: Patient, exposure: Exposure) -> None:
    """Write who and when and with what. Name and number are invented, and look like real ones on purpose."""
    number = patient.number
    code = hexadecimal(6, patient.seed, number).upper()
    ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.PatientName, ds.PatientID = f"Phantom^A{number:04d}", f"A{number:04d}-{code}"
    ds.PatientSex, ds.PatientBirthDate = "F", f"19{45 + number % 25}0{1 + number % 9}15"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = study_date(patient, exposure.exam)
    ds.StudyTime = ds.AcquisitionTime = "120000"
    ds.AccessionNumber, ds.StudyID = f"ACC{code}{exposure.exam}", str(exposure.exam)
    ds.ReferringPhysicianName, ds.InstitutionName = "Doe^Jane", "Synthetic Site A"
    ds.Manufacturer, ds.ManufacturerModelName = "mammoseg", "phantom"
    ds.SeriesNumber, ds.InstanceNumber = 1, "LR".index(exposure.laterality) + 1
    ds.BodyPartExamined, ds.BurnedInAnnotation, ds.LossyImageCompression = "BREAST", "NO", "00"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PatientOrientation = ORIENTATION[exposure.laterality, exposure.view]


def name_view(ds: Dataset, number: int, exposure: Exposure) -> None:
    """Write side and view in one of the three ways that the annotation tool knows, one per patient (device)."""
    side, view = exposure.laterality, exposure.view
    if number % 5 == 2:
        ds.ViewPosition = side + view
    elif number % 5 == 4:
        ds.AcquisitionDeviceProcessingDescription = f"{view} {'SIN' if side == 'L' else 'DEX'}"
    else:
        ds.ViewPosition, ds.ImageLaterality = view, side
        code = Dataset()
        code.CodeValue, code.CodeMeaning = VIEW_CODES[view]
        code.CodingSchemeDesignator = "SRT"
        ds.ViewCodeSequence = Sequence([code])


def study_uid(patient: Patient, exam: int) -> str:
    """The study's UID, which is also its folder's name."""
    return uid(PYDICOM_ROOT, "oulu", patient.seed, patient.number, exam)


def study_date(patient: Patient, exam: int) -> str:
    """YYYYMMDD; screening rounds are two years apart."""
    rng = generator(patient.seed, patient.number, HEADER)
    return f"{rng.integers(2011, 2017) + 2 * (exam - 1)}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}"
