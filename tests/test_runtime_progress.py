"""What a job says of its progress, in its log."""

import logging
import sys

import pytest

from mammoseg.runtime import progress
from mammoseg.runtime.progress import Progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock.monotonic)
    return clock


def test_rate_and_time_left_by_hand(clock, caplog):
    with caplog.at_level(logging.DEBUG):
        counting = Progress("images", 400)
        for _ in range(100):
            clock.now += 0.5
            counting.step()
    # One line after 30 s: 60 images in 30 s are 2 a second, 340 are left: 170 s, 3 minutes.
    assert caplog.messages == ["60 of 400 images, 2.0 a second, about 3 min left"]
    counting.step(300)
    with caplog.at_level(logging.DEBUG):
        counting.close()
    assert caplog.messages[-1] == "400 of 400 images, 8.0 a second"


def test_nothing_to_do_says_nothing(clock, caplog):
    with caplog.at_level(logging.DEBUG):
        Progress("images", 0).close()
    assert not caplog.messages


def test_a_bar_on_a_terminal_only(clock, capsys, monkeypatch):
    counting = Progress("images", 3)
    counting.step()
    counting.close()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    counting = Progress("images", 3)
    counting.step()
    counting.close()
    assert "0/3" in capsys.readouterr().err
