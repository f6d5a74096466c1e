"""How long the trainings of a study will still take, worked out by hand."""

import os

import pytest

from mammoseg.runtime.files import write_csv
from mammoseg.training.time_left import duration, time_left

NOW = 1_000_000.0
COLUMNS = ("epoch", "seconds")


@pytest.fixture
def write(tmp_path):
    """Write a history of some epochs that took so many seconds each."""

    def write(place, epochs, seconds, age=0.0):
        path = tmp_path / place / "history.csv"
        write_csv(path, COLUMNS, ({"epoch": k + 1, "seconds": seconds} for k in range(epochs)))
        os.utime(path, (NOW - age, NOW - age))

    return write


def test_before_the_first_epoch_nothing_is_known(tmp_path):
    assert time_left(tmp_path, {"a": 10}, 2, NOW) is None


def test_one_runs_and_the_others_wait(tmp_path, write):
    write("a/fold0/.resume", 4, 2.5)
    left = time_left(tmp_path, {"a": 10}, 3, NOW)
    assert left == (0, 3, 1, (6 + 10 + 10) * 2.5)
    assert str(left) == "the study: 0 of 3 trainings finished, 1 at work, about 1 min of training left"


def test_finished_running_and_those_that_were_not_begun(tmp_path, write):
    """Model b was not begun: it is taken to be as the mean of the others."""
    write("a/fold0", 10, 2)
    write("a/fold1/.resume", 5, 4)
    write("c/fold0/.resume", 1, 10)
    left = time_left(tmp_path, {"a": 10, "b": 20, "c": 10}, 2, NOW)
    a, c = (10 * 2 + 5 * 4) / 15, 10
    assert left[:3] == (1, 6, 2)
    assert left.seconds == pytest.approx((5 * a + 2 * 20 * (a + c) / 2 + 19 * c) / 2)


def test_one_that_is_trained_again_is_not_finished(tmp_path, write):
    write("a/fold0", 10, 2)
    write("a/fold0/.resume", 3, 2)
    assert time_left(tmp_path, {"a": 10}, 1, NOW) == (0, 1, 1, 14)


def test_one_that_is_silent_does_not_run(tmp_path, write):
    write("a/fold0/.resume", 5, 100, age=299)
    write("a/fold1/.resume", 5, 100, age=301)
    assert time_left(tmp_path, {"a": 10}, 2, NOW) == (0, 2, 1, 1000)


def test_at_the_end_nothing_is_left(tmp_path, write):
    write("a/fold0", 10, 2)
    write("a/fold1/.resume", 10, 2)
    assert time_left(tmp_path, {"a": 10}, 2, NOW)[:4] == (2, 2, 1, 0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3.4, "3 s"), (59.4, "59 s"), (90, "2 min"), (3600, "1 h 0 min"), (12_000, "3 h 20 min")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
