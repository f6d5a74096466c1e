"""Groups by hand."""

import numpy as np
import pytest

from mammoseg.evaluation.statistics import mean_interval
from mammoseg.tables.breakdowns import COLUMNS, breakdown_rows, size_group

RECIPE = {"alpha": 0.05, "resamples": 999, "seed": 1, "sizes_mm": [10, 20], "side": 500}
MODELS = {"m": [{"model": {"name": "m"}}]}
DATASETS = {"site": {"importer": "manifest", "role": "train", "phantom": False}}


def case(k, part="out_of_fold", **changes):
    return {
        "image_id": f"i{k}", "patient_id": f"p{k}", "part": part, "laterality": "LR"[k % 2], "view": "CC", "n_masses": "1",
        "largest_mass_mm": "12", "reference_pixels": "400", "dice": f"{k / 100}", "original_dice": f"{k / 200}", "ceiling_square": "0.9", "ceiling_model": "",
    } | changes  # fmt: skip


def rows(cases, extras=None, folds=None):
    return breakdown_rows({("site", "m"): cases}, MODELS, DATASETS, {"site": extras or {}}, folds or {}, RECIPE)


def test_each_kind_with_its_groups_and_means():
    cases = [case(k, largest_mass_mm="5" if k < 10 else "25" if k < 20 else "") for k in range(24)]
    extras = {f"i{k}": {"pathology": "malignant" if k % 3 else "benign", "lesion": f"x{k}"} for k in range(24)}
    folds = {("site", f"p{k}"): str(k % 4) for k in range(24)}
    made = rows(cases, extras, folds)
    assert all(set(row) == set(COLUMNS) for row in made)
    found = {(r["by"], r["group"]): r for r in made}
    assert list(found) == [
        ("largest mass", "below 10 mm"), ("largest mass", "20 mm and more"), ("laterality", "L"), ("laterality", "R"),
        ("pathology", "benign"), ("pathology", "malignant"), *(("fold", str(f)) for f in range(4)),
    ]  # fmt: skip
    small = found["largest mass", "below 10 mm"]
    assert (small["n_images"], small["n_patients"], small["dice_mean"]) == (10, 10, "0.045000")
    assert (small["original_dice_mean"], small["ceiling_square_mean"], small["ceiling_model_mean"]) == (
        "0.022500", "0.900000", "",
    )  # fmt: skip
    assert float(small["dice_low"]) < 0.045 < float(small["dice_high"])


def test_groups_of_fewer_than_five_patients_are_not_shown():
    cases = [case(k, patient_id=f"p{k % 4}", laterality="L") for k in range(40)] + [
        case(k, laterality="R", patient_id=f"q{k}") for k in range(5)
    ]
    assert [(r["by"], r["group"]) for r in rows(cases)] == [
        ("largest mass", "10 to 20 mm"),
        ("laterality", "R"),
        ("laterality", "too few patients"),
    ]
    hidden = rows(cases)[-1]
    assert (hidden["n_images"], hidden["n_patients"], hidden.get("dice_mean")) == (40, 4, None)


def test_images_without_a_mass_or_a_dice_do_not_count():
    cases = [case(k, n_masses="0") for k in range(6)] + [case(k, dice="") for k in range(6)]
    assert rows(cases) == []


def test_a_part_that_an_ensemble_predicted_has_no_folds():
    folds = {("site", f"p{k}"): str(k % 2) for k in range(20)}
    assert {r["by"] for r in rows([case(k, "holdout") for k in range(20)], folds=folds)} == {
        "largest mass",
        "laterality",
    }


@pytest.mark.parametrize(
    ("size", "group"),
    [("", ""), ("9.99", "below 10 mm"), ("10", "10 to 20 mm"), ("19.99", "10 to 20 mm"), ("20", "20 mm and more")],
)
def test_sizes(size, group):
    assert size_group(size, [10, 20]) == group


def test_without_a_pixel_spacing_sizes_are_on_the_square():
    # Diameters 2 sqrt(n / pi): 314 pixels 19.995, 315 pixels 20.027, 1256 39.99, 1257 40.006; of 500 pixels 4 % are 20.
    pixels = ["314"] * 6 + ["315"] * 3 + ["1256"] * 3 + ["1257"] * 5
    cases = [case(k, largest_mass_mm="", reference_pixels=n, laterality="L") for k, n in enumerate(pixels)]
    found = [(r["by"], r["group"], r["n_images"]) for r in rows(cases)]
    assert found == [
        ("mass on the square", "below 4 %", 6), ("mass on the square", "4 to 8 %", 6), ("mass on the square", "8 % and more", 5),
    ]  # fmt: skip


def test_intervals_are_over_patients():
    values = np.repeat(np.random.default_rng(1).random(8), 3).round(6)
    cases = [case(k, patient_id=f"p{k // 3}", laterality="L", dice=str(v)) for k, v in enumerate(values)]
    (row,) = rows(cases)
    judge = mean_interval(values, [f"p{k // 3}" for k in range(24)], 0.95, 999, 1)
    assert [float(row[f"dice_{k}"]) for k in ("mean", "low", "high")] == pytest.approx(judge, abs=1e-6)


def test_numbers_stand_in_their_order():
    cases = [case(k) for k in range(60)]
    extras = {f"i{k}": {"birads": ("10", "2", "4a")[k % 3]} for k in range(60)}
    assert [r["group"] for r in rows(cases, extras) if r["by"] == "birads"] == ["2", "10", "4a"]
