"""Closed outlines around a centre, in millimetres: of a breast, of a mass, of a cluster."""

from dataclasses import dataclass

import numpy as np

ANGLES = np.arange(4096) * (2 * np.pi / 4096)  # fine enough to look a radius up without interpolation


@dataclass(frozen=True)
class StarShape:
    """An outline whose radius is a function of the angle.

    Attributes
    ----------
    x, y : float
        The centre, mm from the chest wall's edge and from the upper edge.
    radii : ndarray
        (4096,) float32, mm, at `ANGLES`; the angle grows from x towards y.
    """

    x: float
    y: float
    radii: np.ndarray

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance to the outline in mm, positive inside; x and y broadcast. Returns float32.

        Exactly zero on the outline; off it the gap along the ray, foreshortened by the outline's slope, which is a
        good distance near the outline and a smooth measure of depth everywhere.
        """
        dx, dy = np.broadcast_arrays(np.float32(x) - np.float32(self.x), np.float32(y) - np.float32(self.y))
        angle = np.arctan2(dy, dx)
        index = np.rint(angle * np.float32(len(ANGLES) / (2 * np.pi))).astype(np.int32) % len(ANGLES)
        slope = (np.roll(self.radii, -8) - np.roll(self.radii, 8)) / (16 * ANGLES[1] * self.radii)
        cosine = np.float32(1 / np.sqrt(1 + slope**2))
        return (np.float32(self.radii)[index] - np.hypot(dx, dy)) * cosine[index]

    def contour(self, points: int) -> np.ndarray:
        """(points, 2) float64 of (x, y) in mm along the outline."""
        step = np.linspace(0, len(ANGLES), points, endpoint=False).astype(int)
        return np.column_stack(
            [self.x + self.radii[step] * np.cos(ANGLES[step]), self.y + self.radii[step] * np.sin(ANGLES[step])]
        )

    @property
    def reach(self) -> float:
        """Largest radius, mm."""
        return float(self.radii.max())


def wavy(rng: np.random.Generator, orders: range, amplitude: float) -> np.ndarray:
    """(4096,) relative radius around 1 with harmonics of the given orders, falling off as 1/sqrt(order)."""
    radius = np.ones(len(ANGLES))
    for order in orders:
        size = amplitude * rng.uniform(0.5, 1) * np.sqrt(orders.start / order)
        radius += size * np.cos(order * ANGLES + rng.uniform(0, 2 * np.pi))
    return radius


def ellipse(aspect: float, tilt: float) -> np.ndarray:
    """(4096,) relative radius of an ellipse of unit area radius; aspect = short axis / long axis, tilt in radians."""
    long, short = aspect**-0.5, aspect**0.5
    return 1 / np.hypot(np.cos(ANGLES - tilt) / long, np.sin(ANGLES - tilt) / short)


def scaled(radius: np.ndarray, diameter: float) -> np.ndarray:
    """Scale a relative outline to the area of a disc of `diameter` mm; float32."""
    return np.float32(radius * (diameter / 2) / np.sqrt(np.mean(radius**2)))
