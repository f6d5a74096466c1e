"""The study's questions: pairs by hand, numbers by SciPy and statsmodels."""

import numpy as np
import pytest
from scipy import stats
from score_rows import DATASETS, RECIPE, case, model
from statsmodels.stats.weightstats import DescrStatsW

from mammoseg.tables.questions import (
    ANSWERS,
    ENSEMBLES,
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
    rows = answer_rows(*study(dice, models), True, RECIPE)
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
    assert "| site | holdout | decoder | unet | fpn | 2 | 30 |" in text
    assert "not corrected" in text


def test_random_arms_make_clean_contrasts_and_turned_pairs_are_turned_back():
    dice = {m: np.linspace(0.2, 0.8, 8) + e for m, e in {"a": 0.0, "r": 0.1, "f": 0.1, "g": 0.0}.items()}
    models = {
        "a": model(weights="imagenet"), "r": model(), "f": model(decoder="fpn"), "g": model(decoder="fpn", weights="imagenet"),
    }  # fmt: skip
    rows = {r["question"]: r for r in answer_rows(*study(dice, models), True, RECIPE)}
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
    (row,) = answer_rows(scores, models, datasets, True, RECIPE)
    assert row["n_images"] == 4
    assert float(row["difference"]) == pytest.approx(np.mean([0.2, 0.3, 0.4, 0.5]))
    assert answer_rows({("site", "a"): scores["site", "a"]}, {"a": model()}, datasets, True, RECIPE) == []


def test_what_the_ensemble_gains():
    rng = np.random.default_rng(1)
    folds = rng.uniform(0.2, 0.6, (20, 5))
    ensemble = folds.mean(1) + 0.1 + rng.normal(0, 0.01, 20)
    patients = [f"p{k // 2}" for k in range(20)]
    scores = {("site", "a"): cases(ensemble, patients, folds), ("site", "b"): cases(ensemble, patients)}
    (row,) = ensemble_rows(
        scores, {"a": model(), "b": model()}, DATASETS, True, RECIPE
    )  # b was predicted by single folds
    assert set(row) == set(ENSEMBLES)
    assert (row["n_images"], row["n_patients"]) == (20, 10)
    assert float(row["dice_folds_mean"]) == pytest.approx(folds.mean(), abs=1e-6)
    assert row["dice_of_folds"] == "; ".join(f"{m:.3f}" for m in folds.mean(0))
    gain = ensemble - folds.mean(1)
    assert float(row["difference"]) == pytest.approx(gain.mean(), abs=1e-6)
    assert float(row["p"]) == pytest.approx(stats.wilcoxon(gain.reshape(10, 2).mean(1)).pvalue, abs=1e-6)
    assert row["verdict"] == "the ensemble is better"


def test_variance_between_patients_folds_and_seeds():
    rng = np.random.default_rng(2)
    patient, fold = rng.normal(0, 0.2, 60), rng.normal(0, 0.1, 8)
    scores, models = {}, {}
    for seed in range(6):
        values = 0.5 + patient[:, None] + fold + rng.normal(0, 0.05) + rng.normal(0, 0.1, (60, 8))
        scores["site", f"s{seed}"] = cases(values.mean(1), [f"p{k}" for k in range(60)], values)
        models[f"s{seed}"] = model(seed=seed)
    scores["site", "other"], models["other"] = scores["site", "s0"], model(decoder="fpn")
    rows = variance_rows(scores, models, DATASETS, True)
    assert all(tuple(r) == VARIANCES for r in rows)
    found = {(r["models"], r["component"]): (r["levels"], float(r["sd"])) for r in rows}
    seeds = ", ".join(f"s{k}" for k in range(6))
    assert [c for m, c in found if m == seeds] == ["patient", "fold", "seed", "residual"]
    assert [c for m, c in found if m == "other"] == ["patient", "fold", "residual"]
    assert found[seeds, "patient"][0] == 60
    assert found[seeds, "patient"][1] == pytest.approx(patient.std(ddof=1), rel=0.1)
    assert found[seeds, "fold"][1] == pytest.approx(fold.std(ddof=1), rel=0.15)
    assert found[seeds, "residual"][1] == pytest.approx(0.1, rel=0.1)
    assert found[seeds, "seed"][1] < 0.12


def test_too_little_for_components_of_variance():
    one_patient = {("site", "a"): cases([0.5, 0.6], ["p", "p"], np.full((2, 5), 0.5))}
    assert variance_rows(one_patient, {"a": model()}, DATASETS, True) == []
