"""The study's questions, answered: initialisation, encoder, decoder; does ensembling help; how much of a score is chance.

`comparisons` compares every pair of models; here pairs that ask the same question are answered together.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from mammoseg.evaluation.statistics import holm, variance_components
from mammoseg.tables.comparisons import (
    TRAINED,
    compared,
    confidence,
    contrast,
    parts,
    readable,
    significant,
    verdict,
    verdicts_in_words,
)
from mammoseg.tables.rows import DataSets, Models, Scores, decimals, groups, has_mass, mean_and_sd

QUESTIONS = {
    "weights": "initialisation",
    "encoder": "encoder",
    "encoder + weights": "encoder and its initialisation together (the paper's contrast)",
    "decoder": "decoder",
}
"""Contrast → what is asked. Other contrasts mix too much to answer anything."""
GAINS = "initialisations, by their gain over random weights"
"""Asked where two initialisations have arms with random weights each, though they start different encoders."""
RANDOM = "random"
ANSWERS = (
    "dataset", "part", "question", "a", "b", "clean", "n_pairs", "pairs", "of_pairs", "n_images", "n_patients",
    "difference", "low", "high",
    "p", "p_holm", "rank_biserial", "margin", "p_equivalence", "verdict",
)  # fmt: skip
ENSEMBLES = (
    "dataset", "part", "model", "n_images", "n_patients", "dice_ensemble", "dice_folds_mean", "dice_of_folds", "difference",
    "low", "high", "p", "p_holm", "verdict",
)  # fmt: skip
VARIANCES = ("dataset", "part", "models", "component", "levels", "variance", "sd")
READ = ("image_id", "patient_id", "part", "n_masses", "dice", "dice_of_folds")
"""Columns of the scores that these tables are made from."""
HEADINGS = {
    "dataset": "data set", "part": "part", "question": "question", "a": "A", "b": "B", "n_pairs": "pairs of models",
    "of_pairs": "of each pair",
    "n_patients": "patients", "difference": "A − B", "low": "low", "high": "high", "p_holm": "p (Holm)",
    "p_equivalence": "p (equivalence)", "verdict": "verdict",
}  # fmt: skip


def answer_rows(scores: Scores, models: Models, datasets: DataSets, recipe: Mapping) -> list[dict]:
    """Per question: the difference of the mean Dice, averaged over the pairs of models that differ in nothing else.

    Of the images with a mass that all these models were scored on; p corrected by Holm over the questions of a data set and part.

    Parameters
    ----------
    As `comparisons.interval_rows`.

    Returns
    -------
    list of dict
        By `ANSWERS`, values as text. ``clean`` is no where two things change at once: the answer is then of both together.
    """
    rows = []
    for dataset, part, cases in parts(scores, models, datasets):
        of_part = []
        pairs_of = _pairs({m: models[m] for m in cases})
        for (asked, a, b), pairs in pairs_of.items():
            row = {"question": QUESTIONS[asked], "a": a, "b": b, "clean": "no" if "+" in asked else "yes"}
            of_part.append((row | _named(pairs), *_over_pairs(cases, pairs, (), recipe)))
        for (a, gains), (b, others) in combinations(_gains(pairs_of).items(), 2):
            row = {"question": GAINS, "a": a, "b": b, "clean": "yes"}
            of_part.append((row | _named([*gains, *others]), *_over_pairs(cases, gains, others, recipe)))
        of_part = [(of, found, equivalent) for of, found, equivalent in of_part if found]
        corrected = holm([float(found["p"]) for _, found, _ in of_part])
        for (of, found, equivalent), p in zip(of_part, corrected, strict=True):
            said = verdict(p, equivalent, found, of["a"], of["b"], recipe["alpha"], len(of_part))
            rows.append({"dataset": dataset, "part": part, **of, **found, "p_holm": significant(p), "verdict": said})
    return rows


def _named(pairs: Sequence[tuple[str, str]]) -> dict:
    return {"n_pairs": len(pairs), "pairs": "; ".join(map(" − ".join, pairs))}


def _over_pairs(
    cases: Mapping, pairs: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]], recipe: Mapping
) -> tuple[dict, bool]:
    """`compared` for the first models of the pairs and the second ones, on average; or for the pairs' differences and others'."""
    images = sorted(set.intersection(*(set(cases[m]) for pair in (*pairs, *others) for m in pair)))
    if not images:
        return {}, False
    sides = [[(p[0],) for p in pairs], [(p[1],) for p in pairs]] if not others else [pairs, others]
    one, other = ([_mean_of(cases, side, i) for i in images] for side in sides)
    found, equivalent = compared(one, other, [cases[pairs[0][0]][i][1] for i in images], recipe)
    of_pairs = [np.mean([_mean_of(cases, [pair], i) for i in images]) for pair in (*pairs, *others)]
    return found | {"of_pairs": "; ".join(f"{d:+.3f}" for d in of_pairs)}, equivalent


def _mean_of(cases: Mapping, side: Sequence[tuple[str, ...]], image: str) -> float:
    """Mean over models of their Dice on one image, or over pairs of models of its difference."""
    return float(np.mean([cases[m[0]][image][0] - (cases[m[1]][image][0] if m[1:] else 0.0) for m in side]))


def _gains(pairs_of: Mapping) -> dict[str, list[tuple[str, str]]]:
    """Initialisation → pairs of a model that starts from it and its twin that starts from random weights."""
    found = {}
    for (asked, a, b), pairs in pairs_of.items():
        if asked == "weights" and RANDOM in (a, b):
            found[b if a == RANDOM else a] = [pair[::-1] if a == RANDOM else pair for pair in pairs]
    return found


def ensemble_rows(scores: Scores, models: Models, datasets: DataSets, recipe: Mapping) -> list[dict]:
    """Whether the ensemble of the folds is better than its single folds, by `ENSEMBLES`, values as text.

    Of the images with a mass; p corrected by Holm over the models of a data set and part. A fold alone calls mass what has a
    probability of 0.5 at least, whatever the ensemble's threshold. Compared are, image by image, the ensemble's Dice and the
    mean of the folds'.
    """
    of_part: dict[tuple[str, str], list] = defaultdict(list)
    for dataset, part, model, cases in groups(scores, models, datasets):
        counted = [(c, _folds(c)) for c in cases if has_mass(c)]
        counted = [(c, folds) for c, folds in counted if c["dice"] != "" and folds is not None]
        if not counted:
            continue
        patients = [c["patient_id"] for c, _ in counted]
        ensemble = [float(c["dice"]) for c, _ in counted]
        single = [float(folds.mean()) for _, folds in counted]
        row = {
            "dataset": dataset, "part": part, "model": model,
            "dice_ensemble": decimals(mean_and_sd(ensemble)[0]), "dice_folds_mean": decimals(mean_and_sd(single)[0]),
            "dice_of_folds": "; ".join(f"{d:.3f}" for d in np.mean([folds for _, folds in counted], axis=0)),
        }  # fmt: skip
        of_part[dataset, part].append((row, *compared(ensemble, single, patients, recipe)))
    rows = []
    for compared_there in of_part.values():
        corrected = holm([float(found["p"]) for _, found, _ in compared_there])
        for (row, found, equivalent), p in zip(compared_there, corrected, strict=True):
            names = "the ensemble", "a single fold"
            said = verdict(p, equivalent, found, *names, recipe["alpha"], len(compared_there))
            shown = {k: found[k] for k in ("n_images", "n_patients", "difference", "low", "high", "p")}
            rows.append(row | shown | {"p_holm": significant(p), "verdict": said})
    return rows


def variance_rows(scores: Scores, models: Models, datasets: DataSets) -> list[dict]:
    """How much of the Dice's variance lies between patients, images, folds, seeds and trainings, by `VARIANCES`, values as text.

    Of every fold's own Dice on images with a mass that no fold saw, over the models that differ in nothing but their seed.

    ``patient``, and ``image`` where patients have several: how hard they are. ``fold``: what the folds' training data do to all
    images alike; with one seed the chance of each training is in it too. With several seeds that chance is ``training`` (each
    fold of each seed is one), beside ``seed``, what a seed does to all its folds. The residual is how trainings differ from
    image to image. A variance below 0, chance where the true one is about 0, is written as 0.
    """
    rows = []
    of_group = {(d, p, m): cases for d, p, m, cases in groups(scores, models, datasets)}
    for dataset, part in dict.fromkeys((d, p) for d, p, _ in of_group):
        for seeds in _seeds(models):
            values, patients, images, folds, seed = [], [], [], [], []
            for model in seeds:
                for case in of_group.get((dataset, part, model), ()):
                    of_folds = _folds(case)
                    if of_folds is not None and has_mass(case):
                        values += of_folds.tolist()
                        patients += [case["patient_id"]] * len(of_folds)
                        images += [case["image_id"]] * len(of_folds)
                        folds += range(len(of_folds))
                        seed += [model] * len(of_folds)
            factors = {"patient": patients}
            if len(set(images)) > len(set(patients)):
                factors["image"] = images
            factors["fold"] = folds
            if len(set(seed)) > 1:
                factors |= {"seed": seed, "training": [f"{s} {f}" for s, f in zip(seed, folds, strict=True)]}
            if len(set(patients)) < 2 or len(values) <= sum(len(set(f)) for f in factors.values()):
                continue
            for component, variance in variance_components(values, factors).items():
                rows.append(
                    {
                        "dataset": dataset,
                        "part": part,
                        "models": ", ".join(seeds),
                        "component": component,
                        "levels": len(set(factors[component])) if component in factors else "",
                        "variance": decimals(max(variance, 0.0)),
                        "sd": decimals(max(variance, 0.0) ** 0.5),
                    }
                )
    return rows


def markdown(rows: Sequence[Mapping], recipe: Mapping, warnings: Sequence[str] = ()) -> str:
    """The answers as a readable table, with what its words mean, and what makes them less than a study."""
    note = (
        "Mean Dice of A less that of B, averaged over the pairs of models that differ in nothing else (where pairs point "
        "opposite ways, the average hides it), with a "
        f"{confidence(recipe)} bootstrap interval over patients (BCa); p by Wilcoxon's signed-rank test on patient "
        "means, corrected by Holm over the questions of a part; equivalent: two one-sided tests against "
        f"±{recipe['margin']:g}, each question for itself. Images with a mass. {verdicts_in_words(recipe)} {TRAINED}"
    )
    return readable(rows, HEADINGS, " ".join([*warnings, note]))


def _pairs(models: Models) -> dict[tuple[str, str, str], list[tuple[str, str]]]:
    """(contrast, levels of A, levels of B) → pairs of models, in the config's order."""
    found = defaultdict(list)
    for a, b in combinations(models, 2):
        asked = contrast(models[a], models[b])
        if asked in QUESTIONS:
            levels = _levels(models[a], asked), _levels(models[b], asked)
            if asked == "encoder + weights" and any(RANDOM in level for level in levels):
                continue  # a pretrained encoder against another one without: nobody asks that
            turned = (asked, *levels[::-1])
            if turned in found:
                found[turned].append((b, a))
            else:
                found[asked, *levels].append((a, b))
    return dict(sorted(found.items(), key=lambda kv: list(QUESTIONS).index(kv[0][0])))


def _levels(folds: Sequence[Mapping], asked: str) -> str:
    used = " and ".join(sorted({f["weights_used"] for f in folds}))
    return ", ".join(used if k == "weights" else folds[0]["model"][k] for k in asked.split(" + "))


def _folds(case: Mapping) -> np.ndarray | None:
    """Dice of each fold on one image; None where a fold predicted it alone, or one of them is undefined."""
    texts = case["dice_of_folds"].split(";") if case["dice_of_folds"] else []
    return np.array([float(t) for t in texts]) if texts and all(texts) else None


def _seeds(models: Models) -> Iterator[list[str]]:
    """Models that differ in nothing but their seed, together."""
    left = list(models)
    while left:
        first = left[0]
        alike = [m for m in left if contrast(models[first], models[m]) in ("nothing", "seed")]
        yield alike
        left = [m for m in left if m not in alike]
