import json

import pytest

from mammoseg.rebuild.digests import sha256
from mammoseg.rebuild.job_records import Record, changes, differences, read_records, record_of, recorded
from mammoseg.runtime.files import write_csv


def every(record) -> bool:
    return True


@pytest.fixture
def results(tmp_path):
    """Results with a rendered shard, encoder weights, and a table made of the shard."""
    results = tmp_path / "results"
    shard = results / "a/png/train-00000"
    shard.mkdir(parents=True)
    row = {"image_id": "i1"}
    for column, ending in (("png", ""), ("mask", "_mask"), ("reference", "_reference"), ("votes", "_votes")):
        (shard / f"i1{ending}.png").write_text(f"picture{ending}")
        row[f"{column}_sha256"] = sha256(shard / f"i1{ending}.png")
    write_csv(shard / "manifest.csv", list(row), [row])
    (results / "weights").mkdir()
    (results / "weights/w.safetensors").write_text("tensors")
    weights = {"file": "w.safetensors", "sha256": sha256(results / "weights/w.safetensors")}
    (results / "weights/w.json").write_text(json.dumps(weights))
    (results / "table.csv").write_text("1")
    (results / "work.csv").write_text("plan")
    recipe = {"code": "c1", "image": {"side": 64}}
    rendered = Record(results, results / "logs/render_png/a/train-00000.log")
    rendered.write(
        "render_png/oulu",
        "render_png",
        {"dataset": "a", "shard": "train-00000"},
        recipe,
        [results / "work.csv"],
        [shard / "manifest.csv"],
    )
    Record(results, results / "logs/fetch_weights/w.log").write(
        "fetch_weights", "fetch_weights", {}, {"code": "c2"}, [], [results / "weights/w.json"]
    )
    inputs = [shard / "manifest.csv", results / "work.csv"]
    Record(results, results / "logs/summarise.log").write(
        "summarise", "summarise", {}, {"code": "c3"}, inputs, [results / "table.csv"]
    )
    return results


def test_no_digest_of_a_table_of_original_ids_is_on_record(results):
    """Whoever knows the ids could try which pseudonym belongs to which."""
    for name in ("sources.csv", "draw_ids.csv"):
        (results / name).write_text("id")
    Record(results, results / "logs/pack.log").write(
        "pack", "pack", {}, {}, [results / "sources.csv"], [results / "draw_ids.csv", results / "table.csv"]
    )
    record = json.loads((results / "records/pack.json").read_text())
    assert (record["inputs"], list(record["outputs"])) == ({}, ["table.csv"])


def test_a_record_says_what_made_it_from_what_and_what_was_made(results):
    record = record_of(results, results / "table.csv")
    assert (record["rule"], record["code"], record["recipe"]) == ("summarise", "c3", {})
    assert record["inputs"] == {"a/png/train-00000/manifest.csv": sha256(results / "a/png/train-00000/manifest.csv")}, (
        "not the plan"
    )
    assert record["outputs"] == {"table.csv": sha256(results / "table.csv")}
    assert len(list(read_records(results))) == 3


@pytest.mark.parametrize("name", ["", "manifest.csv", "i1.png", "i1_mask.png", "i1_reference.png", "i1_votes.png"])
def test_a_picture_and_a_folder_belong_to_the_job_that_wrote_their_manifest(results, name):
    assert record_of(results, results / "a/png/train-00000" / name)["rule"] == "render_png"


@pytest.mark.parametrize("name", ["nothing.csv", "a", "../elsewhere", "logs/summarise.log"])
def test_what_no_job_made_has_no_record(results, name):
    assert record_of(results, results / name) is None


def test_a_job_that_failed_has_no_record(results):
    Record(results, results / "logs/summarise.log").remove()
    assert record_of(results, results / "table.csv") is None


def test_every_digest_is_recomputed(results):
    assert not list(differences(results, every))
    assert len(list(recorded(results, every))) == 8
    for ending in ("_mask", "_reference", "_votes"):
        (results / f"a/png/train-00000/i1{ending}.png").write_text("other")
    (results / "a/png/train-00000/i1.png").unlink()
    (results / "weights/w.safetensors").write_text("other")
    (results / "table.csv").write_text("2")
    (results / "a/png/train-00000/i2.png").write_text("of nobody")
    assert sorted(differences(results, every)) == [
        ("a/png/train-00000/i1.png", "missing"),
        *((f"a/png/train-00000/i1_{ending}.png", "changed") for ending in ("mask", "reference", "votes")),
        ("table.csv", "changed"),
        ("weights/w.safetensors", "changed"),
    ]


def test_results_that_are_moved_take_their_records_along(results, tmp_path):
    moved = results.rename(tmp_path / "moved")
    assert not list(differences(moved, every))
    assert record_of(moved, moved / "table.csv")


def test_changes_name_each_value():
    before, now = {"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "c": 3}, "e": None, "d": [1]}
    assert changes(before, now) == [("a.c", 2, 3)]
    assert changes({"a": {"b": 1}}, {"a": {}}) == [("a", None, {}), ("a.b", 1, None)]


def test_what_was_removed_as_a_whole_is_not_missed(results):
    (results / "table.csv").unlink()
    assert not list(differences(results, every))


def test_what_is_no_part_of_the_study_any_more_is_not_looked_at(results):
    (results / "a/png/train-00000/i1.png").unlink()
    assert not list(differences(results, lambda record: record["wildcards"].get("dataset") != "a"))
