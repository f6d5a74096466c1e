from pathlib import Path

import pytest

from mammoseg.rebuild.snakemake_state import Bookkeeping


def study(folder: Path, record_format=6) -> Bookkeeping:
    return Bookkeeping(folder / "results", folder / ".snakemake", record_format)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A study that was run once."""
    study(tmp_path).start()
    (tmp_path / "results/records").mkdir()
    return tmp_path


def test_a_new_study_and_one_that_was_run_here_are_in_order(tmp_path, folder):
    assert not study(tmp_path / "new").lost
    assert not study(folder).lost
    study(folder).start()
    assert not study(folder).lost


def test_records_that_are_gone_are_noticed_until_everything_is_on_record_again(folder):
    (folder / ".snakemake").rename(folder / "away")
    assert study(folder).lost
    study(folder).start()
    assert study(folder).lost, "a run that was broken off proves nothing"
    study(folder).found()
    assert not study(folder).lost
    (folder / "away").rename(folder / ".snakemake/mammoseg/away")
    assert not study(folder).lost


def test_results_that_were_moved_or_came_from_elsewhere_have_no_records_here(folder, tmp_path):
    (folder / "results").rename(folder / "moved")
    assert Bookkeeping(folder / "moved", folder / ".snakemake", 6).lost
    study(folder).start()  # a new study in the old place
    assert not study(folder).lost
    assert Bookkeeping(folder / "moved", folder / ".snakemake", 6).lost


def test_records_of_another_format_are_no_records(folder):
    assert study(folder, record_format=7).lost


def test_results_that_were_removed_are_a_new_study(folder):
    (folder / "results/records").rmdir()
    (folder / "results/.bookkeeping").unlink()
    assert not study(folder).lost
