"""Modality LUT, VOI LUT and windows as PS3.3 C.11.1 and C.11.2 define them.

All functions work on values, not on images: `render` applies them to every value that a pixel can have.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from mammoseg.dicom.values import each_number, first_item, items, numbers, text, value
from mammoseg.runtime.errors import Unusable


@dataclass(frozen=True)
class Windowing:
    """The one of a file's windowings that is applied.

    Attributes
    ----------
    kind : str
        ``"voi_lut"``, ``"window"`` or ``"none"``.
    number, of : int
        Its place, from 1, among those of its kind as they stand in the file, and how many these are; 0 without any.
    content : Dataset or (float, float) or None
        Item of the VOI LUT Sequence, or centre and width.
    """

    kind: Literal["voi_lut", "window", "none"]
    number: int = 0
    of: int = 0
    content: Dataset | tuple[float, float] | None = None


def find_windowing(dataset: Dataset, prefer: str = "lut", item: int | str = 1) -> Windowing:
    """Choose among the windowings of a file: VOI LUTs and windows are alternatives, never applied one after the other.

    What is present but empty, or not readable, counts as absent.

    Parameters
    ----------
    prefer : str
        ``"lut"`` or ``"window"``: which counts in a file that has both.
    item : int or str
        Which of several: a number from 1, or an explanation (LUTExplanation, WindowCenterWidthExplanation) whatever its
        case. The first one where the file has no such number or explanation.
    """
    kinds = {"voi_lut": _voi_items(dataset), "window": _windows(dataset)}
    for kind in sorted(kinds, key=lambda k: (k == "window") != (prefer == "window")):
        if found := kinds[kind]:
            wanted = [n for n, (explanation, _) in found.items() if item == n or _same_text(item, explanation)]
            number = wanted[0] if wanted else next(iter(found))
            return Windowing(kind, number, max(found), found[number][1])
    return Windowing("none")


def windowing_of(dataset: Dataset) -> Literal["voi_lut", "window", "none"]:
    """The kind of windowing a file carries; a VOI LUT counts before a window."""
    return find_windowing(dataset).kind


def _same_text(a: int | str, b: str) -> bool:
    return isinstance(a, str) and a.strip().casefold() == b.strip().casefold()


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
        table = _read_table(item, stored, is_little_endian(dataset), "modality_lut")
        return table(stored), 0.0, table.highest
    values = stored.astype(np.float64)
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if slope and intercept:
        if slope[0] == 0:
            raise Unusable("bad_modality_lut", "its rescale slope is 0")
        values = values * slope[0] + intercept[0]
    return values, values.min(), values.max()


def voi_shares(dataset: Dataset, values: np.ndarray, windowing: Windowing) -> np.ndarray | None:
    """Apply a VOI transformation.

    Parameters
    ----------
    dataset : Dataset
        The file that `windowing` is of.
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
    if windowing.kind == "voi_lut":
        table = _read_table(windowing.content, values, is_little_endian(dataset), "voi_lut")
        return table(values) / table.highest
    if windowing.kind == "window":
        return _windowed(values, *windowing.content, text(dataset, "VOILUTFunction").upper())
    return None


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
    first value mapped is signed if there are negative values to map, or if it would lie above all of them; it is unsigned if
    the table would end below all of them.
    """
    descriptor = [int(v) for v in numbers(item, "LUTDescriptor")]
    if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
        raise Unusable(f"bad_{what}", "its lookup table has no usable descriptor")
    n = descriptor[0] % 65536 or 65536
    first, bits = descriptor[1:]
    if first > 32767 and (inputs.min() < 0 or first > inputs.max()):
        first -= 65536
    elif first < 0 and first + n <= inputs.min() and first + 65536 <= inputs.max():
        first += 65536
    words = lut_words(item, little_endian)
    if bits <= 8 and len(words) == (n + 1) // 2 != n:  # two entries in a word, the first in its low byte
        words = np.stack([words & 255, words >> 8], axis=1).ravel()
    if len(words) < n:
        raise Unusable(f"bad_{what}", "its lookup table has fewer entries than its descriptor says")
    highest = 2.0**bits - 1
    return _Table(first, np.minimum(words[:n], highest).astype(np.float64), highest)


def lut_words(item: Dataset, little_endian: bool = True) -> np.ndarray:
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


def _voi_items(dataset: Dataset) -> dict[int, tuple[str, Dataset]]:
    """Items of the VOI LUT Sequence that have descriptor and data, by their number in the file, with their explanations."""
    found = enumerate(items(dataset, "VOILUTSequence"), 1)
    return {n: (text(i, "LUTExplanation"), i) for n, i in found if numbers(i, "LUTDescriptor") and lut_words(i).size}


def _windows(dataset: Dataset) -> dict[int, tuple[str, tuple[float, float]]]:
    """Pairs of centre and width by their number in the file, with their explanations, of which there may be more or fewer."""
    pairs = zip(each_number(dataset, "WindowCenter"), each_number(dataset, "WindowWidth"), strict=False)
    explanations = text(dataset, "WindowCenterWidthExplanation").split("\\")
    found = {n: ("".join(explanations[n - 1 : n]), pair) for n, pair in enumerate(pairs, 1)}
    return {n: (explanation, pair) for n, (explanation, pair) in found.items() if not math.isnan(sum(pair))}


def is_little_endian(dataset: Dataset) -> bool:
    """Byte order of a file, in which the words of its OW attributes stand."""
    meta = getattr(dataset, "file_meta", None)
    return meta is None or meta.get("TransferSyntaxUID") != ExplicitVRBigEndian
