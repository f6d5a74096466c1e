"""Scores of single cases, judged by scikit-learn and SimpleITK."""

import cv2
import numpy as np
import pytest
import SimpleITK
from scipy import ndimage
from sklearn.metrics import f1_score, jaccard_score

from mammoseg.acceptance import Code
from mammoseg.errors import UserError
from mammoseg.files import write_csv
from mammoseg.fingerprint import sha256
from mammoseg.scoring import KEPT, binarise, score_case, score_cases

SIDE = 64

CODE = Code("1", frozenset({"1"}))


def scored(predictions, shards, threshold=0.5, code=CODE):
    return score_cases(predictions, shards, threshold, code, predictions.with_name(".scores.csv"))


def blobs(rng: np.random.Generator, share: float) -> np.ndarray:
    """A mask of smooth random regions that holds about `share` of the pixels."""
    field = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
    return field > np.quantile(field, 1 - share)


@pytest.fixture
def case_files(tmp_path):
    """Write cases as the workflow does; returns the paths of the predictions' manifest and of two shard manifests."""

    def write(cases: list[dict]):
        predictions, shards = (
            tmp_path / "predictions/m/manifest.csv",
            [tmp_path / f"png/a-{k}/manifest.csv" for k in range(2)],
        )
        for folder in (predictions.parent, *(s.parent for s in shards)):
            folder.mkdir(parents=True, exist_ok=True)
        rows = [[], []]
        for k, case in enumerate(cases):
            facts = {"patient_id": f"p{k}", "laterality": "L", "view": "CC", "status": "ok"}
            rows[k % 2].append(facts | {key: case[key] for key in case if key not in ("probability", "mask")})
            cv2.imwrite(str(predictions.with_name(f"{case['image_id']}.png")), case["probability"])
            mask = shards[k % 2].with_name(f"{case['image_id']}_mask.png")
            cv2.imwrite(str(mask), case["mask"].astype(np.uint8) * 255)
            rows[k % 2][-1]["mask_sha256"] = sha256(mask)
        columns = ("image_id", "patient_id", "laterality", "view", "n_masses", "status", "mask_sha256")
        for shard, mine in zip(shards, rows, strict=True):
            write_csv(shard, columns, mine)
        made = [
            {"image_id": i, "part": "holdout", "png_sha256": sha256(predictions.with_name(f"{i}.png"))}
            for i in (c["image_id"] for c in cases)
        ]
        write_csv(predictions, ("image_id", "part", "png_sha256"), made)
        return predictions, shards

    return write


def test_scores_agree_with_scikit_learn_and_simpleitk():
    rng = np.random.default_rng(0)
    for share in (0.001, 0.02, 0.2, 0.6):
        for _ in range(5):
            reference = blobs(rng, share)
            predicted = np.roll(blobs(rng, share) | reference, rng.integers(-3, 4, 2), (0, 1))
            probability = np.where(
                predicted, rng.integers(32768, 65536, reference.shape), rng.integers(0, 32768, reference.shape)
            )
            row = score_case(probability.astype(np.uint16), reference, 0.5)
            truth, answer = reference.ravel(), predicted.ravel()
            assert row["dice"] == pytest.approx(f1_score(truth, answer), abs=1e-12)
            assert row["iou"] == pytest.approx(jaccard_score(truth, answer), abs=1e-12)
            components = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(predicted.astype(np.uint8)), True)
            assert row["predicted_regions"] == int(SimpleITK.GetArrayFromImage(components).max())
            assert (row["reference_pixels"], row["predicted_pixels"]) == (truth.sum(), answer.sum())
            assert row["true_positive_pixels"] == (truth & answer).sum()


def test_regions_that_touch_at_a_corner_are_one():
    probability = np.zeros((4, 4), np.uint16)
    probability[0, 0] = probability[1, 1] = probability[3, 0] = 65535
    assert score_case(probability, np.zeros((4, 4), bool))["predicted_regions"] == 2


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.6, 0.05, 0.95])
def test_a_probability_equal_to_the_threshold_is_mass(threshold):
    levels = np.rint(65535 * np.array([threshold, threshold - 1e-4, threshold + 1e-4])).astype(np.uint16)
    assert binarise(levels, threshold).tolist() == [True, False, True]


def test_threshold_zero_takes_all_and_one_only_certainty():
    levels = np.array([0, 65534, 65535], np.uint16)
    assert binarise(levels, 0).all()
    assert binarise(levels, 1).tolist() == [False, False, True]


