"""One phantom mammogram with its truth: pixels and findings as arrays, before any file is written."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mammoseg.phantom import distractors, lesions
from mammoseg.phantom.anatomy import breast_view, tissue
from mammoseg.phantom.canvas import Window
from mammoseg.phantom.lesions import Lesion
from mammoseg.phantom.patient import BORDER, TISSUE, VIEW, Exposure, Patient
from mammoseg.phantom.seeds import generator
from mammoseg.phantom.shapes import StarShape

NOISE = 0.008  # SD of the detector's noise, display units
DARKEST_TISSUE = 0.002  # so that only air is 0


@dataclass(frozen=True)
class Finding:
    """One annotated finding in one image.

    Attributes
    ----------
    lesion : Lesion
        What it is.
    contour : ndarray
        (n, 2) float64 of (column, row), its border in pixels of the stored image; a pixel's centre is a whole number.
        Where the image's edge cuts the lesion, the contour goes on outside the image.
    mask : ndarray
        (rows, columns) bool: the pixels whose centres lie within the border; never empty.
    spots : ndarray
        (m, 2) float64 of (column, row): single calcifications; empty for other findings.
    """

    lesion: Lesion
    contour: np.ndarray
    mask: np.ndarray
    spots: np.ndarray


@dataclass(frozen=True)
class Mammogram:
    """One image as it is acquired: a left breast's chest wall on the left edge, a right breast's on the right.

    Attributes
    ----------
    exposure : Exposure
        Which image it is.
    brightness : ndarray
        (rows, columns) float32 in 0..1; exactly 0 in air, above 0 in the breast.
    breast : ndarray
        (rows, columns) bool.
    findings : tuple of Finding
        Masses, calcifications and distortions that the release annotates.
    muscle : ndarray or None
        (n, 2) float64 of (column, row): the open border of the pectoral muscle, from the upper edge down. MLO only.
    spacing_mm : float
        Side of a pixel.
    """

    exposure: Exposure
    brightness: np.ndarray
    breast: np.ndarray
    findings: tuple[Finding, ...]
    muscle: np.ndarray | None
    spacing_mm: float

    @property
    def masses(self) -> list[Finding]:
        """The findings that are masses."""
        return [f for f in self.findings if f.lesion.kind == "mass"]

    @cached_property
    def mass_mask(self) -> np.ndarray:
        """(rows, columns) bool: all masses together, all False where there is none."""
        return np.logical_or.reduce([f.mask for f in self.masses], initial=False) | np.zeros_like(self.breast)

    def stored(self, white: int) -> np.ndarray:
        """(rows, columns) uint16: the brightness with 1 at `white` and 0 in air."""
        return np.uint16(np.rint(self.brightness * np.float32(white)))


def acquire(patient: Patient, exposure: Exposure, rows: int, columns: int, spacing: float) -> Mammogram:
    """Take one image of `patient` on a grid of rows × columns pixels of `spacing` mm."""
    grid = Window.whole(rows, columns, spacing)
    view = "MLO" if exposure.view == "MLO" else "CC"
    path = (patient.seed, patient.number)
    breast = breast_view(generator(*path, VIEW, *exposure.code), patient.body, view, rows * spacing)
    rng = generator(*path, TISSUE, *exposure.code)
    value, depth, clumps = tissue(rng, patient.body, breast, grid)
    inside = depth > 0

    distractors.draw_vessels(rng, breast, value, grid)
    for _ in range(rng.integers(0, 3)):
        place = distractors.random_place(rng, breast, 0.25, 0.75)
        distractors.draw_patch(rng, place, rng.uniform(20, 45), rng.uniform(0.08, 0.18), value, clumps, grid)
    findings = []
    for k, lesion in patient.lesions(exposure):
        shape_rng = generator(*path, BORDER, *exposure.code[1:3], k)  # the same in both exams
        border = lesions.border_of(shape_rng, lesion, lesions.place(lesion, breast, view))
        spots = draw_lesion(rng, lesion, border, value, clumps, grid)
        mask = mask_of(border, grid) & inside
        findings.append(Finding(lesion, grid.pixels(border.contour(contour_points(lesion))), mask, grid.pixels(spots)))
    distractors.draw_scattered_spots(rng, breast, value, grid)

    value += np.float32(NOISE) * rng.standard_normal(value.shape, dtype=np.float32)
    value = np.where(inside, np.clip(shoulder(value), DARKEST_TISSUE, 1), np.float32(0))
    muscle = grid.pixels(breast.muscle.border()) if view == "MLO" else None
    return as_stored(Mammogram(exposure, value, inside, tuple(findings), muscle, spacing))


def shoulder(value: np.ndarray, start: float = 0.55) -> np.ndarray:
    """Compress the brightest parts as a detector's processing does: linear up to `start`, never above 1."""
    above = np.clip(value - start, 0, None)
    return np.minimum(value, start) + (1 - start) * np.tanh(above / (1 - start))


def draw_lesion(
    rng: np.random.Generator,
    lesion: Lesion,
    border: StarShape,
    value: np.ndarray,
    clumps: np.ndarray,
    grid: Window,
) -> np.ndarray:
    """Draw a finding into `value`, in place; returns its single spots, (m, 2) of (x, y) in mm."""
    if lesion.kind == "calc":
        spots = lesions.calcifications(rng, lesion, border)
        lesions.draw_spots(spots, lesion.brightness, value, grid)
        return spots[:, :2]
    if lesion.kind == "mass":
        lesions.draw_mass(rng, lesion, border, value, grid)
    else:
        lesions.draw_distortion(rng, lesion, border, value, grid)
    if lesion.obscured:
        angle = rng.uniform(0, 2 * np.pi)
        beside = border.x + border.reach * np.cos(angle), border.y + border.reach * np.sin(angle)
        distractors.draw_patch(rng, beside, 1.2 * lesion.diameter, 0.15, value, clumps, grid)
    return np.empty((0, 2))


def mask_of(border: StarShape, grid: Window) -> np.ndarray:
    """Pixels whose centres lie within the border, and the one at its centre; bool of the grid's shape."""
    mask = np.zeros(grid.shape, bool)
    window = grid.around(border.x, border.y, border.reach + grid.spacing)
    mask[window.slices] = border.distance(window.x, window.y) > 0
    column, row = np.rint(grid.pixels([(border.x, border.y)])[0]).astype(int)
    mask[row, column] = True
    return mask


def contour_points(lesion: Lesion) -> int:
    """About a point per millimetre of the border: its area comes out within 1 %."""
    return max(16, round(3.5 * lesion.diameter))


def as_stored(image: Mammogram) -> Mammogram:
    """Mirror what was drawn with the chest wall on the left into the orientation in which it is stored."""
    rows, columns = image.breast.shape
    mirrored, upside_down = image.exposure.laterality == "R", image.exposure.view == "FB"
    steps = (slice(None, None, -1 if upside_down else 1), slice(None, None, -1 if mirrored else 1))

    def move(points: np.ndarray) -> np.ndarray:
        x, y = points.T
        return np.column_stack([columns - 1 - x if mirrored else x, rows - 1 - y if upside_down else y])

    return replace(
        image,
        brightness=np.ascontiguousarray(image.brightness[steps]),
        breast=np.ascontiguousarray(image.breast[steps]),
        muscle=None if image.muscle is None else move(image.muscle),
        findings=tuple(
            replace(f, contour=move(f.contour), spots=move(f.spots), mask=np.ascontiguousarray(f.mask[steps]))
            for f in image.findings
        ),
    )
