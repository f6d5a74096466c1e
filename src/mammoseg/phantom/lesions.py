"""Findings: what a patient has, where a view shows it, and how it looks.

A lesion is planned once per breast and seen in CC and MLO: same diameter, same kind of outline, same distance from the
nipple, another projection.
"""

from dataclasses import dataclass, field

import numpy as np

from mammoseg.phantom.anatomy import BreastView, smoothstep
from mammoseg.phantom.canvas import Window
from mammoseg.phantom.shapes import StarShape, ellipse, scaled, wavy

MASS_SHAPES = {"round": 0.2, "oval": 0.3, "lobulated": 0.25, "spiculated": 0.25}  # share of each
MALIGNANT_SHARE = {"round": 0.15, "oval": 0.15, "lobulated": 0.5, "spiculated": 0.95}
MARGIN_MM = {"round": 0.7, "oval": 0.7, "lobulated": 1.2, "spiculated": 2.0}  # half the width of the soft border
LEAST_CONTRAST = 0.14
SMALLEST_MM, LARGEST_MM = 3.0, 40.0


@dataclass(frozen=True)
class Lesion:
    """A finding as it is planned, before any view.

    Attributes
    ----------
    kind : str
        ``"mass"``, ``"calc"`` or ``"distortion"``.
    pathology : str
        ``"benign"`` or ``"malignant"``.
    shape : str
        One of `MASS_SHAPES`, ``"cluster"`` or ``"single"`` (calcifications), or ``"distortion"``.
    diameter : float
        Of the disc of equal area, mm.
    brightness : float
        Display units: what the inside of a mass tends to; what the spots and lines of other findings add.
    outwards : float
        0 at the chest wall, 1 at the skin.
    angle : mapping of str to float
        Direction from the middle of the chest wall in each view that shows the lesion, radians.
    obscured : bool
        Partly covered by dense tissue.
    """

    kind: str
    pathology: str
    shape: str
    diameter: float
    brightness: float
    outwards: float
    angle: dict[str, float] = field(hash=False)
    obscured: bool = False


def mass(rng: np.random.Generator, posterior: bool = False) -> Lesion:
    """Draw a mass; `posterior` puts it against the chest wall, where the CC view cuts it off."""
    shape = str(rng.choice(list(MASS_SHAPES), p=list(MASS_SHAPES.values())))
    pathology = "malignant" if rng.random() < MALIGNANT_SHARE[shape] else "benign"
    diameter = SMALLEST_MM + (LARGEST_MM - SMALLEST_MM) * rng.beta(3, 3.6)
    outwards = 0.0 if posterior else rng.uniform(0.3, 0.8)
    angle = {view: float(rng.uniform(-0.9, 0.9)) for view in ("CC", "MLO")}
    hidden = str(rng.choice(["", "CC", "MLO"], p=[0.94, 0.03, 0.03]))  # some masses are seen in one view only
    if hidden and not posterior:
        del angle[hidden]
    return Lesion("mass", pathology, shape, diameter, rng.uniform(0.58, 0.74), outwards, angle, rng.random() < 0.3)


def other_finding(rng: np.random.Generator, shape: str) -> Lesion:
    """Draw an annotated finding that is not a mass; shape: ``"cluster"``, ``"single"`` or ``"distortion"``."""
    malignant = rng.random() < {"cluster": 0.4, "single": 0.0, "distortion": 0.5}[shape]
    diameter = rng.uniform(*{"cluster": (6, 18), "single": (1, 2), "distortion": (16, 30)}[shape])
    angle = {view: float(rng.uniform(-0.7, 0.7)) for view in ("CC", "MLO")}
    kind = "distortion" if shape == "distortion" else "calc"
    pathology = "malignant" if malignant else "benign"
    return Lesion(kind, pathology, shape, diameter, rng.uniform(0.25, 0.5), rng.uniform(0.35, 0.75), angle)


def place(lesion: Lesion, breast: BreastView, view: str) -> tuple[float, float]:
    """Where the lesion's centre lies in a view, mm: inside the breast by its radius and, if it can be, clear of the muscle."""
    radius = lesion.diameter / 2
    angle = lesion.angle[view]
    tip, middle = breast.nipple[0], breast.outline.y
    if lesion.outwards == 0 and view == "CC":
        return 0.35 * radius, middle + 0.35 * tip * np.sin(angle)  # the image's edge cuts it
    home = np.array([0.48 * tip, middle + (0.12 * tip if view == "MLO" else 0)])
    outwards = max(lesion.outwards, 0.3) * tip
    at = np.array([outwards * np.cos(angle), middle + outwards * np.sin(angle)])
    for _ in range(40):  # towards the middle of the breast until it fits
        gap = min(float(breast.outline.distance(*at)) - 3, at[0])
        if breast.muscle is not None:
            gap = min(gap, -float(breast.muscle.distance(*at)))
        if gap >= 1.15 * radius:
            break
        at += 0.08 * (home - at)
    return float(at[0]), float(at[1])


