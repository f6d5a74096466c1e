import json
import re

import pytest

from mammoseg.datasets.registry import IMPORTERS, importer_file
from mammoseg.rebuild.code_digests import of_stage
from mammoseg.rebuild.code_versions import READ_RELEASES, Code, CodeVersions, shipped_versions, stage_of, to_accept

SHIPPED = {"train": [["t1", "t1b"], ["t2"]], "render/oulu": [["r1"]]}


@pytest.fixture
def versions(tmp_path) -> CodeVersions:
    return CodeVersions(tmp_path, SHIPPED)


def test_a_listed_digest_counts_as_its_version(versions):
    assert versions.name("train", "t1") == versions.name("train", "t1b") == "train 1"
    assert versions.name("train", "t2") == "train 2"
    assert versions.name("render/oulu", "t1") == "t1", "of another stage"
    assert versions.code("train", "t1b") == Code("train 1", frozenset({"train 1", "t1", "t1b"}))
    assert versions.representative("train", "t1") == versions.representative("train", "t1b") == "train 1"


def test_what_a_local_edit_made_counts_once_its_digest_is_listed(tmp_path):
    before = CodeVersions(tmp_path, {"train": [["t1"]]}).code("train", "t1b")
    assert before == Code("t1b", frozenset({"t1b"}))
    assert before.name in CodeVersions(tmp_path, SHIPPED).code("train", "t1").same


def test_a_version_of_a_later_program_is_no_version_of_this_one(versions):
    assert versions.same_as("train 9") == {"train 9"}
    assert "train 9" not in versions.code("train", "t2").same


def test_with_rebuild_no_earlier_work_counts(versions):
    assert versions.code("train", "t1", rebuild=True).same == frozenset()


def test_an_accepted_edit_counts_as_the_version_it_was_made_from(versions, tmp_path):
    versions.accept("edit", ["train 1"])
    versions.save()
    again = CodeVersions(tmp_path, SHIPPED)
    assert again.representative("train", "edit") == again.representative("train", "t1") == "train 1", (
        "what Snakemake saw"
    )
    assert again.code("train", "edit").same == {"edit", "train 1", "t1", "t1b"}
    again.accept("edit2", ["edit"])
    assert again.representative("train", "edit2") == "train 1"
    assert again.same_as("other") == {"other"}


def test_groups_that_meet_become_one(versions):
    versions.accept("b", ["a"])
    versions.accept("d", ["c"])
    versions.accept("e", ["b", "d"])
    assert versions.same_as("a") == set("abcde")
    assert len({versions.representative("x", name) for name in "abcde"}) == 1


def test_only_what_other_code_made_and_is_current_otherwise_is_listed(versions):
    records = [
        {"rule": "r", "stage": "r/x", "code": code, "recipe": {"side": side}}
        for code, side in (("old", 1), ("old", 1), ("now", 1), ("old", 2))
    ]
    records += [
        {"rule": "gone", "code": "x", "recipe": {}},
        {"rule": "r", "stage": "r/x", "code": "older", "recipe": {"dropped": True}},
    ]

    def recipe_now(record):
        return None if "dropped" in record["recipe"] else {"side": 1}

    assert to_accept(records, {"r/x": "now"}, recipe_now, versions) == {"r/x": {"old": 2}}
    versions.accept("now", ["old"])
    assert to_accept(records, {"r/x": "now"}, recipe_now, versions) == {}


def rules(root) -> list[str]:
    """Rules that hold the digest of their code in their params."""
    text = "".join(path.read_text() for path in (root / "workflow/rules").glob("*.smk"))
    return sorted(set(re.findall(r'stage\(\s*"(\w+)"', text)))


def test_the_code_of_every_stage_is_listed(root):
    """Else an update makes a user's whole study again: `make stages` compares results and lists the digest."""
    shipped, unlisted = shipped_versions(), []
    for rule in rules(root):
        for importer in IMPORTERS if rule in READ_RELEASES else [None]:
            stage = stage_of(rule, importer)
            digest = of_stage(root / f"workflow/scripts/{rule}.py", importer_file(importer) if importer else None)
            if not any(digest in digests for digests in shipped.get(stage, ())):
                unlisted.append(stage)
    assert not unlisted, f"run `make stages`: the code of {', '.join(unlisted)} has changed"


def test_only_stages_are_listed_and_no_digest_twice(root):
    shipped = shipped_versions()
    assert {stage.partition("/")[0] for stage in shipped} == set(rules(root))
    for stage, versions in shipped.items():
        flat = [digest for digests in versions for digest in digests]
        assert len(flat) == len(set(flat)), stage
        assert all(re.fullmatch("[0-9a-f]{24}", digest) for digest in flat)
        assert json.dumps(flat)
