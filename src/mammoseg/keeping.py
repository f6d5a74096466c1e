"""Outputs that survive Snakemake: the second layer of "nothing is done twice".

Snakemake removes a job's declared outputs before it runs and when it fails. Beside them, in a hidden folder, lie hard
links to what was made and the fingerprint of what it was made from; where that still agrees, the outputs are put back.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from mammoseg.files import read_csv, write_csv, write_text


class Keeper:
    """Keeps the declared outputs of one job.

    Parameters
    ----------
    folder : Path
        Where the outputs stand.
    names : sequence of str
        File names of the outputs, all in `folder`.
    """

    def __init__(self, folder: Path, names: Sequence[str]):
        self.folder = Path(folder)
        self.names = tuple(names)
        self.kept = self.folder / ".kept"

    def restore(self, fingerprint: str) -> bool:
        """Put the kept outputs back if they were made from `fingerprint`; True if so."""
        try:
            record = json.loads((self.kept / "record.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        files = [self.kept / name for name in self.names]
        whole = all(f.is_file() and f.stat().st_size == record["sizes"].get(f.name) for f in files)
        if record["fingerprint"] != fingerprint or not whole:
            return False
        for f in files:
            _link(f, self.folder / f.name)
            os.utime(f)  # newer than the job's inputs, as Snakemake expects of an output
        return True

    def store(self, fingerprint: str) -> None:
        """Keep the outputs as they are now. The record is removed first and written last: a kill leaves none, not a wrong one."""
        self.kept.mkdir(exist_ok=True)
        (self.kept / "record.json").unlink(missing_ok=True)
        for name in self.names:
            _link(self.folder / name, self.kept / name)
        sizes = {name: (self.kept / name).stat().st_size for name in self.names}
        write_text(self.kept / "record.json", json.dumps({"fingerprint": fingerprint, "sizes": sizes}))


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, by a hard link where the disk has them, else by a copy."""
    if target.exists() and target.samefile(source):
        return  # renaming a link over another link of the same file would leave both
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    part.replace(target)


class ImageKeeper:
    """Remembers, image by image, what the files of a folder were made from.

    The memory is a copy of the folder's manifest.csv, which Snakemake does not know of. An image is forgotten before
    its files are made again, so that a killed job leaves an image unknown, never one with the wrong record.

    Parameters
    ----------
    folder : Path
        Where the images and manifest.csv stand.
    columns : sequence of str
        Columns of the manifest; the first is image_id.
    """

    def __init__(self, folder: Path, columns: Sequence[str]):
        self.folder = Path(folder)
        self.columns = columns
        self.memory = self.folder / ".manifest.csv"
        self.rows = {r["image_id"]: r for r in read_csv(self.memory)} if self.memory.exists() else {}

    def known(self, image_id: str, column: str, fingerprint: str, files: Sequence[str] = ()) -> dict[str, str] | None:
        """The remembered row of an image, if it was made from `fingerprint` and its `files` still stand."""
        row = self.rows.get(image_id)
        if row and row[column] == fingerprint and all((self.folder / f).is_file() for f in files):
            return row
        return None

    def forget(self, image_ids: Iterable[str]) -> None:
        """Forget images that are about to be made again."""
        gone = set(image_ids) & self.rows.keys()
        if gone:
            self.rows = {i: r for i, r in self.rows.items() if i not in gone}
            write_csv(self.memory, self.columns, self.rows.values())

    def finish(self, rows: Sequence[Mapping], files: Collection[str]) -> None:
        """Remove what is not among `files`, and write the manifest: first the copy that survives a failed job."""
        for old in self.folder.glob("[!.]*"):
            if old.name not in files and old.name != "manifest.csv":
                old.unlink()
        write_csv(self.memory, self.columns, rows)
        write_csv(self.folder / "manifest.csv", self.columns, rows)
