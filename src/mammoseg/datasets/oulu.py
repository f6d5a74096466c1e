"""Releases of the Oulu annotation tool (MIPT-Oulu/MammogramAnnotationTool_public)."""

import logging
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
from pydicom.dataset import Dataset

from mammoseg.datasets.importer import Candidate, Case, Importer, SetAside
from mammoseg.datasets.masks import components, count_components, read_mask
from mammoseg.datasets.sheets import read_table_of
from mammoseg.datasets.walk import check_folder, files_below
from mammoseg.dicom.position import laterality_and_view, pixel_spacing_mm
from mammoseg.dicom.read import check_usable
from mammoseg.dicom.values import text
from mammoseg.runtime.errors import Unusable, UserError

log = logging.getLogger(__name__)

EXPECTED = (
    "a folder of the Oulu annotation tool, with images/<study>/<name>.dcm and masks/<study>/<name>_mask_benign_mass.png"
)
CLASSES = ("benign", "malignant")
STATUS = {"0": "pending", "1": "incomplete", "2": "ready"}


class OuluImporter(Importer):
    """Oulu layout: masses = the 8-connected components of the benign and of the malignant mass mask.

    The tool writes the masks of all classes for every image, empty ones too. So an empty mask says "no mass" only in a study
    that is marked ready (or where study_info.csv does not say); else the image counts as not annotated.
    """

    source = "was an archive annotated with the Oulu mammogram annotation tool"
    reference = "the masks of benign and of malignant masses in the archive"
    layout = "an archive of the Oulu mammogram annotation tool"

    def candidates(self) -> tuple[list[Candidate], list[SetAside]]:
        check_folder(self.root, EXPECTED)
        check_folder(self.root / "images", EXPECTED)
        status = self._status()
        masks = set(files_below(self.root / "masks", ".png"))
        densities: dict[str, str | None] = {}
        found, aside = [], []
        for path in files_below(self.root / "images", ".dcm"):
            parts = PurePosixPath(path).parts
            if len(parts) != 2:
                aside.append(SetAside(f"images/{path}", "misplaced", "it is not in images/<study>/"))
                continue
            study, name = parts
            if study not in densities:
                densities[study] = self._density(study)
            facts = {"study": study, "status": status.get(study, ""), "density": densities[study] or ""}
            for kind in CLASSES:
                # Names are UIDs: cut off ".dcm" only, with_suffix would take the last part of the UID with it.
                mask = f"{study}/{name[:-4]}_mask_{kind}_mass.png"
                if mask in masks:
                    facts[kind] = f"masks/{mask}"
            annotations = tuple(facts[kind] for kind in CLASSES if kind in facts)
            found.append(Candidate(f"images/{path}", annotations, facts))
        if not found:
            raise UserError(f"data root {self.root} holds no image; expected there: {EXPECTED}")
        if unreadable := sum(d is None for d in densities.values()):
            log.warning("the tables of breast density of %d studies cannot be read: it stays empty there", unreadable)
        return found, aside

    def describe(self, candidate: Candidate, header: Dataset | None) -> Case:
        check_usable(header)
        facts = candidate.facts
        laterality, view = laterality_and_view(header)
        counts = {kind: self._count(candidate, kind, header.Rows, header.Columns) for kind in CLASSES}
        n_masses = None if None in counts.values() else sum(counts.values())
        if n_masses == 0 and facts["status"] in ("pending", "incomplete"):
            n_masses = None
        return Case(
            key=text(header, "SOPInstanceUID") or PurePosixPath(candidate.image).name[:-4],
            patient=text(header, "PatientID") or facts["study"],
            study=text(header, "StudyInstanceUID") or facts["study"],
            laterality=laterality,
            view=view,
            pixel_spacing_mm=pixel_spacing_mm(header),
            n_masses=n_masses,
            extra={
                "pathology": "both" if all(counts.values()) else next((kind for kind in CLASSES if counts[kind]), ""),
                "density": facts["density"],
                "annotation_status": facts["status"],
            },
        )

    def mass_masks(self, candidate: Candidate, rows: int, columns: int) -> Iterator[np.ndarray]:
        masks = [read_mask(self.root / path, rows, columns) for path in candidate.annotations]
        return (mass for mask in masks for mass in components(mask))

    def _count(self, candidate: Candidate, kind: str, rows: int, columns: int) -> int | None:
        """Masses of one class; None where there is no mask file and the study does not claim to be ready."""
        path = candidate.facts.get(kind)
        if path is not None:
            return count_components(read_mask(self.root / path, rows, columns))
        if candidate.facts["status"] == "ready":
            raise Unusable("missing_mask", "its study is marked ready, but a mass mask of this image is missing")
        return None

    def _status(self) -> dict[str, str]:
        """Annotation status by study folder, from study_info.csv; empty where there is no such table."""
        path = self.root / "study_info.csv"
        if not path.is_file():
            log.warning("the release has no study_info.csv: empty masks are taken as 'no mass'")
            return {}
        columns, rows = read_table_of(self.root, path.name)
        if missing := {"studyinstanceuid", "annotationstatus"} - set(columns):
            raise UserError(f"the table {path} has no column {sorted(missing)[0]}; put the annotation tool's own there")
        status = {r["studyinstanceuid"]: STATUS.get(r["annotationstatus"], "") for r in rows}
        unready = sum(s in ("pending", "incomplete") for s in status.values())
        if unready:
            log.warning("%d of %d studies are not marked ready in study_info.csv", unready, len(status))
        return status

    def _density(self, study: str) -> str | None:
        """Breast density, 1 to 4, of a study; empty where undefined or not given, None where its table cannot be read."""
        path = f"csv/{study}_breast_density.csv"
        if not (self.root / path).is_file():
            return ""
        try:
            _, rows = read_table_of(self.root, path)
        except UserError:  # it would name the study, and costs no more than a word about it
            return None
        density = rows[0].get("breastdensity", "") if rows else ""
        return density if density in ("1", "2", "3", "4") else ""