def test_undefined_scores_are_empty_and_a_false_alarm_scores_zero():
    nothing = np.zeros((8, 8), np.uint16)
    empty = score_case(nothing, np.zeros((8, 8), bool))
    assert (empty["dice"], empty["iou"], empty["predicted_regions"]) == (None, None, 0)
    alarm = nothing.copy()
    alarm[2, 2] = 65535
    assert score_case(alarm, np.zeros((8, 8), bool))["dice"] == 0
    assert score_case(nothing, np.ones((8, 8), bool))["dice"] == 0


def test_rows_of_a_data_set(case_files):
    rng = np.random.default_rng(1)
    full = np.full((SIDE, SIDE), 65535, np.uint16)
    cases = [
        {"image_id": "c", "n_masses": "2", "mask": blobs(rng, 0.1), "probability": full},
        {"image_id": "b", "n_masses": "0", "mask": np.zeros((SIDE, SIDE)), "probability": full * 0},
        {"image_id": "a", "n_masses": "", "mask": np.zeros((SIDE, SIDE)), "probability": full},
        {"image_id": "d", "n_masses": "1", "mask": blobs(rng, 0.1), "probability": full, "status": "undecodable"},
    ]
    rows = scored(*case_files(cases))[0]
    assert [row["image_id"] for row in rows] == ["b", "c"]  # sorted; no reference, no row; not rendered, no row
    assert all(set(row) == set(KEPT) for row in rows)
    assert rows[0]["dice"] is None
    share = cases[0]["mask"].mean()
    assert rows[1]["dice"] == pytest.approx(2 * share / (1 + share))
    assert (rows[1]["part"], rows[1]["view"], rows[1]["n_masses"]) == ("holdout", "CC", "2")


def test_a_missing_prediction_is_an_error_that_names_the_image(case_files):
    cases = [
        {
            "image_id": name,
            "n_masses": "1",
            "mask": np.ones((SIDE, SIDE)),
            "probability": np.zeros((SIDE, SIDE), np.uint16),
        }
        for name in ("one", "two")
    ]
    predictions, shards = case_files(cases)
    (predictions.parent / "two.png").unlink()
    with pytest.raises(UserError, match="image_id two"):
        scored(predictions, shards)
    write_csv(predictions, ("image_id", "part", "png_sha256"), [{"image_id": "two", "part": "holdout"}])
    with pytest.raises(UserError, match=r"1 of 2 .*image_id one"):
        scored(predictions, shards)


def test_a_damaged_or_8_bit_prediction_is_an_error(case_files):
    case = {
        "image_id": "x",
        "n_masses": "1",
        "mask": np.ones((SIDE, SIDE)),
        "probability": np.zeros((SIDE, SIDE), np.uint8),
    }
    predictions, shards = case_files([case])
    with pytest.raises(UserError, match="image_id x"):
        scored(predictions, shards)
    (predictions.parent / "x.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="image_id x"):
        scored(predictions, shards)


def test_a_case_is_scored_again_only_when_its_prediction_its_mask_or_the_threshold_changes(case_files):
    rng = np.random.default_rng(2)
    full = np.full((SIDE, SIDE), 65535, np.uint16)
    cases = [{"image_id": i, "n_masses": "1", "mask": blobs(rng, 0.1), "probability": full} for i in "ab"]
    cases.append({"image_id": "c", "n_masses": "0", "mask": np.zeros((SIDE, SIDE)), "probability": full * 0})
    predictions, shards = case_files(cases)
    first, n = scored(predictions, shards)
    assert n == 3
    kept, n = scored(predictions, shards)
    assert n == 0
    text = [{k: "" if v is None else str(v) for k, v in row.items()} for row in first]
    assert kept == text, "kept scores are the very same text"
    assert scored(predictions, shards, threshold=0.4)[1] == 3
    assert scored(predictions, shards, threshold=0.4, code=Code("2", frozenset({"2"})))[1] == 3
    assert scored(predictions, shards, threshold=0.4, code=Code("3", frozenset({"2", "3"})))[1] == 0
    predictions, shards = case_files([{**cases[0], "probability": full * 0}, *cases[1:]])
    assert scored(predictions, shards, threshold=0.4, code=Code("2", frozenset({"2"})))[1] == 1
