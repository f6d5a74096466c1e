"""A small CBIS-DDSM at true file format: four tables, DICOM images, crops and masks, in every layout it comes in."""

import csv
from pathlib import Path

import numpy as np
import pydicom
from dicom_files import make_dicom
from PIL import Image
from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from mammoseg.datasets.cbis_ddsm import CbisDdsmImporter
from mammoseg.datasets.pictures import is_picture
from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.read import read_header
from mammoseg.index.build_index import index_release
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.errors import Unusable

UID = "1.3.6.1.4.1.9590.100.1.2"
ROWS, COLUMNS = 200, 100
MASS = ["patient_id", "breast_density", "left or right breast", "image view", "abnormality id", "abnormality type", "mass shape",
        "mass margins", "assessment", "pathology", "subtlety", "image file path", "cropped image file path",
        "ROI mask file path"]  # fmt: skip
CALC = ["patient_id", "breast density", *MASS[2:6], "calc type", "calc distribution", *MASS[8:]]
DICOM_INFO = [
    "file_path",
    "image_path",
    "PatientID",
    "SeriesDescription",
    "SeriesInstanceUID",
    "Laterality",
    "Rows",
    "Columns",
]
LAYOUTS = ("csv", "descriptive", "rest", "jpeg")
CELLS = {"density": "3", "shape": "OVAL", "margins": "N/A", "assessment": "4", "pathology": "BENIGN", "subtlety": "5"}


def film(seed: int) -> np.ndarray:
    """Digitised film, 16 bits; (ROWS, COLUMNS) uint16."""
    return np.random.default_rng(seed).integers(100, 60000, (ROWS, COLUMNS)).astype(np.uint16)


