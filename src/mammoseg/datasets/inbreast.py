"""INbreast (Moreira et al. 2012) as released and as mirrored."""

import logging
import math
import plistlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
from pydicom.dataset import Dataset

from mammoseg.datasets.importer import Candidate, Case, Importer, SetAside
from mammoseg.datasets.masks import draw_region
from mammoseg.datasets.sheets import EXCEL, read_table_of
from mammoseg.datasets.walk import check_folder, files_below
from mammoseg.dicom.position import pixel_spacing_mm
from mammoseg.dicom.read import check_usable
from mammoseg.runtime.errors import Unusable, UserError

log = logging.getLogger(__name__)

EXPECTED = (
    "an INbreast release, with images like AllDICOMs/20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm and outlines like "
    "AllXML/20586908.xml"
)
NAME = re.compile(r"(?P<id>\d+)_(?P<patient>[0-9a-f]+)_MG_(?P<side>[LR])_(?P<view>[A-Z]+)_ANON\.dcm", re.IGNORECASE)
VIEWS = {"CC": "CC", "ML": "MLO", "MLO": "MLO"}  # ML in a name means MLO; FB is "from below"
RELEASED_SIZES = {(4084, 3328), (3328, 2560)}  # rows × columns; the headers hold no pixel size, the paper says:
RELEASED_SPACING_MM = 0.07
MAX_XML_BYTES = 20_000_000  # the largest of the release has some hundred kilobytes
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


class InbreastImporter(Importer):
    """INbreast: patient = hash in the file name, masses = regions of the XML that are named "mass"."""

    source = "was the INbreast release (Moreira et al., Academic Radiology 19, 2012)"
    reference = "the outlines that the release names “mass”, filled"
    layout = "the INbreast release"
    by_design = frozenset({"view_from_below"})
    expected = MappingProxyType({"files": 410, "patients": 108, "images with a mass": 107, "masses": 116})

    def candidates(self) -> tuple[list[Candidate], list[SetAside]]:
        check_folder(self.root, EXPECTED)
        outlines = {}
        for path in files_below(self.root, ".xml"):
            if "pectoral" not in path.lower():
                outlines.setdefault(Path(path).stem, path)
        table = self._table()
        found: dict[str, Candidate] = {}
        aside = []
        for path in files_below(self.root, ".dcm"):
            name = NAME.fullmatch(Path(path).name)
            if name is None:
                aside.append(SetAside(path, "unknown_name", "its name is not one of the INbreast release"))
            elif name["view"].upper() == "FB":
                aside.append(SetAside(path, "view_from_below", "its view is from below (FB), neither CC nor MLO"))
            elif name["view"].upper() not in VIEWS:
                aside.append(SetAside(path, "unknown_view", "the view in its name is none of the release's"))
            elif name["id"] in found:
                aside.append(SetAside(path, "duplicate", "the release holds this image at another place too"))
            else:
                row = table.get(int(name["id"]), {})
                facts = {
                    "id": name["id"],
                    "patient": name["patient"].lower(),
                    "laterality": name["side"].upper(),
                    "view": VIEWS[name["view"].upper()],
                    "date": row.get("acquisition_date", ""),
                    "birads": row.get("bi_rads", ""),
                    "density": row.get("acr", ""),
                }
                xml = outlines.get(name["id"])
                found[name["id"]] = Candidate(path, (xml,) if xml else (), facts)
        if not found:
            raise UserError(f"data root {self.root} holds no INbreast image; expected there: {EXPECTED}")
        if not outlines:  # an image without XML has no mass: then none had
            raise UserError(f"data root {self.root} holds no XML with outlines of masses; expected there: {EXPECTED}")
        return list(found.values()), aside

    def describe(self, candidate: Candidate, header: Dataset | None) -> Case:
        check_usable(header, secondary_capture=True)  # the release is a re-export: Modality OT, secondary capture
        facts = candidate.facts
        rows, columns = header.Rows, header.Columns
        spacing = pixel_spacing_mm(header)
        if spacing is None and (rows, columns) in RELEASED_SIZES:
            spacing = RELEASED_SPACING_MM
        return Case(
            key=facts["id"],
            patient=facts["patient"],
            # A patient may have come more than once. The date is a year and a semester, and the tables may be missing.
            study="_".join(filter(None, (facts["patient"], facts["date"]))),
            laterality=facts["laterality"],
            view=facts["view"],
            pixel_spacing_mm=spacing,
            n_masses=len(self._masses(candidate, rows, columns)),
            extra={"birads": facts["birads"], "density": facts["density"]},
        )

    def mass_masks(self, candidate: Candidate, rows: int, columns: int) -> Iterator[np.ndarray]:
        return (draw_region(points, rows, columns) for points in self._masses(candidate, rows, columns))

    def _masses(self, candidate: Candidate, rows: int, columns: int) -> list[np.ndarray]:
        """Outlines of the masses; one that has no point on the image is none. An image without XML has no finding."""
        masses = [p for path in candidate.annotations for name, p in read_regions(self.root / path) if name == "mass"]
        return [p for p in masses if _touches(p, rows, columns)]

    def _table(self) -> dict[int, dict[str, str]]:
        """Rows of INbreast.csv, else of INbreast.xls, by image id. Tables differ in separators, and may end in totals."""
        tables = [p for p in files_below(self.root, ".csv", *EXCEL) if Path(p).stem.lower() == "inbreast"]
        tables.sort(key=lambda p: not p.lower().endswith(".csv"))
        if not tables:
            log.warning(
                "the release has neither INbreast.csv nor .xls: BI-RADS, density and acquisition date stay empty"
            )
            return {}
        columns, rows = read_table_of(self.root, tables[0])
        if "file_name" not in columns:
            raise UserError(f"the table {self.root / tables[0]} has no column 'File Name'; put the release's own there")
        return {int(float(r["file_name"])): r for r in rows if re.fullmatch(r"\d+(\.0*)?", r["file_name"])}


