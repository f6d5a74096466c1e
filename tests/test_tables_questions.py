"""The study's questions: pairs by hand, numbers by SciPy and statsmodels."""

import itertools

import numpy as np
import pytest
from scipy import stats
from score_rows import DATASETS, RECIPE, case, model
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from mammoseg.evaluation.statistics import mean_interval
from mammoseg.tables.questions import (
    ANSWERS,
    ENSEMBLES,
    GAINS,
    VARIANCES,
    answer_rows,
    ensemble_rows,
    markdown,
    variance_rows,
)


def cases(dice, patients, folds=None):
    return [
        case(k, p, f"{d:.9f}", folds=() if folds is None else folds[k])
        for k, (d, p) in enumerate(zip(dice, patients, strict=True))
    ]


def study(dice, models, patients=None):
    patients = patients or [f"p{k}" for k in range(len(next(iter(dice.values()))))]
    return {("site", m): cases(d, patients) for m, d in dice.items()}, models, DATASETS


def test_pairs_that_ask_the_same_are_answered_together():
    rng = np.random.default_rng(0)
    base = rng.beta(4, 3, 30) * 0.7
    effects = {"a": 0.1, "b": 0.0, "c": 0.13, "d": 0.02}  # U-Net above FPN; weights do little
    dice = {m: base + e + rng.normal(0, 0.01, 30) for m, e in effects.items()}
    models = {
        "a": model(weights="imagenet"), "b": model(decoder="fpn", weights="imagenet"),
        "c": model("resnet22_gmic", weights="gmic"), "d": model("resnet22_gmic", "fpn", "gmic"),
    }  # fmt: skip
    rows = answer_rows(*study(dice, models), RECIPE)
    assert all(set(r) == set(ANSWERS) for r in rows)
    together, decoder = rows
    assert (together["question"][:27], together["clean"], together["n_pairs"]) == (
        "encoder and its initialisat",
        "no",
        2,
    )
    assert (together["a"], together["b"]) == ("resnet34, imagenet", "resnet22_gmic, gmic")
    assert (decoder["question"], decoder["a"], decoder["b"], decoder["clean"]) == ("decoder", "unet", "fpn", "yes")
    assert decoder["pairs"] == "a − b; c − d"
    difference = (dice["a"] - dice["b"] + dice["c"] - dice["d"]) / 2
    assert float(decoder["difference"]) == pytest.approx(difference.mean(), abs=1e-6)
    assert float(decoder["p"]) == pytest.approx(stats.wilcoxon(difference).pvalue, abs=1e-6)
    assert float(decoder["low"]) < difference.mean() < float(decoder["high"])
    assert decoder["verdict"] == "unet is better"
    difference = (dice["a"] - dice["c"] + dice["b"] - dice["d"]) / 2
    assert float(together["p_equivalence"]) == pytest.approx(
        DescrStatsW(difference).ttost_mean(-0.05, 0.05)[0], abs=2e-6
    )
    assert together["verdict"] == "differ, by less than 0.05"
    text = markdown(rows, RECIPE)
    a, b, c, d = (dice[m].mean() for m in "abcd")
    assert f"| site | holdout | decoder | unet | fpn | 2 | {a - b:+.3f}; {c - d:+.3f} | 30 |" in text
    assert "corrected by Holm" in text
    assert "as they were trained" in text


def test_random_arms_make_clean_contrasts_and_turned_pairs_are_turned_back():
    dice = {m: np.linspace(0.2, 0.8, 8) + e for m, e in {"a": 0.0, "r": 0.1, "f": 0.1, "g": 0.0}.items()}
    models = {
        "a": model(weights="imagenet"), "r": model(), "f": model(decoder="fpn"), "g": model(decoder="fpn", weights="imagenet"),
    }  # fmt: skip
    rows = {r["question"]: r for r in answer_rows(*study(dice, models), RECIPE)}
    assert list(rows) == ["initialisation", "decoder"]
    assert (rows["initialisation"]["a"], rows["initialisation"]["b"]) == ("imagenet", "random")
    assert rows["initialisation"]["pairs"] == "a − r; g − f"
    assert float(rows["initialisation"]["difference"]) == pytest.approx(-0.1)
    assert float(rows["decoder"]["difference"]) == pytest.approx(0)


def test_only_images_that_all_were_scored_on_count():
    scores, models, datasets = study(
        {"a": np.arange(6) / 10, "b": np.zeros(6)}, {"a": model(), "b": model(decoder="fpn")}
    )
    scores["site", "b"] = scores["site", "b"][2:]
    (row,) = answer_rows(scores, models, datasets, RECIPE)
    assert row["n_images"] == 4
    assert float(row["difference"]) == pytest.approx(np.mean([0.2, 0.3, 0.4, 0.5]))
    assert answer_rows({("site", "a"): scores["site", "a"]}, {"a": model()}, datasets, RECIPE) == []


