"""The windowing that a file is given which carries none, as attributes that make every viewer show it the same way.

It comes from the config (a sigmoid, a window), from the image's own grey values, or from a file.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.valuerep import DSfloat

from mammoseg.dicom.decode import decode
from mammoseg.dicom.read import read_header
from mammoseg.dicom.render import inverted, value_of_word
from mammoseg.dicom.values import numbers, text, value
from mammoseg.dicom.voi_lut import Windowing, find_windowing, is_little_endian, lut_words
from mammoseg.images.breast import breast_mask
from mammoseg.runtime.errors import Unusable, UserError

EXPLANATIONS = {
    "none": "",
    "sigmoid": "mammoseg Siemens-like sigmoid",
    "window": "mammoseg window",
    "mode": "mammoseg window around the mode",
    "percentiles": "mammoseg window by percentiles",
    "file": "mammoseg copy of another windowing",
}
"""What a viewer shows beside the injected windowing where the config gives no other text."""
MAX_US_BYTES = 65534  # of a value with a 16-bit length field


class MissingWindowing:
    """Makes the attributes that are injected.

    Parameters
    ----------
    recipe : mapping
        Config `image.voi_lut`, and ``choice``: config `image.windowing`, for a DICOM that windowing is copied from.
    file : Path or None
        For kind ``file``: a DICOM whose windowing is copied, or a text file with one output value, 0 to 65535, in each line,
        for the stored values 0, 1, 2, …

    Raises
    ------
    UserError
        Where the file cannot be used.
    """

    def __init__(self, recipe: Mapping, file: Path | None = None):
        self.recipe = recipe
        self.copied = _read(file, recipe["choice"]) if recipe["kind"] == "file" else None

    def __bool__(self) -> bool:
        return self.recipe["kind"] != "none"

    def elements(self, dataset: FileDataset, words: np.ndarray | None = None) -> list[DataElement]:
        """A VOI LUT Sequence of one item; or centre, width, function and explanation of a window; or nothing.

        Parameters
        ----------
        dataset : FileDataset
            The file without windowing that they are meant for.
        words : array, optional
            Its decoded pixels, where they are at hand.

        Raises
        ------
        Unusable
            ``undecodable``, ``no_breast``: kinds ``mode`` and ``percentiles`` look at the image's grey values.
        """
        recipe, explanation = self.recipe, self.recipe["explanation"] or EXPLANATIONS[self.recipe["kind"]]
        little_endian = is_little_endian(dataset)
        match recipe["kind"]:
            case "none":
                return []
            case "sigmoid":
                table = sigmoid_table(recipe["center"], recipe["width"], recipe["entries"])
                return _lut([len(table) % 65536, 0, 16], table, explanation, little_endian)
            case "window":
                return _window(recipe["center"], recipe["width"], explanation)
            case "file":
                return self._copy(explanation, little_endian)
            case "mode" | "percentiles":
                lowest, highest = breast_range(dataset, decode(dataset) if words is None else words, recipe)
                # LINEAR, which every viewer knows, maps (center - 0.5) -+ (width - 1) / 2 to black and white.
                return _window((lowest + highest + 1) / 2, highest - lowest + 1, explanation)
        raise ValueError(f"voi_lut.kind is {recipe['kind']!r}")

    def _copy(self, explanation: str, little_endian: bool) -> list[DataElement]:
        if isinstance(self.copied, np.ndarray):
            return _lut([len(self.copied) % 65536, 0, 16], self.copied, explanation, little_endian)
        windowing, header = self.copied
        if windowing.kind == "window":
            function = text(header, "VOILUTFunction").upper() or "LINEAR"
            return _window(*windowing.content, explanation, function)
        descriptor = [int(v) for v in numbers(windowing.content, "LUTDescriptor")]
        return _lut(descriptor, lut_words(windowing.content, is_little_endian(header)), explanation, little_endian)


def _read(file: Path | None, choice: Mapping) -> np.ndarray | tuple[Windowing, FileDataset]:
    """The table of a text file; or the windowing of a DICOM, and its header."""
    if file is None:
        raise UserError("config key image.voi_lut.file is missing; kind file needs the path of a DICOM or of a table")
    key = f"config key image.voi_lut.file ({file})"
    if not file.is_file():
        raise UserError(f"{key}: there is no such file")
    try:
        table = np.array([float(line) for line in file.read_text(encoding="utf-8").split()])
    except ValueError:  # no text with numbers: a DICOM, then
        table = None
    if table is not None:
        if not 2 <= len(table) <= 65536 or table.min() < 0 or table.max() > 65535 or (table != np.rint(table)).any():
            raise UserError(f"{key}: a table has 2 to 65536 whole numbers from 0 to 65535, one in each line")
        return table.astype(np.uint16)
    try:
        header = read_header(file)
    except Unusable as bad:
        raise UserError(f"{key} is neither a table nor a DICOM that can be used: {bad.explanation}") from None
    windowing = find_windowing(header, **choice)
    if windowing.kind == "none":
        raise UserError(f"{key}: this DICOM carries no windowing that could be copied")
    return windowing, header


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


def breast_range(dataset: FileDataset, words: np.ndarray, recipe: Mapping) -> tuple[float, float]:
    """The grey values of the breast that are shown, from black to white, as output of the modality transformation.

    Parameters
    ----------
    words : (rows, columns) array
        Decoded pixels of `dataset`.
    recipe : mapping
        Kind ``mode``: from `below` below the most frequent value to `above` above it (500 and 800 are what several
        studies of INbreast use). Kind ``percentiles``: the two `percentiles`. Dark is what `dataset` shows dark.

    Raises
    ------
    Unusable
        ``no_breast`` where nothing stands out from the air.
    """
    values = value_of_word(dataset)
    sign = -1 if inverted(dataset) else 1
    padding = _padding(dataset)[words]
    if padding.all():
        raise Unusable("no_breast", "all of it is padding")
    if padding.any():
        # What stands for "no picture here" may be far darker than air, or white: it is taken for the darkest of the picture.
        words = words.copy()
        used = np.unique(words[~padding])
        words[padding] = used[(sign * values[used]).argmin()]
    step = max(1, max(words.shape) // 512)
    mask = breast_mask(sign * values[words[::step, ::step]])
    if not mask.any():
        raise Unusable("no_breast", "nothing in it stands out from the air, so its grey values suggest no window")
    mask = cv2.resize(mask.astype(np.uint8), words.shape[::-1], interpolation=cv2.INTER_NEAREST)
    counts = np.bincount(words[mask > 0], minlength=len(values))
    order = np.argsort(sign * values, kind="stable")
    shown, counts = sign * values[order], counts[order]
    if recipe["kind"] == "mode":
        distinct, first = np.unique(shown, return_index=True)
        mode = distinct[np.add.reduceat(counts, first).argmax()]
        darkest, brightest = mode - recipe["mode"]["below"], mode + recipe["mode"]["above"]
    else:
        shares = np.cumsum(counts) / counts.sum()
        darkest, brightest = (shown[np.searchsorted(shares, p / 100)] for p in recipe["percentiles"])
    return tuple(sorted((sign * float(darkest), sign * float(brightest))))


def _padding(dataset: FileDataset) -> np.ndarray:
    """Which words mean that there is no picture: PixelPaddingValue up to PixelPaddingRangeLimit; (256,) or (65536,) bool."""
    words = np.arange(2**dataset.BitsAllocated)
    low = value(dataset, "PixelPaddingValue")
    high = value(dataset, "PixelPaddingRangeLimit")
    if not isinstance(low, int):
        return np.zeros(len(words), bool)
    ends = [low, high if isinstance(high, int) else low]
    if dataset.PixelRepresentation == 1:
        half = len(words) // 2
        words = (words + half) % len(words) - half  # two's complement; the tags may be read as unsigned
        ends = [(e + half) % len(words) - half for e in ends]
    return (words >= min(ends)) & (words <= max(ends))


def _window(center: float, width: float, explanation: str, function: str = "LINEAR") -> list[DataElement]:
    return [
        DataElement("WindowCenter", "DS", DSfloat(center, auto_format=True)),
        DataElement("WindowWidth", "DS", DSfloat(width, auto_format=True)),
        DataElement("WindowCenterWidthExplanation", "LO", explanation),
        DataElement("VOILUTFunction", "CS", function),  # said, for the file may hold another without a window
    ]


def _lut(descriptor: list[int], words: np.ndarray, explanation: str, little_endian: bool) -> list[DataElement]:
    """A VOI LUT Sequence of one item; `words` as they stand in LUTData."""
    item = Dataset()
    item.add(DataElement("LUTDescriptor", "SS" if min(descriptor) < 0 else "US", descriptor))
    item.add(DataElement("LUTExplanation", "LO", explanation))
    if 2 * len(words) <= MAX_US_BYTES:
        item.add(DataElement("LUTData", "US", words.tolist()))
    else:
        item.add(DataElement("LUTData", "OW", words.astype("<u2" if little_endian else ">u2").tobytes()))
    return [DataElement("VOILUTSequence", "SQ", Sequence([item]))]