def _touches(points: np.ndarray, rows: int, columns: int) -> bool:
    x, y = np.rint(points).T
    return bool(((x >= 0) & (x < columns) & (y >= 0) & (y < rows)).any())


def read_regions(path: Path) -> list[tuple[str, np.ndarray]]:
    """Regions of one XML of the release, an Apple property list as OsiriX exports it.

    Returns
    -------
    list of (name, points)
        Name stripped and in lower case, empty where there is none; points (n, 2) float, x (column) and y (row), 0-based.
        Regions without a point are left out.

    Raises
    ------
    Unusable
        ``bad_annotation``.
    """
    try:
        if path.stat().st_size > MAX_XML_BYTES:
            raise ValueError("too large")
        # plistlib refuses entity declarations, so an XML cannot blow up in memory or read other files.
        images = plistlib.loads(path.read_bytes(), fmt=plistlib.FMT_XML)["Images"]
        regions = [roi for image in images for roi in image["ROIs"]]
        named = [(str(roi.get("Name", "")).strip().lower(), _points(roi)) for roi in regions]
    except Exception:  # not XML, not a property list, or one of another shape: whatever is missing raises its own error
        raise Unusable("bad_annotation", "its XML is not a property list of outlines as INbreast has them") from None
    return [(name, points) for name, points in named if len(points)]


def _points(roi: dict) -> np.ndarray:
    """Points of a region from texts like ``"(1234.5, 567.8)"``; a third number is ignored."""
    pairs = [tuple(float(n) for n in NUMBER.findall(text)[:2]) for text in roi.get("Point_px", [])]
    if not all(len(p) == 2 and all(map(math.isfinite, p)) for p in pairs):
        raise ValueError("a point without two numbers")
    if roi.get("NumberOfPoints", len(pairs)) != len(pairs):
        log.warning("an outline says another number of points than it has; all that it has are used")
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)
