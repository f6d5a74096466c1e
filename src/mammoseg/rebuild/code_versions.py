"""Which code gives which results: the versions of each stage that ship with the program, and what a user has accepted.

`stage_versions.json` names every stage, its versions, and the code digests known to give each version's results. A listed
digest counts as its version, so an update of the program makes again only what it really changes. An unlisted digest, such as
that of a user's own edit, counts as itself; ``results/accepted.json`` holds groups of names that a user declared equal.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mammoseg.runtime.files import write_text

FILE = "accepted.json"
SHIPPED = Path(__file__).with_name("stage_versions.json")
READ_RELEASES = frozenset({"index_dataset", "inject_voi_lut", "render_png"})
"""Rules whose code holds an importer: each of their importers is a stage of its own."""

Versions = Mapping[str, list[list[str]]]
"""Stage → its versions, the oldest first, each a list of code digests."""


def stage_of(rule: str, importer: str | None = None) -> str:
    """Return the name of a stage: its rule, and the importer where the rule reads a release."""
    return f"{rule}/{importer}" if rule in READ_RELEASES else rule


def shipped_versions(path: Path = SHIPPED) -> Versions:
    """Return the versions of every stage that the program knows."""
    return json.loads(path.read_text())


@dataclass(frozen=True)
class Code:
    """The code of a stage.

    Attributes
    ----------
    name : str
        ``<stage> <version>`` of a listed code, else its digest.
    same : frozenset of str
        All names whose work counts as its own. Empty where all is made anew.
    """

    name: str
    same: frozenset[str]


class CodeVersions:
    """The versions that ship with the program, and what was accepted for the study in folder `results`."""

    def __init__(self, results: Path, shipped: Versions | None = None):
        self.path = Path(results) / FILE
        self.shipped = shipped_versions() if shipped is None else shipped
        self.groups: list[list[str]] = json.loads(self.path.read_text()) if self.path.exists() else []

    def name(self, stage: str, digest: str) -> str:
        """Return ``<stage> <version>`` where the digest is listed, else the digest itself."""
        for number, digests in enumerate(self.shipped.get(stage, ()), 1):
            if digest in digests:
                return f"{stage} {number}"
        return digest

    def code(self, stage: str, digest: str, rebuild: bool = False) -> Code:
        """Return a stage's code as the study sees it; with `rebuild` no earlier work counts."""
        name = self.name(stage, digest)
        return Code(name, frozenset() if rebuild else self.same_as(name))

    def same_as(self, name: str) -> frozenset[str]:
        """Return all names that count as `name`, itself included."""
        group = next((g for g in self.groups if name in g), [name])
        listed = [digests for n in group if (digests := self._digests(n))]
        return frozenset(group).union(*listed)

    def representative(self, stage: str, digest: str) -> str:
        """Return the one name that stands for all that count as this code: Snakemake then sees no change."""
        name = self.name(stage, digest)
        return next((g[0] for g in self.groups if name in g), name)

    def accept(self, present: str, made_by: Iterable[str]) -> None:
        """Let what the code of the names `made_by` made count as made by `present`. Write with `save`."""
        united = {present, *made_by}
        joined = [g for g in self.groups if not united.isdisjoint(g)]
        united = united.union(*joined)
        first = joined[0][0] if joined else min(united - {present})
        self.groups = [g for g in self.groups if united.isdisjoint(g)]
        self.groups.append([first, *sorted(united - {first})])

    def save(self) -> None:
        """Write ``accepted.json``."""
        write_text(self.path, json.dumps(self.groups, indent=1) + "\n")

    def _digests(self, name: str) -> list[str]:
        """Digests of a version; none where the name is a digest, or a version of a later program."""
        stage, _, number = name.partition(" ")
        versions = self.shipped.get(stage, [])
        return versions[int(number) - 1] if number and int(number) <= len(versions) else []


def to_accept(
    records: Iterable[Mapping],
    present: Mapping[str, str],
    recipe_now: Callable[[Mapping], Mapping | None],
    versions: CodeVersions,
) -> dict[str, dict[str, int]]:
    """Return what other code made and what is current but for that: stage → name of that code → number of jobs.

    Parameters
    ----------
    records : iterable of job records (`job_records.py`)
    present : mapping of stage to the name of its code as it is now
    recipe_now : function of a record
        What the job would be made from today; None where the study has no such job any more.
    """
    found: dict[str, dict[str, int]] = {}
    for record in records:
        stage, code = record.get("stage", record["rule"]), record["code"]
        if stage in present and code not in versions.same_as(present[stage]) and recipe_now(record) == record["recipe"]:
            counts = found.setdefault(stage, {})
            counts[code] = counts.get(code, 0) + 1
    return found
