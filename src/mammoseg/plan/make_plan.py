"""Who is in which part, and what is made again: roles, folds, shards, and the digest of each unit of work."""

import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mammoseg.plan.cohort import Lock, arriving_parts, draw_cohort, extend_cohort
from mammoseg.plan.overlap import refuse_overlap
from mammoseg.rebuild import digests
from mammoseg.runtime.errors import UserError

SPLITS = ("patient_id", "dataset", "role", "fold")
SHARDS = ("dataset", "patient_id", "shard")
WORK = ("dataset", "unit", "role", "digest", "without_windowing")


class Indexed(NamedTuple):
    """What planning needs of one row of an index: a million of them must fit into memory.

    `row` is the digest of the whole row, `source` that of what a training depends on: pixels, masses, side.
    """

    image_id: str
    patient_id: str
    masses: int
    row: str
    source: str
    without_windowing: bool


@dataclass
class Plan:
    """Result of `make_plan`: the rows of splits.csv, shards.csv and work.csv, the new lock, and what happened in words."""

    lock: Lock
    splits: list[dict] = field(default_factory=list)
    shards: list[dict] = field(default_factory=list)
    work: list[dict] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def shard_of(self, dataset: str) -> dict[str, str]:
        """image_id → shard, for one data set."""
        units = self.lock.shards.get(dataset, {}).items()
        return {image: shard for shard, people in units for images in people.values() for image in images}


def read_index(path: Path) -> Iterator[Indexed]:
    """The rows of an index.csv, one at a time."""
    with open(path, newline="", encoding="utf-8") as f:
        rows = csv.reader(f)
        columns = next(rows)
        image, patient, masses, windowing = (
            columns.index(c) for c in ("image_id", "patient_id", "n_masses", "windowing")
        )
        source = [columns.index(c) for c in ("content", "annotations", "laterality")]
        lead = "\n".join(columns)
        for r in rows:
            yield Indexed(
                r[image],
                sys.intern(r[patient]),
                int(r[masses] or 0),
                digests.digest("\n".join([lead, *r])),
                digests.digest("\n".join(r[c] for c in source)),
                r[windowing] == "none",
            )


def make_plan(
    indexes: Mapping[str, Iterable[Indexed]],
    excluded: Mapping[str, str],
    roles: Mapping[str, str],
    draw_ids: Mapping[str, str],
    lock: Lock,
    *,
    folds: int,
    holdout: float,
    seed: int,
    require_mass: bool,
    patients_per_shard: int,
    extend: bool,
) -> Plan:
    """Assign every patient a role, a fold and a shard, and digest what each unit of work is made from.

    Parameters
    ----------
    indexes : mapping of data set to its rows
    excluded : mapping of data set to the digest of its excluded.csv
    roles : mapping of data set to ``train``, ``external`` or ``predict``
    draw_ids : mapping of patient_id to draw id, of all patients
    lock : Lock
        Of the last plan, empty before the first. It is not changed.
    folds, holdout, seed : how a new cohort is drawn
    require_mass : whether only images with a mass supervise the training (others do not enter a fold's digest)
    patients_per_shard : most patients in a shard
    extend : take what arrived since the lock into the cohort

    Raises
    ------
    UserError
        No mass at all, fewer patients than folds, a vanished image of the cohort, a patient on both sides.
    """
    images = {d: [r for r in indexes[d] if r.patient_id not in lock.withdrawn] for d in sorted(indexes)}
    training = [d for d in images if roles[d] == "train"]
    plan = Plan(Lock({"seed": seed, "folds": folds, "holdout": holdout}, withdrawn=set(lock.withdrawn)))
    if lock.withdrawn:
        plan.events.append(f"{len(lock.withdrawn)} withdrawn patients are left out")
    masses: Counter[str] = Counter()
    for d in training:
        for r in images[d]:
            masses[r.patient_id] += r.masses
    first = not lock.drawn_with
    arriving = {} if first else arriving_parts(lock, masses, draw_ids, holdout)
    if first:
        plan.lock.patients = draw_cohort(masses, draw_ids, folds, holdout, seed)
        plan.events.append(f"the cohort is locked: {_counts(plan.lock.patients)}")
    else:
        _check_cohort(plan, lock, masses, {d: images[d] for d in training})
        plan.lock.patients = _extended(plan, lock, arriving) if extend else dict(lock.patients)
    for d in images:
        for p in sorted({r.patient_id for r in images[d]}):
            part, fold = plan.lock.patients.get(p, ("new", ""))
            role = part if roles[d] == "train" else roles[d]
            fold = fold if role in ("train", "predict") else ""  # who is only predicted, by a fold that did not see her
            plan.splits.append({"patient_id": p, "dataset": d, "role": role, "fold": fold})
    refuse_overlap(plan.splits)
    for d in images:
        opening = _Shards(d, roles[d], lock, plan.lock, arriving, patients_per_shard, all_waits=not (first or extend))
        plan.lock.shards[d] = opening.fill(images[d])
        if opening.waiting:
            waiting = sum(len(i) for s in opening.waiting for i in plan.lock.shards[d][s].values())
            plan.lock.waiting |= {(d, s) for s in opening.waiting}
            plan.events.append(
                f"{d}: {waiting} images arrived after the lock: predicted, not trained on "
                "(--config extend_cohort=true takes them into the cohort)"
            )
        plan.shards += [{"dataset": d, "patient_id": p, "shard": s} for s, x in plan.lock.shards[d].items() for p in x]
    plan.work = [
        {"dataset": d, "unit": "index", "role": "index", "digest": digests.digest([_all(images[d]), excluded[d]])}
        for d in images
    ]
    plan.work += _work(images, roles, plan, folds, require_mass)
    return plan


