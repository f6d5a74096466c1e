"""The index of a release: one row per usable image, one per file that is set aside. Reads headers and annotations only.

A file that was seen before with the same size and time is not opened again. An image's `content` id is made of the size
and time it had when first seen; when these change, its bytes are compared with those that were rendered, and the id
stays where they agree: a touched, copied or moved archive costs a reading, not a retraining.
"""

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from mammoseg.datasets.importer import CARRIED, Candidate, Case, Importer, SetAside
from mammoseg.datasets.pictures import is_picture, picture_size
from mammoseg.datasets.walk import inside
from mammoseg.dicom.read import read_header
from mammoseg.dicom.voi_lut import windowing_of
from mammoseg.index.columns import COLUMNS
from mammoseg.index.index_files import Index, Seen
from mammoseg.index.pseudonyms import KNOWN_KEY, pseudonym
from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.errors import Unusable, UserError
from mammoseg.runtime.progress import Progress
from mammoseg.runtime.worker_pool import in_processes

log = logging.getLogger(__name__)

LEFT_OUT = "left_out"
NUMBER = re.compile(r"[-+]?\d*\.?\d+")
MAX_WORD, MAX_WORDS = 40, 50
"""Longest value, and most different ones, of a column that holds words of the field and not somebody's remarks."""
DATE_OR_NUMBER = re.compile(r"\d[\d\s./:-]{4,}\d")
PART = 64
"""Files that one piece of work opens: a header takes a millisecond, sharing out a piece of work a tenth of that."""


def index_release(
    importer: Importer,
    *,
    dataset: str,
    site: str,
    key: bytes,
    code: Code,
    seen: Iterable[Seen],
    rendered_sha256: Callable[[str], str | None],
    workers: int = 1,
    carry: Collection[str] = (),
    max_excluded: float = 1.0,
    where: Mapping[str, str] = MappingProxyType({}),
) -> Index:
    """Index a release, opening only what changed.

    Parameters
    ----------
    importer : Importer
    dataset : str
        Name of the data set: a picture has no UID, so its id is made of this and its place in the release.
    site : str
        Where the patients come from; pseudonyms are made per site.
    key : bytes
        Key of the pseudonyms.
    code : Code
        The code that describes images: after a change everything is described again.
    seen : iterable of Seen
        What the last indexing remembered.
    rendered_sha256 : function of image_id
        SHA-256 of the source that an image was rendered from, None where it never was.
    workers : int
        Processes that open files.
    carry : collection of str
        Columns of the release to carry along besides those that are known to identify no one.
    max_excluded : float
        Share of the files, 0 to 1, that may be set aside for a fault of theirs; of all files, whatever `where` asks for.
    where : mapping of str to str
        Only images whose further columns have these values are taken; the others are no fault of the release.

    Raises
    ------
    UserError
        Where the release is not one, or none of its images, or too few, can be used.
    """
    index = Index()
    candidates, index.excluded = importer.candidates()
    known = {s.image: s for s in seen}
    named = _Names(dataset, site, key)
    known_ids: dict[str, Seen] = {}
    for s in known.values():  # in the order of paths, so that of duplicates the accepted one counts
        if "key" in s.outcome:
            s.id = named.image(s)
            known_ids.setdefault(s.id, s)
    taken: set[str] = set()
    candidates.sort(key=lambda c: c.image)
    index.opened, entries = _look(importer, candidates, known, code, workers)
    del candidates, known  # of a million images
    of_two = _of_two_patients(entries, named)
    for entry in entries:
        if isinstance(entry, SetAside):
            index.excluded.append(entry)
            continue
        if "key" in entry.outcome:
            _keep_content(importer.root, entry, known_ids.get(entry.id), rendered_sha256)
        index.seen.append(entry)
        if "reason" in entry.outcome:
            index.excluded.append(SetAside(entry.image, entry.outcome["reason"], entry.outcome["explanation"]))
        elif any(entry.outcome["extra"].get(column) != value for column, value in where.items()):
            index.excluded.append(SetAside(entry.image, LEFT_OUT, "the config's `where` asks for other images"))
        elif entry.id in of_two:
            index.excluded.append(
                SetAside(entry.image, "two_patients", "the release holds this image under two patients")
            )
        elif entry.id in taken:
            index.excluded.append(SetAside(entry.image, "duplicate", "another file of the release is the same image"))
        else:
            taken.add(entry.id)
            _accept(index, entry, named, rendered_sha256, {*CARRIED, *carry})
    if importer.free_text:
        _keep_free_text_private(index.rows, CARRIED.difference(carry))
    index.rows.sort(key=lambda r: r["image_id"])
    index.sources.sort(key=lambda r: r["image_id"])
    index.excluded.sort(key=lambda x: (x.path, x.reason))
    faulty = [x for x in index.excluded if x.reason not in {*importer.by_design, LEFT_OUT}]
    why = (
        ", ".join(f"{reason} ({n})" for reason, n in Counter(x.reason for x in faulty).most_common(3))
        or "there is none"
    )
    left_out = sum(x.reason == LEFT_OUT for x in index.excluded)
    if not index.rows and left_out:
        columns = {c for s in index.seen for c in s.outcome.get("extra", ())}
        unknown = [c for c in where if c not in columns]
        why = f"the release has no column {unknown[0]!r}" if unknown else "none has these values"
        raise UserError(
            f"`where` of data set {dataset} leaves out all its {left_out} images: {why}; correct it in the config"
        )
    if not index.rows:
        raise UserError(f"no image below {importer.root} can be used: {why}; check the data set's root and importer")
    # What is set aside before its columns are known may be of any part of the release, so it is compared with the whole.
    files = len(faulty) + left_out + len(index.rows)
    if len(faulty) > max_excluded * files:
        raise TooManyExcluded(
            f"{len(faulty)} of {files} files of data set {dataset} cannot be used: {why}; more than its "
            f"max_excluded of {max_excluded:g} allows. Check its root and importer, or raise max_excluded in the config",
            index,
        )
    return index


