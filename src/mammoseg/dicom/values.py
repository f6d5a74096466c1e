"""Values of DICOM attributes as they are found in the wild: missing, empty, of the wrong type or broken."""

import math

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset


def text(dataset: Dataset, keyword: str) -> str:
    """Value of an attribute as text without padding; several values are joined by a backslash, as in the file.

    Empty where the attribute is missing, empty or cannot be read.
    """
    return "\\".join(str(v) for v in _values(dataset, keyword)).strip(" \0\n\r\t")


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Values of an attribute as numbers; empty where it is missing or empty, or where one of them is no finite number."""
    try:
        values = [float(v) for v in _values(dataset, keyword)]
    except (TypeError, ValueError):
        return []
    return values if all(math.isfinite(v) for v in values) else []


def each_number(dataset: Dataset, keyword: str) -> list[float]:
    """Values of an attribute as numbers, one by one: NaN for each that is no finite number."""
    try:
        found = dataset.get_item(keyword)
    except Exception:
        return []
    if found is None:
        return []
    if isinstance(found, RawDataElement):  # not converted yet, for one bad value would spoil them all
        values = (found.value or b"").decode("ascii", "replace").strip(" \0").split("\\")
    else:
        values = _values(dataset, keyword)
    return [_number(v) for v in values]


def _number(value: object) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Value of an attribute that holds one whole number; None where it does not."""
    values = numbers(dataset, keyword)
    return int(values[0]) if len(values) == 1 and values[0] == int(values[0]) else None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence; empty where it is missing, empty or no sequence."""
    return [v for v in _values(dataset, keyword) if isinstance(v, Dataset)]


def first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    """First item of a sequence; None where there is none."""
    return next(iter(items(dataset, keyword)), None)


def value(dataset: Dataset, keyword: str):
    """Value of an attribute as pydicom gives it; None where it is missing, empty or cannot be read."""
    try:
        found = dataset.get(keyword)  # pydicom converts the bytes only now, and raises whatever the conversion raises
    except Exception:
        return None
    return None if isinstance(found, str | bytes) and not found else found


def _values(dataset: Dataset, keyword: str) -> list:
    found = value(dataset, keyword)
    if found is None:
        return []
    return [found] if isinstance(found, str | bytes) or not hasattr(found, "__iter__") else list(found)
