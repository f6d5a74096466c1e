"""CBIS-DDSM (Lee et al. 2017): scanned films, as The Cancer Imaging Archive gives them and as they are mirrored.

Its four tables name a path for every image, cropped image and mask; on disk the folders are called otherwise more often than
not, and which of two files is the mask is told by their pixels alone. So the paths of the tables are taken for names that are
looked for below the root; none is ever opened as it stands.
"""

import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pydicom
from pydicom.dataset import Dataset

from mammoseg.datasets.importer import Candidate, Case, Importer, SetAside
from mammoseg.datasets.masks import LOSSY
from mammoseg.datasets.pictures import SUFFIXES, decode_picture, is_picture, picture_size
from mammoseg.datasets.sheets import read_table_of
from mammoseg.datasets.walk import check_folder, files_below, inside
from mammoseg.dicom.decode import decode
from mammoseg.dicom.read import check_usable, read_encoded
from mammoseg.dicom.values import text
from mammoseg.runtime.errors import Unusable, UserError

log = logging.getLogger(__name__)

EXPECTED = (
    "the CBIS-DDSM release, with tables like mass_case_description_train_set.csv, and the images below folders that are named "
    "by patient (Mass-Training_P_00001_LEFT_CC) or by series UID"
)
TABLE = re.compile(r"(?P<kind>mass|calc)_case_description_(?P<split>train|test)_set", re.IGNORECASE)
PREFIXES = {
    ("mass", "train"): "Mass-Training",
    ("mass", "test"): "Mass-Test",
    ("calc", "train"): "Calc-Training",
    ("calc", "test"): "Calc-Test",
}
VIEW = ("patient_id", "left_or_right_breast", "image_view")
PATHS = ("image_file_path", "cropped_image_file_path", "roi_mask_file_path")
NEEDED = (*VIEW, "abnormality_id", *PATHS)
SIDES = {"LEFT": "L", "RIGHT": "R"}
VIEWS = ("CC", "MLO")
UID = re.compile(r"\d+(\.\d+)+")
WORST_FIRST = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")
DENSITIES = ("1", "2", "3", "4")  # the tables hold a 0 too, where it is not known
# By which the factors down and across may differ: films scanned at another pitch have 0.87 both ways.
SAME_RATIO = 0.002
HALF, TWICE = 0.5, 2.0  # factors beyond these are of a cropped picture, never of another pitch
JPEG_NEAR = 32  # grey levels by which compression moves a mask's black and white
JPEG_GREY = 0.01  # share of a mask's pixels, those along its edge, that it moves farther


