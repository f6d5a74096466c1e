"""Modality LUT, VOI LUT and windows as PS3.3 C.11.1 and C.11.2 define them, and the VOI LUT that we inject.

All functions work on values, not on images: `render` applies them to every value that a pixel can have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian
from pydicom.valuerep import DSfloat

from mammoseg.dicom.values import first_item, numbers, text, value
from mammoseg.errors import Unusable

MAX_US_BYTES = 65534  # of a value with a 16-bit length field


def windowing_of(dataset: Dataset) -> Literal["voi_lut", "window", "none"]:
    """The windowing a file carries: the first item of its VOI LUT Sequence, else its first window, else none.

    What is present but empty, or not readable, counts as absent.
    """
    if _voi_item(dataset) is not None:
        return "voi_lut"
    return "none" if _window(dataset) is None else "window"


def modality_values(dataset: Dataset, stored: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Apply the Modality LUT or rescale slope and intercept, whichever there is.

    Parameters
    ----------
    stored : (n,) array
        Stored values, among them the lowest and the highest that BitsStored allows.

    Returns
    -------
    values : (n,) float64 array
    lowest, highest : float
        Nominal range of the values.

    Raises
    ------
    Unusable
        ``bad_modality_lut``.
    """
    item = first_item(dataset, "ModalityLUTSequence")
    if item is not None:
        table = _read_table(item, stored, _little_endian(dataset), "modality_lut")
        return table(stored), 0.0, table.highest
    values = stored.astype(np.float64)
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if slope and intercept:
        if slope[0] == 0:
            raise Unusable("bad_modality_lut", "its rescale slope is 0")
        values = values * slope[0] + intercept[0]
    return values, values.min(), values.max()


def voi_shares(dataset: Dataset, values: np.ndarray) -> np.ndarray | None:
    """Apply the one VOI transformation of the file: the first LUT item wins over windows, the first window over others.

    Parameters
    ----------
    values : (n,) float64 array
        Output of the modality transformation.

    Returns
    -------
    (n,) float64 array or None
        Shares 0..1 of the nominal output range: of 0..2^bits − 1 for a LUT, of the window's y range. None without windowing.

    Raises
    ------
    Unusable
        ``bad_voi_lut``, ``bad_window``.
    """
    item = _voi_item(dataset)
    if item is not None:
        table = _read_table(item, values, _little_endian(dataset), "voi_lut")
        return table(values) / table.highest
    window = _window(dataset)
    return None if window is None else _windowed(values, *window, text(dataset, "VOILUTFunction").upper())


