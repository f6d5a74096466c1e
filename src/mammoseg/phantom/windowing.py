"""How the images of site A say they want to be shown: every kind of windowing that real archives mix."""

from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

BITS = 12
TOP = 2**BITS - 1


def window(ds: Dataset, center: float, width: float, inverse: bool) -> None:
    """One window, LINEAR because no function is named."""
    ds.WindowCenter, ds.WindowWidth = decimal(flipped(center, inverse)), decimal(width)


def windows(ds: Dataset, center: float, width: float, inverse: bool) -> None:
    """Three windows to choose from, LINEAR."""
    centers = [center, center + 150, center - 100]
    ds.WindowCenter = [decimal(flipped(c, inverse)) for c in centers]
    ds.WindowWidth = [decimal(w) for w in (width, 0.8 * width, 1.25 * width)]
    ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER", "SOFTER"]
    ds.VOILUTFunction = "LINEAR"


def linear_exact(ds: Dataset, center: float, width: float, inverse: bool) -> None:
    """One window, LINEAR_EXACT."""
    window(ds, center, width, inverse)
    ds.VOILUTFunction = "LINEAR_EXACT"


def sigmoid(ds: Dataset, center: float, width: float, inverse: bool) -> None:
    """One SIGMOID window under three explanations, as a GE header was seen to have."""
    window(ds, center, 0.75 * width, inverse)
    ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER", "SOFTER"]
    ds.VOILUTFunction = "SIGMOID"


def voi_lut(ds: Dataset, center: float, width: float, inverse: bool) -> None:
    """A VOI LUT Sequence of two tables, the first over all values to 16 bits, the second from 142 on to 12 bits."""
    ds.VOILUTSequence = Sequence(
        [
            table(center, 0.8 * width, inverse, 0, TOP + 1, 16, "NORMAL"),
            table(center, 1.1 * width, inverse, 142, 3954, 12, "SOFTER"),
        ]
    )


def voi_lut_and_windows(ds: Dataset, center: float, width: float, inverse: bool) -> None:
    """A VOI LUT Sequence, and three SIGMOID windows beside it."""
    windows(ds, center, width, inverse)
    ds.VOILUTFunction = "SIGMOID"
    ds.VOILUTSequence = Sequence([table(center, 0.8 * width, inverse, 142, 3954, 12, "NORMAL")])


KINDS: dict[str, Callable[[Dataset, float, float, bool], None]] = {
    f.__name__: f for f in (window, sigmoid, voi_lut, windows, linear_exact, voi_lut_and_windows)
}
"""Name to function(dataset, center, width, inverse): writes the attributes. center and width are those that suit a
MONOCHROME2 image, in stored values; `inverse` says that the stored values run the other way (MONOCHROME1)."""


def table(center: float, width: float, inverse: bool, first: int, entries: int, bits: int, explanation: str) -> Dataset:
    """One item of a VOI LUT Sequence: a sigmoid that starts at 0 for air, `bits` deep, over `entries` values from `first`."""
    stored = np.arange(first, first + entries)
    shade = TOP - stored if inverse else stored
    low, high = (1 / (1 + np.exp(-4 * (edge - center) / width)) for edge in (0, TOP))
    curve = np.clip((1 / (1 + np.exp(-4 * (shade - center) / width)) - low) / (high - low), 0, 1)
    values = np.rint((1 - curve if inverse else curve) * (2**bits - 1)).astype("<u2")
    item = Dataset()
    item.LUTDescriptor = [entries, first, bits]
    item.LUTExplanation = explanation
    item.add_new("LUTData", "OW", values.tobytes())
    item["LUTDescriptor"].VR = "US"
    return item


def flipped(center: float, inverse: bool) -> float:
    """The window's centre in stored values."""
    return TOP - center if inverse else center


def decimal(value: float) -> str:
    """A decimal string that DICOM allows (16 characters)."""
    return f"{value:.1f}"
