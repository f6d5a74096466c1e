import json

import cv2
import numpy as np
import pytest

from mammoseg.evaluation.case_scores import binarise
from mammoseg.prediction.predict_dataset import images_to_predict, predict_dataset, to_16bit
from mammoseg.rebuild.code_versions import Code
from mammoseg.render.shards import RENDERED
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv, write_csv

CODE = Code("1", frozenset({"1"}))
CHANGED = Code("2", frozenset({"2"}))
SPLITS = [
    {"patient_id": "t0", "dataset": "a", "role": "train", "fold": "0"},
    {"patient_id": "t1", "dataset": "a", "role": "train", "fold": "1"},
    {"patient_id": "h", "dataset": "a", "role": "holdout", "fold": ""},
    {"patient_id": "n", "dataset": "a", "role": "new", "fold": ""},
]
TRAINED_ON = [("t1",), ("t0",)]
VALIDATED_ON = [("t0",), ("t1",)]


class Study:
    """One shard of four patients, and the records of two fold models."""

    def __init__(self, folder):
        self.folder = folder
        rows = []
        for k, r in enumerate(SPLITS):
            cv2.imwrite(str(folder / f"i{k}.png"), np.full((8, 8), 1000 * k, np.uint16))
            rows.append({"image_id": f"i{k}", "patient_id": r["patient_id"], "status": "ok", "png_sha256": f"s{k}"})
        rows.append({"image_id": "bad", "patient_id": "t0", "status": "undecodable"})
        write_csv(folder / "manifest.csv", RENDERED, rows)
        for k in range(2):
            self.model(k, tensors=f"tensors{k}")
        self.calls = []

    def model(self, fold, tensors, training=None):
        facts = {
            "tensors_sha256": tensors, "normalisation": {"mean": 0, "sd": 1}, "model": {"name": "m"},
            "patients": {"training": list(training or TRAINED_ON[fold]), "validation": list(VALIDATED_ON[fold])},
        }  # fmt: skip
        (self.folder / f"fold{fold}.json").write_text(json.dumps(facts))

    def run(self, splits=SPLITS, average="probability", code=CODE):
        self.calls = []
        shown = images_to_predict([self.folder / "manifest.csv"], splits, "a")
        models = [self.folder / f"fold{k}.json" for k in range(2)]
        return predict_dataset(shown, models, self.folder / "out", average=average, code=code, predict=self.predict)

    def predict(self, folds, images):
        self.calls.append((list(folds), len(images)))
        return np.full(images.shape, 0.25 * (1 + sum(folds)), np.float32), np.full(images.shape, 2, np.uint16)

    def rows(self):
        return {r["patient_id"]: r for r in read_csv(self.folder / "out/manifest.csv")}


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(tmp_path)


def test_each_image_by_the_models_that_may_see_it(study):
    assert study.run() == 4
    assert {(p, r["part"], r["made_by"]) for p, r in study.rows().items()} == {
        ("t0", "out_of_fold", "fold0"), ("t1", "out_of_fold", "fold1"), ("h", "holdout", "ensemble"), ("n", "new", "ensemble"),
    }  # fmt: skip
    assert sorted(study.calls) == [([0], 1), ([0, 1], 2), ([1], 1)]
    assert (cv2.imread(str(study.folder / "out/i1.png"), cv2.IMREAD_UNCHANGED) == 32768).all(), "fold 1 says 0.5"
    votes = cv2.imread(str(study.folder / "out/i2_votes.png"), cv2.IMREAD_UNCHANGED)
    assert votes.dtype == np.uint8
    assert (votes == 2).all()
    of_ensembles = {p for p, r in study.rows().items() if r["votes_sha256"]}
    assert of_ensembles == {"h", "n"}, "one fold has no vote to be counted"
    assert sorted(f.name for f in (study.folder / "out").glob("*_votes.png")) == ["i2_votes.png", "i3_votes.png"]


def test_what_is_there_stays_until_its_models_or_its_pixels_change(study):
    study.run()
    assert study.run() == 0
    study.model(1, tensors="other")
    assert study.run() == 3, "all but the image that only fold 0 sees"
    assert study.run(average="vote") == 2, "how folds are combined concerns the ensemble alone"
    assert study.run(average="vote", code=CHANGED) == 4
    for lost in ("i0.png", "i2_votes.png"):
        (study.folder / "out" / lost).unlink()
        assert study.run(average="vote", code=CHANGED) == 1


def test_a_patient_of_another_part_is_noted_there_and_not_predicted_again(study):
    study.run()
    assert study.run([{**r, "role": "external"} if r["role"] == "holdout" else r for r in SPLITS]) == 0
    assert study.rows()["h"]["part"] == "external"
    assert study.rows()["h"]["png_sha256"]


def test_a_model_that_saw_the_patient_is_refused(study):
    study.model(0, tensors="t", training=("t1", "h"))
    with pytest.raises(UserError, match="fold 0 of m was made with patient h, whom it would now be tested on"):
        study.run()
    study.model(0, tensors="t", training=("t0", "t1"))
    with pytest.raises(UserError, match="patient t0"):
        study.run()


def test_a_training_patient_who_is_only_predicted_is_predicted_out_of_fold(study):
    study.run([{**r, "role": "predict"} for r in SPLITS])
    assert {r["part"] for r in study.rows().values()} == {"predict"}
    assert study.rows()["t0"]["made_by"] == "fold0"


def test_sixteen_bits_lose_at_most_half_a_step():
    p = np.linspace(0, 1, 100_001, dtype=np.float32)
    stored = to_16bit(p)
    assert stored.dtype == np.uint16
    assert (stored[0], stored[-1]) == (0, 65535)
    assert np.abs(stored / 65535 - p.astype(float)).max() <= 0.5 / 65535 + 1e-9


def test_the_half_is_mass_and_just_below_is_not():
    p = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0))], np.float32)
    np.testing.assert_array_equal(binarise(to_16bit(p), 0.5), [True, False])


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_share_of_votes_equal_to_the_threshold_is_mass(n):
    for k in range(1, n + 1):
        assert binarise(to_16bit(np.float32([k / n])), k / n).all()


def test_images_that_arrived_after_the_lock_are_new_whoever_their_patient_is(study):
    shards = [study.folder / "train-00000", study.folder / "train-00001"]
    for shard, images in zip(shards, (["i0"], ["later"]), strict=True):
        rows = [{"image_id": i, "patient_id": "t0", "status": "ok", "png_sha256": i} for i in images]
        write_csv(shard / "manifest.csv", RENDERED, rows)
    shown = images_to_predict([s / "manifest.csv" for s in shards], SPLITS, "a", waiting={"train-00001"})
    assert {(s.id, s.part, s.made_by) for s in shown} == {("i0", "out_of_fold", "fold0"), ("later", "new", "fold0")}
