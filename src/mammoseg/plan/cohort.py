"""The locked cohort: who is trained on, in which fold, and who is held out; drawn once, then only extended.

Everything is by patient. A patient of the locked cohort keeps role and fold; whoever, and whatever image, arrives later waits
until the cohort is extended on purpose.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import write_text

LOCK = "cohort.lock.json"

Row = Mapping[str, str]


@dataclass
class Lock:
    """What an earlier plan fixed.

    Attributes
    ----------
    drawn_with : mapping
        seed, folds and holdout of the cohort; empty before the first plan.
    patients : dict of patient_id to (role, fold)
        The cohort: ``("train", "3")`` or ``("holdout", "")``.
    shards : dict of data set to dict of shard to dict of patient_id to dict of image_id to digest
        Which image is prepared in which shard, and what it was made from when last planned.
    waiting : set of (data set, shard)
        Shards of training data sets whose images arrived after the lock.
    withdrawn : set of patient_id
        Who was taken out on purpose: in no part, whatever lies in the release.
    """

    drawn_with: dict = field(default_factory=dict)
    patients: dict[str, tuple[str, str]] = field(default_factory=dict)
    shards: dict[str, dict[str, dict[str, dict[str, str]]]] = field(default_factory=dict)
    waiting: set[tuple[str, str]] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, results: Path) -> "Lock":
        """The lock of the study in folder `results`; an empty one where there is none yet."""
        path = results / LOCK
        if not path.exists():
            if any(results.glob("models/*/*/model.json")):
                raise UserError(
                    f"{path} is missing, and models were trained on the cohort that it locks: put it back, or start a new "
                    "cohort on purpose with `snakemake relock`"
                )
            return cls()
        found = json.loads(path.read_text())
        return cls(
            found["drawn_with"],
            {p: (role, fold) for p, (role, fold) in found["patients"].items()},
            found["shards"],
            {(dataset, shard) for dataset, shard in found["waiting"]},
            set(found["withdrawn"]),
        )

    def save(self, results: Path) -> None:
        """Write it beside the results, undeclared: neither a failed job nor Snakemake can take it away."""
        # Sorted throughout: this file may be shown, and the order in which patients were drawn would tell who is who.
        ordered = {**vars(self), "waiting": sorted(self.waiting), "withdrawn": sorted(self.withdrawn)}
        write_text(results / LOCK, json.dumps(ordered, separators=(",", ":"), sort_keys=True))

    def images(self, patient: str) -> list[str]:
        """Ids of all images of one patient."""
        return [i for shards in self.shards.values() for people in shards.values() for i in people.get(patient, ())]

    def withdraw(self, patients: Iterable[str]) -> None:
        """Take patients out of every part, for good."""
        self.withdrawn |= set(patients)
        self.patients = {p: place for p, place in self.patients.items() if p not in self.withdrawn}
        for shards in self.shards.values():
            for name, people in list(shards.items()):
                shards[name] = {p: images for p, images in people.items() if p not in self.withdrawn}
                if not shards[name]:
                    del shards[name]
        self.waiting = {(d, s) for d, s in self.waiting if s in self.shards.get(d, {})}


def forget_plan(results: Path) -> None:
    """Remove what the last plan wrote, so that the next run plans anew."""
    for name in ("splits.csv", "shards.csv", "work.csv"):
        (results / name).unlink(missing_ok=True)


def seen_by(results: Path, patient: str) -> dict[str, list[str]]:
    """Fold models that saw a patient: ``trained on`` and ``validated on`` → names; a key only where there is one."""
    found: dict[str, list[str]] = {}
    for path in sorted(results.glob("models/*/fold*/model.json")):
        people = json.loads(path.read_text())["patients"]
        for part, word in (("training", "trained on"), ("validation", "validated on")):
            if patient in people[part]:
                found.setdefault(word, []).append("/".join(path.parts[-3:-1]))
    return found


def draw_cohort(
    masses: Mapping[str, int], draw_ids: Mapping[str, str], folds: int, holdout: float, seed: int
) -> dict[str, tuple[str, str]]:
    """Draw holdout and folds with scikit-learn; patients with and without a mass are spread evenly over both.

    Parameters
    ----------
    masses : mapping of patient_id to number of annotated masses
    draw_ids : mapping of patient_id to draw id
        The order from which is drawn, so that the pseudonyms' key changes nothing.
    folds, holdout, seed : how it is drawn; `holdout` is a share of the patients

    Returns
    -------
    dict of patient_id to (role, fold): ``("train", "3")`` or ``("holdout", "")``.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedKFold, train_test_split

    patients = np.array(sorted(masses, key=draw_ids.__getitem__))
    has_mass = np.array([masses[p] > 0 for p in patients], bool)
    if not has_mass.any():
        raise UserError(
            "no image of the training data sets has a mass, so there is nothing to learn; "
            "check that the annotations lie where the importer expects them (importer manifest: a column named mask)"
        )
    kept_back = round(len(patients) * holdout)
    need = f"lower splits.folds (now {folds}) or splits.holdout (now {holdout}), or add patients"
    if has_mass.sum() < folds:
        raise UserError(f"the training data sets have {has_mass.sum()} patients with a mass, fewer than folds: {need}")
    cohort: dict[str, tuple[str, str]] = {}
    everyone = np.arange(len(patients))
    remaining = everyone
    if kept_back:
        fair = min(np.bincount(has_mass, minlength=2)) >= 2 and min(kept_back, len(patients) - kept_back) >= 2
        remaining, held = train_test_split(
            everyone, test_size=kept_back, random_state=seed, stratify=has_mass if fair and not has_mass.all() else None
        )
        remaining = np.sort(remaining)
        cohort |= {str(patients[i]): ("holdout", "") for i in held}
    if has_mass[remaining].sum() < folds:
        raise UserError(
            f"the training part has {has_mass[remaining].sum()} patients with a mass, fewer than folds: {need}"
        )
    # The patients with a mass, then the others: each group is dealt evenly, so that every fold gets some of both.
    for k, indices in enumerate(_dealt(remaining, has_mass[remaining], folds, seed, StratifiedKFold)):
        cohort |= {str(patients[i]): ("train", str(k)) for i in indices}
    return cohort


