"""One study, run twice with different keys of the pseudonyms: the same models bit for bit, and equal tables but for the pseudonyms."""

import csv
import re

import pytest
import safetensors.numpy
from test_scenarios import tables
from tiny import TinyStudy

from mammoseg.runtime.files import read_csv

TIMES = ("seconds", "data_wait_share")


@pytest.fixture(scope="module")
def twice(tmp_path_factory) -> tuple[TinyStudy, TinyStudy]:
    first = TinyStudy(tmp_path_factory.mktemp("first"))
    second = TinyStudy(tmp_path_factory.mktemp("second"), patients={}, config=first.config)
    for dataset in second.config["datasets"]:
        dataset["root"] = str(first.folder / dataset["root"])
    for study in (first, second):
        study.run()
    return first, second


def names(first: TinyStudy, second: TinyStudy) -> dict[str, str]:
    """Pseudonym of the second study → pseudonym of the first, of every image and patient."""
    same = {}
    for dataset in ("site-a", "site-b"):
        tables = [
            {r["path"]: r for r in read_csv(s.results / "private" / dataset / "sources.csv")} for s in (first, second)
        ]
        for path, row in tables[1].items():
            same |= {row[k]: tables[0][path][k] for k in ("image_id", "patient_id")}
        assert all(tables[0][p]["draw_id"] == row["draw_id"] for p, row in tables[1].items())
    return same


def rows(path, renamed=None) -> list[list[str]]:
    """Rows of a CSV with other pseudonyms, in the order of their text."""
    with open(path, newline="") as f:
        return sorted([(renamed or {}).get(cell, cell) for cell in row] for row in csv.reader(f))


def test_the_keys_differ_and_the_pseudonyms_too(twice):
    first, second = twice
    assert (first.results / "private/key").read_bytes() != (second.results / "private/key").read_bytes()
    same = names(first, second)
    assert len(same) > 40
    assert not same.keys() & set(same.values())


def test_everybody_has_the_same_part_and_fold(twice):
    first, second = twice
    assert rows(second.results / "splits.csv", names(first, second)) == rows(first.results / "splits.csv")


def test_the_models_are_the_same_bit_for_bit(twice):
    first, _ = twice
    found = sorted(p.relative_to(first.results) for p in first.results.glob("models/*/*/model.safetensors"))
    assert len(found) == 2
    for path in found:
        one, other = (safetensors.numpy.load_file(s.results / path) for s in twice)
        assert all(one[k].tobytes() == other[k].tobytes() for k in one)
        histories = [read_csv((s.results / path).with_name("history.csv")) for s in twice]
        bare = [[{k: v for k, v in row.items() if k not in TIMES} for row in history] for history in histories]
        assert bare[0] == bare[1]


def test_the_tables_are_equal(twice):
    first, second = twice
    assert tables(first) == tables(second)
    same = names(first, second)
    for part in ("scores", "lesions"):
        for dataset in ("site-a", "site-b"):
            path = f"{dataset}/{part}/tiny.csv"
            # The last cells are fingerprints of the case: they hold the pseudonym.
            bare = [read_csv(s.results / path) for s in twice]
            for table in bare:
                for row in table:
                    row.pop("fingerprint", None)
            key = sorted(tuple(r.values()) for r in bare[0])
            assert sorted(tuple(same.get(v, v) for v in r.values()) for r in bare[1]) == key, path


def test_no_draw_id_leaves_the_private_folder(twice):
    """Whoever knows an original id can compute its draw id, and would find the pseudonym beside it."""
    first, _ = twice
    draws = {
        row[k]
        for dataset in ("site-a", "site-b")
        for row in read_csv(first.results / "private" / dataset / "sources.csv")
        for k in ("draw_id", "patient_draw_id")
    }
    anything = re.compile("|".join(draws).encode())
    seen = [p for p in first.results.rglob("*") if p.is_file() and "private" not in p.relative_to(first.results).parts]
    assert len(seen) > 50
    assert not [p for p in seen if anything.search(p.read_bytes())]
