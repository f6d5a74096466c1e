"""A study that grew in increments, and the same made at once by other shards and workers: the same PNGs and tables, byte for byte."""

import json

from test_scenarios import tables
from tiny import TinyStudy

from mammoseg.plan.cohort import Lock
from mammoseg.runtime.files import read_csv


def pictures(study: TinyStudy) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in study.results.glob("*/png/*/*.png")}


def test_made_in_increments_or_at_once_is_the_same(tmp_path):
    grown = TinyStudy(tmp_path / "grown", patients={"site-a": 6, "site-b": 1})
    grown.run("render")
    for number in range(50, 54):
        grown.add_patient("site-a" if number % 2 else "site-b", number)
        grown.run("render", "--config", "extend_cohort=true", cores=1)
    grown.run("--config", "extend_cohort=true")

    once = TinyStudy(tmp_path / "once", patients={}, config=grown.config)
    once.config["splits"]["patients_per_shard"] = 3
    for dataset in once.config["datasets"]:
        dataset["root"] = str(grown.folder / dataset["root"])
    (once.results / "private").mkdir(parents=True, mode=0o700)
    (once.results / "private/key").write_bytes((grown.results / "private/key").read_bytes())
    lock = Lock.load(grown.results)  # who is in which part; the shards are its own
    Lock(lock.drawn_with, lock.patients).save(once.results)
    once.run("--config", "extend_cohort=true")

    shards = [len(json.dumps(Lock.load(s.results).shards)) for s in (grown, once)]
    assert shards[0] != shards[1], "other shards"
    assert read_csv(once.results / "splits.csv") == read_csv(grown.results / "splits.csv")
    assert pictures(once) == pictures(grown)
    assert tables(once) == tables(grown)
