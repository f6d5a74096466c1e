"""Detection by hand: three images, four masses."""

import pytest

from mammoseg.evaluation.statistics import proportion_interval
from mammoseg.tables.detection import COLUMNS, CURVE, detection_rows

RECIPE = {"alpha": 0.05, "resamples": 999, "seed": 1}
MODELS = {"m": [{}]}
DATASETS = {"site": {}}


def mass(image, score="", found="", box="0.5", part="holdout"):
    row = {"image_id": image, "patient_id": image, "part": part, "kind": "mass", "pixels": "9", "score": score}
    return row | {"dice_found": found, "dice_in_box": box}


def alarm(image, score, part="holdout"):
    return mass(image, score, part=part) | {"kind": "false_positive", "pixels": "", "dice_in_box": ""}


CASES = [{"image_id": i, "patient_id": f"p{i}", "part": "holdout"} for i in "abcd"]
# a: found at 0.9, missed; b: found at 0.6 and at 0.7, alarm at 0.8; c: nothing; d: alarms at 0.5 and 0.65.
LESIONS = [
    mass("a", "0.9", "0.8", "0.9"), mass("a"), mass("b", "0.6", "0.6"), mass("b", "0.7", "0.7"), alarm("b", "0.8"),
    alarm("d", "0.5"), alarm("d", "0.65"),
]  # fmt: skip


def test_by_hand():
    rows, curve = detection_rows({("site", "m"): CASES}, {("site", "m"): LESIONS}, MODELS, DATASETS, RECIPE)
    (row,) = rows
    assert set(row) == set(COLUMNS)
    assert (row["n_images"], row["n_patients"], row["n_masses"], row["n_images_with_mass"]) == (4, 4, 4, 2)
    expected = {
        "image_sensitivity": 2 / 2, "sensitivity": 3 / 4, "false_positives_per_image": 3 / 4, "sensitivity_at_0.25": 2 / 4, "sensitivity_at_0.5": 3 / 4,
        "sensitivity_at_1": 3 / 4, "sensitivity_at_2": 3 / 4,
        "dice_of_found_masses": 0.7, "dice_in_box_of_reference": (0.9 + 3 * 0.5) / 4,
    }  # fmt: skip
    assert {k: float(row[k]) for k in expected} == pytest.approx(expected)
    points = [
        (float(r["threshold"] or "inf"), float(r["false_positives_per_image"]), float(r["sensitivity"])) for r in curve
    ]
    assert all(tuple(r) == CURVE for r in curve)
    assert points == [
        (float("inf"), 0, 0), (0.9, 0, 0.25), (0.8, 0.25, 0.25), (0.7, 0.25, 0.5), (0.65, 0.5, 0.5), (0.6, 0.5, 0.75), (0.5, 0.75, 0.75),
    ]  # fmt: skip


def test_shares_are_over_patients():
    """Twelve patients with two images: one with a mass, one without. A share of observations would have narrower intervals."""
    cases = [{"image_id": f"{p}{k}", "patient_id": f"p{p}", "part": "holdout"} for p in range(12) for k in "mn"]
    lesions = [
        mass(f"{p}m", *(("0.9", "0.8") if p < 9 else ())) for p in range(12) for _ in range(3)
    ]  # all three or none
    lesions += [alarm(f"{p}n", "0.6") for p in range(4)] + [alarm("0n", "0.7")]
    (row,), _ = detection_rows({("site", "m"): cases}, {("site", "m"): lesions}, MODELS, DATASETS, RECIPE)
    found = proportion_interval([p < 9 for p in range(12) for _ in range(3)], [p for p in range(12) for _ in range(3)])
    assert [float(row[f"sensitivity{k}"]) for k in ("", "_low", "_high")] == pytest.approx(found, abs=1e-6)
    quiet = proportion_interval([p >= 4 for p in range(12)], range(12))
    assert [float(row[f"specificity{k}"]) for k in ("", "_low", "_high")] == pytest.approx(quiet, abs=1e-6)
    assert (row["n_images_without_mass"], row["specificity"], row["false_positives_per_image"]) == (
        12,
        "0.666667",
        "0.208333",
    )


def test_parts_are_kept_apart_and_a_part_without_masses_has_no_sensitivity():
    cases = [*CASES, {"image_id": "e", "patient_id": "pe", "part": "external"}]
    lesions = [*LESIONS, alarm("e", "0.7", "external")]
    rows, curve = detection_rows({("site", "m"): cases}, {("site", "m"): lesions}, MODELS, DATASETS, RECIPE)
    assert [r["part"] for r in rows] == ["holdout", "external"]
    assert rows[1].get("sensitivity", "") == ""
    assert (rows[1]["n_masses"], rows[1]["false_positives_per_image"]) == (0, "1.000000")
    assert {r["part"] for r in curve} == {"holdout"}


def test_a_long_curve_is_thinned_but_keeps_its_ends():
    cases = [{"image_id": f"i{k}", "patient_id": f"p{k}", "part": "holdout"} for k in range(3000)]
    lesions = [mass(f"i{k}", f"{(k + 1) / 3001:.6f}", "0.5") for k in range(3000)]
    _, curve = detection_rows({("site", "m"): cases}, {("site", "m"): lesions}, MODELS, DATASETS, RECIPE)
    assert len(curve) == 200
    assert (curve[0]["sensitivity"], curve[-1]["sensitivity"]) == ("0.000000", "1.000000")


def test_images_in_which_a_mass_is_found():
    lesions = [mass("a", "0.9", "0.8"), mass("a"), mass("b"), mass("b")]  # c and d hold none
    (row,), _ = detection_rows({("site", "m"): CASES}, {("site", "m"): lesions}, MODELS, DATASETS, RECIPE)
    assert (row["n_images_with_mass"], row["image_sensitivity"], row["sensitivity"]) == (2, "0.500000", "0.250000")
