"""Who is in which part: roles, folds, the cohort lock, shards, and the digest of each unit of work.

Everything is by patient. `splits.csv` is append-only: a patient of the locked cohort keeps role and fold; whoever
arrives later has the role `new` until the cohort is extended on purpose.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mammoseg import fingerprint
from mammoseg.errors import UserError

SPLITS = ("patient_id", "dataset", "role", "fold")
SHARDS = ("dataset", "patient_id", "shard")
WORK = ("dataset", "unit", "role", "digest")

Row = Mapping[str, str]


@dataclass
class Plan:
    """Result of `make_plan`: the rows of splits.csv, shards.csv and work.csv, and what happened in words."""

    splits: list[dict] = field(default_factory=list)
    shards: list[dict] = field(default_factory=list)
    work: list[dict] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


def make_plan(
    indexes: Mapping[str, Sequence[Row]],
    excluded: Mapping[str, Sequence[Row]],
    roles: Mapping[str, str],
    locked_splits: Iterable[Row],
    locked_shards: Iterable[Row],
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
    indexes, excluded : mapping of data set name to rows of its index.csv and excluded.csv
    roles : mapping of data set name to ``train``, ``external`` or ``predict``
    locked_splits, locked_shards : rows of an earlier plan, empty before the first
    folds, holdout, seed : how a new cohort is drawn
    require_mass : whether only images with a mass supervise the training (others do not enter a fold's digest)
    patients_per_shard : most patients in a shard
    extend : take the patients who arrived since the lock into the cohort

    Raises
    ------
    UserError
        No mass at all, fewer patients than folds, a vanished patient of the cohort, a patient on both sides.
    """
    plan = Plan()
    locked_splits = list(locked_splits)
    refuse_overlap(locked_splits)
    training = [d for d in sorted(indexes) if roles[d] == "train"]
    patients = {d: sorted({r["patient_id"] for r in indexes[d]}) for d in indexes}
    cohort = {r["patient_id"]: (r["role"], r["fold"]) for r in locked_splits if r["role"] in ("train", "holdout")}
    was_locked = bool(cohort)

    if not was_locked:
        cohort = draw_cohort([r for d in training for r in indexes[d]], folds, holdout, seed)
        plan.events.append(f"the cohort is locked: {_counts(cohort)}")
    else:
        _refuse_vanished(cohort, {p for d in training for p in patients[d]})
        newcomers = sorted({p for d in training for p in patients[d]} - cohort.keys())
        if newcomers and extend:
            cohort = extend_cohort(cohort, newcomers, folds, holdout)
            plan.events.append(f"the cohort is extended by {len(newcomers)} patients: {_counts(cohort)}")
        elif newcomers:
            plan.events.append(
                f"{len(newcomers)} patients arrived after the lock: predicted, not trained on "
                "(--config extend_cohort=true takes them into the cohort)"
            )

    for d in sorted(indexes):
        for p in patients[d]:
            part, fold = cohort.get(p, ("new", ""))
            role = part if roles[d] == "train" else roles[d]
            fold = fold if role in ("train", "predict") else ""  # who is only predicted, by a fold that did not see her
            plan.splits.append({"patient_id": p, "dataset": d, "role": role, "fold": fold})
    refuse_overlap(plan.splits)

    shard = {(r["dataset"], r["patient_id"]): r["shard"] for r in locked_shards if _fits(r, roles)}
    for d in sorted(indexes):
        shard |= _open_shards(d, roles[d], patients[d], shard, cohort, holdout, patients_per_shard)
    plan.shards = [{"dataset": d, "patient_id": p, "shard": s} for (d, p), s in sorted(shard.items())]
    plan.work = _index_work(indexes, excluded) + _work(indexes, plan.splits, shard, folds, require_mass)
    return plan


