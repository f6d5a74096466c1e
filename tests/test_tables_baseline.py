"""The brightness threshold, judged by brute force on the pixels."""

import cv2
import numpy as np
import pytest
from sklearn.metrics import f1_score

from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import write_csv
from mammoseg.tables.baseline import (
    SHARES,
    Threshold,
    baseline_rows,
    best_threshold,
    brightness,
    cuts_for_shares,
    score,
    scores_at_all_cuts,
)

SIDE = 48


def picture(seed: int, brightness_of_breast: int = 90, mass: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A breast with noise, air around it, and a brighter disc; (image uint8, mask bool)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    breast = x < 30
    mask = np.hypot(y - rng.integers(12, 36), x - 14) < rng.integers(3, 7)
    image = np.where(breast, brightness_of_breast + rng.normal(0, 12, (SIDE, SIDE)) + mass * mask, 0)
    return np.clip(image, 0, 255).round().astype(np.uint8), mask


def brute_dice(predicted: np.ndarray, mask: np.ndarray) -> float:
    return f1_score(mask.ravel(), predicted.ravel(), zero_division=0)


def test_every_cut_scores_as_the_pixels_do():
    image, mask = picture(0)
    dice, iou = scores_at_all_cuts(brightness("p", image, mask))
    for cut in range(257):
        predicted = image.astype(int) >= cut
        assert dice[cut] == pytest.approx(brute_dice(predicted, mask), abs=1e-12)
        assert iou[cut] == pytest.approx((predicted & mask).sum() / (predicted | mask).sum(), abs=1e-12)


def test_a_share_keeps_at_most_that_many_breast_pixels_and_as_many_as_it_can():
    image, mask = picture(1)
    breast = (image > 0).sum()
    for share, cut in zip(SHARES, cuts_for_shares(brightness("p", image, mask), SHARES), strict=True):
        assert (image.astype(int) >= cut).sum() <= share * breast
        assert cut == 1 or (image.astype(int) >= cut - 1).sum() > share * breast


def test_best_threshold_equals_a_search_on_the_pixels():
    def dice_of(predicted, mask):
        return 2 * (predicted & mask).sum() / (predicted.sum() + mask.sum())

    pictures = [picture(k) for k in range(4)]
    best = best_threshold([brightness("p", *p) for p in pictures])
    grey = {t: np.mean([dice_of(image >= t, mask) for image, mask in pictures]) for t in range(1, 256)}
    share = {}
    for s in SHARES:
        scores = []
        for image, mask in pictures:
            cut = next(t for t in range(1, 257) if (image.astype(int) >= t).sum() <= s * (image > 0).sum())
            scores.append(dice_of(image.astype(int) >= cut, mask))
        share[s] = np.mean(scores)
    expected = max(max(grey.values()), max(share.values()))
    assert best.training_dice == pytest.approx(expected, abs=1e-12)
    table = grey if best.family == "grey_value" else share
    assert table[best.value] == pytest.approx(expected, abs=1e-12)


def test_each_family_wins_where_it_should():
    differently_bright = [brightness("p", *picture(k, 40 + 20 * k)) for k in range(6)]
    assert best_threshold(differently_bright).family == "brightest_share"
    y, x = np.mgrid[:SIDE, :SIDE]
    same_grey = [
        brightness("p", np.where(mask, 200, 100).astype(np.uint8), mask)
        for mask in (np.hypot(y - 20, x - 20) < radius for radius in (3, 6, 12, 18))
    ]
    assert best_threshold(same_grey) == Threshold("grey_value", 101.0, 1.0)


def test_score_of_one_image():
    image, mask = picture(2)
    dice, iou = score(Threshold("grey_value", 130.0, 0.0), brightness("p", image, mask))
    assert dice == pytest.approx(brute_dice(image >= 130, mask))
    assert iou == pytest.approx(dice / (2 - dice))


@pytest.fixture
def study(tmp_path):
    """Two data sets on disk: site-a with a training and a holdout patient and a normal image, site-b external."""
    shards, images = {"site-a": [], "site-b": []}, {}
    plan = [
        ("site-a", "t1", "1"),
        ("site-a", "t2", "1"),
        ("site-a", "h1", "1"),
        ("site-a", "t1", "0"),
        ("site-b", "e1", "2"),
    ]
    for k, (dataset, patient, masses) in enumerate(plan):
        manifest = tmp_path / dataset / "png" / f"s-{k}" / "manifest.csv"
        manifest.parent.mkdir(parents=True)
        image, mask = picture(k)
        mask = mask & (masses != "0")
        cv2.imwrite(str(manifest.with_name(f"i{k}.png")), image.astype(np.uint16) * 257)
        cv2.imwrite(str(manifest.with_name(f"i{k}_mask.png")), mask.astype(np.uint8) * 255)
        row = {"image_id": f"i{k}", "patient_id": patient, "n_masses": masses, "status": "ok"}
        write_csv(manifest, ("image_id", "patient_id", "n_masses", "status"), [row])
        shards[dataset].append(manifest)
        images[k] = image, mask
    roles = {"t1": "train", "t2": "train", "h1": "holdout", "e1": "external"}
    splits = [{"dataset": d, "patient_id": p, "role": roles[p]} for d, p in {(d, p) for d, p, _ in plan}]
    return shards, splits, images


def test_chosen_on_the_training_part_only_and_scored_on_all(study):
    shards, splits, images = study
    best = best_threshold([brightness("p", *images[k]) for k in (0, 1)])
    rows = {(r["dataset"], r["part"]): r for r in baseline_rows(shards, splits)}
    assert set(rows) == {("site-a", "out_of_fold"), ("site-a", "holdout"), ("site-b", "external")}
    for (dataset, part), members in {
        ("site-a", "out_of_fold"): (0, 1),
        ("site-a", "holdout"): (2,),
        ("site-b", "external"): (4,),
    }.items():
        row = rows[dataset, part]
        assert (row["family"], float(row["value"])) == (best.family, best.value)
        expected = [score(best, brightness("p", *images[k])) for k in members]
        assert float(row["dice_mean"]) == pytest.approx(np.mean([d for d, _ in expected]), abs=1e-6)
        assert float(row["iou_mean"]) == pytest.approx(np.mean([i for _, i in expected]), abs=1e-6)
        assert row["n_images"] == len(members)
        assert row["dice_sd"] == ("" if len(members) == 1 else f"{np.std([d for d, _ in expected], ddof=1):.6f}")


def test_holdout_pixels_do_not_move_the_threshold(study):
    shards, splits, _ = study
    before = baseline_rows(shards, splits)
    manifest = shards["site-a"][2]
    cv2.imwrite(str(manifest.with_name("i2.png")), np.full((SIDE, SIDE), 65535, np.uint16))
    after = baseline_rows(shards, splits)
    assert {(r["family"], r["value"]) for r in before} == {(r["family"], r["value"]) for r in after}
    assert [r["dice_mean"] for r in before] != [r["dice_mean"] for r in after]


def test_no_training_mass_is_a_clear_error(study):
    shards, splits, _ = study
    with pytest.raises(UserError, match="no training image has a mass"):
        baseline_rows(shards, [row | {"role": "external"} for row in splits])