def border_of(rng: np.random.Generator, lesion: Lesion, centre: tuple[float, float]) -> StarShape:
    """The lesion's border in one view: what a radiologist would draw. Spicules lie outside it."""
    match lesion.shape:
        case "round" | "single":
            radius = wavy(rng, range(2, 5), 0.03)
        case "oval":
            radius = ellipse(rng.uniform(0.6, 0.85), rng.uniform(0, np.pi)) * wavy(rng, range(3, 6), 0.02)
        case "lobulated":
            radius = ellipse(rng.uniform(0.75, 0.95), rng.uniform(0, np.pi)) * wavy(rng, range(3, 6), 0.09)
        case "spiculated":
            radius = wavy(rng, range(2, 5), 0.06) * wavy(rng, range(7, 15), 0.05)
        case _:
            radius = ellipse(rng.uniform(0.65, 1), rng.uniform(0, np.pi)) * wavy(rng, range(3, 7), 0.06)
    return StarShape(*centre, scaled(radius, lesion.diameter))


def draw_mass(rng: np.random.Generator, lesion: Lesion, border: StarShape, value: np.ndarray, grid: Window) -> None:
    """Add a mass to the image `value` (float32, the whole grid), in place."""
    window = grid.around(border.x, border.y, 2 * border.reach + 2)
    part = value[window.slices]
    inside = border.distance(window.x, window.y)
    soft = max(MARGIN_MM[lesion.shape], 0.7 * grid.spacing)
    body = smoothstep(inside, -soft, soft) * (0.75 + 0.25 * np.sqrt(np.clip(2 * inside / lesion.diameter, 0, 1)))
    # The lesion replaces part of the tissue it grew in, so its inside is smoother than its surroundings.
    mean = float((body * part).sum() / body.sum())
    level = max(mean + LEAST_CONTRAST, lesion.brightness)
    part += np.float32(0.85) * body * (np.float32(level) - part)
    if lesion.shape == "spiculated":
        part += np.float32(0.15) * spicules(rng, border, inside, window)


def draw_distortion(
    rng: np.random.Generator, lesion: Lesion, border: StarShape, value: np.ndarray, grid: Window
) -> None:
    """Add an architectural distortion, lines that run together without a mass, in place."""
    window = grid.around(border.x, border.y, 2 * border.reach + 2)
    inside = border.distance(window.x, window.y)
    lines = spicules(rng, border, inside, window, start=0.1)
    value[window.slices] += np.float32(0.3 * lesion.brightness) * lines


def spicules(
    rng: np.random.Generator, border: StarShape, inside: np.ndarray, window: Window, start: float = 0.6
) -> np.ndarray:
    """Lines that radiate from a border and fade outside it, float32 in 0..1; `start`: where they begin, share of its reach."""
    lines = []
    for angle in rng.uniform(0, 2 * np.pi, rng.integers(12, 22)):
        far = border.reach * np.linspace(start, rng.uniform(1.3, 1.9), 3)
        bent = angle + np.cumsum(rng.normal(0, 0.1, 3))
        points = np.column_stack([border.x + far * np.cos(bent), border.y + far * np.sin(bent)])
        lines.append((points, rng.uniform(0.4, 0.9)))
    return window.lines(lines) * np.clip(1 + inside / (0.9 * border.reach), 0, 1)


def calcifications(rng: np.random.Generator, lesion: Lesion, border: StarShape) -> np.ndarray:
    """(n, 3) float64 of x, y and diameter in mm: the spots of one annotated finding, all inside its border."""
    if lesion.shape == "single":
        return np.array([[border.x, border.y, lesion.diameter]])
    count = rng.integers(6, 18)
    angle = rng.uniform(0, 2 * np.pi, count)
    far = border.radii[(angle / (2 * np.pi) * len(border.radii)).astype(int)] * 0.85 * np.sqrt(rng.random(count))
    return np.column_stack(
        [border.x + far * np.cos(angle), border.y + far * np.sin(angle), rng.uniform(0.25, 0.7, count)]
    )


def draw_spots(spots: np.ndarray, contrast: float, value: np.ndarray, grid: Window) -> None:
    """Add calcifications, rows of `calcifications`, in place; one smaller than a pixel is spread over the pixel."""
    for x, y, diameter in spots:
        sigma = np.hypot(diameter / 2, 0.45 * grid.spacing)
        window = grid.around(x, y, 4 * sigma)
        spot = np.exp(-((window.x - x) ** 2 + (window.y - y) ** 2) / np.float32(2 * sigma**2))
        value[window.slices] += np.float32(contrast * min(1, (diameter / sigma) ** 2 / 2)) * spot