class TooManyExcluded(UserError):
    """So many files were set aside that something is wrong with the data root; `index` says which."""

    def __init__(self, sentence: str, index: Index):
        super().__init__(sentence)
        self.index = index


def counts(index: Index) -> dict[str, int]:
    """What is counted of a release, under the names of `Importer.expected`."""
    masses = [int(r["n_masses"] or 0) for r in index.rows]
    return {
        "files": len(index.rows) + len(index.excluded),
        "patients": len({r["patient_id"] for r in index.rows}),
        "images with a mass": sum(n > 0 for n in masses),
        "masses": sum(masses),
    }


@dataclass(frozen=True)
class _Names:
    """The pseudonyms of one data set. Made at every indexing, so that another site or key is never overlooked."""

    dataset: str
    site: str
    key: bytes

    def image(self, entry: Seen) -> str:
        own = entry.outcome["key"]
        return pseudonym(self.key, "image", self.site, f"{self.dataset}/{own}" if is_picture(entry.image) else own)

    def patient(self, entry: Seen) -> str:
        return pseudonym(self.key, "patient", self.site, entry.outcome["patient"])

    def study(self, entry: Seen) -> str:
        return pseudonym(self.key, "study", self.site, entry.outcome["study"])

    @cached_property
    def of_draws(self) -> "_Names":
        """The draw ids (`mammoseg.index.pseudonyms.KNOWN_KEY`)."""
        return replace(self, key=KNOWN_KEY)


def _of_two_patients(entries: Iterable[Seen | SetAside], named: _Names) -> set[str]:
    """Ids, which are made here, of the images that files of different patients hold: nobody knows whose they are."""
    patient_of: dict[str, str] = {}
    found = set()
    for entry in entries:
        if isinstance(entry, Seen) and "key" in entry.outcome:
            entry.id = entry.id or named.image(entry)
            patient = entry.outcome["patient"]
            if patient_of.setdefault(entry.id, patient) != patient:
                found.add(entry.id)
    return found


def _look(
    importer: Importer, candidates: Sequence[Candidate], known: Mapping[str, Seen], code: Code, workers: int
) -> tuple[int, list[Seen | SetAside]]:
    """How many candidates' files were opened, and what came of all: remembered where nothing changed, else found out now."""
    entries = [_remembered(importer.root, c, known.get(c.image), code) for c in candidates]
    new = [k for k, entry in enumerate(entries) if entry is None]
    parts = [
        [(candidates[k], known.get(candidates[k].image)) for k in new[i : i + PART]] for i in range(0, len(new), PART)
    ]
    progress = Progress("files", len(new))
    look = partial(_look_at_all, importer, code.name)
    try:
        found = in_processes(
            look, [(part,) for part in parts], workers, _one_by_one(look), lambda part: progress.step(len(part))
        )
    finally:
        progress.close()
    for k, entry in zip(new, chain.from_iterable(found), strict=True):
        entries[k] = entry
    return len(new), entries


def _remembered(root: Path, candidate: Candidate, known: Seen | None, code: Code) -> Seen | None:
    """What is remembered of a candidate if it is the same still, its files and our code."""
    try:
        if known is None or known.code not in code.same:
            return None
        if (known.stamp, known.facts) != (_stamp(root / candidate.image), dict(candidate.facts)):
            return None
        if [a[0] for a in known.annotations] != list(candidate.annotations):
            return None
        annotations = [_annotation(root, path, known) for path in candidate.annotations]
    except OSError:  # said of the file when it is opened
        return None
    if [a[2] for a in annotations] != [a[2] for a in known.annotations]:
        return None
    known.annotations = annotations
    return known


def _annotation(root: Path, path: str, known: Seen | None) -> list[str]:
    """Path, stamp and SHA-256 of an annotation file; it is read only if its stamp is not the one that is remembered."""
    now = _stamp(root / path)
    old = next((a for a in known.annotations if a[:2] == [path, now]), None) if known else None
    return [path, now, old[2] if old else digests.sha256(root / path)]


