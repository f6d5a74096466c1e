"""A training that is broken off goes on after its last finished epoch, and ends as if nothing had happened."""

import errno
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
import train_fold
from safetensors.torch import load_file
from tiny_training import CONFIG, PACK, UNET, Tiny, recipe, run

from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv, write_csv
from mammoseg.training import fit, fold_data
from mammoseg.training.events import Events
from mammoseg.training.lightning_module import FoldTraining
from mammoseg.training.resume import SEAL, STATE

TESTS = Path(__file__).parent
SCHEDULE = {"combined": 3, "tversky": 4, "freeze": 2, "milestones": [2, 4]}
TIMES = ("seconds", "data_wait_share")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(fit, "_seconds_per_image", lambda *_: 0.01)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(fit, "build_model", lambda *_, **__: Tiny())


class Killed(BaseException):
    """Nothing catches it."""


def broken_off(after, **options):
    """Train, and break off when the epoch `after` has ended."""

    def watch(job):
        if job.epoch == after:
            raise Killed

    with pytest.raises(Killed):
        run(watchers=[watch], **options)


def assert_same(a, b):
    assert a.state.keys() == b.state.keys()
    assert all(torch.equal(a.state[name], b.state[name]) for name in a.state)
    plain = [[{k: v for k, v in row.items() if k not in TIMES} for row in r.history] for r in (a, b)]
    assert plain[0] == plain[1]
    assert (a.best_epoch, a.normalisation, a.parameters) == (b.best_epoch, b.normalisation, b.parameters)


def assert_goes_on_after(epoch, state):
    """Train what follows `epoch`, and nothing before it, to the undisturbed training's end."""
    seen = []
    resumed = run(training=recipe(**SCHEDULE), state=state, watchers=[lambda job: seen.append(job.epoch)])
    assert seen == list(range(epoch + 1, 8))
    assert_same(resumed, run(training=recipe(**SCHEDULE)))


def script(folder, code, watch=lambda: ""):
    """Run the rule's script on the pack of the other tests, whose fold 0 is its last two patients."""
    people = [{"patient_id": f"p{k}", "role": "train", "fold": str(int(k < 5))} for k in range(7)]
    write_csv(folder / "splits.csv", people[0], people)
    (folder / "pack").mkdir(exist_ok=True)
    (folder / "pack/pack.json").write_text('{"content": "c"}')
    draw_ids = [{"image_id": c["image_id"], "draw_id": c["image_id"]} for c in PACK.cases]
    write_csv(folder / "draw_ids.csv", draw_ids[0], draw_ids)
    settings = {
        "model": UNET, "training": recipe(**SCHEDULE), "augmentation": CONFIG["augmentation"],
        "normalisation": {"augmented": True}, "seed": 1,
    }  # fmt: skip
    train_fold.main(
        folder / "pack",
        folder / "draw_ids.csv",
        folder / "splits.csv",
        None,
        folder / "m/fold0",
        0,
        settings,
        code,
        {},
        1,
        folder / "events",
        watch,
    )


@pytest.mark.parametrize(
    ("code", "goes_on"),
    [
        (Code("old", frozenset({"old"})), True),
        (Code("new", frozenset({"old", "new"})), True),  # accepted
        (Code("new", frozenset({"new"})), False),
        (Code("old", frozenset()), False),  # rebuild=true
    ],
    ids=["same", "accepted", "changed", "rebuild"],
)
def test_goes_on_under_the_code_that_counts_as_its_own(tiny, tmp_path, monkeypatch, caplog, code, goes_on):
    """As the finished models, which Keeper puts back, or does not."""
    monkeypatch.setattr(train_fold, "open_pack", lambda _: PACK)
    left = iter(["", ""])

    def watch():
        if (said := next(left, None)) is None:
            raise Killed
        return said

    with pytest.raises(Killed):
        script(tmp_path, Code("old", frozenset({"old"})), watch)
    caplog.clear()
    with caplog.at_level("INFO"):
        script(tmp_path, code)
    facts = json.loads((tmp_path / "m/fold0/model.json").read_text())
    assert facts["cost"]["resumed"] == int(goes_on)
    assert ("goes on after epoch 3" in caplog.text) == goes_on
    removed = (
        "the state of a training that had ended 3 epochs is removed: it is of other code, or all is to be made anew"
    )
    assert (removed in caplog.text) == (not goes_on)
    assert not (tmp_path / "m/fold0/.resume").exists()


