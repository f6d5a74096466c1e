"""The breast without findings: outline, skin, fat, fibroglandular tissue, strands, pectoral muscle.

Everything is drawn with the chest wall on the left edge; a right breast is the mirror image of that. Lengths are
millimetres, brightness is in units of the display range: 0 is air, fat lies near 0.25, dense tissue near 0.5, muscle near 0.7.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft

from mammoseg.phantom.canvas import Window
from mammoseg.phantom.shapes import ANGLES, StarShape, wavy

FAT = 0.22
DENSE = 0.24  # what dense tissue adds to fat
MUSCLE = (0.34, 0.50)  # what the pectoral muscle adds, from patient to patient
SKIN_MM = 1.6
SIGNED = (ANGLES + np.pi) % (2 * np.pi) - np.pi  # the same angles within -pi..pi; 0 points away from the chest wall


@dataclass(frozen=True)
class Habitus:
    """What all views of a patient share.

    Attributes
    ----------
    depth, height : float
        Chest wall to nipple and upper to lower end of the compressed breast in CC, mm.
    density : int
        ACR category 1 (fatty) to 4 (extremely dense).
    texture : float
        Exponent beta of the texture's power spectrum 1/f^beta.
    """

    depth: float
    height: float
    density: int
    texture: float


@dataclass(frozen=True)
class Muscle:
    """The pectoral muscle in MLO: from the upper edge at x = `width` down to the chest wall at y = `height` mm."""

    width: float
    height: float
    bow: float

    def edge(self, y: np.ndarray) -> np.ndarray:
        """x of its border in mm; negative below the muscle."""
        return self.width * (1 - np.sign(y) * np.abs(y / self.height) ** self.bow)

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance to its border in mm, positive inside the muscle, roughly."""
        return (self.edge(y) - x) * (self.height / np.hypot(self.height, self.width))

    def border(self) -> np.ndarray:
        """(n, 2) float64 of (x, y) in mm along its border, from just above the upper edge to just before the chest wall."""
        y = np.linspace(-0.02, 0.95, 25) * self.height
        return np.column_stack([self.edge(y), y])


@dataclass(frozen=True)
class BreastView:
    """One breast as one view shows it.

    Attributes
    ----------
    outline : StarShape
        The skin, around the middle of the chest wall.
    nipple : (float, float)
        x and y of its tip, mm.
    muscle : Muscle, StarShape or None
        The pectoral muscle: a triangle in MLO, in some CC views a crescent at the chest wall.
    """

    outline: StarShape
    nipple: tuple[float, float]
    muscle: Muscle | StarShape | None


def habitus(rng: np.random.Generator, size: float) -> Habitus:
    """Draw a patient's breasts; `size` scales them to the detector (1 for one of 18 x 23 cm)."""
    depth = float(np.clip(rng.normal(98, 14), 72, 128)) * size
    height = float(np.clip(rng.normal(168, 14), 140, 195)) * size
    return Habitus(depth, height, int(rng.choice(4, p=[0.2, 0.4, 0.3, 0.1])) + 1, rng.uniform(2.8, 3.2))


def breast_view(rng: np.random.Generator, body: Habitus, view: str, field_height: float) -> BreastView:
    """Draw one view's outline, nipple and, in MLO, muscle. view: ``"CC"`` or ``"MLO"``; field_height: mm."""
    depth = body.depth * rng.uniform(0.96, 1.04)
    if view == "CC":
        y = field_height * rng.uniform(0.47, 0.53)
        up = down = min(body.height / 2, y - 6, field_height - y - 6)
        squareness = rng.uniform(2.0, 2.3)
        nipple_angle = rng.normal(0, 0.07)
        muscle = crescent(rng, y) if rng.random() < 0.4 else None
    else:
        tall = min(field_height, 1.4 * body.height)
        y = tall * rng.uniform(0.56, 0.61)
        up = y * rng.uniform(1.25, 1.5)  # the outline leaves through the upper edge, towards the armpit
        down = tall * rng.uniform(0.93, 0.97) - y
        squareness = np.where(SIGNED < 0, rng.uniform(1.6, 1.8), 2.1)
        nipple_angle = rng.normal(0.12, 0.06)
        # Its border meets the upper edge well inside the breast and the chest wall at about the nipple's height.
        width = depth * rng.uniform(0.42, 0.62)
        muscle = Muscle(width, y * rng.uniform(0.85, 1.15), rng.uniform(1.0, 1.25))
    vertical = np.where(SIGNED < 0, up, down)
    across = np.abs(np.cos(SIGNED)) / depth
    along = np.abs(np.sin(SIGNED)) / vertical
    radii = (across**squareness + along**squareness) ** (-1 / squareness)
    radii *= wavy(rng, range(2, 6), 0.008)
    radii *= 1 + 0.05 * np.exp(-(((SIGNED - nipple_angle) / 0.45) ** 2))
    radii += rng.uniform(2, 5) * np.exp(-(((SIGNED - nipple_angle) * depth / 4.5) ** 4))
    tip = float(radii[round(nipple_angle / ANGLES[1]) % len(ANGLES)])
    nipple = (tip * math.cos(nipple_angle), y + tip * math.sin(nipple_angle))
    return BreastView(StarShape(0.0, y, np.float32(radii)), nipple, muscle)