def _check_cohort(plan: Plan, lock: Lock, masses: Mapping[str, int], images: Mapping[str, list[Indexed]]) -> None:
    """Refuse what a locked cohort cannot lose; tell which of its images have changed."""
    now = {d: {r.image_id: (r.patient_id, r.source) for r in rows} for d, rows in images.items()}
    _refuse_vanished(lock, now)
    _refuse_empty_folds(lock, masses, plan.lock.drawn_with["folds"])
    plan.events += _changed(lock, now)


def _extended(plan: Plan, lock: Lock, arriving: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The locked cohort with the patients who arrived since."""
    cohort = extend_cohort(lock.patients, arriving, plan.lock.drawn_with["folds"])
    waiting = sum(len(images) for d, s in lock.waiting for images in lock.shards[d][s].values())
    if arriving or waiting:
        plan.events.append(
            f"the cohort is extended by {len(arriving)} patients and all images that waited: {_counts(cohort)}"
        )
    return cohort


def _locked_images(lock: Lock) -> Iterator[tuple[str, str, str, str]]:
    """Data set, patient, image and source digest of the cohort's images."""
    for d, shards in lock.shards.items():
        for shard, people in shards.items():
            if shard.partition("-")[0] in ("train", "holdout") and (d, shard) not in lock.waiting:
                for p, images in people.items():
                    for image, source in images.items():
                        yield d, p, image, source


def _refuse_vanished(lock: Lock, now: Mapping[str, Mapping]) -> None:
    left_out = sorted({d for d, *_ in _locked_images(lock)} - now.keys())
    if left_out:
        raise UserError(
            f"data set {left_out[0]} holds patients of the locked cohort, but is no training data set of the config any more: "
            "put it back with role train, or start a new cohort with `snakemake relock`"
        )
    gone = sorted((p, image) for d, p, image, _ in _locked_images(lock) if now.get(d, {}).get(image, ("",))[0] != p)
    if gone:
        patient, lost = gone[0][0], Counter(p for p, _ in gone)
        role, fold = lock.patients[patient]
        more = f" (and images of {len(lost) - 1} more patients)" if len(lost) > 1 else ""
        raise UserError(
            f"{lost[patient]} of {len(lock.images(patient))} images of patient {patient} of the locked cohort ({role}"
            f"{f' fold {fold}' if fold else ''}) are gone or can no longer be used{more}: restore the files "
            "(private/<data set>/patients.csv says whose they are, excluded.csv what is wrong with a file), or take her out with "
            f"`snakemake withdraw --config patients={patient}`, or start a new cohort with `snakemake relock`"
        )


def _refuse_empty_folds(lock: Lock, masses: Mapping[str, int], folds: int) -> None:
    """After withdrawals, or corrected annotations, a fold may have nothing left to learn from or be chosen by."""
    left = Counter(fold for p, (role, fold) in lock.patients.items() if role == "train" and masses[p])
    for k in range(folds):
        if not left[str(k)]:
            raise UserError(
                f"fold {k} of the locked cohort has no patient with a mass left: start a new cohort with `snakemake relock`"
            )


def _changed(lock: Lock, now: Mapping[str, Mapping]) -> list[str]:
    changed = sorted((p, image) for d, p, image, source in _locked_images(lock) if now[d][image][1] != source)
    if not changed:
        return []
    named = ", ".join(f"{image} of patient {p}" for p, image in changed[:5]) + (", …" if len(changed) > 5 else "")
    return [f"{len(changed)} images of the locked cohort have changed and are made again: {named}"]


def _counts(cohort: Mapping[str, tuple[str, str]]) -> str:
    roles = Counter(role for role, _ in cohort.values())
    folds = Counter(fold for role, fold in cohort.values() if role == "train")
    sizes = ", ".join(str(folds[k]) for k in sorted(folds, key=int))
    return f"{roles['train']} training patients in folds of {sizes}; {roles['holdout']} in the holdout"


class _Shards:
    """The shards of one data set. A shard is never mixed: one part, and either of the cohort or of those who wait.

    An image keeps its shard. A new one joins the shard of its patient, where that is of the right kind; else a new shard is
    opened, so that nothing which is there changes because somebody arrived.
    """

    def __init__(self, dataset, role, lock: Lock, new: Lock, arriving, per_shard, all_waits):
        self.role, self.cohort, self.arriving, self.per_shard = role, new.patients, arriving, per_shard
        self.waits = role == "train" and all_waits
        # Where the data set's role changed, what was opened for the other role is given up.
        self.known = {s: people for s, people in lock.shards.get(dataset, {}).items() if self._fits(s)}
        self.waiting = {s for d, s in lock.waiting if d == dataset and s in self.known} if self.waits else set()

    def _fits(self, shard: str) -> bool:
        part = shard.rpartition("-")[0]
        return part in ("train", "holdout") if self.role == "train" else part == self.role

    def _part(self, patient: str) -> str:
        if self.role != "train":
            return self.role
        return self.cohort[patient][0] if patient in self.cohort else self.arriving[patient]

    def fill(self, images: Sequence[Indexed]) -> dict[str, dict[str, dict[str, str]]]:
        home = {(p, i): s for s, people in self.known.items() for p, mine in people.items() for i in mine}
        joined = {p: s for s, people in self.known.items() for p in people if not self.waits or s in self.waiting}
        filled: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        newcomers: dict[str, dict[str, list[Indexed]]] = defaultdict(lambda: defaultdict(list))
        for r in sorted(images):
            shard = home.get((r.patient_id, r.image_id)) or joined.get(r.patient_id)
            if shard:
                filled[shard][r.patient_id][r.image_id] = r.source
            else:
                newcomers[self._part(r.patient_id)][r.patient_id].append(r)
        for part, people in sorted(newcomers.items()):
            taken = [int(s.rpartition("-")[2]) for s in self.known if s.startswith(f"{part}-")]
            first = max(taken, default=-1) + 1
            for n, (p, mine) in enumerate(sorted(people.items())):
                shard = f"{part}-{first + n // self.per_shard:05d}"
                filled[shard][p] = {r.image_id: r.source for r in mine}
                if self.waits:
                    self.waiting.add(shard)
        self.waiting &= filled.keys()
        return {s: {p: filled[s][p] for p in sorted(filled[s])} for s in sorted(filled)}


def _all(images: Iterable[Indexed]) -> str:
    return digests.of_parts(r.row for r in images)


def _work(images, roles, plan: Plan, folds: int, require_mass: bool) -> list[dict]:
    """One row per shard and per fold with the digest of what it is made from: the triggers below the checkpoint.

    A shard's row also tells how many of its images carry no windowing: without any, no job injects.
    """
    units, trained, validated = [], [], defaultdict(list)
    for d, rows in images.items():
        shard_of, made_from, without_windowing = plan.shard_of(d), defaultdict(list), Counter()
        for r in rows:
            shard = shard_of[r.image_id]
            made_from[shard].append(r.row)
            without_windowing[shard] += r.without_windowing
            cohort = roles[d] == "train" and (d, shard) not in plan.lock.waiting
            role, fold = plan.lock.patients.get(r.patient_id, ("", ""))
            if cohort and role == "train" and (r.masses or not require_mass):
                trained.append(f"{r.image_id} {r.source}")
                validated[fold].append(r.image_id)
        for shard in sorted(made_from):
            role = "new" if (d, shard) in plan.lock.waiting else shard.rpartition("-")[0]
            digest = digests.of_parts(made_from[shard])
            units.append(
                {
                    "dataset": d,
                    "unit": shard,
                    "role": role,
                    "digest": digest,
                    "without_windowing": without_windowing[shard],
                }
            )
    everything = digests.of_parts(trained)
    for k in range(folds):
        digest = digests.digest([everything, digests.of_parts(validated[str(k)])])
        units.append({"dataset": "fold", "unit": str(k), "role": "fold", "digest": digest})
    return units
