"""Outputs that survive Snakemake: the second layer of "nothing is done twice".

Snakemake removes a job's declared outputs before it runs and when it fails. Beside them, in a hidden folder, lie hard
links to what was made and the fingerprint of what it was made from; where that still agrees, the outputs are put back.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.files import PART, half, stream_csv, whole, write_csv, write_text

KEPT = ".kept"
"""Hidden folder of the kept outputs."""
RECORD = "record.json"


class Keeper:
    """Keeps the declared outputs of one job.

    Parameters
    ----------
    folder : Path
        Where the outputs stand.
    names : sequence of str
        File names of the outputs, all in `folder`.
    sets : int
        Sets of outputs to keep, the latest used: with 2, going back to the config or code before costs nothing.
    """

    def __init__(self, folder: Path, names: Sequence[str], sets: int = 1):
        self.folder = Path(folder)
        self.names = tuple(names)
        self.sets = sets
        self.kept = self.folder / KEPT

    def restore(self, made_from: str, code: Code) -> bool:
        """Put the kept outputs back if they are whole and this `code` made them from `made_from`, a fingerprint; True if so."""
        for place, record in self._records():
            if record["fingerprint"] == made_from and record.get("code") in code.same:
                files = [place / name for name in self.names]
                # The kept file is the declared one by another name: what damages one damages the other.
                if all(f.is_file() and digests.sha256(f) == record.get("sha256", {}).get(f.name) for f in files):
                    for f in files:
                        _link(f, self.folder / f.name)
                        os.utime(f)  # newer than the job's inputs, as Snakemake expects of an output
                    os.utime(place / RECORD)
                    return True
        return False

    def store(self, made_from: str, code: Code) -> None:
        """Keep the outputs as they are now. The record is removed first and written last: a kill leaves none, not a wrong one."""
        place = self.kept / digests.digest([made_from, code.name])
        place.mkdir(parents=True, exist_ok=True)
        (place / RECORD).unlink(missing_ok=True)
        for name in self.names:
            _link(self.folder / name, place / name)
        sha256 = {name: digests.sha256(place / name) for name in self.names}
        record = {"fingerprint": made_from, "code": code.name, "sha256": sha256}
        write_text(place / RECORD, json.dumps(record))
        latest = [place, *(other for other, _ in self._records() if other != place)][: self.sets]
        for other in self.kept.iterdir():
            if other not in latest:
                shutil.rmtree(other) if other.is_dir() else other.unlink()

    def _records(self) -> list[tuple[Path, dict]]:
        """Folder and record of every kept set, the latest used first."""
        found = []
        for path in sorted(self.kept.glob(f"*/{RECORD}"), key=lambda p: p.stat().st_mtime_ns, reverse=True):
            with suppress(json.JSONDecodeError):
                found.append((path.parent, json.loads(path.read_text())))
        return found


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, by a hard link where the disk has them, else by a copy."""
    if target.exists() and target.samefile(source):
        return  # renaming a link over another link of the same file would leave both
    part = half(target)
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
        Columns of the manifest: image_id first, and among them fingerprint and code.
    code : Code
        The code that makes the images now.
    """

    def __init__(self, folder: Path, columns: Sequence[str], code: Code):
        self.folder = Path(folder)
        self.columns = columns
        self.code = code
        self.memory = self.folder / ".manifest.csv"
        self.rows = {r["image_id"]: r for r in stream_csv(self.memory)} if self.memory.exists() else {}
        # One look at the folder: asking for each of a million files would take minutes.
        self.present = {e.name for e in os.scandir(self.folder) if e.is_file()} if self.folder.exists() else set()

    def known(self, image_id: str, made_from: str, files: Sequence[str] = ()) -> dict[str, str] | None:
        """The remembered row of an image, if it was made from `made_from` by this code and its `files` still stand."""
        row = self.rows.get(image_id)
        made_so = row and row.get("fingerprint") == made_from and row.get("code") in self.code.same
        return row if made_so and self.present.issuperset(files) else None

    def forget(self, image_ids: Iterable[str]) -> None:
        """Forget what images that are about to be made again were made from; their other facts stay for comparison."""
        gone = set(image_ids) & self.rows.keys()
        if gone:
            self.rows |= {i: {**self.rows[i], "fingerprint": ""} for i in gone}
            write_csv(self.memory, self.columns, self.rows.values())

    def finish(self, rows: Sequence[Mapping], files: Collection[str]) -> None:
        """Remove what is not among `files`, half files included, and write the manifest: first the copy that survives."""
        for name in os.listdir(self.folder):
            if name not in files and name != "manifest.csv" and (not name.startswith(".") or PART in name):
                (self.folder / name).unlink()
        write_csv(self.memory, self.columns, rows)
        with whole(self.folder / "manifest.csv") as part:
            shutil.copyfile(self.memory, part)
