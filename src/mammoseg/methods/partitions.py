"""Partitions, in words: who is in which, how many, and how it was made sure that they share nothing."""

from collections import Counter

from mammoseg.images.similarity import BITS
from mammoseg.methods.counts import Group
from mammoseg.methods.prose import counted, listed, number, percent, sentences, spread, was
from mammoseg.methods.study import MethodsStudy, images_of
from mammoseg.plan.leakage import ALIKE, SAME


def partitions(study: MethodsStudy) -> list[str]:
    """How patients were assigned, how many are in each part, and how it was made sure that the parts share nothing."""
    return [
        sentences(_level(study), *_cohort(study)),
        _supervision(study),
        *([outside] if (outside := sentences(*_outside(study))) else []),
        _compared(study),
    ]


def _level(study: MethodsStudy) -> str:
    sites = Counter(d["site"] for d in study.datasets)
    shared = [listed(d["name"] for d in study.datasets if d["site"] == site) for site, n in sites.items() if n > 1]
    return sentences(
        "Partitions were disjoint at the level of the patient: all images of one patient were in one of them.",
        *(f"Equal patient numbers in {names} meant the same person." for names in shared),
    )


def _cohort(study: MethodsStudy) -> list[str]:
    counts, share = study.counts, study.recipe["splits"]["holdout"]
    folds, held, everyone = counts.role("train"), counts.together("holdout"), counts.together("train", "holdout")
    sizes = f"{listed(number(g.patients) for g in folds)} patients ({listed(number(g.images) for g in folds)} images)"
    who = f"{counted(everyone.patients, 'patient')} ({counted(everyone.images, 'image')}) of {listed(study.names('train'))}"
    spread_evenly = f"at random (seed {study.recipe['seed']}), patients with and without a mass spread evenly"
    if held.images:
        rest = counts.together("train")
        return [
            f"Of the {who}, a share of {percent(share)} was held out for testing: {images_and_masses(held)}.",
            f"The other {counted(rest.patients, 'patient')} ({counted(rest.images, 'image')}) were divided into {study.folds} "
            f"folds of {sizes}. Holdout and folds were drawn {spread_evenly}.",
        ]
    none = f"A holdout of {percent(share)} came to no patient." if share else "There was no holdout."
    return [
        f"The {who} were divided into {study.folds} folds of {sizes}. {none} The folds were drawn {spread_evenly}.",
    ]


def _supervision(study: MethodsStudy) -> str:
    train = study.counts.together("train")
    training, validation = (_patients(len(r["patients"][k]) for r in study.records) for k in ("training", "validation"))
    return sentences(
        f"Only images with a mass were trained and validated on: {counted(train.images_with_mass, 'image')} of "
        f"{counted(train.patients_with_mass, 'patient')}."
        if study.require_mass
        else "Images without a mass were trained and validated on too, with an empty mask: "
        f"{counted(train.images - train.without_reference, 'image')} in all.",
        f"Each network was trained {study.folds} times, each time on all folds but one ({training}) and validated on that one "
        f"({validation}).",
    )


def _patients(counts) -> str:
    said = spread(counts)
    return f"{said} patient{'' if said == '1' else 's'}"


def _outside(study: MethodsStudy) -> list[str]:
    releases, said = study.counts.releases, []
    for role, what in (("external", "external testing"), ("predict", "prediction alone")):
        if names := study.names(role):
            sets = "; ".join(f"{name}, {images_and_masses(releases[name].usable)}" for name in names)
            said.append(f"For {what} there {was(len(names))} {sets}.")
    late, later = study.counts.together("new"), sum(r.later.images for r in releases.values())
    arrived = [f"{images_of(late)} who {was(late.patients)} not in it"] if late.images else []
    arrived += [f"{counted(later, 'image')} of patients who were"] if later else []
    if arrived:
        said.append(
            f"After the cohort had been fixed there arrived {listed(arrived)}; they were predicted, but not trained on, and "
            "entered no mean."
        )
    return said


def _compared(study: MethodsStudy) -> str:
    allowed = study.recipe["allowed"]
    alike = f", apart from {counted(allowed, 'pair')} known to be different images" if allowed else ""
    return (
        f"To rule out one exposure under two patients' names, all {counted(study.compared, 'image')} of the scored partitions "
        "were compared by content across partitions: identical pictures, and near copies by a perceptual hash of "
        f"{BITS} bits (at most {ALIKE} of them different), confirmed by a correlation of at least {number(SAME)}. No such pair "
        f"was found{alike}."
    )


def images_and_masses(group: Group) -> str:
    """``45 images of 10 patients (32 images with a mass)``; nothing of masses where there is no reference."""
    if group.without_reference == group.images:
        return images_of(group)
    every = group.images_with_mass == group.images
    with_mass = "all with a mass" if every else f"{counted(group.images_with_mass, 'image')} with a mass"
    return f"{images_of(group)} ({with_mass})"