def test_an_image_that_any_model_of_any_pair_lacks_does_not_count():
    models = {f"{e}{d}": model(e, d) for e in ("resnet34", "resnet22_gmic") for d in ("unet", "fpn")}
    scores, models, datasets = study({m: np.arange(8) / 10 for m in models}, models)
    last = list(models)[-1]
    scores["site", last] = scores["site", last][1:]
    assert {r["question"]: r["n_images"] for r in answer_rows(scores, models, datasets, RECIPE)} == {
        "encoder": 7,
        "decoder": 7,
    }


def test_what_the_ensemble_gains():
    rng = np.random.default_rng(1)
    folds = rng.uniform(0.2, 0.6, (20, 5))
    ensemble = folds.mean(1) + 0.1 + rng.normal(0, 0.01, 20)
    patients = [f"p{k // 2}" for k in range(20)]
    scores = {("site", "a"): cases(ensemble, patients, folds), ("site", "b"): cases(ensemble, patients)}
    (row,) = ensemble_rows(scores, {"a": model(), "b": model()}, DATASETS, RECIPE)  # b was predicted by single folds
    assert set(row) == set(ENSEMBLES)
    assert (row["n_images"], row["n_patients"]) == (20, 10)
    assert float(row["dice_folds_mean"]) == pytest.approx(folds.mean(), abs=1e-6)
    assert row["dice_of_folds"] == "; ".join(f"{m:.3f}" for m in folds.mean(0))
    gain = ensemble - folds.mean(1)
    assert float(row["difference"]) == pytest.approx(gain.mean(), abs=1e-6)
    assert float(row["p"]) == pytest.approx(stats.wilcoxon(gain.reshape(10, 2).mean(1)).pvalue, abs=1e-6)
    assert row["verdict"] == "the ensemble is better"


def test_gains_of_ensembles_are_corrected_over_the_models_of_a_part():
    rng = np.random.default_rng(9)
    folds = rng.uniform(0.3, 0.6, (20, 3)).round(6)
    patients = [f"p{k // 2}" for k in range(20)]
    gains = {"a": 0.2, "b": 0.025, "c": 0.0, "d": -0.1}
    noise = {m: np.repeat(rng.normal(0, 0.05, 10), 2) + rng.normal(0, 0.005, 20) for m in gains}
    ensembles = {m: (folds.mean(1) + gains[m] + noise[m]).round(6) for m in gains}
    scores = {("site", m): cases(e, patients, folds) for m, e in ensembles.items()}
    rows = ensemble_rows(scores, {m: model() for m in gains}, DATASETS, RECIPE)
    p = [stats.wilcoxon((ensembles[m] - folds.mean(1)).reshape(10, 2).mean(1)).pvalue for m in gains]
    assert [float(r["p"]) for r in rows] == pytest.approx(p, rel=1e-5)
    assert [float(r["p_holm"]) for r in rows] == pytest.approx(multipletests(p, method="holm")[1], rel=1e-5)
    assert p[1] < 0.05 < float(rows[1]["p_holm"]), "else the correction decides nothing here"
    assert [r["verdict"] for r in rows] == [
        "the ensemble is better",
        "not decided",
        "equivalent within 0.05",
        "a single fold is better",
    ]


def test_variance_between_patients_folds_and_seeds():
    rng = np.random.default_rng(2)
    patient, fold = rng.normal(0, 0.2, 60), rng.normal(0, 0.1, 8)
    scores, models = {}, {}
    for seed in range(6):
        values = 0.5 + patient[:, None] + fold + rng.normal(0, 0.05) + rng.normal(0, 0.1, (60, 8))
        scores["site", f"s{seed}"] = cases(values.mean(1), [f"p{k}" for k in range(60)], values)
        models[f"s{seed}"] = model(seed=seed)
    scores["site", "other"], models["other"] = scores["site", "s0"], model(decoder="fpn")
    rows = variance_rows(scores, models, DATASETS)
    assert all(tuple(r) == VARIANCES for r in rows)
    found = {(r["models"], r["component"]): (r["levels"], float(r["sd"])) for r in rows}
    seeds = ", ".join(f"s{k}" for k in range(6))
    assert [c for m, c in found if m == seeds] == ["patient", "fold", "seed", "training", "residual"]
    assert [c for m, c in found if m == "other"] == ["patient", "fold", "residual"]
    assert found[seeds, "patient"][0] == 60
    assert found[seeds, "patient"][1] == pytest.approx(patient.std(ddof=1), rel=0.1)
    assert found[seeds, "fold"][1] == pytest.approx(fold.std(ddof=1), rel=0.15)
    assert found[seeds, "residual"][1] == pytest.approx(0.1, rel=0.1)
    assert found[seeds, "seed"][1] < 0.12