def crescent(rng: np.random.Generator, y: float) -> StarShape:
    """The muscle's tip as a well-pulled CC view shows it: the visible edge of a body beyond the chest wall."""
    hidden, seen = 60.0, rng.uniform(7, 15)
    across, along = np.abs(np.cos(SIGNED)) / (hidden + seen), np.abs(np.sin(SIGNED)) / rng.uniform(60, 90)
    return StarShape(-hidden, y * rng.uniform(0.95, 1.1), np.float32((across**2 + along**2) ** -0.5))


def texture(rng: np.random.Generator, rows: int, columns: int, spacing: float, beta: float) -> tuple[np.ndarray, ...]:
    """Two independent random fields with the power spectrum 1/f^beta, (rows, columns) float32, mean 0, SD 1.

    Below one cycle in 50 mm the spectrum is flat, so that no breast is bright on one side only.
    """
    tall, wide = scipy.fft.next_fast_len(rows), scipy.fft.next_fast_len(columns)
    fy = np.fft.fftfreq(tall, spacing).astype(np.float32)[:, None]
    fx = np.fft.fftfreq(wide, spacing).astype(np.float32)[None]
    noise = rng.standard_normal((tall, 2 * wide), dtype=np.float32).view(np.complex64)
    noise *= (fx * fx + fy * fy + np.float32(1 / 50**2)) ** np.float32(-beta / 4)
    field = scipy.fft.ifft2(noise, overwrite_x=True)[:rows, :columns]  # white noise is its own transform
    return tuple((part - part.mean()) / part.std() for part in (field.real, field.imag))


def smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth S between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def tissue(
    rng: np.random.Generator, body: Habitus, breast: BreastView, grid: Window
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Brightness of a breast without findings.

    Parameters
    ----------
    grid : Window
        The whole image's.

    Returns
    -------
    value : ndarray
        (rows, columns) float32, 0 outside the breast.
    depth : ndarray
        (rows, columns) float32, mm below the skin, negative in air.
    clumps : ndarray
        (rows, columns) float32 of mean 0 and SD 1: the random field behind the dense tissue.
    """
    x, y, spacing = grid.x, grid.y, grid.spacing
    depth = breast.outline.distance(x, y)
    clumps, web = texture(rng, *depth.shape, spacing, body.texture)

    # Fibroglandular tissue: clumps around an axis behind the nipple, kept off the skin and the chest wall.
    length = breast.nipple[0]
    spread = 0.30 + 0.035 * body.density
    centre = 0.52 * length, breast.outline.y + 0.55 * (breast.nipple[1] - breast.outline.y)
    around = ((x - centre[0]) / (spread * length)) ** 2 + ((y - centre[1]) / (1.25 * spread * length)) ** 2
    envelope = np.exp(-around) * smoothstep(depth, 4, 16) * smoothstep(x, 0, 18)
    fibrous = drawn_out(web, breast.nipple, grid)
    grain = 0.75 * clumps + 0.45 * fibrous
    dense = 1 / (1 + np.exp(-2.2 * (2.2 * envelope + grain - 2.6 + 0.42 * body.density)))
    dense *= np.sqrt(envelope)

    # Strands: thin lines where smooth fields cross zero, most of them along the rays from the nipple.
    smooth = 0.7 / spacing
    strands = np.exp(-((cv2.GaussianBlur(fibrous, None, smooth) / 0.10) ** 2))
    strands += np.exp(-((cv2.GaussianBlur(web, None, smooth) / 0.07) ** 2))

    value = FAT + 0.02 * clumps + DENSE * dense * (1 + 0.10 * web) + (0.05 + 0.05 * np.sqrt(envelope)) * strands
    if breast.muscle is not None:
        muscle = breast.muscle.distance(x, y)
        value += smoothstep(muscle, -1.5, 2.5) * (rng.uniform(*MUSCLE) + 0.03 * web)
        value -= 0.04 * np.exp(-(((muscle + 2) / 3) ** 2))  # a seam of fat in front of it
    # A breast is not pressed flat: it is thicker, hence brighter, towards the chest wall and on one side.
    value += rng.uniform(0, 0.16) * np.clip(1 - x / length, 0, 1)
    value += rng.uniform(-0.1, 0.1) * (y - breast.outline.y) / length
    # The compressed edge is thinner; the skin is a line.
    value *= 0.5 + 0.5 * np.sqrt(np.clip(1 - (1 - np.clip(depth / 22, 0, 1)) ** 2, 0, 1))
    value += 0.10 * np.exp(-(((depth - SKIN_MM / 2) / (SKIN_MM / 2)) ** 2))
    value *= np.clip(depth / spacing + 0.5, 0, 1)
    return value, depth, clumps


def drawn_out(field: np.ndarray, origin: tuple[float, float], grid: Window) -> np.ndarray:
    """The same kind of texture stretched threefold along the rays from `origin` (mm); (rows, columns) float32."""
    dx, dy = np.broadcast_arrays(grid.x - np.float32(origin[0]), grid.y - np.float32(origin[1]))
    radius = np.hypot(dx, dy) * np.float32(0.33 / grid.spacing)
    arc = np.arctan2(dy, -dx) * np.float32(60 / grid.spacing)  # 0 towards the chest wall: the seam lies in air
    arc += np.float32(field.shape[0] / 2)
    return cv2.remap(field, radius, arc, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
