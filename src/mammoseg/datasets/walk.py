"""Finding the files of a release, in an order that does not depend on the disk, and none outside of it."""

import logging
import os
from collections.abc import Iterator
from functools import cache, lru_cache, partial
from pathlib import Path

from mammoseg.runtime.errors import UserError

log = logging.getLogger(__name__)


def files_below(root: Path, *suffixes: str) -> Iterator[str]:
    """Paths below `root`, with forward slashes and sorted, of all files with one of the endings (in lower case).

    Hidden files and folders are left out (macOS leaves ``._name.dcm`` beside ``name.dcm``), and so are ``__MACOSX`` and
    ``lost+found``. Linked folders are not entered, with a warning: the listing that notices changes does not see through them
    either. None where there is no such root.

    Raises
    ------
    UserError
        Where a folder cannot be read: its files would be missed in silence, and an image without outlines has no mass.
    """
    found, linked = [], 0
    for folder, subfolders, names in os.walk(root, onerror=partial(_refuse_unreadable, root)):
        subfolders[:] = [s for s in subfolders if not s.startswith((".", "__MACOSX", "lost+found"))]
        linked += sum(os.path.islink(os.path.join(folder, s)) for s in subfolders)
        found += [os.path.join(folder, n) for n in names if n.lower().endswith(suffixes) and not n.startswith(".")]
    if linked:
        _warn_of_links(root, linked)
    return iter(sorted(Path(f).relative_to(root).as_posix() for f in found))


def _refuse_unreadable(root: Path, error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise UserError(
            f"a folder in {root} cannot be read ({error.strerror}); check the rights of all folders there"
        ) from None


@cache
def _warn_of_links(root: Path, n: int) -> None:
    """Said once of a folder, however often it is walked through. The log may be shown around, so no path is in it."""
    log.warning(
        "%d folders of the release are links, which are not entered (`find <root> -type l` shows them); put the folders "
        "themselves there",
        n,
    )


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
