"""Outlines as OsiriX exports them: Apple property lists of regions of interest."""

import plistlib

import numpy as np

from mammoseg.phantom.image import Finding, Mammogram

POINT, OPEN, CLOSED = 19, 10, 11  # OsiriX's tool codes
SPELLINGS = ("Spiculated Region", "Spiculated region", "Espiculated Region")


def regions(image: Mammogram, white: int, number: int, with_quirks: bool) -> list[dict]:
    """All regions of one image, in the order of its findings.

    Calcifications are single points, a cluster has its outline too; a spiculated mass has a second region around its
    spicules. `with_quirks` adds a region without a name and one without points.
    """
    pixels = image.stored(white)
    named: list[tuple[str | None, np.ndarray]] = []
    for finding in image.findings:
        named += of_finding(finding, number)
    if with_quirks:
        named.append((None, image.findings[0].contour[:1]))
        named.append(("Unnamed", np.empty((0, 2))))
    return [region(k, name, points, pixels, image.spacing_mm) for k, (name, points) in enumerate(named)]


def of_finding(finding: Finding, number: int) -> list[tuple[str, np.ndarray]]:
    """Names and points of the regions that stand for one finding."""
    lesion = finding.lesion
    single = [("Calcification", spot[None]) for spot in finding.spots]
    match lesion.kind, lesion.shape:
        case "mass", "spiculated":
            centre = finding.contour.mean(axis=0)
            around = centre + 1.6 * (finding.contour - centre)
            return [("Mass", finding.contour), (SPELLINGS[number % len(SPELLINGS)], around)]
        case "mass", _:
            return [("Mass", finding.contour)]
        case "calc", "cluster":
            return [("Cluster", finding.contour), *single]
        case "calc", _:
            return single
        case _:
            return [("Distortion", finding.contour)]


def region(index: int, name: str | None, points: np.ndarray, pixels: np.ndarray, spacing: float, kind: int = 0) -> dict:
    """One region. name None: the key is missing. points: (n, 2) of (column, row), possibly outside the image."""
    rows, columns = pixels.shape
    at = np.clip(np.rint(points), 0, (columns - 1, rows - 1)).astype(int)
    values = pixels[at[:, 1], at[:, 0]].astype(float) if len(at) else np.zeros(1)
    x, y = points.T if len(points) else np.zeros((2, 1))
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) * spacing**2 / 100
    entry = {
        "Area": float(area),
        "Center": f"({x.mean():.6f}, {y.mean():.6f}, 0.000000)",
        "Dev": float(values.std()),
        "IndexInImage": index,
        "Max": float(values.max()),
        "Mean": float(values.mean()),
        "Min": float(values.min()),
        "Name": name,
        "NumberOfPoints": len(points),
        "Point_mm": [f"({a * spacing:.6f}, {b * spacing:.6f}, 0.000000)" for a, b in points],
        "Point_px": [f"({a:.6f}, {b:.6f})" for a, b in points],
        "Total": float(values.sum()),
        "Type": kind or (POINT if len(points) == 1 else CLOSED),
    }
    return {key: value for key, value in entry.items() if value is not None}


def lesion_file(rois: list[dict]) -> bytes:
    """The property list that holds the regions of one image."""
    images = [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]
    return plistlib.dumps({"Images": images}, sort_keys=False)


def muscle_file(image: Mammogram, white: int, short: bool) -> bytes:
    """The pectoral muscle's open border, in the lesions' schema or in the short one with ``{x, y}`` at the top level."""
    if short:
        points = [f"{{{x:.6f}, {y:.6f}}}" for x, y in image.muscle]
        return plistlib.dumps({"Name": "Pectoral Muscle", "ROIPoints": points}, sort_keys=False)
    return lesion_file([region(0, "Pectoral Muscle", image.muscle, image.stored(white), image.spacing_mm, OPEN)])
