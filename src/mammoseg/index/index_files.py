"""The files of an index: what may be shown, what is private, and what the next indexing remembers."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mammoseg.datasets.importer import SetAside
from mammoseg.index.columns import COLUMNS
from mammoseg.runtime.files import TEXT, read_csv, stream_csv, whole, write_csv

SOURCES = (
    "image_id", "path", "annotations", "facts", "patient_id", "patient", "sha256", "draw_id", "patient_draw_id",
)  # fmt: skip
PATIENTS = ("patient_id", "patient")


@dataclass
class Seen:
    """What is remembered of one candidate: its files as they were, and what came of it."""

    image: str
    stamp: str  # size and time of the image file
    annotations: list[list[str]]  # path, stamp, sha256 of each annotation file
    facts: dict[str, str]
    content: str
    outcome: dict  # a Case with rows, columns and windowing, or reason and explanation
    code: str  # digest of the code that described it
    id = ""  # image_id: made at every indexing, never remembered


@dataclass
class Index:
    """Rows of index.csv, sources.csv (private) and of the files set aside, and how many files were opened."""

    rows: list[dict] = field(default_factory=list)
    sources: list[dict] = field(default_factory=list)
    excluded: list[SetAside] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    opened: int = 0


def patients_draw_ids(sources: Path) -> Iterator[tuple[str, str]]:
    """Yield patient_id and draw id of each image's patient, from a sources.csv."""
    for row in stream_csv(sources, ("patient_id", "patient_draw_id")):
        yield sys.intern(row["patient_id"]), row["patient_draw_id"]


def load_seen(path: Path) -> list[Seen]:
    """What the last indexing remembered; nothing where there was none, or where another version wrote it."""
    if not path.exists():
        return []
    with path.open(**TEXT) as f, suppress(TypeError, json.JSONDecodeError):
        return [Seen(**json.loads(line, object_pairs_hook=_interned)) for line in f]
    return []


def _interned(pairs: Iterable[tuple[str, object]]) -> dict:
    """A JSON object whose keys and texts stand once in memory: every line has the same keys."""
    return {sys.intern(k): sys.intern(v) if isinstance(v, str) else v for k, v in pairs}


def write_index(index: Index, public: Path, private: Path) -> None:
    """Write the index: what may be shown into `public`, paths and names and the memory into `private`."""
    extra = sorted({c for r in index.rows for c in r} - set(COLUMNS))
    write_csv(public / "index.csv", (*COLUMNS, *extra), index.rows)
    write_excluded(index, public / "excluded.csv", private / "excluded.csv")
    write_csv(private / "sources.csv", SOURCES, index.sources)
    # Who is who, also of patients whose files are gone: how else could anyone restore them?
    patients = private / "patients.csv"
    known = {r["patient_id"]: r for r in (read_csv(patients) if patients.exists() else [])}
    known |= {r["patient_id"]: r for r in index.sources}
    write_csv(patients, PATIENTS, [known[p] for p in sorted(known)])
    with whole(private / "seen.jsonl") as part, part.open("w", **TEXT) as f:
        for s in index.seen:
            remembered = {k: v for k, v in vars(s).items() if k != "id"}
            f.write(f"{json.dumps(remembered, sort_keys=True, ensure_ascii=False)}\n")


def write_excluded(index: Index, reasons: Path, paths: Path) -> None:
    """Write why files are set aside, and, for private use, which they are."""
    numbered = [{"file": i, **asdict(x)} for i, x in enumerate(index.excluded, 1)]
    write_csv(reasons, ("file", "reason", "explanation"), numbered)
    write_csv(paths, ("file", "path"), numbered)


def rendered(folder: Path) -> Callable[[str], str | None]:
    """A look-up of the SHA-256 that rendering put into the manifests below `folder`; read when first asked."""
    table: dict[str, str] | None = None

    def look_up(image_id: str) -> str | None:
        nonlocal table
        if table is None:
            table = dict(_rendered(folder))
        return table.get(image_id)

    return look_up


def _rendered(folder: Path) -> Iterator[tuple[str, str]]:
    for manifest in sorted(folder.glob("*/.manifest.csv")):
        for row in read_csv(manifest):
            yield row["image_id"], row["source_sha256"]
