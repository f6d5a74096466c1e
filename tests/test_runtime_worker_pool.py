"""A piece of work that kills its process, fills the memory or never ends is lost alone; all others are done, in order."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT

from mammoseg.runtime import worker_pool
from mammoseg.runtime.worker_pool import in_processes


def lost(x, _how):
    return ("lost", x)


def work(x, how):
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "memory":
        np.ones(3_000_000_000, np.uint8)
    if how == "python memory":
        raise MemoryError
    if how == "hang":
        time.sleep(60)
    if how == "hang in C":
        pow(
            3, 10**9, 10 ** (10**6) + 7
        )  # one call, minutes long: no handler written in Python would run before its end
    return x * x


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("how", ["crash", "memory", "python memory", "hang", "hang in C"])
def test_one_is_lost_and_no_other(monkeypatch, processes, how):
    monkeypatch.setattr(worker_pool, "SECONDS", 2)
    todo = [(x, how if x == 3 else "") for x in range(8)]
    counted = []
    made = in_processes(work, todo, processes, lost, counted.append)
    assert made == [0, 1, 4, ("lost", 3), 16, 25, 36, 49]
    assert sorted(map(str, counted)) == sorted(map(str, made))  # each told once, the lost one too


def test_nothing_to_do():
    assert in_processes(work, [], 4, lost) == []


def fail(x, folder):
    if x == 2:
        raise RuntimeError("a bug")
    (folder / str(x)).touch()
    time.sleep(0.01)


def test_a_bug_is_raised_at_once(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"):
        in_processes(fail, [(x, tmp_path) for x in range(1000)], 2, lost)
    assert len(list(tmp_path.iterdir())) < 100


WHOLE_RUN = """
import signal, sys, time
from pathlib import Path
from mammoseg.runtime.worker_pool import in_processes

def work(x):
    Path(sys.argv[1], str(x)).touch()
    time.sleep(0.2)

signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs these tests may have it ignored
in_processes(work, [(x,) for x in range(1000)], 2, print)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_who_is_killed_leaves_no_process_that_works_on(tmp_path, how):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.Popen([sys.executable, "-c", WHOLE_RUN, str(tmp_path)], stderr=subprocess.DEVNULL, env=environment)
    while len(list(tmp_path.iterdir())) < 4:
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(how)
    run.wait(20)
    done = len(list(tmp_path.iterdir()))
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) == done < 100


def threads(_):
    import cv2
    from threadpoolctl import threadpool_info

    return {cv2.getNumThreads(), *(pool["num_threads"] for pool in threadpool_info())}


def test_threads_are_pinned_to_one():
    assert in_processes(threads, [(0,), (1,)], 2, lost) == [{1}, {1}]


def use(megabytes):
    return int(np.ones(megabytes * 1_000_000, np.uint8)[-1])


def test_what_the_parent_holds_is_not_counted(monkeypatch):
    held = np.ones(300_000_000, np.uint8)
    monkeypatch.setattr(worker_pool, "MEMORY", 200_000_000)
    assert in_processes(use, [(50,), (150,), (250,)], 2, lambda m: ("lost", m)) == [1, 1, ("lost", 250)]
    assert held[0]
