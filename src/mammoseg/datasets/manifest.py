"""The user's own archive: one CSV that names images, patients and masks. docs/running.md describes the columns."""

import logging
import math
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from mammoseg.datasets.importer import Candidate, Case, Importer, SetAside
from mammoseg.datasets.masks import components, count_components, read_mask, read_segmentation
from mammoseg.datasets.pictures import is_picture, picture_size
from mammoseg.datasets.sheets import read_sheet
from mammoseg.datasets.walk import inside
from mammoseg.dicom.position import VIEWS, laterality_and_view, pixel_spacing_mm, side_and_view
from mammoseg.dicom.read import check_usable, read_header
from mammoseg.dicom.values import text
from mammoseg.runtime.errors import Unusable, UserError

log = logging.getLogger(__name__)

NAME = "manifest.csv"
REQUIRED = ("image", "patient")
OPTIONAL = ("mask", "study", "laterality", "view", "pixel_spacing_mm")
SIDES = {"": "", "l": "L", "left": "L", "r": "R", "right": "R"}
MASK_SEPARATOR = ";"


class ManifestImporter(Importer):
    """A manifest: masses = the 8-connected components of all masks of a row together.

    Parameters
    ----------
    root : Path
        The CSV, or the folder that holds manifest.csv; paths in it are relative to its folder and may not leave it.
    """

    source = "was an archive with a table that names the patient and the masks of each image"
    reference = "the masks that the archive's table names"
    layout = "an archive with a manifest"
    free_text = True

    def __init__(self, root: Path):
        root = Path(root)
        self.table = root if root.suffix.lower() == ".csv" else root / NAME
        super().__init__(self.table.parent)

    def candidates(self) -> tuple[list[Candidate], list[SetAside]]:
        if not self.table.is_file():
            raise UserError(f"the manifest {self.table} does not exist; it is a CSV with the columns image and patient")
        columns, rows = read_sheet(self.table)
        for column in REQUIRED:
            if column not in columns:
                # Its own headers are not quoted: even they may name somebody.
                raise UserError(
                    f"the manifest {self.table} has no column {column!r}; its first line must hold image and patient"
                )
        if not rows:
            raise UserError(f"the manifest {self.table} has a header line and no image")
        patients = defaultdict(set)
        for row in rows:
            if row["patient"]:
                patients[_tidy(row["image"])].add(row["patient"])
        found: dict[str, Candidate] = {}
        aside = []
        for row in rows:
            image = _tidy(row["image"])
            try:
                candidate = self._candidate(image, row)
                if len(patients[image]) > 1:
                    raise Unusable("two_patients", "the manifest lists it under two patients")
                if image in found:
                    raise Unusable("duplicate", "the manifest lists it twice")
                found[image] = candidate
            except Unusable as bad:
                aside.append(SetAside(image, bad.reason, bad.explanation))
        return list(found.values()), aside

    def describe(self, candidate: Candidate, header: Dataset | None) -> Case:
        facts = candidate.facts
        if header is None:
            rows, columns = picture_size(self.root / candidate.image)
            key, spacing, laterality, view = candidate.image, None, "", ""
        else:
            check_usable(header, secondary_capture=True)  # the user named this very file
            rows, columns = header.Rows, header.Columns
            key = text(header, "SOPInstanceUID") or candidate.image
            spacing = pixel_spacing_mm(header)
            laterality, view = laterality_and_view(header)
        side, given = side_and_view(facts.get("view", "").upper())
        n_masses = None
        if "mask" in facts:
            n_masses = count_components(self._mask(candidate, rows, columns))
        return Case(
            key=key,
            patient=facts["patient"],
            study=facts.get("study") or (text(header, "StudyInstanceUID") if header else "") or facts["patient"],
            laterality=SIDES[facts.get("laterality", "").lower()] or side or laterality,
            view=given or view,
            pixel_spacing_mm=float(facts["pixel_spacing_mm"]) if facts.get("pixel_spacing_mm") else spacing,
            n_masses=n_masses,
            extra={name: value for name, value in facts.items() if name not in REQUIRED + OPTIONAL},
        )

    def mass_masks(self, candidate: Candidate, rows: int, columns: int) -> Iterator[np.ndarray]:
        return components(self._mask(candidate, rows, columns))

    def _mask(self, candidate: Candidate, rows: int, columns: int) -> np.ndarray:
        """All masks of a row together: files may overlap, and one mass may be given twice."""
        mask = np.zeros((rows, columns), dtype=bool)
        for path in candidate.annotations:
            if is_picture(path):
                mask |= read_mask(self.root / path, rows, columns)
            else:
                mask |= read_segmentation(self.root / path, self._uid(candidate.image), rows, columns)
        return mask

    def _uid(self, image: str) -> str:
        """SOP instance UID of an image; empty for a picture."""
        return "" if is_picture(image) else text(read_header(self.root / image), "SOPInstanceUID")

    def _candidate(self, image: str, row: dict[str, str]) -> Candidate:
        """Check one row of the table; Unusable where it cannot be used."""
        if not image:
            raise Unusable("no_image", "its row in the manifest has an empty cell in the column image")
        if not row["patient"]:
            raise Unusable("no_patient", "its row in the manifest has an empty cell in the column patient")
        if row.get("laterality", "").lower() not in SIDES:
            raise Unusable("bad_laterality", "its laterality in the manifest is none of L, R, left, right")
        side, view = side_and_view(row.get("view", "").upper())
        if row.get("view") and not view:  # it goes into index.csv, so it may be no text of any kind
            raise Unusable("unknown_view", f"its view in the manifest is none of {', '.join(sorted(VIEWS))}")
        if side and SIDES[row.get("laterality", "").lower()] not in ("", side):
            raise Unusable("bad_laterality", "its laterality in the manifest is not the side that its view names")
        if row.get("pixel_spacing_mm") and not _is_spacing(row["pixel_spacing_mm"]):
            raise Unusable("bad_pixel_spacing", "its pixel spacing in the manifest is not a positive number")
        masks = tuple(_tidy(m) for m in row.get("mask", "").split(MASK_SEPARATOR) if m.strip())
        for path, what in ((image, "file"), *((m, "mask") for m in masks)):
            if not inside(self.root, path):
                raise Unusable("outside_root", "a path in its row leaves the manifest's folder")
            if not os.path.isfile(self.root / path):  # never raises, however odd the path
                raise Unusable(f"missing_{what}", "a file that its row in the manifest names does not exist")
        if not all(is_picture(m) or m.lower().endswith(".dcm") for m in masks):
            raise Unusable("bad_mask", "a mask in the manifest is none of PNG, TIFF, JPEG and DICOM SEG (.dcm)")
        return Candidate(image, masks, row)


def _tidy(path: str) -> str:
    """A path as the table has it, with forward slashes and without detours, so that one file has one name."""
    path = path.strip().replace("\\", "/")
    return os.path.normpath(path) if path else ""


def _is_spacing(cell: str) -> bool:
    try:
        return 0 < float(cell) < math.inf
    except ValueError:
        return False
