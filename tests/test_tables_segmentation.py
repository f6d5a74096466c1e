"""The tables' numbers, judged by NumPy and by hand, and their words."""

import numpy as np
import pytest

from mammoseg.runtime.files import read_csv, write_csv
from mammoseg.tables import segmentation

DATASETS = {
    "oudsm": {"importer": "oulu", "role": "train", "phantom": False},
    "inbreast": {"importer": "inbreast", "role": "external", "phantom": False},
}
PHANTOMS = {name: facts | {"phantom": True} for name, facts in DATASETS.items()}
ARMS = {
    "resnet34-unet-imagenet": ("resnet34", "unet", "imagenet"),
    "resnet22-fpn-gmic": ("resnet22_gmic", "fpn", "gmic"),
    "resnet34-unet-random": ("resnet34", "unet", "random"),
}


def fold(name: str, used: str | None = None, seconds: float = 10.0, memory: float = 100.0, device: str = "cpu") -> dict:
    encoder, decoder, weights = ARMS[name]
    return {
        "model": {"name": name, "encoder": encoder, "decoder": decoder, "weights": weights, "stem": "dense"},
        "weights_used": used or weights,
        "parameters": {"encoder": 3, "decoder": 4, "total": 7},
        "cost": {"seconds": seconds, "peak_memory_mb": memory, "device": device},
    }


def case(image_id, part, dice, n_masses=1, patient="p", regions=1):
    text = "" if dice is None else repr(dice)
    return {
        "image_id": image_id,
        "patient_id": patient,
        "part": part,
        "n_masses": str(n_masses),
        "dice": text,
        "iou": "" if dice is None else repr(dice / (2 - dice)),
        "predicted_regions": str(regions),
    }


@pytest.fixture
def models():
    return {name: [fold(name) for _ in range(5)] for name in ARMS}


@pytest.fixture
def scores():
    """Every model has the same scores: a holdout of three images, an external image, two out of fold, two normal ones."""
    oudsm = [
        case("a", "holdout", 0.8, patient="p1"),
        case("b", "holdout", 0.6, patient="p1"),
        case("c", "holdout", 0.1, patient="p2"),
        case("d", "holdout", None, 0, "p3", regions=0),
        case("e", "holdout", 0.0, 0, "p4", regions=3),
        case("f", "out_of_fold", 0.5, patient="p5"),
        case("g", "out_of_fold", 0.7, patient="p6"),
        case("h", "new", 1.0, patient="p7"),
    ]
    inbreast = [case("i", "external", 0.9, patient="q1")]
    return {(d, m): rows for d, rows in (("oudsm", oudsm), ("inbreast", inbreast)) for m in ARMS}


def test_mean_and_sample_sd_over_images_with_a_mass(scores, models):
    rows = segmentation.segmentation_rows(scores, models, DATASETS)
    assert [(r["part"], r["dataset"]) for r in rows[::3]] == [
        ("holdout", "oudsm"),
        ("external", "inbreast"),
        ("out_of_fold", "oudsm"),
    ]
    assert [r["model"] for r in rows[:3]] == list(ARMS)
    holdout = rows[0]
    dice = np.array([0.8, 0.6, 0.1])
    assert (holdout["n_images"], holdout["n_patients"]) == (3, 2)
    assert float(holdout["dice_mean"]) == pytest.approx(dice.mean(), abs=1e-6)
    assert float(holdout["dice_sd"]) == pytest.approx(dice.std(ddof=1), abs=1e-6)
    assert float(holdout["iou_mean"]) == pytest.approx((dice / (2 - dice)).mean(), abs=1e-6)
    assert float(holdout["iou_sd"]) == pytest.approx((dice / (2 - dice)).std(ddof=1), abs=1e-6)


def test_one_image_has_no_sd(scores, models):
    external = next(r for r in segmentation.segmentation_rows(scores, models, DATASETS) if r["part"] == "external")
    assert (external["dice_mean"], external["dice_sd"]) == ("0.900000", "")


def test_without_require_mass_false_alarms_enter_and_undefined_scores_do_not(scores, models):
    rows = segmentation.segmentation_rows(scores, models, DATASETS, require_mass=False)
    assert (rows[0]["n_images"], rows[0]["dice_mean"]) == (4, "0.375000")
    said = " ".join(segmentation.notes(scores, models, DATASETS, require_mass=False))
    assert "holds a pixel: 1." in said
    assert "holds a pixel" not in " ".join(segmentation.notes(scores, models, DATASETS))


def test_published_values_stand_beside_the_papers_models_only(scores, models):
    rows = {(r["part"], r["model"]): r for r in segmentation.segmentation_rows(scores, models, DATASETS)}
    unet = rows["holdout", "resnet34-unet-imagenet"]
    published = [unet[f"published_{k}"] for k in ("dice_mean", "dice_sd", "iou_mean", "iou_sd")]
    assert published == ["0.7677", "0.2134", "0.6625", "0.2322"]
    assert rows["external", "resnet22-fpn-gmic"]["published_dice_mean"] == "0.8050"
    assert rows["out_of_fold", "resnet34-unet-imagenet"]["published_dice_mean"] == ""
    assert rows["holdout", "resnet34-unet-random"]["published_dice_mean"] == ""