def _windowed(x: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Share of the output range, 0..1, that a window gives each value (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID" and width > 0:
        exponent = np.clip(-4 * (x - center) / width, -700, 700)  # beyond, exp overflows and nothing changes
        return 1 / (1 + np.exp(exponent))
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((x - center) / width + 0.5, 0, 1)
    if function in ("LINEAR", "") and width >= 1:
        center, width = center - 0.5, width - 1
        if width == 0:
            return (x > center).astype(np.float64)
        return np.clip((x - center) / width + 0.5, 0, 1)
    raise Unusable("bad_window", "its VOI LUT function is unknown, or the window's width is too small for it")


@dataclass(frozen=True)
class _Table:
    """A lookup table: entries (float64) for the values `first`, `first` + 1, …; values outside take the nearest entry."""

    first: int
    entries: np.ndarray
    highest: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        # A rescaled value may lie between two entries: the lower one, as pydicom and DCMTK do.
        index = np.clip(np.floor(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[index.astype(np.int64)]


def _read_table(item: Dataset, inputs: np.ndarray, little_endian: bool, what: str) -> _Table:
    """Read LUTDescriptor and LUTData.

    The descriptor's VR may be US or SS whatever the values mean: the number of entries is unsigned (0 is 65536); the
    first value mapped is signed if there are negative values to map, or if it would lie above all of them.
    """
    descriptor = [int(v) for v in numbers(item, "LUTDescriptor")]
    if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
        raise Unusable(f"bad_{what}", "its lookup table has no usable descriptor")
    n = descriptor[0] % 65536 or 65536
    first, bits = descriptor[1:]
    if first > 32767 and (inputs.min() < 0 or first > inputs.max()):
        first -= 65536
    words = _words(item, little_endian)
    if bits <= 8 and len(words) == (n + 1) // 2 != n:  # two entries in a word, the first in its low byte
        words = np.stack([words & 255, words >> 8], axis=1).ravel()
    if len(words) < n:
        raise Unusable(f"bad_{what}", "its lookup table has fewer entries than its descriptor says")
    highest = 2.0**bits - 1
    return _Table(first, np.minimum(words[:n], highest).astype(np.float64), highest)


def _words(item: Dataset, little_endian: bool) -> np.ndarray:
    """LUTData as 16-bit words, whatever its VR: US and SS come as numbers, OW as bytes in the file's order."""
    data = value(item, "LUTData")
    if data is None:
        return np.empty(0, dtype=np.int64)
    if isinstance(data, bytes):
        data += bytes(len(data) % 2)
        return np.frombuffer(data, "<u2" if little_endian else ">u2").astype(np.int64)
    try:
        return np.atleast_1d(np.asarray(data, dtype=np.int64)) % 65536
    except (TypeError, ValueError, OverflowError):
        return np.empty(0, dtype=np.int64)


def _voi_item(dataset: Dataset) -> Dataset | None:
    """First item of the VOI LUT Sequence; None where there is none or where it lacks descriptor or data."""
    item = first_item(dataset, "VOILUTSequence")
    if item is None or not numbers(item, "LUTDescriptor") or not _words(item, True).size:
        return None
    return item


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """First centre and first width. Explanations may be more or fewer than windows and are not looked at."""
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    return (centers[0], widths[0]) if centers and widths else None


def _little_endian(dataset: Dataset) -> bool:
    meta = getattr(dataset, "file_meta", None)
    return meta is None or meta.get("TransferSyntaxUID") != ExplicitVRBigEndian


def sigmoid_table(center: float, width: float, entries: int) -> np.ndarray:
    """The table that is injected where a file has no windowing: a sigmoid that maps 0 to 0 and the last entry to 65535.

    y(x) = (s(x) − s(0)) / (s(entries − 1) − s(0)) · 65535, s(x) = 1 / (1 + exp(−4 (x − center) / width)). The paper injects
    an unpublished Siemens table; this is our stand-in for it.

    Parameters
    ----------
    center, width : float
        Of the sigmoid, in stored values.
    entries : int
        Length of the table, 2..65536.

    Returns
    -------
    (entries,) uint16 array, never decreasing
    """
    s = 1 / (1 + np.exp(-4 * (np.arange(entries) - center) / width))
    return np.rint((s - s[0]) / (s[-1] - s[0]) * 65535).astype(np.uint16)


def injection_items(recipe: Mapping, little_endian: bool = True) -> list[DataElement]:
    """The attributes that make every viewer show a file as `recipe` says.

    Parameters
    ----------
    recipe : mapping
        Config `image.voi_lut`: kind (sigmoid, window or none), center, width, entries, explanation.
    little_endian : bool
        Byte order of the file they are meant for.

    Returns
    -------
    list of DataElement
        A VOI LUT Sequence of one item; or centre, width, function and explanation of a window; or nothing.
    """
    kind = recipe["kind"]
    if kind == "none":
        return []
    if kind == "window":
        return [
            DataElement("WindowCenter", "DS", DSfloat(recipe["center"], auto_format=True)),
            DataElement("WindowWidth", "DS", DSfloat(recipe["width"], auto_format=True)),
            DataElement("WindowCenterWidthExplanation", "LO", recipe["explanation"]),
            DataElement("VOILUTFunction", "CS", "LINEAR"),  # said, for the file may hold another without a window
        ]
    if kind != "sigmoid":
        raise ValueError(f"voi_lut.kind is {kind!r}; it must be sigmoid, window or none")
    table = sigmoid_table(recipe["center"], recipe["width"], recipe["entries"])
    item = Dataset()
    item.add(DataElement("LUTDescriptor", "US", [len(table) % 65536, 0, 16]))
    item.add(DataElement("LUTExplanation", "LO", recipe["explanation"]))
    if table.nbytes <= MAX_US_BYTES:
        item.add(DataElement("LUTData", "US", table.tolist()))
    else:
        item.add(DataElement("LUTData", "OW", table.astype("<u2" if little_endian else ">u2").tobytes()))
    return [DataElement("VOILUTSequence", "SQ", Sequence([item]))]