class CbisDdsmImporter(Importer):
    """CBIS-DDSM: an image is a patient's side and view; masses are the masks of its rows in the two tables of masses."""

    source = "was the CBIS-DDSM release (Lee et al., Scientific Data 4, 2017)"
    reference = "the masks that the release's tables of masses name"
    layout = "the CBIS-DDSM release"
    by_design = frozenset({"same_view"})  # 71 views of the release are in the tables of both kinds

    def candidates(self) -> tuple[list[Candidate], list[SetAside]]:
        check_folder(self.root, EXPECTED)
        rows = self._rows()
        splits: dict[str, list[str]] = defaultdict(list)
        views: dict[tuple[str, ...], list[dict]] = defaultdict(list)
        for row in rows:
            views[tuple(row[c] for c in VIEW)].append(row)
            if row["split"] not in splits[row["patient_id"]]:
                splits[row["patient_id"]].append(row["split"])
        disk = _Disk(self.root, rows)
        found: list[Candidate] = []
        aside: list[SetAside] = []
        for view, mine in sorted(views.items()):
            try:
                candidate, copies = _candidate(mine, splits[mine[0]["patient_id"]], disk)
                found.append(candidate)
                aside += [SetAside(c, "same_view", "another file of the same breast and view is used") for c in copies]
            except Unusable as bad:
                aside.append(SetAside("_".join(view), bad.reason, bad.explanation))
        uses = Counter(c.image for c in found)
        twice = [c for c in found if uses[c.image] > 1]
        aside += [SetAside(c.image, "two_views", "the tables give it to more than one view") for c in twice]
        found = [c for c in found if uses[c.image] == 1]
        if not found:
            raise UserError(
                f"data root {self.root} holds none of the images that its tables name; expected there: {EXPECTED}"
            )
        masses = [len(_masses(mine)) for mine in views.values()]
        self.expected = {
            "patients": len(splits),
            "images with a mass": sum(n > 0 for n in masses),
            "masses": sum(masses),
        }
        named = len(views), sum(masses)
        here = len(found), sum(bool(files) for c in found for files in json.loads(c.facts["rois"]))
        if here != named:
            log.warning("the tables name %d views and %d masses; files are here of %d and %d", *named, *here)
        if both := sum(len(s) > 1 for s in splits.values()):
            log.info("%d patients are in a training and in a test table: in_both_splits tells which", both)
        return found, aside

    def describe(self, candidate: Candidate, header: Dataset | None) -> Case:
        facts = candidate.facts
        if header is None:
            rows, columns = picture_size(self.root / candidate.image)
        else:
            check_usable(header, secondary_capture=True)  # digitised film
            rows, columns = header.Rows, header.Columns
        chosen = self._masks(candidate, rows, columns)
        decided = {
            "n_masks_resized": str(sum(mask.shape != (rows, columns) for _, mask in chosen)),
            "mask_files": json.dumps([path for path, _ in chosen]),  # for results/private: which of two files it was
        }
        return Case(
            key="_".join((facts["patient"], facts["laterality"], facts["view"])),
            patient=facts["patient"],  # PatientID in the headers names a view, not a woman
            study=facts["patient"],
            laterality=facts["laterality"],
            view=facts["view"],
            pixel_spacing_mm=None,  # scanners of different pitch; the headers do not say
            n_masses=len(chosen),
            extra={k: v for k, v in facts.items() if k not in ("patient", "laterality", "view", "rois")} | decided,
        )

    def mass_masks(self, candidate: Candidate, rows: int, columns: int) -> Iterator[np.ndarray]:
        return (_resized(mask, rows, columns) for _, mask in self._masks(candidate, rows, columns))

    def _masks(self, candidate: Candidate, rows: int, columns: int) -> list[tuple[str, np.ndarray]]:
        """File and mask, in the size it is stored in, of each mass.

        Of a mass's files the mask is the one that has two values and fits the image; its cropped image has many.
        """
        chosen = []
        for files in json.loads(candidate.facts["rois"]):
            if not files:
                raise Unusable("missing_mask", "the tables name a mask of it that is not on the disk")
            trouble = Unusable("bad_mask", "of the files of one of its masses none has two values, as a mask has")
            for file in files:
                try:
                    mask = _binary(self.root / file)
                except Unusable as bad:  # a damaged cropped image does no harm
                    trouble = Unusable("bad_mask", f"a file of one of its masses cannot be used: {bad.explanation}")
                    continue
                if mask is not None and _fits(mask, rows, columns):
                    chosen.append((file, mask))
                    break
                if mask is not None:
                    size = " x ".join(map(str, mask.shape))
                    trouble = Unusable(
                        "mask_size", f"a mask has {size} pixels (rows x columns), its image {rows} x {columns}"
                    )
            else:
                raise trouble
        return chosen

    def _rows(self) -> list[dict[str, str]]:
        """Rows of all tables, each with its kind of lesion and its split; those of the masses first, then by abnormality.

        A mirror may hold a table at two places: of an abnormality the first row counts.
        """
        found: dict[tuple[str, ...], dict[str, str]] = {}
        tables = set()
        repeated = 0
        for path in files_below(self.root, ".csv"):
            if (name := TABLE.search(Path(path).name)) is None:
                continue
            table = name["kind"].lower(), name["split"].lower()
            columns, lines = read_table_of(self.root, path)
            if missing := [c for c in NEEDED if c not in columns]:
                raise UserError(
                    f"the table {self.root / path} has no column {missing[0]!r}; replace it by the release's own"
                )
            tables.add(table)
            for line in lines:
                key = (table[0], *(line[c] for c in NEEDED[:4]))
                repeated += key in found
                found.setdefault(key, {**line, "kind": table[0], "split": table[1]})
        if not tables:
            raise UserError(f"data root {self.root} holds no table of cases; expected there: {EXPECTED}")
        for kind, split in sorted(PREFIXES.keys() - tables):
            log.warning("there is no table %s_case_description_%s_set.csv: its images are left out", kind, split)
        if repeated:
            log.warning("%d rows of the tables repeat an abnormality: the first of each counts", repeated)
        return [found[key] for key in sorted(found, key=lambda k: (k[0] != "mass", *k[1:]))]


class _Disk:
    """Finds the files that the tables name, whatever their folders are called."""

    def __init__(self, root: Path, rows: Sequence[Mapping[str, str]]):
        self.root = root
        names = {name for row in rows for column in PATHS for name in _names(row[column])}
        self.by_folder: dict[str, list[str]] = defaultdict(list)
        self.elsewhere: list[str] = []
        for path in files_below(root, ".dcm", *SUFFIXES):
            folders = names.intersection(PurePosixPath(path).parts[:-1])
            for folder in folders:
                self.by_folder[folder].append(path)
            if not folders:
                self.elsewhere.append(path)

    def files(self, *paths: str) -> list[str]:
        """Files of the series that some paths of the tables name, in order."""
        return sorted({file for path in paths for file in self._of(*_names(path))})

    def _of(self, series: str, patient: str) -> list[str]:
        for name in (series, patient):
            if name in self.by_folder:
                return self.by_folder[name]
        return self.by_header.get(series) or self.by_header.get(patient, [])

    @cached_property
    def by_header(self) -> dict[str, list[str]]:
        """Files in folders that no table names, by the series UID and by the patient of their headers.

        These are read only once some folder is not found, and once.
        """
        found = defaultdict(list)
        for path in self.elsewhere:
            if not is_picture(path) and inside(self.root, path):
                for name in filter(None, _names_in_header(self.root / path)):
                    found[name].append(path)
        return dict(found)


