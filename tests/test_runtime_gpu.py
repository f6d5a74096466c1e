"""Which job gets which GPU, on devices that are only pretended: names in CUDA_VISIBLE_DEVICES."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mammoseg.runtime import gpu
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.gpu import claimed, own_device, visible_devices

SRC = Path(__file__).parents[1] / "src"
HOLDER = """
import logging, sys, time
from pathlib import Path
from mammoseg.runtime import gpu
gpu.PAUSE = 0.05
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
gpu.torch.cuda.device_count = lambda: int(sys.argv[2])
names = gpu.visible_devices()
with gpu.claimed(names, folder=Path(sys.argv[1])) as index:
    print("has", names[index], flush=True)
    sys.stdin.readline()
"""


class Holder:
    """A process that holds a device until it is told to let go."""

    def __init__(self, folder, devices=4):
        environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder), str(devices)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={**environment, "PYTHONPATH": str(SRC)},
        )  # fmt: skip

    def says(self):
        return self.process.stdout.readline().strip()

    def lets_go(self):
        self.process.communicate("\n", timeout=60)


@pytest.fixture
def holders(tmp_path):
    """Starts holders, and ends what is left of them."""
    started = []

    def start(**options):
        started.append(Holder(tmp_path, **options))
        return started[-1]

    yield start
    for holder in started:
        holder.process.kill()
        holder.process.wait()


def test_four_jobs_never_share_a_device_and_a_killed_ones_is_free_again(holders):
    jobs = [holders() for _ in range(4)]
    devices = [job.says() for job in jobs]
    assert sorted(devices) == ["has 0", "has 1", "has 2", "has 3"]

    fifth = holders()
    assert fifth.says().startswith("All 4 GPUs are held by other jobs of yours; this one waits.")
    jobs[2].process.send_signal(signal.SIGKILL)
    assert fifth.says() == devices[2]

    sixth = holders()
    assert sixth.says().startswith("All 4 GPUs")
    jobs[1].lets_go()
    assert sixth.says() == devices[1]


def test_the_only_device_of_a_workstation_is_not_shared(holders):
    """Nobody has chosen it: CUDA_VISIBLE_DEVICES is not set."""
    first, second = holders(devices=1), holders(devices=1)
    said = [first.says(), second.says()]
    waiting = second if said[0] == "has 0" else first
    assert sorted(said)[0].startswith("The GPU is held by other jobs of yours; this one waits. `--resources gpu=1`")
    (first if waiting is second else second).lets_go()
    assert waiting.says() == "has 0"


def test_one_listed_device_is_taken_as_the_scheduler_gave_it(tmp_path, monkeypatch):
    """Under a scheduler every job may see its own device by the name 0."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with claimed(["0"], folder=tmp_path) as one, claimed(["0"], folder=tmp_path) as two:
        assert one == two == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("listed", "counted", "names"),
    [
        ("2,0", 2, ["2", "0"]), ("GPU-8a, GPU-9b", 2, ["GPU-8a", "GPU-9b"]), ("MIG-a/b:1", 1, ["MIG-a/b:1"]), ("", 0, []),
        ("1,-1,0", 1, ["1"]), ("0,7,1", 1, ["0"]),  # CUDA stops at what is no device
    ],
)  # fmt: skip
def test_devices_are_those_that_are_visible(monkeypatch, listed, counted, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: counted)
    assert visible_devices() == names


def test_without_a_list_all_devices_are_visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert visible_devices() == ["0", "1", "2"]


def test_the_device_is_known_by_its_place_among_the_visible_ones(monkeypatch, tmp_path):
    """CUDA numbers what it sees from 0: with CUDA_VISIBLE_DEVICES=2,0 the card 0 is cuda:1."""
    monkeypatch.setattr(gpu.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    with own_device("auto") as one, own_device("gpu") as two, own_device("cpu") as three:
        assert (one, two, three) == (torch.device("cuda", 0), torch.device("cuda", 1), torch.device("cpu"))


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with own_device("auto") as chosen:
        assert chosen == torch.device("cpu")
    with pytest.raises(UserError, match="training.accelerator is gpu, but no GPU is visible"), own_device("gpu"):
        pass
