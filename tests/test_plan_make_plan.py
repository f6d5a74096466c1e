import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from mammoseg.plan.cohort import Lock
from mammoseg.plan.make_plan import make_plan, read_index
from mammoseg.plan.overlap import refuse_overlap
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import write_csv

SETTINGS = {"folds": 5, "holdout": 0.2, "seed": 1, "require_mass": True, "patients_per_shard": 4, "extend": False}
ROLES = {"site-a": "train", "site-b": "external"}


def site(prefix: str, patients: int, masses=lambda i: 1) -> list[dict]:
    """Index rows of a site: several images and studies per patient."""
    return [
        {"image_id": f"{prefix}{p}-{s}-{i}", "patient_id": f"{prefix}{p:03d}", "study_id": f"{prefix}{p}-{s}", "laterality": "L",
         "n_masses": str(masses(p)), "windowing": "window", "content": f"c{p}{s}{i}", "annotations": "x"}
        for p in range(patients) for s in range(1 + p % 2) for i in range(4)
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where `plan_of` writes its indexes."""
    monkeypatch.chdir(tmp_path)


def draw_ids_of(indexes) -> dict[str, str]:
    """A draw id for every patient, unlike the pseudonym and in another order."""
    people = {r["patient_id"] for rows in indexes.values() for r in rows}
    return {p: hashlib.sha256(p.encode()).hexdigest()[:12] for p in people}


def plan_of(indexes, before=None, roles=ROLES, excluded=None, draw_ids=None, **settings):
    """The plan of some index rows after an earlier plan, whose lock goes through its file."""
    read = {}
    for d, rows in indexes.items():
        write_csv(f"{d}.csv", list(rows[0]), rows)
        read[d] = read_index(Path(f"{d}.csv"))
    if before:
        before.lock.save(Path.cwd())
    lock = Lock.load(Path.cwd()) if before else Lock()
    excluded = excluded or dict.fromkeys(indexes, "none")
    draw_ids = draw_ids or draw_ids_of(indexes)
    return make_plan(read, excluded, {d: roles[d] for d in indexes}, draw_ids, lock, **(SETTINGS | settings))


def roles_of_units(plan, dataset) -> set[str]:
    return {w["role"] for w in plan.work if w["dataset"] == dataset} - {"index"}


def places(plan) -> dict:
    return {r["patient_id"]: (r["role"], r["fold"]) for r in plan.splits}


def units(plan) -> dict:
    return {(w["dataset"], w["unit"]): w["digest"] for w in plan.work if w["role"] != "index"}


def one_with_a_mass(plan, role) -> str:
    """Of site-a every fourth patient has no mass."""
    mine = (r["patient_id"] for r in plan.splits if r["role"] == role)
    return next(p for p in mine if p[0] == "b" or int(p[1:]) % 4)


@pytest.fixture
def indexes() -> dict:
    return {"site-a": site("a", 40, masses=lambda p: int(p % 4 > 0)), "site-b": site("b", 6)}


def test_everybody_is_in_one_place_and_the_parts_have_their_sizes(indexes):
    plan = plan_of(indexes)
    assert len(plan.splits) == len({r["patient_id"] for r in plan.splits}) == 46
    roles = Counter(r["role"] for r in plan.splits)
    assert roles == {"train": 32, "holdout": 8, "external": 6}
    folds = Counter(r["fold"] for r in plan.splits if r["role"] == "train")
    assert set(folds) == set("01234")
    assert max(folds.values()) - min(folds.values()) <= 1
    refuse_overlap(plan.splits)


def test_patients_with_a_mass_are_spread_evenly(indexes):
    masses = {r["patient_id"] for r in indexes["site-a"] if r["n_masses"] != "0"}
    per_part = Counter(place for p, place in places(plan_of(indexes)).items() if p in masses and place[0] != "external")
    assert per_part[("holdout", "")] == 6
    assert all(4 <= per_part[("train", str(k))] <= 6 for k in range(5))


def test_same_seed_same_split_whatever_the_order_of_rows(indexes):
    shuffled = {d: rows[::-1] for d, rows in indexes.items()}
    assert plan_of(indexes).splits == plan_of(shuffled).splits
    assert units(plan_of(indexes)) == units(plan_of(shuffled))
    assert plan_of(indexes).splits != plan_of(indexes, seed=2).splits


def renamed(indexes) -> tuple[dict, dict]:
    """The same people under the pseudonyms of another key, and who is who."""
    new = {p: hashlib.sha256(f"other key {p}".encode()).hexdigest()[:12] for p in draw_ids_of(indexes)}
    rows = {d: [r | {"patient_id": new[r["patient_id"]]} for r in rows] for d, rows in indexes.items()}
    return {d: sorted(r, key=lambda r: r["patient_id"]) for d, r in rows.items()}, new


def test_another_key_of_the_pseudonyms_moves_nobody(indexes):
    other, new = renamed(indexes)
    draws = {new[p]: draw for p, draw in draw_ids_of(indexes).items()}
    first, second = plan_of(indexes), plan_of(other, draw_ids=draws)
    assert places(second) == {new[p]: place for p, place in places(first).items()}

    more = {**indexes, "site-a": site("a", 60, masses=lambda p: int(p % 4 > 0))}
    other, new = renamed(more)
    draws = {new[p]: draw for p, draw in draw_ids_of(more).items()}
    first = plan_of(more, before=first, extend=True)
    second = plan_of(other, before=second, extend=True, draw_ids=draws)
    assert places(second) == {new[p]: place for p, place in places(first).items()}


def test_a_cohort_that_was_locked_by_an_earlier_version_keeps_every_part_and_fold(indexes):
    """That version drew from the pseudonyms: so did whoever waits, and keeps the part of the shard that was opened then."""
    by_pseudonym = {p: p for p in draw_ids_of(indexes)}
    before = plan_of(indexes, draw_ids=by_pseudonym)
    assert places(before) != places(plan_of(indexes)), "another order gives another cohort"
    assert places(plan_of(indexes, before=before)) == places(before)

    grown = {**indexes, "site-a": site("a", 70)}
    waiting = plan_of(grown, before=before, draw_ids={p: p for p in draw_ids_of(grown)})
    part_of = {
        p: shard.partition("-")[0] for _, shard in waiting.lock.waiting for p in waiting.lock.shards["site-a"][shard]
    }
    assert set(part_of.values()) == {"train", "holdout"}
    after = places(plan_of(grown, before=waiting, extend=True))
    assert {p: place for p, place in after.items() if p in places(before)} == places(before)
    assert {p: after[p][0] for p in part_of} == part_of


def test_the_lock_does_not_tell_in_which_order_patients_were_drawn(indexes, tmp_path):
    """It may be shown, and whoever knows the original ids can work out their order."""
    first = plan_of(indexes)
    extended = plan_of({**indexes, "site-a": site("a", 60)}, before=first, extend=True)
    for plan in (first, extended):
        plan.lock.save(tmp_path)
        patients = list(json.loads((tmp_path / "cohort.lock.json").read_text())["patients"])
        assert patients == sorted(patients)
    assert list(first.lock.patients) != sorted(first.lock.patients), "else this test could not fail"


def test_no_shard_mixes_parts_and_each_is_bounded(indexes):
    plan = plan_of(indexes)
    where, members = places(plan), defaultdict(set)
    for r in plan.shards:
        members[r["dataset"], r["shard"]].add(r["patient_id"])
    for (_, shard), patients in members.items():
        assert {where[p][0] for p in patients} == {shard.rpartition("-")[0]}
        assert len(patients) <= 4


def test_the_plan_counts_the_images_without_windowing_of_each_shard(indexes):
    for r in indexes["site-a"]:
        r["windowing"] = "none" if r["patient_id"] < "a003" else r["windowing"]
    plan = plan_of(indexes)
    home, expected = plan.shard_of("site-a"), Counter()
    for r in indexes["site-a"]:
        expected[home[r["image_id"]]] += r["windowing"] == "none"
    assert sum(expected.values()) == 3 * 4 + 4, "of three patients, the second with two studies"
    assert {w["unit"]: w["without_windowing"] for w in plan.work if w["unit"] in expected} == expected


def test_a_patient_after_the_lock_is_new_and_changes_no_fold_and_no_shard(indexes):
    before = plan_of(indexes)
    indexes["site-a"] += [{**r, "patient_id": "a900", "image_id": f"new{i}"} for i, r in enumerate(site("n", 1))]
    after = plan_of(indexes, before)
    assert places(after)["a900"] == ("new", "")
    assert {p: x for p, x in places(after).items() if p != "a900"} == places(before)
    old, new = units(before), units(after)
    assert {u for u in new if old.get(u) != new[u]} == {next(u for u in new if u not in old)}


def test_extending_moves_nobody_and_fills_the_smallest_folds(indexes):
    before = plan_of(indexes)
    indexes["site-a"] = indexes["site-a"] + site("x", 30)
    waiting = plan_of(indexes, before)
    extended = plan_of(indexes, waiting, extend=True)
    assert {p: x for p, x in places(extended).items() if p[0] != "x"} == places(before)
    newcomers = Counter(x[0] for p, x in places(extended).items() if p[0] == "x")
    assert set(newcomers) == {"train", "holdout"}
    folds = Counter(fold for role, fold in places(extended).values() if role == "train")
    assert max(folds.values()) - min(folds.values()) <= 1
    where = places(extended)
    assert all(where[r["patient_id"]][0] == r["shard"].rpartition("-")[0] for r in extended.shards), "shards stay pure"
    assert plan_of(indexes, extended).splits == extended.splits, "extended once is extended for ever"


def test_a_vanished_patient_of_the_cohort_stops_the_run(indexes):
    before = plan_of(indexes)
    gone = next(r["patient_id"] for r in before.splits if r["role"] == "train")
    indexes["site-a"] = [r for r in indexes["site-a"] if r["patient_id"] != gone]
    with pytest.raises(UserError, match=f"patient {gone} of the locked cohort .* restore the files .*withdraw.*relock"):
        plan_of(indexes, before)


@pytest.mark.parametrize("role", ["train", "holdout"])
def test_a_vanished_image_of_the_cohort_stops_the_run_too(indexes, role):
    before = plan_of(indexes)
    patient = next(r["patient_id"] for r in before.splits if r["role"] == role)
    mine = [r for r in indexes["site-a"] if r["patient_id"] == patient]
    indexes["site-a"].remove(mine[0])
    with pytest.raises(UserError, match=f"^1 of {len(mine)} images of patient {patient} of the locked cohort"):
        plan_of(indexes, before)


def test_a_new_image_of_a_known_patient_waits_in_a_new_shard(indexes):
    before = plan_of(indexes)
    for role, waits in (("train", True), ("holdout", True), ("external", False)):
        dataset = "site-b" if role == "external" else "site-a"
        patient = one_with_a_mass(before, role)
        exam = [{**r, "image_id": "follow-up"} for r in indexes[dataset] if r["patient_id"] == patient][:1]
        after = plan_of(indexes | {dataset: indexes[dataset] + exam}, before)
        old, new = units(before), units(after)
        assert places(after) == places(before)
        changed = {u for u in old if new[u] != old[u]}
        shard = next(r["shard"] for r in before.shards if (r["dataset"], r["patient_id"]) == (dataset, patient))
        assert changed == (set() if waits else {(dataset, shard)})
        assert ("new" in roles_of_units(after, dataset)) is waits
        if waits:
            extended = plan_of(indexes | {dataset: indexes[dataset] + exam}, after, extend=True)
            assert places(extended) == places(before)
            assert (units(extended)["fold", "0"] != old["fold", "0"]) is (role == "train")
            assert "new" not in roles_of_units(extended, dataset)


def test_a_changed_image_of_the_cohort_is_named(indexes):
    before = plan_of(indexes)
    patient = next(r["patient_id"] for r in before.splits if r["role"] == "train")
    rows = [dict(r) for r in indexes["site-a"]]
    image = next(r for r in rows if r["patient_id"] == patient)
    image["content"] = "other"
    events = plan_of(indexes | {"site-a": rows}, before).events
    assert any(
        f"1 images of the locked cohort have changed and are made again: {image['image_id']} of patient {patient}" in e
        for e in events
    )


def test_withdrawn_patients_are_in_no_part_and_stay_out(indexes):
    before = plan_of(indexes)
    gone = [one_with_a_mass(before, role) for role in ("train", "holdout", "external")]
    before.lock.withdraw(gone)
    after = plan_of(indexes, before)
    assert not {r["patient_id"] for r in after.splits} & set(gone)
    assert {p: x for p, x in places(before).items() if p not in gone} == places(after)
    assert units(after)["fold", "1"] != units(before)["fold", "1"]
    indexes["site-a"] = [r for r in indexes["site-a"] if r["patient_id"] not in gone]
    assert places(plan_of(indexes, after)) == places(after), "whether or not the files are still there"


def test_digests_follow_what_each_unit_is_made_from(indexes):
    before = plan_of(indexes)
    shard = {(r["dataset"], r["patient_id"]): r["shard"] for r in before.shards}

    def changed(role, **values):
        patient = next(r["patient_id"] for r in before.splits if r["role"] == role and r["patient_id"] in with_mass)
        dataset = "site-b" if role == "external" else "site-a"
        rows = [dict(r) for r in indexes[dataset]]
        next(r for r in rows if r["patient_id"] == patient).update(values)
        after = units(plan_of(indexes | {dataset: rows}, before))
        return {u for u, d in units(before).items() if after[u] != d}, (dataset, shard[dataset, patient])

    with_mass = {r["patient_id"] for d in indexes for r in indexes[d] if r["n_masses"] != "0"}
    folds = {("fold", str(k)) for k in range(5)}
    touched, unit = changed("train", content="other pixels")
    assert touched == folds | {unit}
    touched, unit = changed("holdout", content="other pixels")
    assert touched == {unit}
    touched, unit = changed("external", annotations="other masks")
    assert touched == {unit}
    touched, unit = changed("train", study_id="corrected")
    assert touched == {unit}, "a fact that no pixel depends on trains nothing"


def test_images_without_a_mass_supervise_only_where_wanted(indexes):
    before = {k: plan_of(indexes, require_mass=k) for k in (True, False)}
    patient = next(
        r["patient_id"]
        for r in before[True].splits
        if r["role"] == "train" and r["patient_id"] in {f"a{p:03d}" for p in range(0, 40, 4)}
    )
    rows = [{**r, "content": "other"} if r["patient_id"] == patient else r for r in indexes["site-a"]]
    fold = ("fold", "0")
    assert units(plan_of(indexes | {"site-a": rows}, before[True]))[fold] == units(before[True])[fold]
    assert (
        units(plan_of(indexes | {"site-a": rows}, before[False], require_mass=False))[fold]
        != units(before[False])[fold]
    )


def test_a_patient_on_two_sides_is_an_error(indexes):
    shared = [
        {**r, "patient_id": next(r["patient_id"] for r in plan_of(indexes).splits if r["role"] == "train")}
        for r in site("b", 1)
    ]
    with pytest.raises(UserError, match="is on both sides: external and train fold"):
        plan_of({"site-a": indexes["site-a"], "site-b": indexes["site-b"] + shared}, plan_of(indexes))


@pytest.mark.parametrize(
    "other", [{"role": "train", "fold": "1"}, {"role": "holdout", "fold": ""}, {"role": "external", "fold": ""}]
)
def test_a_forged_overlap_is_an_error(other):
    rows = [
        {"patient_id": "p1", "dataset": "a", "role": "train", "fold": "0"},
        {"patient_id": "p1", "dataset": "b", **other},
    ]
    with pytest.raises(UserError, match="patient p1 is on both sides"):
        refuse_overlap(rows)


def test_no_mass_and_too_few_patients_are_said():
    with pytest.raises(UserError, match="no image of the training data sets has a mass"):
        plan_of({"site-a": site("a", 20, masses=lambda p: 0)})
    with pytest.raises(UserError, match="3 patients with a mass, fewer than folds: lower splits.folds"):
        plan_of({"site-a": site("a", 3)})
    with pytest.raises(UserError, match="the training part has 4 patients with a mass, fewer than folds"):
        plan_of({"site-a": site("a", 5)})


def test_no_holdout_means_none():
    assert Counter(r["role"] for r in plan_of({"site-a": site("a", 20)}, holdout=0).splits) == {"train": 20}


def test_a_changed_role_opens_new_shards(indexes):
    before = plan_of(indexes)
    after = plan_of(indexes, before, roles={"site-a": "train", "site-b": "predict"})
    assert {r["shard"].rpartition("-")[0] for r in after.shards if r["dataset"] == "site-b"} == {"predict"}


def test_what_is_set_aside_has_a_digest_of_its_own(indexes):
    def digest(excluded):
        plan = plan_of(indexes, excluded={"site-a": excluded, "site-b": "none"})
        return {(w["dataset"], w["unit"]): w["digest"] for w in plan.work}

    none, one = digest("none"), digest("one")
    assert {u for u in none if none[u] != one[u]} == {("site-a", "index")}


def test_a_second_data_set_of_the_same_site_keeps_the_cohort_and_those_who_wait_apart(indexes):
    before = plan_of({"site-a": indexes["site-a"]})
    known = [r for r in indexes["site-a"] if r["patient_id"] in ("a001", "a002", "a003")]
    second = [{**r, "image_id": f"second-{r['image_id']}"} for r in known] + site("z", 3)
    after = plan_of({"site-a": indexes["site-a"], "more": second}, before, roles={"site-a": "train", "more": "train"})
    where = {(r["dataset"], r["patient_id"]): r["role"] for r in after.splits}
    assert roles_of_units(after, "more") == {"new"}, "images of known patients wait as well"
    assert "new" not in roles_of_units(after, "site-a")
    assert {where["more", p] for p in ("z000", "z001", "z002")} == {"new"}
    assert all(where["more", r["patient_id"]] == where["site-a", r["patient_id"]] for r in known)


def test_who_is_only_predicted_may_be_a_training_patient_and_keeps_her_fold(indexes):
    roles = {"site-a": "train", "later": "predict"}
    everyone = {
        "site-a": indexes["site-a"],
        "later": [{**r, "image_id": f"l{r['image_id']}"} for r in indexes["site-a"]],
    }
    plan = plan_of(everyone, roles=roles)
    cohort = {r["patient_id"]: (r["role"], r["fold"]) for r in plan.splits if r["dataset"] == "site-a"}
    for r in plan.splits:
        if r["dataset"] == "later":
            role, fold = cohort[r["patient_id"]]
            assert (r["role"], r["fold"]) == ("predict", fold if role == "train" else "")


def test_a_fold_that_withdrawals_have_emptied_is_said(indexes):
    before = plan_of(indexes)
    before.lock.withdraw(r["patient_id"] for r in before.splits if r["fold"] == "3")
    with pytest.raises(UserError, match="fold 3 of the locked cohort has no patient with a mass left"):
        plan_of(indexes, before)


def test_a_withdrawn_patient_who_waited_takes_her_shard_along(indexes):
    before = plan_of(indexes)
    indexes["site-a"] = indexes["site-a"] + site("n", 1)
    waiting = plan_of(indexes, before)
    assert waiting.lock.waiting
    waiting.lock.withdraw(["n000"])
    assert not waiting.lock.waiting
    assert places(plan_of(indexes, waiting, extend=True)) == places(before)


def test_a_training_data_set_that_left_the_config_is_named(indexes):
    before = plan_of(indexes)
    with pytest.raises(UserError, match="data set site-a holds patients of the locked cohort"):
        plan_of(
            {"site-a": indexes["site-a"], "site-b": indexes["site-b"]},
            before,
            roles={"site-a": "predict", "site-b": "train"},
        )


def test_models_without_a_lock_stop_the_run(indexes, tmp_path):
    (tmp_path / "models/m/fold0").mkdir(parents=True)
    (tmp_path / "models/m/fold0/model.json").write_text("{}")
    with pytest.raises(UserError, match="is missing, and models were trained on the cohort that it locks"):
        Lock.load(tmp_path)
    Lock(withdrawn={"p"}).save(tmp_path)
    assert Lock.load(tmp_path) == Lock(withdrawn={"p"}), "an emptied lock is a decision"