@pytest.mark.parametrize("policy", ["milestones", "one_cycle"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_broken_off_after_any_epoch(tiny, tmp_path, policy, optimizer):
    """Also right where the learning rate drops, the encoder thaws and the loss changes: epochs 2, 3 and 4."""
    settings = recipe(**SCHEDULE, policy=policy, optimizer=optimizer)
    undisturbed = run(training=settings)
    for after in range(1, 8):
        state = tmp_path / f"state{after}"
        broken_off(after, training=settings, state=state)
        resumed = run(training=settings, state=state)
        assert_same(resumed, undisturbed)
        assert resumed.cost["resumed"] == 1


def test_broken_off_again_and_again(tiny, tmp_path, monkeypatch):
    settings = recipe(**SCHEDULE, accumulate=2)
    state = tmp_path / "state"
    for after in (1, 2, 3):
        broken_off(after, training=settings, state=state)

    def killed(_training):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(FoldTraining, "on_validation_start", killed)
        run(training=settings, state=state)
    broken_off(5, training=settings, state=state)
    seen = []
    resumed = run(training=settings, state=state, watchers=[lambda job: seen.append(job.epoch)])
    assert_same(resumed, run(training=settings))
    assert seen == [6, 7], "epochs that had ended were trained again"
    assert resumed.cost["resumed"] == 4, "one of them ended no epoch of its own"
    assert resumed.cost["seconds"] > sum(row["seconds"] for row in resumed.history[:5]), (
        "the lost processes' time counts"
    )


def test_with_worker_processes(tiny, tmp_path):
    """They ask for the epoch's first batches before Lightning tells the epoch."""
    settings = recipe(**SCHEDULE)
    broken_off(5, training=settings | {"workers": 2}, state=tmp_path / "state")
    assert_same(run(training=settings | {"workers": 2}, state=tmp_path / "state"), run(training=settings))


def test_terminated_it_ends_at_the_next_batch_and_goes_on(tiny, tmp_path, monkeypatch):
    step = FoldTraining.training_step
    steps = []

    def counted(self, batch, number):
        steps.append(self.epoch)
        if steps.count(3) == 1 and self.epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(FoldTraining, "training_step", counted)
        with pytest.raises(SystemExit) as status:
            run(training=recipe(**SCHEDULE), state=tmp_path / "state")
    assert status.value.code == 128 + signal.SIGTERM
    assert steps.count(3) == 1, "it went on after the signal"
    assert_same(run(training=recipe(**SCHEDULE), state=tmp_path / "state"), run(training=recipe(**SCHEDULE)))


@pytest.mark.parametrize("begun", [True, False])
def test_terminated_with_its_workers(tiny, tmp_path, monkeypatch, begun):
    """As by a scheduler, which signals a job's whole process group; workers that have not begun yet die of it."""
    end = FoldTraining.on_train_epoch_end

    def signalled(self):
        if self.epoch == 3:
            workers = [worker.pid for worker in multiprocessing.active_children()]
            assert len(workers) == 2
            # From outside: a signal by its parent a worker takes for an orderly end.
            subprocess.run(["kill", "-TERM", *map(str, workers), str(os.getpid())], check=True)
            time.sleep(0.2)  # until the workers that die have died
        end(self)

    with monkeypatch.context() as patch:
        if not begun:
            patch.setattr(fold_data, "_begin_worker", lambda _: None)
        patch.setattr(FoldTraining, "on_train_epoch_end", signalled)
        with pytest.raises(SystemExit) as status:
            run(training=recipe(**SCHEDULE, workers=2), state=tmp_path / "state")
    assert status.value.code == 128 + signal.SIGTERM
    assert not multiprocessing.active_children()
    if begun:  # else it depends on when torch notices the death
        assert_goes_on_after(3, tmp_path / "state")


def test_terminated_when_an_epoch_ends_it_is_not_trained_again(tiny, tmp_path, monkeypatch):
    """By then the log has its line, and the signal is heard before the next epoch begins."""
    end = FoldTraining.on_train_epoch_end

    def terminated(self):
        if self.epoch == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        end(self)

    with monkeypatch.context() as patch:
        patch.setattr(FoldTraining, "on_train_epoch_end", terminated)
        with pytest.raises(SystemExit) as status:
            run(training=recipe(**SCHEDULE), state=tmp_path / "state")
    assert status.value.code == 128 + signal.SIGTERM
    assert_goes_on_after(3, tmp_path / "state")


def test_trouble_in_showing_an_epoch_does_not_lose_it(tiny, tmp_path, monkeypatch):
    """TensorBoard's disk is full: the learning rate of the next epoch, and all else, has been kept before."""

    def full(_events, training):
        if training.epoch == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(Events, "__call__", full)
        run(training=recipe(**SCHEDULE), state=tmp_path / "state")
    assert_goes_on_after(2, tmp_path / "state")


def test_a_finished_training_whose_model_was_not_written_is_not_trained_again(tiny, tmp_path):
    first = run(training=recipe(**SCHEDULE), state=tmp_path / "state")
    again = run(training=recipe(**SCHEDULE), state=tmp_path / "state", watchers=[lambda job: pytest.fail("trained")])
    assert_same(again, first)


def test_another_machine_goes_on_and_is_named(tiny, tmp_path, caplog):
    """An epoch is not lost because Snakemake has lowered the threads; but nobody is told that the bits are the same."""
    settings = recipe(**SCHEDULE)
    for after, threads in ((2, 2), (3, 2), (5, 1)):
        broken_off(after, training=settings, state=tmp_path / "state", threads=threads)
    caplog.clear()
    result = run(training=settings | {"precision": "bf16-mixed"}, state=tmp_path / "state")
    assert [(m["from_epoch"], m["threads"], m["precision"]) for m in result.hardware] == [
        (1, 2, "32-true"), (4, 1, "32-true"), (6, 1, "bf16-mixed"),
    ]  # fmt: skip
    assert all(m["torch"] == torch.__version__ for m in result.hardware)
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "resnet22-unet-random fold 0 goes on with precision bf16-mixed instead of 32-true: "
        "its last digits are not those of an undisturbed training"
    ]
    again = run(training=settings, state=tmp_path / "state")  # only its model was not written
    assert again.hardware == result.hardware


def test_the_log_of_a_training_that_goes_on_has_every_epoch(tiny, tmp_path, caplog):
    """The job's log file begins anew; the terminal, which has shown them, is spared."""
    caplog.set_level("INFO")
    broken_off(3, training=recipe(**SCHEDULE), state=tmp_path / "state")
    first = [r.getMessage().partition(" s, ")[0] for r in caplog.records if ", epoch " in r.getMessage()]
    caplog.clear()
    with caplog.at_level("DEBUG"):
        run(training=recipe(**SCHEDULE), state=tmp_path / "state")
    lines = [r for r in caplog.records if ", epoch " in r.getMessage()]
    assert [r.getMessage().partition(" s, ")[0] for r in lines[:3]] == first
    assert [(r.getMessage().partition(", epoch ")[2][0], r.levelname) for r in lines] == [
        ("1", "DEBUG"), ("2", "DEBUG"), ("3", "DEBUG"), ("4", "INFO"), ("5", "INFO"), ("6", "INFO"), ("7", "INFO"),
    ]  # fmt: skip


def test_the_normalisation_is_not_measured_again(tiny, tmp_path, monkeypatch):
    broken_off(3, training=recipe(**SCHEDULE), state=tmp_path / "state")
    undisturbed = run(training=recipe(**SCHEDULE))
    monkeypatch.setattr(fit, "mean_and_sd", lambda *_: pytest.fail("measured again"))
    assert_same(run(training=recipe(**SCHEDULE), state=tmp_path / "state"), undisturbed)


def test_the_state_of_another_training_is_removed(tiny, tmp_path, monkeypatch, caplog):
    state = tmp_path / "state"
    broken_off(3, training=recipe(**SCHEDULE), state=state, made_from="one")
    settings = recipe(**SCHEDULE, learning_rate=0.02)

    def killed(_training):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(FoldTraining, "on_train_epoch_start", killed)
        run(training=settings, state=state, made_from="other")
    assert not list(state.iterdir())
    assert "the state of a training that had ended 3 epochs is removed: it is of other data or recipe" in caplog.text
    other = run(training=settings, state=state, made_from="other")
    assert other.cost["resumed"] == 0
    assert_same(other, run(training=settings))


def test_a_folder_that_cannot_be_removed_is_no_trouble(tiny, tmp_path, monkeypatch):
    """As on NFS, where a file that something holds open stays under another name."""
    broken_off(3, training=recipe(**SCHEDULE), state=tmp_path / "state", made_from="one")
    (tmp_path / "state/.nfs0001").write_bytes(b"held")
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    assert run(state=tmp_path / "state", made_from="other").cost["resumed"] == 0


def flipped(state):
    """One bit of a weight: the file is as long as it was, and torch reads it without a word."""
    middle = len(state) // 2
    return state[:middle] + bytes([state[middle] ^ 64]) + state[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda state: b"", lambda state: b"not a checkpoint", lambda state: state[:-5000], flipped, lambda state: bytes(9999)],
    ids=["empty", "text", "cut", "flipped", "zeros"],
)  # fmt: skip
def test_a_damaged_state_is_said_and_set_aside(tiny, tmp_path, damage, caplog):
    broken_off(3, training=recipe(**SCHEDULE), state=tmp_path / "state")
    path = tmp_path / "state" / STATE
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with caplog.at_level("INFO"):
        result = run(training=recipe(**SCHEDULE), state=tmp_path / "state")
    assert_same(result, run(training=recipe(**SCHEDULE)))
    assert result.cost["resumed"] == 0
    assert "is damaged: it begins anew, and state.bad is what was there" in caplog.text
    assert (tmp_path / "state/state.bad").read_bytes() == damaged


