"""What lies in a release: the digest that tells Snakemake to look at it again. Reads no file."""

import os
from pathlib import Path

from mammoseg.rebuild import digests


def listing(root: Path) -> str:
    """Digest of path, size, time and rights of every file below `root`; ``"absent"`` where there is no such folder."""
    if not root.is_dir():
        return "absent"
    found, folders = [], [str(root)]
    start = len(str(root))  # paths below the root: a release that was moved as a whole is the same
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:  # the index says so; readable again, it is another listing
            found.append(f"{folder[start:]}|unreadable")
            continue
        for e in entries:
            if e.is_dir(follow_symlinks=False):
                folders.append(e.path)
            else:
                try:
                    stat = e.stat()  # of the file behind a link
                except OSError:
                    found.append(f"{e.path[start:]}|broken")
                else:
                    found.append(f"{e.path[start:]}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_mode}")
    return digests.of_parts(found)
