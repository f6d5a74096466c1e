"""The study's questions, answered: initialisation, encoder, decoder; does ensembling help; how much of a score is chance.

`comparisons` compares every pair of models; here pairs that ask the same question are answered together.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from mammoseg.statistics import variance_components
from mammoseg.tables.comparisons import compared, contrast, parts, readable, verdict
from mammoseg.tables.rows import DataSets, Models, Scores, decimals, groups, has_mass, mean_and_sd

QUESTIONS = {
    "weights": "initialisation",
    "encoder": "encoder",
    "encoder + weights": "encoder and its initialisation together (the paper's contrast)",
    "decoder": "decoder",
}
"""Contrast → what is asked. Other contrasts mix too much to answer anything."""
ANSWERS = (
    "dataset", "part", "question", "a", "b", "clean", "n_pairs", "pairs", "n_images", "n_patients", "difference", "low", "high",
    "p", "rank_biserial", "margin", "p_equivalence", "verdict",
)  # fmt: skip
ENSEMBLES = (
    "dataset", "part", "model", "n_images", "n_patients", "dice_ensemble", "dice_folds_mean", "dice_of_folds", "difference",
    "low", "high", "p", "verdict",
)  # fmt: skip
VARIANCES = ("dataset", "part", "models", "component", "levels", "variance", "sd")
READ = ("image_id", "patient_id", "part", "n_masses", "dice", "predicted_regions", "iou", "dice_of_folds")
"""Columns of the scores that these tables are made from."""
HEADINGS = {
    "dataset": "data set", "part": "part", "question": "question", "a": "A", "b": "B", "n_pairs": "pairs of models",
    "n_patients": "patients", "difference": "A − B", "low": "low", "high": "high", "p": "p", "verdict": "verdict",
}  # fmt: skip


def answer_rows(scores: Scores, models: Models, datasets: DataSets, require_mass: bool, recipe: Mapping) -> list[dict]:
    """Per question: the difference of the mean Dice, averaged over the pairs of models that differ in nothing else.

    Parameters
    ----------
    As `comparisons.interval_rows`.

    Returns
    -------
    list of dict
        By `ANSWERS`, values as text. ``clean`` is no where two things change at once: the answer is then of both together.
    """
    rows = []
    for dataset, part, cases in parts(scores, models, datasets, require_mass):
        for (asked, a, b), pairs in _pairs({m: models[m] for m in cases}).items():
            images = sorted(set.intersection(*(set(cases[m]) for pair in pairs for m in pair)))
            if not images:
                continue
            one, other = ([float(np.mean([cases[p[k]][i][0] for p in pairs])) for i in images] for k in (0, 1))
            patients = [cases[pairs[0][0]][i][1] for i in images]
            found, equivalent = compared(one, other, patients, recipe)
            rows.append(
                {
                    "dataset": dataset, "part": part, "question": QUESTIONS[asked], "a": a, "b": b,
                    "clean": "no" if "+" in asked else "yes", "n_pairs": len(pairs), "pairs": "; ".join(map(" − ".join, pairs)),
                    **found, "verdict": verdict(float(found["p"]) < recipe["alpha"], equivalent, found, a, b),
                }
            )  # fmt: skip
    return rows


def ensemble_rows(
    scores: Scores, models: Models, datasets: DataSets, require_mass: bool, recipe: Mapping
) -> list[dict]:
    """Whether the ensemble of the folds is better than its single folds, by `ENSEMBLES`, values as text.

    A fold alone calls mass what has a probability of 0.5 at least, whatever the ensemble's threshold. Compared are, image by
    image, the ensemble's Dice and the mean of the folds'.
    """
    rows = []
    for dataset, part, model, cases in groups(scores, models, datasets):
        counted = [(c, _folds(c)) for c in cases if has_mass(c) or not require_mass]
        counted = [(c, folds) for c, folds in counted if c["dice"] != "" and folds is not None]
        if not counted:
            continue
        patients = [c["patient_id"] for c, _ in counted]
        ensemble = [float(c["dice"]) for c, _ in counted]
        single = [float(folds.mean()) for _, folds in counted]
        found, _ = compared(ensemble, single, patients, recipe)
        helps = "the ensemble is better" if float(found["difference"]) > 0 else "single folds are better"
        rows.append(
            {
                "dataset": dataset, "part": part, "model": model,
                "dice_ensemble": decimals(mean_and_sd(ensemble)[0]), "dice_folds_mean": decimals(mean_and_sd(single)[0]),
                "dice_of_folds": "; ".join(f"{d:.3f}" for d in np.mean([folds for _, folds in counted], axis=0)),
                **{k: found[k] for k in ("n_images", "n_patients", "difference", "low", "high", "p")},
                "verdict": helps if float(found["p"]) < recipe["alpha"] else "not decided",
            }
        )  # fmt: skip
    return rows


def variance_rows(scores: Scores, models: Models, datasets: DataSets, require_mass: bool) -> list[dict]:
    """How much of the Dice's variance lies between patients, folds and seeds, by `VARIANCES`, values as text.

    Of every fold's own Dice on images that no fold saw, over the models that differ in nothing but their seed. The residual holds
    what differs between a patient's images, and how folds and seeds differ from image to image. A variance below 0, chance where
    the true one is about 0, is written as 0.
    """
    rows = []
    of_group = {(d, p, m): cases for d, p, m, cases in groups(scores, models, datasets)}
    for dataset, part in dict.fromkeys((d, p) for d, p, _ in of_group):
        for seeds in _seeds(models):
            values, patients, folds, seed = [], [], [], []
            for model in seeds:
                for case in of_group.get((dataset, part, model), ()):
                    of_folds = _folds(case)
                    if of_folds is not None and (has_mass(case) or not require_mass):
                        values += of_folds.tolist()
                        patients += [case["patient_id"]] * len(of_folds)
                        # A fold's model is another one with another seed, but its patients are the same.
                        folds += range(len(of_folds))
                        seed += [model] * len(of_folds)
            factors = {"patient": patients, "fold": folds} | ({"seed": seed} if len(set(seed)) > 1 else {})
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


def markdown(rows: Sequence[Mapping], recipe: Mapping) -> str:
    """The answers as a readable table, with what its words mean."""
    note = (
        "Mean Dice of A less that of B, averaged over the pairs of models that differ in nothing else, with a "
        f"{100 * (1 - recipe['alpha']):g} % bootstrap interval over patients (BCa); p by Wilcoxon's signed-rank test on patient "
        f"means, one question at a time, not corrected; equivalent: two one-sided tests against ±{recipe['margin']:g}."
    )
    return readable(rows, HEADINGS, note)


def _pairs(models: Models) -> dict[tuple[str, str, str], list[tuple[str, str]]]:
    """(contrast, levels of A, levels of B) → pairs of models, in the config's order."""
    found = defaultdict(list)
    for a, b in combinations(models, 2):
        asked = contrast(models[a], models[b])
        if asked in QUESTIONS:
            levels = _levels(models[a], asked), _levels(models[b], asked)
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
