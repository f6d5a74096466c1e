"""Scores of a data set: which cases, from which files, and what is kept."""

import json

import cv2
import numpy as np
import pytest
from scipy import ndimage

from mammoseg.evaluation.case_scores import score_case, votes_of
from mammoseg.evaluation.score_dataset import COLUMNS, LESIONS, Reference, score_cases, write_outputs
from mammoseg.images.letterbox import Letterbox
from mammoseg.images.png import write_png
from mammoseg.metrics.calibration import dice_by_threshold, pixel_counts
from mammoseg.prediction.predict_dataset import COLUMNS as PREDICTED
from mammoseg.rebuild.code_versions import Code
from mammoseg.render.shards import RENDERED
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv, write_csv

SIDE, ROWS, SPACING = 64, 96, 0.5
RECIPE = {"threshold": 0.5, "min_iou": 0.2, "centre_inside": True}
CODE = Code("1", frozenset({"1"}))
FULL = np.full((SIDE, SIDE), 65535, np.uint16)
EMPTY = np.zeros((ROWS, ROWS), bool)


def blobs(seed: int, share: float, side: int = ROWS) -> np.ndarray:
    """A mask of smooth random regions that holds about `share` of the pixels."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 5)
    return field > np.quantile(field, 1 - share)


class Study:
    """The files that scoring reads: two shards, and the predictions of a model of three folds."""

    def __init__(self, folder):
        self.folder = folder
        self.predictions = folder / "predictions/m/manifest.csv"
        self.shards = [folder / f"png/a-{k}/manifest.csv" for k in range(2)]
        self.memory = folder / ".m.csv"

    def write(self, cases):
        box, shards, predicted = Letterbox(ROWS, ROWS, SIDE, True), [[], []], []
        for k, case in enumerate(cases):
            image_id, mask, place = case["image_id"], case["mask"], self.shards[k % 2]
            row = {
                "image_id": image_id, "patient_id": f"p{k}", "laterality": "L", "view": "CC", "status": "ok", "rows": ROWS,
                "columns": ROWS, "side": SIDE, "pad_right": 1, "mirrored": 0, "pixel_spacing_mm": SPACING,
                "largest_mass_mm": case.get("size", ""), "n_masses": case["n_masses"],
            } | {key: case[key] for key in case if key in RENDERED}  # fmt: skip
            small = box.mask(mask) * np.uint8(255)
            row["mask_sha256"] = write_png(place.with_name(f"{image_id}_mask.png"), small)
            if mask.any():
                row["reference_sha256"] = write_png(place.with_name(f"{image_id}_reference.png"), mask)
            shards[k % 2].append(row)
            made = {"image_id": image_id, "patient_id": f"p{k}", "part": case.get("part", "holdout")}
            made["png_sha256"] = write_png(self.predictions.with_name(f"{image_id}.png"), case["probability"])
            if "votes" in case:
                made["votes_sha256"] = write_png(self.predictions.with_name(f"{image_id}_votes.png"), case["votes"])
            predicted.append(made)
        for shard, rows in zip(self.shards, shards, strict=True):
            write_csv(shard, RENDERED, rows)
        write_csv(self.predictions, PREDICTED, sorted(predicted, key=lambda row: row["image_id"]))
        return self

    def score(self, code=CODE, cell=4, **changes):
        return score_cases(self.predictions, self.shards, RECIPE | changes, cell, 3, code, self.memory)

    def outputs(self):
        self.score()
        files = [self.folder / name for name in ("m.csv", "lesions.csv", "trust.json")]
        write_outputs(self.memory, *files)
        return read_csv(files[0]), read_csv(files[1]), json.loads(files[2].read_text())


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(tmp_path)


def test_rows_of_a_data_set(study):
    votes = np.random.default_rng(0).integers(0, 8, (SIDE, SIDE), dtype=np.uint8)
    cases = [
        {"image_id": "c", "n_masses": "2", "mask": blobs(1, 0.1), "probability": FULL, "size": "12.5", "votes": votes},
        {"image_id": "b", "n_masses": "0", "mask": EMPTY, "probability": FULL * 0},
        {"image_id": "a", "n_masses": "", "mask": EMPTY, "probability": FULL},
        {"image_id": "d", "n_masses": "1", "mask": blobs(2, 0.1), "probability": FULL, "status": "undecodable"},
    ]
    rows, _, _ = study.write(cases).outputs()
    assert [row["image_id"] for row in rows] == ["b", "c"]  # sorted; no reference, no row; not rendered, no row
    assert all(tuple(row) == COLUMNS for row in rows)
    assert rows[0]["dice"] == ""
    box = Letterbox(ROWS, ROWS, SIDE, True)
    reference = Reference(box.mask(cases[0]["mask"]), cases[0]["mask"], box, SPACING)
    expected = score_case(FULL, reference, 0.5, 4, votes_of(votes, 3))
    assert {k: rows[1][k] for k in expected} == {k: str(v) for k, v in expected.items()}
    facts = {"part": "holdout", "view": "CC", "n_masses": "2", "largest_mass_mm": "12.5"}
    assert {k: rows[1][k] for k in facts} == facts


def test_predictions_out_of_order_are_no_predictions(study):
    cases = [{"image_id": i, "n_masses": "0", "mask": EMPTY, "probability": FULL} for i in "ab"]
    study.write(cases)
    write_csv(study.predictions, PREDICTED, read_csv(study.predictions)[::-1])
    with pytest.raises(UserError, match="1 of 2 images have no prediction .* image_id a: delete that file"):
        study.score()


@pytest.mark.parametrize(
    ("columns", "pad_right", "counted"), [(48, 1, slice(0, 32)), (48, 0, slice(32, 64)), (50, 1, slice(0, 34))]
)
def test_padding_is_not_calibrated(study, columns, pad_right, counted):
    probability = np.random.default_rng(0).integers(0, 65536, (SIDE, SIDE)).astype(np.uint16)
    case = {
        "image_id": "a",
        "n_masses": "0",
        "mask": EMPTY,
        "probability": probability,
        "columns": columns,
        "pad_right": pad_right,
    }
    _, _, trust = study.write([case]).outputs()
    expected = pixel_counts(probability[:, counted], np.zeros((SIDE, counted.stop - counted.start), bool))
    assert trust["parts"]["holdout"]["pixels"] == expected.tolist()


def test_lesions_and_what_calibration_needs(study):
    mask = np.zeros((ROWS, ROWS), bool)
    mask[12:24, 12:24] = mask[60:72, 60:72] = True  # two masses of 8 × 8 on the square, at 8 and 40
    found = np.zeros((SIDE, SIDE), np.uint16)
    found[8:16, 8:16] = 60000  # one is found,
    found[50:54, 4:8] = 40000  # and one alarm is false
    other = blobs(3, 0.2)
    probability = np.random.default_rng(0).integers(0, 65536, (SIDE, SIDE)).astype(np.uint16)
    cases = [
        {"image_id": "a", "n_masses": "2", "mask": mask, "probability": found},
        {"image_id": "b", "n_masses": "1", "mask": other, "probability": probability},
        {"image_id": "c", "n_masses": "0", "mask": EMPTY, "probability": probability},
        {"image_id": "d", "n_masses": "1", "mask": other, "probability": probability, "part": "external"},
    ]
    _, lesions, trust = study.write(cases).outputs()
    assert all(tuple(row) == LESIONS for row in lesions)
    of_a = [row for row in lesions if row["image_id"] == "a"]
    assert [(r["kind"], r["pixels"], r["score"]) for r in of_a] == [
        ("mass", "64", str(round(60000 / 65535, 6))), ("mass", "64", ""), ("false_positive", "", str(round(40000 / 65535, 6))),
    ]  # fmt: skip
    assert [r["dice_found"] for r in of_a] == ["1.0", "", ""]
    assert [r["dice_in_box"] for r in of_a] == ["1.0", "0.0", ""]
    assert {r["kind"] for r in lesions if r["image_id"] == "c"} == {"false_positive"}

    box = Letterbox(ROWS, ROWS, SIDE, True)
    masks = [box.mask(m) for m in (mask, other, EMPTY)]
    maps = [found, probability, probability]
    holdout = trust["parts"]["holdout"]
    assert (holdout["images"], holdout["cases"], trust["parts"]["external"]["images"]) == (3, 2, 1)
    assert holdout["pixels"] == sum(pixel_counts(p, m) for p, m in zip(maps, masks, strict=True)).tolist()
    mean = np.mean([dice_by_threshold(p, m) for p, m in zip(maps[:2], masks[:2], strict=True)], axis=0)
    assert holdout["dice"] == pytest.approx(mean, abs=2e-6)


def test_a_missing_prediction_is_an_error_that_names_the_image(study):
    mask = blobs(0, 0.1)
    study.write([{"image_id": i, "n_masses": "1", "mask": mask, "probability": FULL} for i in ("one", "two")])
    (study.predictions.parent / "two.png").unlink()
    with pytest.raises(UserError, match="image_id two"):
        study.score()
    write_csv(study.predictions, PREDICTED, [{"image_id": "two", "part": "holdout"}])
    with pytest.raises(UserError, match=r"1 of 2 .*image_id one"):
        study.score()


def test_a_damaged_or_8_bit_prediction_is_an_error(study):
    study.write([{"image_id": "x", "n_masses": "1", "mask": blobs(0, 0.1), "probability": FULL.astype(np.uint8)}])
    with pytest.raises(UserError, match="image_id x"):
        study.score()
    (study.predictions.parent / "x.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="image_id x"):
        study.score()


def test_a_reference_of_another_size_is_an_error(study):
    study.write([{"image_id": "x", "n_masses": "1", "mask": blobs(0, 0.1), "probability": FULL}])
    cv2.imwrite(str(study.shards[0].with_name("x_reference.png")), np.zeros((ROWS, ROWS - 1), np.uint8))
    with pytest.raises(UserError, match=r"reference mask of image x is 96×95 uint8, not 96×96"):
        study.score()


def test_a_case_is_scored_again_only_when_what_it_is_made_from_changes(study):
    cases = [{"image_id": i, "n_masses": "1", "mask": blobs(k, 0.1), "probability": FULL} for k, i in enumerate("ab")]
    cases.append({"image_id": "c", "n_masses": "0", "mask": EMPTY, "probability": FULL * 0})
    study.write(cases)
    assert study.score() == (3, 3)
    first = study.memory.read_bytes()
    assert study.score() == (3, 0)
    assert study.memory.read_bytes() == first, "kept scores are the very same text"
    assert study.score(threshold=0.4)[1] == 3
    assert study.score(threshold=0.4, min_iou=0.5)[1] == 3
    assert study.score(threshold=0.4, min_iou=0.5, cell=8)[1] == 3
    assert study.score(cell=8)[1] == 3
    assert study.score(cell=8, code=Code("2", frozenset({"2"})))[1] == 3
    assert study.score(cell=8, code=Code("3", frozenset({"2", "3"})))[1] == 0
    known = Code("2", frozenset({"2"}))
    study.write([{**cases[0], "probability": FULL * 0}, *cases[1:]])
    assert study.score(cell=8, code=known)[1] == 1
    study.write([{**cases[0], "probability": FULL * 0, "votes": np.zeros((SIDE, SIDE), np.uint8)}, *cases[1:]])
    assert study.score(cell=8, code=known)[1] == 1
    study.write([{**cases[0], "pixel_spacing_mm": "0.1"}, *cases[1:]])
    assert study.score(cell=8, code=known)[1] == 1
    study.write([{**cases[0], "view": "MLO", "pixel_spacing_mm": "0.1"}, *cases[1:]])
    assert study.score(cell=8, code=known)[1] == 0, "what is only carried along is renewed without scoring"
    assert read_csv(study.memory)[0]["view"] == "MLO"
    study.write(cases[1:])
    assert study.score(cell=8, code=known) == (2, 0)
    assert [r["image_id"] for r in read_csv(study.memory)] == ["b", "c"]
