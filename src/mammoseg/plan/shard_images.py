"""What the jobs of one shard need to know of its images: written by the plan, so that no job reads the whole index."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mammoseg.datasets.importer import Candidate, Importer
from mammoseg.runtime.files import TEXT, read_csv, write_text

OF_SOURCE = {f"source:{c}": c for c in ("path", "annotations", "facts", "draw_id")}
"""Columns of a shard's rows that come from sources.csv; the colon keeps them apart from a release's own columns."""


@dataclass(frozen=True)
class Image:
    """One image of a shard: its row of index.csv and its row of sources.csv."""

    index: Mapping[str, str]
    source: Mapping[str, str]

    @property
    def id(self) -> str:
        return self.index["image_id"]

    def path(self, importer: Importer) -> Path:
        return importer.root / self.source["path"]


def candidate_of(source: Mapping[str, str]) -> Candidate:
    """The candidate behind a row of sources.csv."""
    return Candidate(source["path"], tuple(json.loads(source["annotations"])), json.loads(source["facts"]))


def images_of_shard(rows: Path) -> list[Image]:
    """The images of one shard, in the order of their ids; `rows` is the file that `write_shards` wrote."""
    return [Image(r, {name: r[c] for c, name in OF_SOURCE.items()}) for r in read_csv(rows)]


def write_shards(index: Path, sources: Path, shard_of: Mapping[str, str], folder: Path) -> None:
    """Write, shard by shard, the rows of index.csv and sources.csv that its jobs need: no job reads the whole release.

    Parameters
    ----------
    index, sources : Path
        Both sorted by image_id.
    shard_of : mapping of image_id to shard; images without one are left out
    folder : Path
        Where <shard>.csv go, private: they hold paths. A file that would not change stays; others are removed.
    """
    columns, lines = None, defaultdict(list)  # lines, not values: all images of a release are in memory at once
    with open(index, newline="", **TEXT) as i, open(sources, newline="", **TEXT) as s:
        for image, source in zip(csv.DictReader(i), csv.DictReader(s), strict=True):
            if shard := shard_of.get(image["image_id"]):
                columns = columns or _line([*image, *OF_SOURCE])
                lines[shard].append(_line([*image.values(), *(source[c] for c in OF_SOURCE.values())]))
    for shard, mine in lines.items():
        text = "".join([columns, *mine])
        path = folder / f"{shard}.csv"
        if not path.exists() or path.read_text(**TEXT) != text:
            write_text(path, text)
    for path in folder.glob("*.csv"):
        if path.stem not in lines:
            path.unlink()


def _line(values: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