def box(top: int, bottom: int, left: int, right: int, shape=(ROWS, COLUMNS)) -> np.ndarray:
    """A mask file: 255 in the box, 0 around it; uint8."""
    mask = np.zeros(shape, np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


class Cbis:
    """Writes rows and files; `layout` is one of `LAYOUTS`."""

    def __init__(self, root: Path, layout: str = "csv"):
        self.root, self.layout = root, layout
        self.tables: dict[tuple[str, str], list[list[str]]] = {}
        self.files: dict[tuple[str, int | str], Path] = {}  # by view and what it is: full, or crop and mask of a number
        self.info: list[list[str]] = []
        self.series = 0
        root.mkdir(parents=True)

    def abnormality(self, patient, side, view, number, kind="mass", split="train", mask=None, film_series=None, separate=False,
                    reversed_names=False, write=("full", "crop", "mask"), **cells) -> str:  # fmt: skip
        """One row of a table, its mask and crop, and the image where `film_series` names none yet; the image's series.

        `separate`: crop and mask in a series each. `reversed_names`: on the disk, each under the other's name.
        """
        name = f"{kind.title()}-{'Training' if split == 'train' else 'Test'}_{patient}_{side}_{view}"
        full_series = film_series or self._new_series()
        if film_series is None and "full" in write:
            self._write((name, "full"), name, full_series, "full mammogram images", 0, film(self.series))
        crop_series = self._new_series()
        mask_series = self._new_series() if separate else crop_series
        # The tables of masses call the crop 0 and the mask 1, those of calcifications the reverse; each of its own series is 0.
        crop_at, mask_at = (0, 0) if separate else (1, 0) if kind == "calc" else (0, 1)
        path = {
            "full": f"{name}/{UID}.1/{full_series}/000000.dcm",
            "crop": f"{name}_{number}/{UID}.2/{crop_series}/{crop_at:06d}.dcm",
            "mask": f"{name}_{number}/{UID}.2/{mask_series}/{mask_at:06d}.dcm",
        }
        if reversed_names:
            (crop_series, crop_at), (mask_series, mask_at) = (mask_series, mask_at), (crop_series, crop_at)
        mask = box(10, 20, 10, 20) if mask is None else mask
        crop = np.ascontiguousarray(film(number)[5:30, 5:25])
        if "mask" in write:
            self._write((name, f"mask{number}"), f"{name}_{number}", mask_series, "ROI mask images", mask_at, mask)
        if "crop" in write:
            what = (
                "cropped images" if separate else "ROI mask images"
            )  # one folder, named after the mask, may hold both
            self._write((name, f"crop{number}"), f"{name}_{number}", crop_series, what, crop_at, crop)
        path["mask" if kind == "mass" else "crop"] += "\n"  # in every cell of one column a line ends
        v = {**CELLS, **cells}
        row = [patient, v["density"], side, view, str(number), "mass" if kind == "mass" else "calcification", v["shape"],
               v["margins"], v["assessment"], v["pathology"], v["subtlety"], path["full"], path["crop"], path["mask"]]  # fmt: skip
        self.tables.setdefault((kind, split), []).append(row)
        return full_series

    def save(self) -> Path:
        """Write the tables; the root."""
        folder = self.root / ("csv" if self.layout == "jpeg" else "")
        folder.mkdir(exist_ok=True)
        for (kind, split), rows in self.tables.items():
            with (folder / f"{kind}_case_description_{split}_set.csv").open("w", newline="") as f:
                csv.writer(f, lineterminator="\n").writerows([MASS if kind == "mass" else CALC, *rows])
        if self.layout == "jpeg":
            with (folder / "dicom_info.csv").open("w", newline="") as f:
                csv.writer(f).writerows([DICOM_INFO, *self.info])
        return self.root

    def _new_series(self) -> str:
        self.series += 1
        return f"{UID}.3.{self.series}"

    def _write(self, key, patient: str, series: str, what: str, number: int, pixels: np.ndarray) -> None:
        last = series.rsplit(".", 1)[-1]
        folder = {
            "csv": f"CBIS-DDSM/{patient}/{UID}.9/{series}",
            "descriptive": f"CBIS-DDSM/{patient}/07-20-2016-DDSM-NA-9{last}/1.000000-{what}-{last}",
            "rest": f"series/{series}",
            "jpeg": f"jpeg/{series}",
        }[self.layout]
        name = {"csv": f"{number:06d}.dcm", "descriptive": f"1-{number + 1}.dcm", "rest": f"00000{number + 1}.dcm"}
        path = self.root / folder / name.get(self.layout, f"1-{100 + number}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.files[key] = path
        # The description is of the folder, so it may be the wrong one; every other series has none.
        description = what if int(last) % 2 else ""
        self.info.append(
            ["", path.name, patient, description, series, patient.split("_")[3][0], *map(str, pixels.shape)]
        )
        if self.layout == "jpeg":
            grey = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
            Image.fromarray(grey).save(path, quality=90)
            return
        ds = make_dicom(pixels, 8 * pixels.itemsize, ImplicitVRLittleEndian, SOPClassUID=SecondaryCaptureImageStorage)
        ds.PatientID, ds.SeriesInstanceUID = patient, series  # of a view, not of a woman
        ds.PatientOrientation = patient.split("_")[4]  # holds the view
        if description:
            ds.SeriesDescription = description
        ds.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=True)


def without_preamble(path: Path) -> None:
    """Leave of a DICOM file the dataset alone: neither preamble nor file meta information."""
    ds = pydicom.dcmread(path)
    bare = pydicom.Dataset({e.tag: e for e in ds})
    bare.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)


MASS_TRAIN = "mass_case_description_train_set.csv"


def importer_of(cbis: Cbis) -> CbisDdsmImporter:
    return CbisDdsmImporter(cbis.root)


def cases(root: Path) -> tuple[dict, dict]:
    """Case and masks by view; reasons by the name of what is set aside, at once or when it is described."""
    importer = importer_for("cbis_ddsm", root)
    found, aside = importer.candidates()
    reasons = {x.path: x.reason for x in aside}
    described = {}
    for c in found:
        name = f"{c.facts['patient']}_{c.facts['laterality']}_{c.facts['view']}"
        try:
            header = None if is_picture(c.image) else read_header(root / c.image)
            case = importer.describe(c, header)
            described[name] = case, list(importer.mass_masks(c, ROWS, COLUMNS))
        except Unusable as bad:
            reasons[name] = bad.reason
    return described, reasons