def _dealt(patients, has_mass, folds, seed, splitter):
    import numpy as np

    rare = min(np.bincount(has_mass.astype(int), minlength=2)[np.unique(has_mass.astype(int))])
    labels = has_mass if rare >= folds else np.zeros(len(patients), bool)
    for _, fold in splitter(folds, shuffle=True, random_state=seed).split(patients, labels):
        yield patients[fold]


def extend_cohort(
    cohort: Mapping[str, tuple[str, str]], newcomers: Mapping[str, str], folds: int
) -> dict[str, tuple[str, str]]:
    """Append patients to a locked cohort without moving anyone: those of the part ``train`` join the smallest folds.

    Parameters
    ----------
    cohort : mapping of patient_id to (role, fold)
    newcomers : mapping of patient_id to part
        In the order in which they join (`arriving_parts`).
    folds : int
    """
    extended = dict(cohort)
    sizes = Counter({str(k): 0 for k in range(folds)})
    sizes.update(fold for role, fold in cohort.values() if role == "train")
    for p, part in newcomers.items():
        if part == "holdout":
            extended[p] = ("holdout", "")
        else:
            smallest = min(sizes, key=lambda k: (sizes[k], int(k)))
            sizes[smallest] += 1
            extended[p] = ("train", smallest)
    return extended


def arriving_parts(lock: Lock, patients: Iterable[str], draw_ids: Mapping[str, str], holdout: float) -> dict[str, str]:
    """Return the part, ``train`` or ``holdout``, that each patient who is not in the locked cohort would join.

    The draw id alone decides, so the part is known on arrival. A patient who already waits in a shard keeps its part.
    """
    waiting = {p: shard.partition("-")[0] for dataset, shard in lock.waiting for p in lock.shards[dataset][shard]}
    arriving = sorted(set(patients) - lock.patients.keys(), key=draw_ids.__getitem__)
    return {p: waiting.get(p) or ("holdout" if _in_holdout(draw_ids[p], holdout) else "train") for p in arriving}


def _in_holdout(draw_id: str, holdout: float) -> bool:
    number = int.from_bytes(hashlib.sha256(f"holdout {draw_id}".encode()).digest()[:8], "big")
    return number / 2**64 < holdout