def _names(path: str) -> tuple[str, str]:
    """Series and patient folder of a path of the tables: <patient folder>/<study UID>/<series UID>/<file>."""
    parts = path.split("/")
    return parts[-2] if len(parts) > 1 else "", parts[0]


def _names_in_header(path: Path) -> set[str]:
    wanted = ["SeriesInstanceUID", "PatientID"]
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted, force=True)
        return {text(header, w) for w in wanted}
    except Exception:  # pydicom raises almost anything on damaged files, which no table can name then
        return set()


def _candidate(rows: list[dict[str, str]], splits: list[str], disk: _Disk) -> tuple[Candidate, list[str]]:
    """One view from its rows, and the files that hold its image again; Unusable where it cannot be used."""
    for row in rows:
        _check(row)
    # A view may be in the tables of both kinds, with a file of its own in each. The masks are drawn on that of the masses,
    # so that of the calcifications cannot stand in for it.
    drawn_on = [file for row in _masses(rows) or rows for file in disk.files(row["image_file_path"])]
    images = list(dict.fromkeys(drawn_on + [file for row in rows for file in disk.files(row["image_file_path"])]))
    if not drawn_on:
        raise Unusable("missing_file", "the tables name it, and no such file is on the disk")
    rois = [disk.files(row["cropped_image_file_path"], row["roi_mask_file_path"]) for row in _masses(rows)]
    facts = {
        "patient": rows[0]["patient_id"],
        "laterality": SIDES[rows[0]["left_or_right_breast"]],
        "view": rows[0]["image_view"],
        "rois": json.dumps(rois),
        # One for all images of a patient: that of the tables of masses, which come first, where she is in one.
        "official_split": splits[0],
        "in_both_splits": "yes" if len(splits) > 1 else "no",
        **_findings(rows),
    }
    return Candidate(images[0], tuple(sorted({file for files in rois for file in files})), facts), images[1:]


def _check(row: Mapping[str, str]) -> None:
    """Refuse a row whose cells and paths do not agree: whose image it names could not be told."""
    patient, side, view, number = (row[c] for c in NEEDED[:4])
    if not patient:
        raise Unusable("no_patient", "a row of it in the tables names no patient")
    if side not in SIDES:
        raise Unusable("bad_laterality", "its side in the tables is neither LEFT nor RIGHT")
    if view not in VIEWS:
        raise Unusable("unknown_view", "its view in the tables is neither CC nor MLO")
    image = f"{PREFIXES[row['kind'], row['split']]}_{patient}_{side}_{view}"
    for column, folder in zip(PATHS, (image, f"{image}_{number}", f"{image}_{number}"), strict=True):
        parts = row[column].split("/")
        if len(parts) != 4 or parts[0] != folder or not UID.fullmatch(parts[2]):
            raise Unusable("bad_row", "a row of it in the tables names a path of another patient, view or abnormality")


def _masses(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return [row for row in rows if row["kind"] == "mass"]


def _findings(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What is carried along of a view: the worst pathology, the highest assessment, and a word for each of its abnormalities."""
    masses = _masses(rows)
    calcifications = [row for row in rows if row["kind"] != "mass"]

    def listed(column: str, of: Sequence[Mapping[str, str]]) -> str:
        return ";".join(row.get(column, "") for row in of)

    pathologies = {row.get("pathology", "") for row in rows}
    return {
        "lesion_type": "both" if masses and calcifications else "mass" if masses else "calcification",
        "pathology": next((p.lower() for p in WORST_FIRST if p in pathologies), ""),
        "birads": max(row.get("assessment", "") for row in rows),
        "density": next((d for row in rows if (d := row.get("breast_density")) in DENSITIES), ""),
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
        As `read_encoded`, `decode` and `decode_picture`.
    """
    array = decode_picture(path) if is_picture(path) else decode(read_encoded(path))
    if array.ndim == 3:
        array = array[..., 0]
    low, high = array.min(), array.max()
    if path.suffix.lower() in LOSSY:  # its black and white are blurred
        grey = (array > JPEG_NEAR) & (array < 255 - JPEG_NEAR)
        return array >= 128 if low < 128 <= high and grey.mean() < JPEG_GREY else None
    return array == high if low < high and ((array == low) | (array == high)).all() else None


def _fits(mask: np.ndarray, rows: int, columns: int) -> bool:
    """Whether a mask was drawn on an image of this size, perhaps as scanned at another pitch."""
    down, across = rows / mask.shape[0], columns / mask.shape[1]
    return HALF < down < TWICE and abs(down / across - 1) <= SAME_RATIO


def _resized(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A mask in the image's pixels: each takes the value of the mask's pixel that its centre lies on."""
    if mask.shape == (rows, columns):
        return mask
    return cv2.resize(mask.view(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT).view(bool)
