"""One record per job: what it was made from, by which code, and the digests of what it made.

A record lies in results/records/, at the place that the job's log has in results/logs/. It is removed before the job and
written last, so that a job that failed has none. `why`, `verify` and `accept` read them; nothing is decided by them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from mammoseg import __version__
from mammoseg.rebuild import digests
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv, write_text

FOLDER = "records"
PLAN = {"work.csv", "splits.csv", "shards.csv", "index.csv", "sources.csv", "excluded.csv"}
"""Inputs that a recipe already holds as digests of the rows that concern the job."""
IDENTIFYING = {"sources.csv", "draw_ids.csv"}
"""Private tables of original ids: a digest of one would let who knows the ids try which pseudonym belongs to which."""
PICTURES = {
    "png_sha256": "{image_id}.png", "mask_sha256": "{image_id}_mask.png", "reference_sha256": "{image_id}_reference.png",
    "votes_sha256": "{image_id}_votes.png", "sha256": "{file}",
}  # fmt: skip
"""Columns of a manifest that hold the digest of a file beside it."""


class Record:
    """The record of the job whose log is `log`, below the study's folder `results`."""

    def __init__(self, results: Path, log: Path):
        self.results = Path(results)
        place = Path(log).relative_to(self.results / "logs")
        self.path = (self.results / FOLDER / place).with_suffix(".json")

    def read(self) -> dict | None:
        """What stands there; None where nothing does."""
        return json.loads(self.path.read_text()) if self.path.exists() else None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def write(
        self, stage: str, rule: str, wildcards: Mapping, recipe: Mapping, inputs: Iterable, outputs: Iterable
    ) -> None:
        """Write it. `recipe` is what the job's params hold, its code included; inputs and outputs are paths of files."""
        recipe = dict(recipe)
        record = {
            "stage": stage,
            "rule": rule,
            "wildcards": dict(wildcards),
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "code": recipe.pop("code", ""),
            "recipe": recipe,
            "inputs": {self._name(p): digests.sha256(p) for p in map(Path, inputs) if p.name not in PLAN | IDENTIFYING},
            "outputs": {self._name(p): digests.sha256(p) for p in map(Path, outputs) if p.name not in IDENTIFYING},
        }
        write_text(self.path, digests.canonical(record))

    def _name(self, path: Path) -> str:
        """Below the results where it lies there, so that a study that is moved takes its records along."""
        return str(path.relative_to(self.results) if path.is_relative_to(self.results) else path)


def read_records(results: Path) -> Iterator[dict]:
    """All records of the study in folder `results`, by rule and name."""
    for path in sorted((Path(results) / FOLDER).rglob("*.json")):
        yield json.loads(path.read_text())


def record_of(results: Path, artefact: Path) -> dict | None:
    """The record of the job that made `artefact`: a declared output, a picture beside a manifest, or a folder of either."""
    results, artefact = Path(results).resolve(), Path(artefact).resolve()
    if not artefact.is_relative_to(results):
        return None
    name, near = artefact.relative_to(results), None
    for record in read_records(results):
        outputs = [Path(o) for o in record["outputs"]]
        if name in outputs:
            return record
        beside = any(name == o.parent or (o.name == "manifest.csv" and name.parent == o.parent) for o in outputs)
        near = near or (record if beside else None)
    return near


def differences(results: Path, belongs: Callable[[Mapping], bool]) -> Iterator[tuple[str, str]]:
    """Recompute every digest below `results`: (path, what is wrong) of each file that is missing or not as it was made.

    `belongs` tells of a record whether its job is part of the study as it is now configured.
    """
    results = Path(results)
    for name, sha256 in recorded(results, belongs):
        path = results / name
        if not path.is_file():
            yield name, "missing"
        elif digests.sha256(path) != sha256:
            yield name, "changed"


def check_study(results: Path) -> None:
    """Raise UserError where no job has left a record: who asks about a study would be told about nothing."""
    if next(iter(read_records(results)), None) is None:
        raise UserError(f"there is no study in {results}: name the --configfile that it was made with")


def recorded(results: Path, belongs: Callable[[Mapping], bool]) -> Iterator[tuple[str, str]]:
    """Path below `results` and SHA-256 of every file whose digest is on record: outputs, pictures, encoder weights."""
    for record in filter(belongs, read_records(results)):
        if not any((results / name).exists() for name in record["outputs"]):
            continue  # removed as a whole, on purpose: where it is needed a run makes it again
        for name, sha256 in record["outputs"].items():
            yield name, sha256
            path, beside = results / name, Path(name).parent
            if path.name == "manifest.csv" and path.exists():
                for row in read_csv(path):
                    yield from ((str(beside / p.format(**row)), row[c]) for c, p in PICTURES.items() if row.get(c))
            if record["rule"] == "fetch_weights" and path.exists():
                weights = json.loads(path.read_text())
                yield from [(str(beside / weights["file"]), weights["sha256"])] if weights["file"] else []


def changes(before: Mapping, now: Mapping) -> list[tuple[str, object, object]]:
    """Values that differ between two nested mappings: (dotted key, before, now), None where one has no such key."""
    flat_before, flat_now = dict(_flat(before)), dict(_flat(now))
    keys = sorted(flat_before.keys() | flat_now.keys())
    return [(k, flat_before.get(k), flat_now.get(k)) for k in keys if flat_before.get(k) != flat_now.get(k)]


def _flat(value: Mapping, lead: str = "") -> Iterator[tuple[str, object]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{lead}{key}.")
        else:
            yield f"{lead}{key}", inner
