"""CBIS-DDSM (Lee et al. 2017): scanned films, as The Cancer Imaging Archive gives them and as they are mirrored.

Its four tables name a path for every image, cropped image and mask; on disk the folders are called otherwise more often than
not, and which of two files is the mask is told by their pixels alone.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pydicom
from pydicom.dataset import Dataset

from mammoseg.datasets.importer import Candidate, Case, Importer, SetAside
from mammoseg.datasets.pictures import decode_picture, is_picture, picture_size
from mammoseg.datasets.sheets import read_sheet
from mammoseg.datasets.walk import check_folder, files_below
from mammoseg.dicom.decode import decode
from mammoseg.dicom.read import check_usable, read_encoded
from mammoseg.dicom.values import text
from mammoseg.errors import Unusable, UserError

log = logging.getLogger(__name__)

EXPECTED = (
    "the CBIS-DDSM release, with tables like mass_case_description_train_set.csv, and the images below folders that are named "
    "by patient (Mass-Training_P_00001_LEFT_CC) or by series UID"
)
NEEDED = ("patient_id", "left_or_right_breast", "image_view", "abnormality_id", "image_file_path", "roi_mask_file_path")
SIDES = {"LEFT": "L", "RIGHT": "R"}
WORST_FIRST = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")
SAME_RATIO = (
    0.002  # scanners' pitches differ by 13 %, the same both ways; what is off by more is another picture's mask
)
JPEG_NEAR = 32  # grey levels by which compression moves a mask's black and white


class CbisDdsmImporter(Importer):
    """CBIS-DDSM: an image is a patient's side and view; masses are the masks of its rows in the two tables of masses."""

    def candidates(self) -> tuple[list[Candidate], list[SetAside]]:
        check_folder(self.root, EXPECTED)
        rows = self._rows()
        splits = _splits(rows)
        views: dict[tuple[str, str, str], list[dict]] = defaultdict(list)
        for row in rows:
            views[row["patient_id"], row["left_or_right_breast"], row["image_view"]].append(row)
        disk = _Disk(self.root)
        found, aside = [], []
        for (patient, side, view), mine in sorted(views.items()):
            images = next(filter(None, (disk.files(r["image_file_path"]) for r in mine)), [])
            name = f"{patient}_{side}_{view}"
            if side not in SIDES:
                aside.append(SetAside(name, "bad_laterality", "its side in the tables is neither LEFT nor RIGHT"))
            elif not images:
                aside.append(SetAside(name, "missing_file", "the tables name it, and no such file is on the disk"))
            else:
                masses = [r for r in mine if r["abnormality_type"] == "mass"]
                rois = [disk.files(r["roi_mask_file_path"], r["cropped_image_file_path"]) for r in masses]
                facts = {"patient": patient, "laterality": SIDES[side], "view": view, "rois": json.dumps(rois)}
                facts |= {"official_split": splits[patient], **_findings(mine)}
                found.append(Candidate(images[0], tuple(sorted({f for files in rois for f in files})), facts))
        if not found:
            raise UserError(
                f"data root {self.root} holds none of the images that its tables name; expected there: {EXPECTED}"
            )
        with_mass = {k: n for k, v in views.items() if (n := sum(r["abnormality_type"] == "mass" for r in v))}
        self.expected = {"images with a mass": len(with_mass), "masses": sum(with_mass.values())}
        return found, aside

    def describe(self, candidate: Candidate, header: Dataset | None) -> Case:
        facts = candidate.facts
        if header is None:
            rows, columns = picture_size(self.root / candidate.image)
        else:
            check_usable(header, secondary_capture=True)  # digitised film
            rows, columns = header.Rows, header.Columns
        return Case(
            key="_".join((facts["patient"], facts["laterality"], facts["view"])),
            patient=facts["patient"],  # PatientID in the headers names a view, not a woman
            study=facts["patient"],
            laterality=facts["laterality"],
            view=facts["view"],
            pixel_spacing_mm=None,  # scanners of different pitch; the headers do not say
            n_masses=len(self.mass_masks(candidate, rows, columns)),
            extra={k: v for k, v in facts.items() if k not in ("patient", "laterality", "view", "rois")},
        )

    def mass_masks(self, candidate: Candidate, rows: int, columns: int) -> list[np.ndarray]:
        rois = json.loads(candidate.facts["rois"])
        return [self._mask(files, rows, columns) for files in rois]

    def _mask(self, files: list[str], rows: int, columns: int) -> np.ndarray:
        """The one of an abnormality's files that is a mask: it has two values; the cropped image has many."""
        if not files:
            raise Unusable("missing_mask", "the tables name a mask of it that is not on the disk")
        masks = [m for f in files if (m := _binary(self.root / f)) is not None]
        if not masks:
            raise Unusable(
                "bad_mask", "none of the files of one of its masses is a mask: all have more than two values"
            )
        mask = max(masks, key=lambda m: m.size)
        down, across = rows / mask.shape[0], columns / mask.shape[1]
        if abs(down / across - 1) > SAME_RATIO:
            raise Unusable("mask_size", "a mask of it has another shape than the image")
        if mask.shape != (rows, columns):
            mask = cv2.resize(mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT) > 0
        return mask

    def _rows(self) -> list[dict[str, str]]:
        """Rows of all case tables, each with its kind of lesion and its split."""
        rows = []
        for path in files_below(self.root, ".csv"):
            columns, lines = read_sheet(self.root / path)
            if set(NEEDED) <= set(columns):
                rows += [{**line, "table": path} for line in lines]
        if not rows:
            raise UserError(
                f"data root {self.root} holds no table with the columns {', '.join(NEEDED)}; expected there: {EXPECTED}"
            )
        for row in rows:
            folder = row["image_file_path"].split("/")[0].lower()
            row["split"] = "test" if "test" in (folder.split("_")[0] or row["table"].lower()) else "train"
            kind = row.get("abnormality_type", "") or folder
            row["abnormality_type"] = "mass" if kind.lower().startswith("mass") else "calcification"
        return sorted(
            rows, key=lambda r: r["abnormality_type"] != "mass"
        )  # of what both tables say, that of the masses counts


