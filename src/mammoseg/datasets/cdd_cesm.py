"""CDD-CESM (Khaled et al. 2022): contrast-enhanced mammography as released, JPEG with radiologists' contours.

The low-energy images (DM) are comparable to ordinary mammograms; the subtracted ones (CM) are set aside.
"""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from mammoseg.datasets.importer import Candidate, Case, Importer, SetAside
from mammoseg.datasets.masks import draw_ellipse, draw_region
from mammoseg.datasets.pictures import picture_size
from mammoseg.datasets.sheets import read_table_of
from mammoseg.datasets.walk import check_folder, files_below
from mammoseg.runtime.errors import Unusable, UserError

log = logging.getLogger(__name__)

EXPECTED = (
    "the CDD-CESM release, with images like P10_L_DM_CC.jpg, Radiology_hand_drawn_segmentations_v2.csv and "
    "Radiology-manual-annotations (csv or xlsx)"
)
# A second exposure has a 2 behind the view: P99_L_DM_MLO_2.jpg, P281_L_DM_MLO2.jpg.
NAME = re.compile(
    r"(?P<patient>P\d+)_(?P<side>[LR])_(?P<kind>DM|CM)_(?P<view>CC|MLO)(_?\d)?\.jpe?g", re.IGNORECASE | re.ASCII
)
MASS = re.compile(r"(?<!non)(?<!non[ -])\bmass(es)?\b", re.IGNORECASE)
FINDING_COLUMNS = ("findings", "birads", "breast_density_acr", "pathology_classification_follow_up")
OTHER = re.compile(r"asymmetr|distortion|edema|calcif|duct|scar|thicken|tortuous|retraction|non.mass", re.IGNORECASE)


