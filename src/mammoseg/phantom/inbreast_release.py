"""Site B: a release as INbreast came, with its quirks.

Besides the layout: `ML` in a file's name is `MLO` in the table; one view from below, one repeated exposure; a patient with
two dates; blanks for ACR; regions without name and without points; a mass whose outline leaves the image.
"""

from collections.abc import Iterable
from pathlib import Path

from mammoseg.phantom import outlines_xml
from mammoseg.phantom.dicom_writing import encoded, mammogram
from mammoseg.phantom.image import Mammogram
from mammoseg.phantom.patient import Exposure, Patient
from mammoseg.phantom.seeds import MATLAB_ROOT, generator, hexadecimal, uid
from mammoseg.phantom.site import Site
from mammoseg.phantom.writing import put, put_table, rows_of

HEADER = 100  # purpose of a random stream: what only the tables hold
COLUMNS = ("Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
FILE_VIEW = {"CC": "CC", "MLO": "ML", "FB": "FB"}
NO_DENSITY = 3  # the patient whose ACR cells hold only blanks
BIRADS = {"malignant": ("4b", "4c", "5", "6"), "benign": ("2", "3", "4a"), "": ("1",)}


def write_patient(folder: Path, site: Site, patient: Patient) -> list[dict[str, object]]:
    """Write a patient's images and outlines; returns one row of facts per image."""
    quirks_left = patient.number % 5 == 1
    facts = []
    for position, image in enumerate(site.images(patient)):
        exposure = image.exposure
        number = image_id(patient, position)
        name = f"{number}_{patient_hash(patient)}_MG_{exposure.laterality}_{FILE_VIEW[exposure.view]}_ANON.dcm"
        put(folder / "AllDICOMs" / name, dicom(site, patient, image, number))
        if image.findings:
            rois = outlines_xml.regions(image, site.white, patient.number, with_quirks=quirks_left)
            quirks_left = False
            put(folder / "AllXML" / f"{number}.xml", outlines_xml.lesion_file(rois))
        if image.muscle is not None:
            path = folder / "PectoralMuscle" / "Pectoral Muscle XML" / f"{number}_muscle.xml"
            put(path, outlines_xml.muscle_file(image, site.white, short=position % 2 == 1))
        facts.append(
            {
                "study": f"{patient.number}/{exposure.exam}",
                "masses": len(image.masses),
                "windowing": "none",
                "transfer_syntax": "uncompressed",
                "photometric": "MONOCHROME2",
                "size": "{} x {}".format(*image.breast.shape),
            }
        )
    return facts


def write_tables(folder: Path, site: Site, patients: Iterable[Patient]) -> None:
    """Add the patients' images to INbreast.csv; those that it names already stay as they are."""
    path = folder / "INbreast.csv"
    rows = {row["File Name"]: row for row in rows_of(path, ";")}
    for patient in patients:
        for position, exposure in enumerate(site.exposures(patient)):
            number = str(image_id(patient, position))
            density = "    " if patient.number == NO_DENSITY else patient.body.density
            row = ("removed", "removed", exposure.laterality, exposure.view)
            row += (acquisition_date(patient, exposure.exam), number, density, birads(patient, exposure))
            rows.setdefault(number, dict(zip(COLUMNS, row, strict=True)))
    put_table(path, COLUMNS, rows.values(), delimiter=";")


def dicom(site: Site, patient: Patient, image: Mammogram, number: int) -> bytes:
    """A re-export by MATLAB: 12-bit values in 16, no patient, view, date, spacing nor windowing."""
    study = uid(MATLAB_ROOT, "inbreast", patient.seed, patient.number, image.exposure.exam)
    ds = mammogram(image.stored(site.white), study, f"{study}.1", f"{study}.{number}", bits_stored=16)
    ds.Modality, ds.ConversionType = "OT", "WSD"
    ds.SecondaryCaptureDeviceManufacturer = "The MathWorks"
    ds.SecondaryCaptureDeviceManufacturerModelName = "MATLAB"
    ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.StudyID = ds.ReferringPhysicianName = ""
    return encoded(ds, "uncompressed")


def image_id(patient: Patient, position: int) -> int:
    """Eight digits, unique in the site for patients below 80,000 and ten images each."""
    salt = int(hexadecimal(4, patient.seed, patient.number, position), 16) % 100
    return 20_000_000 + 1000 * patient.number + 100 * position + salt


def patient_hash(patient: Patient) -> str:
    """Sixteen hex digits, the same for all the patient's images."""
    return hexadecimal(16, "inbreast", patient.seed, patient.number)


def acquisition_date(patient: Patient, exam: int) -> str:
    """Year and semester, e.g. 200802: the second half of 2008."""
    rng = generator(patient.seed, patient.number, HEADER)
    return f"{rng.integers(2008, 2011) + exam - 1}0{rng.integers(1, 3)}"


def birads(patient: Patient, exposure: Exposure) -> str:
    """Assessment of the breast, the same for its views."""
    found = {lesion.pathology for lesion in patient.breasts[exposure.laterality]}
    worst = next((name for name in ("malignant", "benign") if name in found), "")
    rng = generator(patient.seed, patient.number, HEADER, 1 + "LR".index(exposure.laterality))
    return str(rng.choice(BIRADS[worst]))