class _Disk:
    """Finds the files of a series, whatever its folder is called."""

    def __init__(self, root: Path):
        self.root = root
        self.by_folder: dict[str, list[str]] = defaultdict(list)
        self.all = list(files_below(root, ".dcm", ".jpg", ".jpeg", ".png"))
        for path in self.all:
            for folder in set(PurePosixPath(path).parts[:-1]):
                self.by_folder[folder].append(path)
        self._by_series: dict[str, list[str]] | None = None

    def files(self, *named: str) -> list[str]:
        """Files of the series that some paths of the tables name: <patient folder>/<study UID>/<series UID>/<file>."""
        found: list[str] = []
        for parts in (n.split("/") for n in named):
            if len(parts) == 4:
                patient, _, series, _ = parts
                found += self.by_folder.get(series) or self.by_folder.get(patient) or self._series(series)
        return sorted(set(found))

    def _series(self, series: str) -> list[str]:
        """By the headers, which are read once, and only where no folder helps."""
        if self._by_series is None:
            self._by_series = defaultdict(list)
            for path in self.all:
                if not is_picture(path):
                    self._by_series[_series_uid(self.root / path)].append(path)
        return self._by_series.get(series, [])


def _series_uid(path: Path) -> str:
    try:
        return text(pydicom.dcmread(path, stop_before_pixels=True, force=True), "SeriesInstanceUID")
    except Exception:  # pydicom raises almost anything on damaged files, which no table can name then
        return ""


def _splits(rows: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Official split of each patient. Some are in the training tables of one kind of lesion and the test tables of the other:
    the tables of masses, which come first, decide, so that no patient is on both sides."""
    found: dict[str, str] = {}
    for row in rows:
        found.setdefault(row["patient_id"], row["split"])
    return found


def _findings(rows: list[dict[str, str]]) -> dict[str, str]:
    """What is carried along of an image: the worst pathology, the highest assessment, and lists in the order of the tables."""
    masses = [r for r in rows if r["abnormality_type"] == "mass"]
    calcifications = [r for r in rows if r["abnormality_type"] != "mass"]

    def listed(name: str, of: list[dict[str, str]]) -> str:
        return ";".join(r.get(name, "") for r in of)

    pathologies = {r.get("pathology", "") for r in rows}
    return {
        "lesion_type": "both" if masses and calcifications else "mass" if masses else "calcification",
        "pathology": next((p.lower() for p in WORST_FIRST if p in pathologies), ""),
        "birads": max((r.get("assessment", "") for r in rows), default=""),
        "density": next((d for r in rows if (d := r.get("breast_density", ""))), ""),
        "subtlety": listed("subtlety", masses),
        "mass_shape": listed("mass_shape", masses),
        "mass_margins": listed("mass_margins", masses),
        "calc_type": listed("calc_type", calcifications),
        "calc_distribution": listed("calc_distribution", calcifications),
        "n_calcifications": str(len(calcifications)),
    }


def _binary(path: Path) -> np.ndarray | None:
    """A mask file as booleans; None where it is no mask but a picture.

    Raises
    ------
    Unusable
        ``bad_mask`` where it cannot be read.
    """
    try:
        array = decode_picture(path) if is_picture(path) else decode(read_encoded(path))
    except Unusable as bad:
        raise Unusable("bad_mask", f"a mask of it cannot be used: {bad.explanation}") from None
    if array.ndim == 3:
        array = array[..., 0]
    low, high = array.min(), array.max()
    if is_picture(path):  # a JPEG's black and white are blurred
        grey = (array > JPEG_NEAR) & (array < 255 - JPEG_NEAR)
        return array >= 128 if high >= 255 - JPEG_NEAR and grey.mean() < 0.01 else None
    return array == high if low < high and np.isin(array, (low, high)).all() else None
