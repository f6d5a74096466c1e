"""Finding the files of a release, in an order that does not depend on the disk, and none outside of it."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from mammoseg.errors import UserError


def files_below(root: Path, *suffixes: str) -> Iterator[str]:
    """Paths below `root`, with forward slashes and sorted, of all files with one of the endings (in lower case).

    Hidden files and folders are left out (macOS leaves ``._name.dcm`` beside ``name.dcm``), and so are ``__MACOSX``.
    Linked folders are not entered: the listing that notices changes does not see through them either.
    """
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [s for s in subfolders if not s.startswith((".", "__MACOSX"))]
        found += [os.path.join(folder, n) for n in names if n.lower().endswith(suffixes) and not n.startswith(".")]
    return iter(sorted(Path(f).relative_to(root).as_posix() for f in found))


def check_folder(root: Path, expected: str) -> None:
    """Raise UserError unless `root` is a folder; `expected` says what should be in it."""
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UserError(f"data root {root} {what}; expected there: {expected}")


def inside(root: Path, path: str) -> bool:
    """Whether a path below `root` stays there, links followed: no table and no link leads to a file of somebody else."""
    if os.path.isabs(path) or "\0" in path:
        return False
    folder, name = os.path.split(os.path.join(root, path))
    real = os.path.join(_real(folder), name)  # a million images lie in few folders
    if os.path.islink(real):
        real = os.path.realpath(real)
    return real.startswith(os.path.join(_real(str(root)), ""))


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)
