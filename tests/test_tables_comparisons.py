"""Comparisons of models: numbers by SciPy and statsmodels, words by hand."""

import numpy as np
import pytest
from scipy import stats
from score_rows import DATASETS, RECIPE, case, model
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from mammoseg.evaluation.statistics import mean_interval
from mammoseg.tables.comparisons import (
    COMPARISONS,
    DISAGREE,
    INTERVALS,
    TOO_FEW,
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
    rows = comparison_rows(scores, models, DATASETS, RECIPE)
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
        assert set(row) <= set(INTERVALS)
        values = dice[row["model"]]
        assert float(row["dice_mean"]) == pytest.approx(values.mean(), abs=1e-6)
        reach = stats.sem(values) * stats.t.isf(0.025, 39)
        assert float(row["dice_low"]) == pytest.approx(values.mean() - reach, abs=0.3 * reach)
        assert float(row["dice_high"]) == pytest.approx(values.mean() + reach, abs=0.3 * reach)


def test_only_what_enters_the_means_is_compared(study):
    scores, models, _ = study
    before = comparison_rows(scores, models, DATASETS, RECIPE)
    for rows in scores.values():
        rows += [case(90, "p90", "0.000000", masses=0), case(91, "p91", "", masses=0)]
        rows.append({**case(92, "p92", "0.9"), "part": "new"})
    assert comparison_rows(scores, models, DATASETS, RECIPE) == before
    # Without a mass one model may have no score where another has 0: never compared, but in the means where these are asked for.
    assert interval_rows(scores, models, DATASETS, False, RECIPE)[0]["n_images"] == 41
    assert interval_rows(scores, models, DATASETS, True, RECIPE)[0]["n_images"] == 40


@pytest.mark.parametrize(
    ("different", "equivalent", "ranks", "low", "high", "said"),
    [
        (True, False, 0.4, 0.02, 0.18, "a is better"),
        (True, False, -0.4, -0.18, -0.02, "b is better"),
        (True, False, 0.4, -0.18, -0.02, DISAGREE),
        (True, False, 0.4, -0.01, 0.1, DISAGREE),
        (True, False, -0.4, -0.1, 0.01, DISAGREE),
        (True, False, 0.4, 0.0, 0.1, DISAGREE),
        (True, False, 0.4, "", "", DISAGREE),
        (True, True, 0.4, 0.001, 0.02, "differ, by less than 0.05"),
        (False, True, 0.4, 0.001, 0.02, "equivalent within 0.05"),
        (False, False, 0.4, 0.01, 0.2, "not decided"),
    ],
)
def test_words(different, equivalent, ranks, low, high, said):
    found = {"rank_biserial": str(ranks), "low": str(low), "high": str(high), "margin": "0.050000", "n_patients": 20}
    assert verdict(0.01 if different else 0.2, equivalent, found, "a", "b", alpha=0.05, tests=6) == said


@pytest.mark.parametrize(
    ("patients", "tests", "said"),
    [(5, 1, TOO_FEW), (6, 1, "not decided"), (6, 2, TOO_FEW), (8, 6, "not decided"), (7, 6, TOO_FEW)],
)
def test_too_few_patients_to_decide_anything(patients, tests, said):
    # Wilcoxon's smallest p: 2 / 2^5 = 0.0625, 2 / 2^6 = 0.031, twice that 0.0625; 6 · 2 / 2^8 = 0.047, 6 · 2 / 2^7 = 0.094.
    assert stats.wilcoxon(np.arange(1, patients + 1)).pvalue == 2 / 2**patients
    found = {"rank_biserial": "1", "low": "0.1", "high": "0.2", "margin": "0.05", "n_patients": patients}
    assert verdict(0.3, False, found, "a", "b", alpha=0.05, tests=tests) == said


def test_who_wins_narrowly_and_loses_by_much_is_not_better():
    a = np.full(36, 0.8)
    b = a - np.linspace(0.01, 0.03, 36)
    b[:3] = a[:3] + 0.15
    a[:3] -= 0.6
    scores = {("site", m): [case(i, f"p{i}", f"{v:.9f}") for i, v in enumerate(d)] for m, d in {"a": a, "b": b}.items()}
    (row,) = comparison_rows(scores, {"a": model(), "b": model(decoder="fpn")}, DATASETS, RECIPE)
    assert float(row["p"]) < 0.001
    assert float(row["rank_biserial"]) > 0.5, "the ranks are for a"
    assert float(row["difference"]) < -0.03, "the mean is for b"
    assert row["verdict"] == DISAGREE


@pytest.fixture
def families():
    """Sixty images of twenty patients in each of two parts; images of one patient are alike. Four models."""
    rng = np.random.default_rng(12)
    patients = [f"p{k // 3}" for k in range(60)]
    scores, dice = {}, {}
    of_patient = np.repeat(rng.normal(0, 0.15, 20), 3)
    shifts = {"a": 0.0, "b": 0.03, "c": 0.05, "d": 0.02}
    for name, shift in shifts.items():
        for part, harder in (("holdout", 1), ("external", 0.4)):
            of_model = np.repeat(rng.normal(0, 0.06, 20), 3)
            values = np.clip(0.5 + of_patient + of_model + shift * harder + rng.normal(0, 0.02, 60), 0, 1).round(6)
            rows = [
                case(f"{part}{i}", p, f"{v:.6f}") | {"part": part}
                for i, (p, v) in enumerate(zip(patients, values, strict=True))
            ]
            scores.setdefault(("site", name), []).extend(rows)
            dice[name, part] = values
    kinds = {"a": model(), "b": model("resnet22_gmic"), "c": model(decoder="fpn"), "d": model("resnet22_gmic", "fpn")}
    return scores, kinds, dice, patients


def test_the_patient_is_the_unit_and_a_part_is_the_family(families):
    scores, models, dice, patients = families
    for row in interval_rows(scores, models, DATASETS, True, RECIPE):
        judge = mean_interval(dice[row["model"], row["part"]], patients, 0.95, 999, 1)
        assert [float(row[f"dice_{k}"]) for k in ("mean", "low", "high")] == pytest.approx(judge, abs=1e-6)
    rows = comparison_rows(scores, models, DATASETS, RECIPE)
    assert len(rows) == 12
    by_chance = []
    for part in ("holdout", "external"):
        mine = [r for r in rows if r["part"] == part]
        differences = [dice[r["model_a"], part] - dice[r["model_b"], part] for r in mine]
        p = [stats.wilcoxon(d.reshape(20, 3).mean(1)).pvalue for d in differences]
        corrected = multipletests(p, method="holm")[1]
        assert [float(r["p_holm"]) for r in mine] == pytest.approx(corrected, rel=1e-5)
        for row, difference, p_holm in zip(mine, differences, corrected, strict=True):
            assert (row["n_images"], row["n_patients"]) == (60, 20)
            judge = mean_interval(difference, patients, 0.95, 999, 1)
            assert [float(row[k]) for k in ("difference", "low", "high")] == pytest.approx(judge, abs=1e-6)
            of_patients = DescrStatsW(difference.reshape(20, 3).mean(1)).ttost_mean(-0.05, 0.05)[0]
            assert float(row["p_equivalence"]) == pytest.approx(of_patients, rel=1e-4)
            decided = "better" in row["verdict"] or "differ," in row["verdict"]
            assert not decided or p_holm < 0.05
            assert ("equivalent" in row["verdict"] or "differ, by" in row["verdict"]) == (of_patients < 0.05)
        by_chance += [a < 0.05 < b for a, b in zip(p, corrected, strict=True)]
    assert any(by_chance), "else the correction decides nothing here"


def test_intervals_of_iou_and_of_the_original():
    rng = np.random.default_rng(5)
    iou, original = rng.random((2, 12)).round(6)
    rows = [
        case(k, f"p{k // 2}", "0.5") | {"iou": str(i), "original_dice": str(o)}
        for k, (i, o) in enumerate(zip(iou, original, strict=True))
    ]
    (row,) = interval_rows({("site", "a"): rows}, {"a": model()}, DATASETS, True, RECIPE)
    for score, values in (("iou", iou), ("original_dice", original)):
        judge = mean_interval(values, [f"p{k // 2}" for k in range(12)], 0.95, 999, 1)
        assert [float(row[f"{score}_{k}"]) for k in ("mean", "low", "high")] == pytest.approx(judge, abs=1e-6)


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
    assert comparison_rows({("site", "a"): scores["site", "a"]}, {"a": models["a"]}, DATASETS, RECIPE) == []
    few = {key: rows[:2] for key, rows in scores.items()}
    rows = comparison_rows(few, models, DATASETS, RECIPE)
    assert {r["low"] for r in rows} == {""}
    assert {r["verdict"] for r in rows} == {TOO_FEW}
    text = markdown(rows, RECIPE, ["All data sets are phantoms."])
    assert "| site | holdout | a | b | encoder | 2 |" in text
    assert "All data sets are phantoms. Difference of the mean Dice with a 95 % bootstrap interval" in text
    assert "judged by an interval of 90 %" in text
