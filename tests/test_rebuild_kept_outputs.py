import os

import pytest

from mammoseg.rebuild.code_versions import Code
from mammoseg.rebuild.kept_outputs import ImageKeeper, Keeper

COLUMNS = ("image_id", "fingerprint", "code")
CODE = Code("code-1", frozenset({"code-1"}))
CHANGED = Code("code-2", frozenset({"code-2"}))
EQUAL = Code("code-2", frozenset({"code-1", "code-2"}))


@pytest.fixture
def keeper(tmp_path) -> Keeper:
    (tmp_path / "model").write_text("tensors")
    (tmp_path / "facts").write_text("{}")
    keeper = Keeper(tmp_path, ["model", "facts"])
    keeper.store("print-1", CODE)
    return keeper


def test_outputs_come_back_when_the_fingerprint_agrees(tmp_path, keeper):
    os.utime(tmp_path / "model", (1, 1))
    for name in keeper.names:
        (tmp_path / name).unlink()
    assert keeper.restore("print-1", CODE)
    assert (tmp_path / "model").read_text() == "tensors"
    assert (tmp_path / "model").stat().st_mtime > 1, "newer than the job's inputs"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".kept", "facts", "model"], "no temporary file is left"


def test_nothing_comes_back_for_another_fingerprint_or_a_damaged_copy(tmp_path, keeper):
    (tmp_path / "model").unlink()
    assert not keeper.restore("print-2", CODE)
    assert not keeper.restore("print-1", CHANGED)
    assert keeper.restore("print-1", EQUAL)
    (tmp_path / "model").unlink()
    next(tmp_path.glob(".kept/*/model")).write_text("damaged")  # of the same size
    assert not keeper.restore("print-1", CODE)
    assert not (tmp_path / "model").exists()
    assert not Keeper(tmp_path / "elsewhere", ["model"]).restore("print-1", CODE)


def test_storing_again_replaces(tmp_path, keeper):
    (tmp_path / "model").unlink()
    (tmp_path / "model").write_text("others!")
    keeper.store("print-2", CODE)
    (tmp_path / "model").unlink()
    assert not keeper.restore("print-1", CODE)
    assert keeper.restore("print-2", CODE)
    assert (tmp_path / "model").read_text() == "others!"


def test_with_two_sets_the_one_before_comes_back_and_the_third_replaces_the_oldest(tmp_path):
    keeper = Keeper(tmp_path, ["model"], sets=2)

    def make(text):
        (tmp_path / "model").unlink(missing_ok=True)
        (tmp_path / "model").write_text(text)
        keeper.store(text, CODE)

    make("first")
    make("second")
    assert keeper.restore("first", CODE), "back"
    assert (tmp_path / "model").read_text() == "first"
    assert keeper.restore("second", CODE), "and forth"
    make("third")
    assert not keeper.restore("first", CODE)
    assert keeper.restore("second", CODE)
    assert keeper.restore("third", CODE)
    assert len(list((tmp_path / ".kept").iterdir())) == 2


def test_what_an_earlier_version_kept_is_removed(tmp_path, keeper):
    (tmp_path / ".kept/record.json").write_text("{}")
    (tmp_path / ".kept/model").write_text("of another layout")
    keeper.store("print-2", CODE)
    assert [p.is_dir() for p in (tmp_path / ".kept").iterdir()] == [True]


def test_images_are_known_by_fingerprint_and_file(tmp_path):
    keeper = ImageKeeper(tmp_path, COLUMNS, CODE)
    for name in ("a.png", "b.png", "old.png", ".half.part.png"):
        (tmp_path / name).write_text(name)
    keeper.finish([{"image_id": i, "fingerprint": f"r-{i}", "code": "code-1"} for i in "ab"], {"a.png", "b.png"})
    assert sorted(p.name for p in tmp_path.iterdir()) == [".manifest.csv", "a.png", "b.png", "manifest.csv"]
    again = ImageKeeper(tmp_path, COLUMNS, CODE)
    assert again.known("a", "r-a", ["a.png"]) == {"image_id": "a", "fingerprint": "r-a", "code": "code-1"}
    assert again.known("a", "other", ["a.png"]) is None
    assert again.known("a", "r-a", ["gone.png"]) is None
    (tmp_path / "a.png").unlink()
    (tmp_path / "a.png").symlink_to("/nowhere/a.png")
    assert ImageKeeper(tmp_path, COLUMNS, CODE).known("a", "r-a", ["a.png"]) is None, "on a disk that is not there"
    assert ImageKeeper(tmp_path, COLUMNS, CHANGED).known("a", "r-a") is None
    assert ImageKeeper(tmp_path, COLUMNS, EQUAL).known("a", "r-a")["code"] == "code-1", (
        "who really made it stays on record"
    )


def test_a_forgotten_image_stays_forgotten_for_a_job_that_is_killed(tmp_path):
    ImageKeeper(tmp_path, COLUMNS, CODE).finish(
        [{"image_id": i, "fingerprint": "r", "code": "code-1"} for i in "ab"], set()
    )
    ImageKeeper(tmp_path, COLUMNS, CODE).forget(["a"])
    after_the_kill = ImageKeeper(tmp_path, COLUMNS, CODE)
    assert after_the_kill.known("a", "r") is None
    assert after_the_kill.known("b", "r")
    assert after_the_kill.rows["a"]["image_id"] == "a", "but what is known of it otherwise stays"