class CddCesmImporter(Importer):
    """CDD-CESM: masses = the contours of an image whose findings name a mass; contours carry no label of their own."""

    source = "consisted of the low-energy images of the CDD-CESM release (Khaled et al., Scientific Data 9, 2022)"
    reference = "the contours of the images whose findings name a mass, filled"
    layout = "the CDD-CESM release"
    by_design = frozenset({"subtracted"})

    def candidates(self) -> tuple[list[Candidate], list[SetAside]]:
        check_folder(self.root, EXPECTED)
        findings, regions = self._findings(), self._regions()
        found: dict[str, Candidate] = {}
        aside = []
        for path in self._pictures():
            name = NAME.fullmatch(Path(path).name)
            stem = Path(path).stem.upper()
            if name is None:
                aside.append(SetAside(path, "unknown_name", "its name is not one of the CDD-CESM release"))
            elif name["kind"].upper() == "CM":
                aside.append(SetAside(path, "subtracted", "it is a subtracted image, not a mammogram"))
            elif stem in found:
                aside.append(SetAside(path, "duplicate", "the release holds this image at another place too"))
            else:
                row = findings.get(stem)
                finding = "" if row is None else _finding(row["findings"])
                facts = {
                    "patient": name["patient"].upper(),
                    "laterality": name["side"].upper(),
                    "view": name["view"].upper(),
                    # Only what is drawn: a corrected finding is another reference, as a corrected contour is.
                    "outlines": json.dumps(regions.get(stem, []) if "mass" in finding else []),
                    "finding": finding,
                    "birads": "" if row is None else row["birads"],
                    "density": "" if row is None else row["breast_density_acr"].strip("_"),
                    "pathology": "" if row is None else row["pathology_classification_follow_up"].lower(),
                }
                found[stem] = Candidate(path, (), facts)
        if not found:
            raise UserError(f"data root {self.root} holds no low-energy image of CDD-CESM; expected there: {EXPECTED}")
        if unknown := sum(not c.facts["finding"] for c in found.values()):
            log.warning("%d images are not in the table of findings: they have no reference", unknown)
        return list(found.values()), aside

    def describe(self, candidate: Candidate, header: Dataset | None) -> Case:
        facts = candidate.facts
        rows, columns = picture_size(self.root / candidate.image)
        return Case(
            key=Path(candidate.image).stem.upper(),
            patient=facts["patient"],
            study=facts["patient"],
            laterality=facts["laterality"],
            view=facts["view"],
            pixel_spacing_mm=None,  # neither release nor paper say
            n_masses=self._number(candidate, rows, columns),
            extra={k: facts[k] for k in ("finding", "birads", "density", "pathology")},
        )

    def mass_masks(self, candidate: Candidate, rows: int, columns: int) -> Iterator[np.ndarray]:
        masks = (_draw(region, rows, columns) for region in json.loads(candidate.facts["outlines"]))
        return (m for m in masks if m.any())

    def _number(self, candidate: Candidate, rows: int, columns: int) -> int | None:
        """Masses of an image; None where nothing is said of it, or a mass is named and no contour drawn."""
        if not candidate.facts["finding"]:
            return None
        n = sum(1 for _ in self.mass_masks(candidate, rows, columns))
        return None if "mass" in candidate.facts["finding"] and not n else n

    def _pictures(self) -> list[str]:
        """All JPEGs of the release's own folders; of all folders, where a mirror has none of that name."""
        paths = list(files_below(self.root, ".jpg", ".jpeg"))
        own = [p for p in paths if re.search(r"(low.energy|subtracted) images", p, re.IGNORECASE)]
        if own and len(own) < len(paths):
            log.info("%d pictures outside the release's folders are left alone", len(paths) - len(own))
        return own or paths

    def _findings(self) -> dict[str, dict[str, str]]:
        """Rows of the table of findings by the image's name in upper case."""
        return {row["image_name"].upper(): row for row in self._sheet("annotations", ("image_name", "findings"))}

    def _regions(self) -> dict[str, list[str]]:
        """Contours, as their JSON texts, by the image's name in upper case."""
        regions: dict[str, list[str]] = {}
        for row in self._sheet("segmentations", ("filename", "region_shape_attributes")):
            if row["region_shape_attributes"] not in ("", "{}"):
                regions.setdefault(Path(row["filename"]).stem.upper(), []).append(row["region_shape_attributes"])
        return regions

    def _sheet(self, word: str, needed: tuple[str, ...]) -> list[dict[str, str]]:
        """Rows of the release's table with `word` in its name."""
        tables = [p for p in files_below(self.root, ".csv", ".xlsx") if word in Path(p).name.lower()]
        if not tables:
            raise UserError(
                f"data root {self.root} holds no table with {word!r} in its name; expected there: {EXPECTED}"
            )
        columns, rows = read_table_of(self.root, tables[0])
        if missing := [c for c in needed if c not in columns]:
            raise UserError(
                f"the table {self.root / tables[0]} has no column {missing[0]!r}; put the release's own there"
            )
        return [{**dict.fromkeys(FINDING_COLUMNS, ""), **row} for row in rows]


def _finding(text: str) -> str:
    """What the free text names: mass, mass_and_other, other or normal; the text itself is not carried along."""
    if not MASS.search(text):
        return "normal" if text.strip().lower() in ("", "normal") else "other"
    return "mass_and_other" if OTHER.search(text) else "mass"


def _draw(region: str, rows: int, columns: int) -> np.ndarray:
    """One contour of the VGG Image Annotator."""
    try:
        shape = json.loads(region)
        match shape["name"]:
            case "polygon" | "polyline":
                points = np.array([shape["all_points_x"], shape["all_points_y"]], dtype=np.float64).T
                return draw_region(points, rows, columns)
            case "circle":
                return draw_ellipse(shape["cx"], shape["cy"], shape["r"], shape["r"], 0, rows, columns)
            case "ellipse":
                axes = shape["rx"], shape["ry"], shape.get("theta", 0)
                return draw_ellipse(shape["cx"], shape["cy"], *axes, rows, columns)
            case "point":
                return draw_region(np.array([[shape["cx"], shape["cy"]]]), rows, columns)
        raise ValueError(shape["name"])
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):  # numbers of 400 digits, deep nesting
        raise Unusable("bad_annotation", "a contour in the release's table cannot be read") from None