def write_release(root: Path, layout: str = "csv") -> Cbis:
    cbis = Cbis(root, layout)
    # Two masses with the numbers 2 and 3, crop and mask in one series and in two.
    series = cbis.abnormality(
        "P_00001", "LEFT", "CC", 2, pathology="BENIGN", assessment="3", shape="ROUND", subtlety="0"
    )
    cbis.abnormality("P_00001", "LEFT", "CC", 3, mask=box(50, 80, 20, 50), film_series=series, separate=True,
                     pathology="MALIGNANT", assessment="5", shape="IRREGULAR-ARCHITECTURAL_DISTORTION", margins="SPICULATED")  # fmt: skip
    # Crop and mask under each other's names.
    cbis.abnormality("P_00001", "LEFT", "MLO", 1, reversed_names=True)
    # Calcifications alone, two of them, and in one view with a mass: the tables of calcifications give it another series.
    series = cbis.abnormality("P_00002", "RIGHT", "CC", 1, kind="calc", shape="PLEOMORPHIC", margins="CLUSTERED", density="0",
                              pathology="BENIGN_WITHOUT_CALLBACK", assessment="2")  # fmt: skip
    cbis.abnormality("P_00002", "RIGHT", "CC", 4, kind="calc", film_series=series, shape="N/A", margins="LINEAR", density="2",
                     pathology="BENIGN_WITHOUT_CALLBACK", assessment="0")  # fmt: skip
    cbis.abnormality("P_00002", "RIGHT", "MLO", 1, mask=box(5, 15, 30, 40))
    cbis.abnormality("P_00002", "RIGHT", "MLO", 1, kind="calc", shape="AMORPHOUS", margins="REGIONAL", density="0",
                     pathology="MALIGNANT", assessment="5")  # fmt: skip
    # In the training table of masses and the test table of calcifications; and the reverse.
    cbis.abnormality("P_00003", "LEFT", "CC", 1)
    cbis.abnormality("P_00003", "RIGHT", "CC", 1, kind="calc", split="test")
    cbis.abnormality("P_00004", "LEFT", "CC", 1, split="test")
    cbis.abnormality("P_00004", "LEFT", "MLO", 1, kind="calc")
    # A mask of 0.87 times the size, both ways, and masks that were scaled unequally: of a mass, of a calcification.
    cbis.abnormality("P_00145", "LEFT", "CC", 1, mask=box(20, 40, 10, 30, (174, 87)), split="test")
    cbis.abnormality("P_00353", "LEFT", "CC", 2, mask=box(20, 40, 10, 30, (ROWS - 1, COLUMNS)), split="test")
    cbis.abnormality(
        "P_00353", "LEFT", "MLO", 2, kind="calc", mask=box(20, 40, 10, 30, (ROWS - 2, COLUMNS)), split="test"
    )
    # Files that are not there.
    cbis.abnormality("P_00005", "LEFT", "CC", 1, write=("full", "crop"))
    cbis.abnormality("P_00005", "LEFT", "MLO", 1, write=("full",))
    cbis.abnormality("P_00006", "LEFT", "CC", 1, write=("crop", "mask"))
    cbis.save()
    return cbis


def one_mass(tmp_path: Path, layout: str = "csv", **how) -> Cbis:
    """A release of one view with one mass."""
    cbis = Cbis(tmp_path / "CBIS", layout)
    cbis.abnormality("P_00001", "LEFT", "CC", 1, **how)
    cbis.save()
    return cbis


VIEW = "Mass-Training_P_00001_LEFT_CC"


def index(root: Path):
    return index_release(CbisDdsmImporter(root), dataset="cbis", site="cbis", key=b"k" * 32, code=Code("1", frozenset({"1"})),
                         seen=[], rendered_sha256={}.get)  # fmt: skip
