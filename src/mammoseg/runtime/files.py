"""Files that are whole or absent: everything is written under a temporary name and renamed."""

import csv
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

TEXT = MappingProxyType({"encoding": "utf-8", "errors": "surrogateescape"})
"""How text of ours is opened: a file name of an archive that is no UTF-8 (zipped on Windows) keeps its bytes."""

PART = ".part"
"""Stands in the hidden name of a file that is not whole yet."""


def half(path: Path) -> Path:
    """What `path` is called until it is whole: always the same, so that what a killed job left is written over."""
    return path.with_name(f".{path.stem}{PART}{path.suffix}")


@contextmanager
def whole(path: str | os.PathLike, durable: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    The temporary name keeps the ending, so that writers that go by it (OpenCV, matplotlib) work. With `durable` the file is
    on the disk before its name is, so that a power cut too leaves it whole or unchanged: for what took hours to make.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = half(path)
    try:
        yield part
        if durable:
            _sync(part)
        part.replace(path)
        if durable:
            _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8) so that `path` is whole or unchanged."""
    with whole(path) as part:
        part.write_text(text, **TEXT, newline="")


def read_csv(path: str | os.PathLike, columns: Collection[str] | None = None) -> list[dict[str, str]]:
    """Rows of a CSV of ours (comma, UTF-8, header line); every value is text, equal texts stand once in memory.

    A table of a million images is read with the `columns` that are needed only.
    """
    return list(stream_csv(path, columns))


def stream_csv(path: str | os.PathLike, columns: Collection[str] | None = None) -> Iterator[dict[str, str]]:
    """As `read_csv`, but one row after the other."""
    with open(path, newline="", **TEXT) as f:
        rows = csv.reader(f)
        names = next(rows, [])
        wanted = [(name, names.index(name)) for name in (names if columns is None else columns)]
        for row in rows:
            if len(row) != len(names):
                raise ValueError(f"a row of {path} has {len(row)} values, its header line {len(names)}")
            yield {name: sys.intern(row[i]) for name, i in wanted}


def write_csv(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Mapping]) -> None:
    """Write `rows` in the given column order; a missing value or None becomes an empty cell."""
    with whole(path) as part, part.open("w", newline="", **TEXT) as f:
        writer = csv.DictWriter(f, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