def draw_cohort(rows: Sequence[Row], folds: int, holdout: float, seed: int) -> dict[str, tuple[str, str]]:
    """Draw holdout and folds for the patients of some index rows, with scikit-learn.

    Patients with and without a mass are spread evenly over holdout and folds.

    Returns
    -------
    dict of patient_id to (role, fold): ``("train", "3")`` or ``("holdout", "")``.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedKFold, train_test_split

    masses: Counter[str] = Counter()
    for r in rows:
        masses[r["patient_id"]] += int(r["n_masses"] or 0)
    patients = np.array(sorted(masses))
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
    cohort: Mapping[str, tuple[str, str]], newcomers: Iterable[str], folds: int, holdout: float
) -> dict[str, tuple[str, str]]:
    """Append patients to a locked cohort without moving anyone: a share to the holdout, the others to the smallest folds."""
    extended = dict(cohort)
    sizes = Counter({str(k): 0 for k in range(folds)})
    sizes.update(fold for role, fold in cohort.values() if role == "train")
    for p in sorted(newcomers):
        if arrives_in_holdout(p, holdout):
            extended[p] = ("holdout", "")
        else:
            smallest = min(sizes, key=lambda k: (sizes[k], int(k)))
            sizes[smallest] += 1
            extended[p] = ("train", smallest)
    return extended


def arrives_in_holdout(patient_id: str, holdout: float) -> bool:
    """Whether a patient who arrives after the lock would join the holdout: decided by the id alone, so on arrival."""
    number = int.from_bytes(hashlib.sha256(f"holdout {patient_id}".encode()).digest()[:8], "big")
    return number / 2**64 < holdout


def refuse_overlap(splits: Iterable[Row]) -> None:
    """Raise UserError where a patient stands on two sides: two folds, training and holdout, training and external.

    Parameters
    ----------
    splits : rows of splits.csv. Whoever is only predicted, not tested on, may be a training patient too.
    """
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for r in splits:
        if r["role"] != "predict":
            seen[r["patient_id"]].add((r["role"], r["fold"]))
    both = {p: places for p, places in seen.items() if len(places) > 1 and any(r == "train" for r, _ in places)}
    if both:
        patient, places = sorted(both.items())[0]
        words = " and ".join(f"{role} fold {fold}" if fold else role for role, fold in sorted(places))
        raise UserError(
            f"patient {patient} is on both sides: {words} ({len(both)} such patients in splits.csv); "
            "no patient may be trained on and tested on, so take them out of one of the data sets"
        )


def _refuse_vanished(cohort: Mapping[str, tuple[str, str]], present: set[str]) -> None:
    gone = sorted(cohort.keys() - present)
    if gone:
        role, fold = cohort[gone[0]]
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise UserError(
            f"patient {gone[0]}{more} of the locked cohort ({role}{f' fold {fold}' if fold else ''}) has no usable image any "
            "more: restore the files (private/<data set>/patients.csv says whose they are), or start a new cohort on purpose "
            "with `snakemake relock`"
        )


def _counts(cohort: Mapping[str, tuple[str, str]]) -> str:
    roles = Counter(role for role, _ in cohort.values())
    folds = Counter(fold for role, fold in cohort.values() if role == "train")
    sizes = ", ".join(str(folds[k]) for k in sorted(folds, key=int))
    return f"{roles['train']} training patients in folds of {sizes}; {roles['holdout']} in the holdout"


def _fits(row: Row, roles: Mapping[str, str]) -> bool:
    """Whether a shard was opened for the role its data set has now; where the role changed, new shards are opened."""
    part, role = row["shard"].rpartition("-")[0], roles.get(row["dataset"])
    return part in ("train", "holdout") if role == "train" else part == role


def _open_shards(dataset, role, patients, known, cohort, holdout, per_shard) -> dict[tuple[str, str], str]:
    """New shards for the patients of one data set that have none; no shard mixes parts, and an old one never grows."""

    def part(p):
        if role != "train":
            return role
        if p in cohort:
            return cohort[p][0]
        return "holdout" if arrives_in_holdout(p, holdout) else "train"

    opened = {}
    newcomers = defaultdict(list)
    for p in patients:
        if (dataset, p) not in known:
            newcomers[part(p), p in cohort].append(p)  # nor does one mix the cohort and those who wait
    for (name, _), mine in sorted(newcomers.items()):
        so_far = {**known, **opened}.items()
        taken = [int(s.rpartition("-")[2]) for (d, _), s in so_far if d == dataset and s.startswith(f"{name}-")]
        first = max(taken, default=-1) + 1
        opened |= {(dataset, p): f"{name}-{first + i // per_shard:05d}" for i, p in enumerate(mine)}
    return opened


def _index_work(indexes, excluded) -> list[dict]:
    """One row per data set with the digest of its index: what the report shows of the release as a whole."""
    return [
        {"dataset": d, "unit": "index", "role": "index", "digest": fingerprint.digest([indexes[d], excluded[d]])}
        for d in sorted(indexes)
    ]


def _work(indexes, splits, shard, folds, require_mass) -> list[dict]:
    """One row per shard and per fold with the digest of what it is made from: the triggers below the checkpoint."""
    place = {(r["dataset"], r["patient_id"]): (r["role"], r["fold"]) for r in splits}
    made_from, role = defaultdict(list), {}
    for d, rows in indexes.items():
        for r in rows:
            unit = (d, shard[d, r["patient_id"]])
            made_from[unit].append(fingerprint.digest(dict(r)))
            mine = place[d, r["patient_id"]][0]
            if role.setdefault(unit, mine) != mine:
                raise AssertionError(f"shard {unit} mixes {role[unit]} and {mine}")
    parts = defaultdict(list)
    for d, rows in indexes.items():
        for r in rows:
            where, fold = place[d, r["patient_id"]]
            if where == "train" and (not require_mass or int(r["n_masses"] or 0)):
                source = f"{r['image_id']} {r['content']} {r['annotations']} {r['laterality']}"
                for k in range(folds):
                    parts[k].append(f"{source} {'validation' if fold == str(k) else 'training'}")
    units = [
        {"dataset": d, "unit": u, "role": role[d, u], "digest": fingerprint.of_parts(made_from[d, u])}
        for d, u in sorted(made_from)
    ]
    return units + [
        {"dataset": "fold", "unit": str(k), "role": "fold", "digest": fingerprint.of_parts(parts[k])}
        for k in range(folds)
    ]