def _look_at_all(importer: Importer, code: str, part: Sequence[tuple[Candidate, Seen | None]]) -> list[Seen | SetAside]:
    """Open the files of some candidates."""
    return [_look_at(importer, code, candidate, known) for candidate, known in part]


def _look_at(importer: Importer, code: str, candidate: Candidate, known: Seen | None) -> Seen | SetAside:
    if not all(inside(importer.root, path) for path in (candidate.image, *candidate.annotations)):
        return SetAside(
            candidate.image, "outside_root", "it, or a file of its annotations, is a link that leaves the data root"
        )
    try:
        stamp = _stamp(importer.root / candidate.image)
        annotations = [_annotation(importer.root, path, known) for path in candidate.annotations]
        outcome = _describe(importer, candidate)
    except OSError as bad:
        return SetAside(candidate.image, "unreadable", f"it cannot be read: {bad.strerror}")
    except Unusable as bad:
        if bad.reason == "unreadable":
            # Not remembered: a disk may be well again tomorrow, and neither size nor time of the file would tell.
            return SetAside(candidate.image, bad.reason, bad.explanation)
        outcome = {"reason": bad.reason, "explanation": bad.explanation}
    content = known.content if known and known.stamp == stamp else digests.digest(stamp)
    return Seen(candidate.image, stamp, annotations, dict(candidate.facts), content, outcome, code)


def _one_by_one(look: Callable) -> Callable:
    """A part in which a process died is looked at file by file: one of them is the cause."""

    def look_again(part: Sequence[tuple[Candidate, Seen | None]]) -> list[Seen | SetAside]:
        pieces = in_processes(look, [([pair],) for pair in part], 1, lambda piece: [_crashed(piece[0][0])])
        return list(chain.from_iterable(pieces))

    return look_again


def _crashed(candidate: Candidate) -> SetAside:
    return SetAside(candidate.image, "decoder_crashed", "reading it ended abnormally: the file is damaged")


def _describe(importer: Importer, candidate: Candidate) -> dict:
    path = importer.root / candidate.image
    if is_picture(path):
        header, windowing = None, "image"
        rows, columns = picture_size(path)
    else:
        header = read_header(path)
        rows, columns, windowing = int(header.Rows), int(header.Columns), windowing_of(header)
    case: Case = importer.describe(candidate, header)
    return {**asdict(case), "rows": rows, "columns": columns, "windowing": windowing}


def _keep_content(root: Path, entry: Seen, known: Seen | None, rendered_sha256) -> None:
    """Leave an image its content id where only its size, time, name or place changed, not its bytes."""
    if known is None or known.content == entry.content:
        return
    if known.stamp == entry.stamp or rendered_sha256(entry.id) == digests.sha256(root / entry.image):
        entry.content = known.content


def _accept(index: Index, entry: Seen, named: _Names, rendered_sha256, carried: Collection[str]) -> None:
    case = {
        **entry.outcome,
        "image_id": entry.id,
        "patient_id": named.patient(entry),
        "study_id": named.study(entry),
    }
    drawn_from = [a[2] for a in entry.annotations] + ([entry.facts["outlines"]] if "outlines" in entry.facts else [])
    annotations = digests.digest(drawn_from) if drawn_from else ""
    index.rows.append(
        {
            **{name: _harmless(value) for name, value in case["extra"].items() if name in carried},
            **{c: "" if case.get(c) is None else case[c] for c in COLUMNS if c not in ("content", "annotations")},
            "content": entry.content,
            "annotations": annotations,
        }
    )
    index.sources.append(
        {
            "image_id": case["image_id"],
            "path": entry.image,
            "annotations": json.dumps([a[0] for a in entry.annotations], ensure_ascii=False),
            "facts": json.dumps(entry.facts, sort_keys=True, ensure_ascii=False),
            "patient_id": case["patient_id"],
            "patient": case["patient"],
            "sha256": rendered_sha256(case["image_id"]) or "",  # known once it has been rendered
            "draw_id": named.of_draws.image(entry),
            "patient_draw_id": sys.intern(named.of_draws.patient(entry)),
        }
    )


def _keep_free_text_private(rows: Sequence[dict], columns: Iterable[str]) -> None:
    """Take those of `columns` out of `rows` that hold more than words and numbers: even "finding" may name someone."""
    for column in sorted(columns):
        values = {row[column] for row in rows if column in row}
        if len(values) > MAX_WORDS or any(len(v) > MAX_WORD or DATE_OR_NUMBER.search(v) for v in values):
            log.warning(
                "column %s stays in results/private, for it looks like free text (longer than %d characters, a date or long "
                "number, or more than %d different values); name it in the data set's `carry` if it identifies no one",
                column,
                MAX_WORD,
                MAX_WORDS,
            )
            for row in rows:
                row.pop(column, None)


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet would take for a formula gets an apostrophe; numbers stay."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not NUMBER.fullmatch(cell) else cell


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size}:{stat.st_mtime_ns}"
