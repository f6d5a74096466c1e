"""What catches the eye and is no finding: dense patches, vessels, scattered calcifications."""

import math

import cv2
import numpy as np

from mammoseg.phantom.anatomy import BreastView, smoothstep
from mammoseg.phantom.canvas import Window
from mammoseg.phantom.lesions import draw_spots
from mammoseg.phantom.shapes import StarShape, ellipse, scaled, wavy


def random_place(rng: np.random.Generator, breast: BreastView, low: float, high: float) -> tuple[float, float]:
    """A point at `low`..`high` of the way from the middle of the chest wall to the skin, mm."""
    angle, far = rng.uniform(-1.1, 1.1), rng.uniform(low, high) * breast.nipple[0]
    return far * math.cos(angle), breast.outline.y + far * math.sin(angle)


def draw_patch(
    rng: np.random.Generator,
    centre: tuple[float, float],
    diameter: float,
    contrast: float,
    value: np.ndarray,
    clumps: np.ndarray,
    grid: Window,
) -> None:
    """Add a patch of dense tissue, in place: as bright as a mass, but ragged, feathered, and as grainy as the rest.

    clumps : (rows, columns) float32 of mean 0 and SD 1, the random field behind the dense tissue.
    """
    radius = ellipse(rng.uniform(0.4, 0.9), rng.uniform(0, np.pi)) * wavy(rng, range(2, 7), 0.12)
    border = StarShape(*centre, scaled(radius, diameter))
    window = grid.around(*centre, 1.6 * border.reach)
    inside = border.distance(window.x, window.y)
    field = clumps[window.slices]
    ragged = 1 / (1 + np.exp(-2 * (field - np.float32(field.mean() - 0.2))))
    value[window.slices] += np.float32(contrast) * ragged * smoothstep(inside, -0.3 * diameter, 0.4 * diameter)


def draw_vessels(rng: np.random.Generator, breast: BreastView, value: np.ndarray, grid: Window) -> None:
    """Add winding vessels, in place; the oldest of them carry calcifications."""
    lines = []
    for _ in range(rng.integers(2, 5)):
        start = np.array(random_place(rng, breast, 0.1, 0.5))
        direction = rng.uniform(-1.0, 1.0) + np.cumsum(rng.normal(0, 0.11, 56))
        step = rng.uniform(1.0, 1.8)
        points = start + step * np.cumsum(np.column_stack([np.cos(direction), np.sin(direction)]), axis=0)
        lines.append((points, rng.uniform(1.0, 2.4)))
    tubes = cv2.GaussianBlur(grid.lines(lines), None, 0.35 / grid.spacing)
    value += np.float32(rng.uniform(0.06, 0.11)) * tubes
    if rng.random() < 0.25:
        along = lines[0][0][::3]
        draw_spots(np.column_stack([along, rng.uniform(0.3, 0.8, len(along))]), 0.3, value, grid)


def draw_scattered_spots(rng: np.random.Generator, breast: BreastView, value: np.ndarray, grid: Window) -> None:
    """Add single, harmless calcifications that nobody annotates, in place."""
    spots = [(*random_place(rng, breast, 0.2, 0.8), rng.uniform(0.3, 1.2)) for _ in range(rng.integers(0, 7))]
    draw_spots(np.array(spots).reshape(-1, 3), rng.uniform(0.3, 0.5), value, grid)
