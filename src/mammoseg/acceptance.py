"""Code that a user has declared equal: after a pure refactoring, what the old code made counts as made by the new.

`results/accepted.json` holds groups of code digests (`fingerprint.code`) that count as one. The records keep the digest of
the code that really made them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mammoseg.files import write_text

FILE = "accepted.json"


@dataclass(frozen=True)
class Code:
    """The code of a stage: its digest, and all digests whose work counts as its own. None does where all is made anew."""

    digest: str
    same: frozenset[str]

    @classmethod
    def of(cls, results: Path, digest: str, rebuild: bool = False) -> "Code":
        """`digest` as the study in `results` sees it; with `rebuild` no earlier work counts."""
        return cls(digest, frozenset() if rebuild else Accepted(results).same_as(digest))


class Accepted:
    """The accepted digests of the study in folder `results`."""

    def __init__(self, results: Path):
        self.path = Path(results) / FILE
        self.groups: list[list[str]] = json.loads(self.path.read_text()) if self.path.exists() else []

    def same_as(self, digest: str) -> frozenset[str]:
        """All digests that count as `digest`, itself included."""
        return frozenset(next((g for g in self.groups if digest in g), [digest]))

    def representative(self, digest: str) -> str:
        """The one digest that stands for all that count as `digest`: Snakemake then sees no change."""
        return next((g[0] for g in self.groups if digest in g), digest)

    def accept(self, present: str, made_by: Iterable[str]) -> None:
        """Let what `made_by` digests made count as made by `present`. Write with `save`."""
        united = self.same_as(present).union(*(self.same_as(d) for d in made_by))
        first = next((d for g in self.groups for d in g if d in united), None) or min(united - {present})
        self.groups = [g for g in self.groups if united.isdisjoint(g)]
        self.groups.append([first, *sorted(united - {first})])

    def save(self) -> None:
        write_text(self.path, json.dumps(self.groups, indent=1) + "\n")


def to_accept(
    records: Iterable[Mapping],
    present: Mapping[str, str],
    recipe_now: Callable[[Mapping], Mapping | None],
    accepted: Accepted,
) -> dict[str, dict[str, int]]:
    """What other code made and what is current but for that: rule → digest of that code → number of jobs.

    Parameters
    ----------
    records : iterable of job records (`records.py`)
    present : mapping of rule to the digest of its code as it is now
    recipe_now : function of a record
        What the job would be made from today; None where the study has no such job any more.
    """
    found: dict[str, dict[str, int]] = {}
    for record in records:
        rule, code = record["rule"], record["code"]
        if rule in present and code not in accepted.same_as(present[rule]) and recipe_now(record) == record["recipe"]:
            counts = found.setdefault(rule, {})
            counts[code] = counts.get(code, 0) + 1
    return found