def test_what_differs_between_the_images_of_a_patient_is_not_the_patients():
    """Images of their own difficulty, patients without any: repeated over the folds it must not be taken for the patient's."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        values = 0.5 + rng.normal(0, 0.2, (100, 1)) + rng.normal(0, 0.05, (100, 5))
        scores = {("site", "a"): cases(values.mean(1), [f"p{k // 2}" for k in range(100)], values)}
        found.append({r["component"]: float(r["variance"]) for r in variance_rows(scores, {"a": model()}, DATASETS)})
    assert list(found[0]) == ["patient", "image", "fold", "residual"]
    mean = {c: np.mean([f[c] for f in found]) for c in found[0]}
    assert mean["image"] == pytest.approx(0.04, rel=0.12)
    assert mean["patient"] < 0.006
    assert mean["residual"] == pytest.approx(0.0025, rel=0.1)


def test_the_chance_of_a_training_is_neither_the_folds_nor_the_seeds():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(40):
        scores, models = {}, {}
        of_image = rng.normal(0, 0.2, (40, 1))
        for seed in range(3):
            values = 0.5 + of_image + rng.normal(0, 0.03, 5) + rng.normal(0, 0.05, (40, 5))
            scores["site", f"s{seed}"] = cases(values.mean(1), [f"p{k}" for k in range(40)], values)
            models[f"s{seed}"] = model(seed=seed)
        found.append({r["component"]: float(r["variance"]) for r in variance_rows(scores, models, DATASETS)})
    mean = {c: np.mean([f[c] for f in found]) for c in found[0]}
    assert mean["training"] == pytest.approx(0.03**2, rel=0.2)
    assert mean["fold"] < 0.0002
    assert mean["seed"] < 0.0002


def test_initialisations_of_different_encoders_are_compared_by_their_gains():
    rng = np.random.default_rng(6)
    base = rng.beta(4, 3, 40) * 0.6
    effects = {"i": 0.10, "ri": 0.0, "g": 0.25, "rg": 0.02}  # ImageNet gains 0.10 over random weights, GMIC 0.23
    dice = {m: base + e + rng.normal(0, 0.01, 40) for m, e in effects.items()}
    models = {
        "i": model(weights="imagenet"), "ri": model(), "g": model("resnet22_gmic", weights="gmic"), "rg": model("resnet22_gmic"),
    }  # fmt: skip
    rows = {(r["question"], r["a"], r["b"]): r for r in answer_rows(*study(dice, models), RECIPE)}
    gain = rows[GAINS, "imagenet", "gmic"]
    difference = (dice["i"] - dice["ri"]) - (dice["g"] - dice["rg"])
    assert (gain["pairs"], gain["clean"]) == ("i − ri; g − rg", "yes")
    assert float(gain["difference"]) == pytest.approx(difference.mean(), abs=1e-6)
    assert float(gain["p"]) == pytest.approx(stats.wilcoxon(difference).pvalue, rel=1e-4)
    assert gain["verdict"] == "gmic is better"
    assert rows["encoder", "resnet34", "resnet22_gmic"]["pairs"] == "ri − rg", "of random weights alone it is clean"
    p = [float(r["p"]) for r in rows.values()]
    assert len(p) == 5
    assert [float(r["p_holm"]) for r in rows.values()] == pytest.approx(multipletests(p, method="holm")[1], rel=1e-5)


def test_no_gain_without_random_arms():
    dice = {m: np.linspace(0.2, 0.8, 8) for m in "abc"}
    models = {"a": model(weights="imagenet"), "b": model(weights="gmic"), "c": model(weights="other")}
    assert {r["question"] for r in answer_rows(*study(dice, models), RECIPE)} == {"initialisation"}


def test_answers_are_corrected_and_over_patients():
    """Eight equal models, three images a patient: some question has p below 0.05, none after the correction."""
    found = []
    for draw in range(12):
        rng = np.random.default_rng(draw)
        patients = [f"p{k // 3}" for k in range(60)]
        of_patient = np.repeat(rng.normal(0.5, 0.1, 20), 3)
        kinds = itertools.product(("resnet34", "resnet22_gmic"), ("unet", "fpn"), ("random", "gmic"))
        models = {f"m{k}": model(*kind) for k, kind in enumerate(kinds)}
        dice = {m: of_patient + np.repeat(rng.normal(0, 0.1, 20), 3) + rng.normal(0, 0.01, 60) for m in models}
        rows = answer_rows(*study(dice, models, patients), RECIPE)
        p = [float(r["p"]) for r in rows]
        assert [float(r["p_holm"]) for r in rows] == pytest.approx(multipletests(p, method="holm")[1], rel=1e-5)
        found += [(float(r["p"]), float(r["p_holm"]), r["verdict"]) for r in rows]
        first = rows[0]
        pairs = [pair.split(" − ") for pair in first["pairs"].split("; ")]
        difference = np.mean([dice[a] - dice[b] for a, b in pairs], axis=0)
        judge = mean_interval(difference, patients, 0.95, 999, 1)
        assert [float(first[k]) for k in ("difference", "low", "high")] == pytest.approx(judge, abs=1e-6)
        assert first["n_patients"] == 20
    by_chance = [(p_holm, said) for p, p_holm, said in found if p < 0.05 < p_holm]
    assert by_chance, "else this shows nothing"
    assert not any("better" in said for _, said in by_chance)


def test_too_little_for_components_of_variance():
    one_patient = {("site", "a"): cases([0.5, 0.6], ["p", "p"], np.full((2, 5), 0.5))}
    assert variance_rows(one_patient, {"a": model()}, DATASETS) == []