def test_no_published_value_beside_phantoms_other_archives_or_random_weights(scores, models):
    for datasets, folds in (
        (PHANTOMS, models),
        (DATASETS, {name: [fold(name, used="random")] for name in ARMS}),
    ):
        rows = segmentation.segmentation_rows(scores, folds, datasets)
        assert {r["published_dice_mean"] for r in rows} == {""}
    other = {"oudsm": DATASETS["oudsm"], "csaw": {"importer": "manifest", "role": "external", "phantom": False}}
    elsewhere = {("csaw" if d == "inbreast" else d, m): rows for (d, m), rows in scores.items()}
    rows = segmentation.segmentation_rows(elsewhere, models, other)
    assert {r["published_dice_mean"] for r in rows if r["dataset"] == "csaw"} == {""}


def test_published_table_is_the_papers():
    table = segmentation.published_table()
    assert len(table) == 8
    # Sum of each column, added up by hand from the printed table.
    for column, total in (("dice_mean", 6.1437), ("dice_sd", 1.5330), ("iou_mean", 5.2713), ("iou_sd", 1.6578)):
        assert sum(float(row[column]) for row in table) == pytest.approx(total, abs=1e-9)


def test_weights_in_words(models):
    assert segmentation.weights_in_words([fold("resnet34-unet-imagenet")]) == "imagenet"
    assert segmentation.weights_in_words([fold("resnet34-unet-imagenet", used="random")]) == "random (imagenet missing)"
    assert segmentation.weights_in_words([fold("resnet34-unet-random")]) == "random"
    mixed = [fold("resnet34-unet-imagenet"), fold("resnet34-unet-imagenet", used="random")]
    assert segmentation.weights_in_words(mixed) == "imagenet and random (imagenet missing)"


def test_warnings_say_phantoms_and_random_weights(models):
    assert segmentation.warnings(models, DATASETS) == []
    phantom, weights = segmentation.warnings({name: [fold(name, used="random")] for name in ARMS}, PHANTOMS)
    assert phantom.startswith("All data sets are synthetic phantoms")
    assert "not comparable with the published" in phantom
    assert "random weights" in weights
    one = {"oudsm": DATASETS["oudsm"], "inbreast": PHANTOMS["inbreast"]}
    assert segmentation.warnings(models, one)[0].startswith("inbreast: synthetic phantoms")
    only_random = {"resnet34-unet-random": models["resnet34-unet-random"]}
    assert segmentation.warnings(only_random, DATASETS) == ["All models started from random weights, as configured."]


def test_notes_count_patients_outside_the_cohort(scores, models):
    assert "(new), which enter no mean: 1." in " ".join(segmentation.notes(scores, models, DATASETS))


def test_images_without_a_mass_are_scored_apart(scores, models):
    (first, *others) = segmentation.normal_image_rows(scores, models, DATASETS)
    assert first == {
        "dataset": "oudsm",
        "part": "holdout",
        "model": "resnet34-unet-imagenet",
        "n_images": 2,
        "n_patients": 2,
        "specificity": "0.500000",
        "false_positives_per_image": "1.500000",
    }
    assert len(others) == 2


def test_costs_are_summed_over_folds_and_memory_is_the_highest():
    name = "resnet22-fpn-gmic"
    folds = [fold(name, None, 10.25, 80, "cpu"), fold(name, None, 20.5, 120.04, "NVIDIA H100"), fold(name)]
    (row,) = segmentation.cost_rows({name: folds})
    assert list(row) == list(segmentation.COSTS)
    assert (row["training_seconds"], row["peak_memory_mb"], row["folds"]) == ("40.8", "120.0", 3)
    assert (row["device"], row["parameters"]) == ("NVIDIA H100, cpu", 7)


def test_mean_does_not_depend_on_the_order():
    values = np.random.default_rng(0).random(999).tolist()
    assert (
        segmentation.mean_and_sd(values)
        == segmentation.mean_and_sd(values[::-1])
        == segmentation.mean_and_sd(sorted(values))
    )


def test_csv_has_the_contracts_columns_and_is_the_same_twice(scores, models, tmp_path):
    for name in ("one.csv", "two.csv"):
        write_csv(tmp_path / name, segmentation.SEGMENTATION, segmentation.segmentation_rows(scores, models, DATASETS))
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    header = (tmp_path / "one.csv").read_text().splitlines()[0]
    assert header == (
        "dataset,part,model,encoder,decoder,weights,n_images,n_patients,dice_mean,dice_sd,iou_mean,iou_sd,"
        "published_dice_mean,published_dice_sd,published_iou_mean,published_iou_sd"
    )
    assert read_csv(tmp_path / "one.csv")[0]["weights"] == "imagenet"
