"""What TensorBoard shows of a training, read back by TensorBoard itself."""

import io
import time

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_training_resume import SCHEDULE, broken_off
from tiny_training import Tiny, recipe, run

from mammoseg.training import fit
from mammoseg.training.events import CURVES, outlined


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(fit, "build_model", lambda *_, **__: Tiny())
    monkeypatch.setattr(fit, "_seconds_per_image", lambda *_: 0.01)


def read(folder):
    seen = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    seen.Reload()
    return seen


def test_the_curves_are_the_history(tmp_path):
    result = run(training=recipe(**SCHEDULE), events=tmp_path)
    seen = read(tmp_path)
    assert set(seen.Tags()["scalars"]) == set(CURVES.values())
    for column, name in CURVES.items():
        assert [e.step for e in seen.Scalars(name)] == [1, 2, 3, 4, 5, 6, 7]
        assert [e.value for e in seen.Scalars(name)] == pytest.approx([row[column] for row in result.history], rel=1e-5)


def test_overlays_every_few_epochs_and_at_the_end(tmp_path):
    run(training=recipe(**SCHEDULE, overlays_every=3), events=tmp_path)
    seen = read(tmp_path)
    names = seen.Tags()["images"]
    assert names == [f"validation/i{k}" for k in (10, 11, 12, 13)]
    for name in names:
        assert [e.step for e in seen.Images(name)] == [3, 6, 7]
        assert Image.open(io.BytesIO(seen.Images(name)[0].encoded_image_string)).size == (64, 64)


def test_no_overlays(tmp_path):
    run(training=recipe(**SCHEDULE, overlays_every=0), events=tmp_path)
    assert not read(tmp_path).Tags()["images"]


def test_what_is_shown_changes_no_model(tmp_path):
    shown = run(training=recipe(**SCHEDULE, overlays_every=1), events=tmp_path)
    plain = run(training=recipe(**SCHEDULE))
    assert all((shown.state[name] == plain.state[name]).all() for name in plain.state)


def test_a_training_that_goes_on_has_each_epoch_once(tmp_path):
    settings = recipe(**SCHEDULE)
    broken_off(4, training=settings, state=tmp_path / "state", events=tmp_path / "events")
    time.sleep(1.1)  # files are read in the order of their names, and these begin with the second
    run(training=settings, state=tmp_path / "state", events=tmp_path / "events")
    assert [e.step for e in read(tmp_path / "events").Scalars("loss/training")] == [1, 2, 3, 4, 5, 6, 7]


def test_a_new_training_shows_nothing_of_the_old_one(tmp_path):
    run(training=recipe(5, 5), events=tmp_path)
    run(training=recipe(1, 1), events=tmp_path)
    assert [e.step for e in read(tmp_path).Scalars("loss/training")] == [1, 2]


def test_outlines_are_the_border_pixels():
    image = np.full((9, 9), 50, np.uint8)
    reference, answer = np.zeros((2, 9, 9), bool)
    reference[1:4, 1:4] = True
    answer[5:8, 5:8] = True
    picture = outlined(image, reference, answer)
    coloured = (picture != 50).any(axis=2)
    border = reference | answer
    border[2, 2] = border[6, 6] = False
    assert np.array_equal(coloured, border)
    assert tuple(picture[1, 1]) == (86, 180, 233)
    assert tuple(picture[5, 5]) == (230, 159, 0)


def test_the_images_shown_do_not_tell_the_order_of_the_original_ids(tmp_path):
    backwards = [f"{99 - k:02d}" for k in range(14)]
    for name, draw_ids in (("plain", None), ("backwards", backwards)):
        run(
            training=recipe(overlays_every=1),
            events=tmp_path / name,
            validate=range(8, 14),
            train=range(8),
            draw_ids=draw_ids,
        )
    assert read(tmp_path / "plain").Tags()["images"] == read(tmp_path / "backwards").Tags()["images"]
