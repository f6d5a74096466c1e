"""Files of a release: left alone where they hold the right bytes already, so that extending a release touches nothing else."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path

import cv2
import numpy as np

from mammoseg.runtime.files import whole


def put(path: Path, content: bytes) -> None:
    """Make `path` hold `content`; a file that does keeps its time."""
    if path.is_file() and path.read_bytes() == content:
        return
    with whole(path) as part:
        part.write_bytes(content)


def put_mask(path: Path, mask: np.ndarray) -> None:
    """Write a boolean mask as an 8-bit PNG of 0 and 255."""
    put(path, cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())


def put_table(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]], delimiter: str = ",", end: str = "\n"
) -> None:
    """Write a table; values are made text."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    put(path, text.getvalue().encode())


def rows_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a table that `put_table` wrote; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))