@pytest.mark.parametrize("trouble", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_disk_that_does_not_answer_costs_no_epoch(tiny, tmp_path, monkeypatch, trouble):
    broken_off(3, training=recipe(**SCHEDULE), state=tmp_path / "state")
    read = Path.open

    def failing(path, *options, **named):
        if path.name == STATE:
            raise OSError(trouble, os.strerror(trouble), str(path))
        return read(path, *options, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        with pytest.raises(
            UserError, match=rf"{STATE}, cannot be read \({os.strerror(trouble)}\): run again when"
        ) as said:
            run(training=recipe(**SCHEDULE), state=tmp_path / "state")
    assert "\n" not in str(said.value)
    assert_goes_on_after(3, tmp_path / "state")


def test_the_state_holds_nothing_that_runs(tiny, tmp_path):
    """torch.load reads it without running code: tensors, numbers, texts."""
    broken_off(3, training=recipe(**SCHEDULE), state=tmp_path / "state")
    state = (tmp_path / "state" / STATE).read_bytes()
    kept = torch.load(io.BytesIO(state[SEAL:]), weights_only=True)
    assert [row["epoch"] for row in kept["fold"]["history"]] == [1, 2, 3]
    assert [row["epoch"] for row in read_csv(tmp_path / "state/history.csv")] == ["1", "2", "3"]


def test_a_loss_that_is_no_number_keeps_the_last_good_epoch(tiny, tmp_path, monkeypatch):
    judge = FoldTraining._judge

    def spoiled(self, batch):
        loss, scores = judge(self, batch)
        return (loss * float("nan") if self.epoch == 4 else loss), scores

    with monkeypatch.context() as patch:
        patch.setattr(FoldTraining, "_judge", spoiled)
        with pytest.raises(UserError, match=r"not a finite number in epoch 4, batch 1;"):
            run(training=recipe(**SCHEDULE), state=tmp_path / "state")
    assert_goes_on_after(3, tmp_path / "state")


def test_the_state_goes_to_its_own_disk_alone(tiny, tmp_path, monkeypatch):
    """A small /tmp is no trouble, and nothing can be left there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    broken_off(3, training=recipe(**SCHEDULE), state=tmp_path / "state")
    assert_goes_on_after(3, tmp_path / "state")


def test_a_disk_that_is_full_leaves_the_last_whole_state(tiny, tmp_path, monkeypatch):
    """The limit on a file's size stands in for the full disk: the same write fails the same way."""
    import resource

    state = tmp_path / "state"
    broken_off(3, training=recipe(**SCHEDULE), state=state)
    before = (state / STATE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as full:
            run(training=recipe(**SCHEDULE), state=state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert full.value.errno == errno.EFBIG, "workflow/scripts/_bootstrap.py knows a full disk by its number"
    assert (state / STATE).read_bytes() == before
    assert sorted(p.name for p in state.iterdir()) == ["history.csv", STATE]
    assert_same(run(training=recipe(**SCHEDULE), state=state), run(training=recipe(**SCHEDULE)))


PROGRAM = """
import json, logging, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {src!r}]
from tiny_training import make_pack, recipe, run
from mammoseg.training.fit import save_model
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
folder = Path(sys.argv[1])
settings = recipe(2, 3, freeze=1, milestones=[2, 3])
result = run(make_pack(24), range(18), range(18, 24), training=settings, state=folder / "resume")
save_model(folder, result, recipe={{}}, fingerprint="")
"""


def test_killed_at_random_moments_the_model_is_the_same_bit_for_bit(tmp_path):
    """A real network in a process of its own: SIGKILL in every life but the last, then all as in the undisturbed run."""
    program = PROGRAM.format(tests=str(TESTS), src=str(TESTS.parent / "src"))

    def start(folder):
        return subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    undisturbed = start(tmp_path / "one")
    out, _ = undisturbed.communicate(timeout=300)
    assert undisturbed.returncode == 0, out
    moment = random.Random(1)
    for _ in range(3):
        life = start(tmp_path / "two")
        for line in life.stdout:  # it has ended an epoch of its own; now at some moment of the next ones
            if ", epoch " in line:
                break
        time.sleep(moment.uniform(0, 1))
        life.send_signal(signal.SIGKILL)
        life.communicate()
    last = start(tmp_path / "two")
    out, _ = last.communicate(timeout=300)
    assert last.returncode == 0, out
    assert "goes on after epoch" in out
    assert (tmp_path / "one/model.safetensors").read_bytes() == (tmp_path / "two/model.safetensors").read_bytes()
    tables = [
        [{k: v for k, v in row.items() if k not in TIMES} for row in read_csv(tmp_path / name / "history.csv")]
        for name in ("one", "two")
    ]
    assert tables[0] == tables[1]
    facts = json.loads((tmp_path / "two/model.json").read_text())
    assert facts["cost"]["resumed"] >= 1
    assert len(load_file(tmp_path / "two/model.safetensors")) > 100
