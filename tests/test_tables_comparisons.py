"""Comparisons of models: numbers by SciPy and statsmodels, words by hand."""

import numpy as np
import pytest
from scipy import stats
from score_rows import DATASETS, RECIPE, case, model
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from mammoseg.tables.comparisons import (
    COMPARISONS,
    INTERVALS,
    comparison_rows,
    contrast,
    interval_rows,
    markdown,
    p_in_words,
    verdict,
)


@pytest.fixture
def study():
    """Forty patients with one image each; b is worse than a by 0.1 or so, c is a with a little noise."""
    rng = np.random.default_rng(3)
    a = rng.beta(5, 2, 40)
    dice = {
        "a": a,
        "b": np.clip(a - 0.1 + rng.normal(0, 0.05, 40), 0, 1),
        "c": np.clip(a + rng.normal(0, 0.02, 40), 0, 1),
    }
    scores = {("site", m): [case(i, f"p{i}", f"{v:.9f}") for i, v in enumerate(d)] for m, d in dice.items()}
    models = {"a": model(), "b": model("resnet22_gmic"), "c": model(decoder="fpn")}
    return scores, models, {m: np.round(d, 9) for m, d in dice.items()}


def test_numbers_of_every_pair(study):
    scores, models, dice = study
    rows = comparison_rows(scores, models, DATASETS, True, RECIPE)
    assert [(r["model_a"], r["model_b"], r["contrast"]) for r in rows] == [
        ("a", "b", "encoder"),
        ("a", "c", "decoder"),
        ("b", "c", "encoder + decoder"),
    ]
    assert set(rows[0]) == set(COMPARISONS)
    p = [stats.wilcoxon(dice[r["model_a"]] - dice[r["model_b"]]).pvalue for r in rows]
    assert [float(r["p"]) for r in rows] == pytest.approx(p, abs=1e-6)
    assert [float(r["p_holm"]) for r in rows] == pytest.approx(multipletests(p, method="holm")[1], abs=2e-6)
    for row in rows:
        difference = dice[row["model_a"]] - dice[row["model_b"]]
        assert float(row["difference"]) == pytest.approx(difference.mean(), abs=1e-6)
        tost = DescrStatsW(difference).ttost_mean(-0.05, 0.05)[0]
        assert float(row["p_equivalence"]) == pytest.approx(tost, abs=2e-6)
        assert float(row["low"]) < difference.mean() < float(row["high"])
    assert [r["verdict"] for r in rows] == ["a is better", "equivalent within 0.05", "c is better"]


def test_intervals_of_every_model(study):
    scores, models, dice = study
    rows = interval_rows(scores, models, DATASETS, True, RECIPE)
    assert [r["model"] for r in rows] == ["a", "b", "c"]
    for row in rows:
        assert set(row) == set(INTERVALS)
        values = dice[row["model"]]
        assert float(row["dice_mean"]) == pytest.approx(values.mean(), abs=1e-6)
        reach = stats.sem(values) * stats.t.isf(0.025, 39)
        assert float(row["dice_low"]) == pytest.approx(values.mean() - reach, abs=0.3 * reach)
        assert float(row["dice_high"]) == pytest.approx(values.mean() + reach, abs=0.3 * reach)


def test_only_what_enters_the_means_is_compared(study):
    scores, models, _ = study
    before = comparison_rows(scores, models, DATASETS, True, RECIPE)
    for rows in scores.values():
        rows += [case(90, "p90", "0.000000", masses=0), case(91, "p91", "", masses=0)]
        rows.append({**case(92, "p92", "0.9"), "part": "new"})
    assert comparison_rows(scores, models, DATASETS, True, RECIPE) == before
    assert comparison_rows(scores, models, DATASETS, False, RECIPE)[0]["n_images"] == 41


@pytest.mark.parametrize(
    ("different", "equivalent", "difference", "said"),
    [
        (True, False, 0.1, "a is better"),
        (True, False, -0.1, "b is better"),
        (True, True, 0.01, "differ, by less than 0.05"),
        (False, True, 0.01, "equivalent within 0.05"),
        (False, False, 0.1, "not decided"),
    ],
)
def test_words(different, equivalent, difference, said):
    assert verdict(different, equivalent, {"difference": str(difference), "margin": "0.050000"}, "a", "b") == said


def test_what_models_differ_in():
    assert contrast(model(), model(weights="imagenet")) == "weights"
    assert contrast(model(), model("resnet22_gmic", weights="gmic")) == "encoder + weights"
    assert contrast(model(), model(training={"lr": 2})) == "training"
    one, other = model(weights="imagenet"), model(weights="gmic")
    one[0]["weights_used"] = other[0]["weights_used"] = "random"  # neither could be had
    assert contrast(one, other) == "nothing"


def test_no_p_is_nought():
    assert [p_in_words(p) for p in ("", "0.000000", "0.000999", "0.001", "0.0474")] == [
        "",
        "< 0.001",
        "< 0.001",
        "0.001",
        "0.047",
    ]


def test_one_model_and_few_patients(study):
    scores, models, _ = study
    assert comparison_rows({("site", "a"): scores["site", "a"]}, {"a": models["a"]}, DATASETS, True, RECIPE) == []
    few = {key: rows[:2] for key, rows in scores.items()}
    rows = comparison_rows(few, models, DATASETS, True, RECIPE)
    assert {r["low"] for r in rows} == {""}
    assert "not decided" in {r["verdict"] for r in rows}
    assert "| site | holdout | a | b | encoder | 2 |" in markdown(rows, RECIPE)
