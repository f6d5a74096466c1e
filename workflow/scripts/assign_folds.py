"""Assign patients to roles, folds and shards; lock the cohort; digest every unit of work."""

import _bootstrap

import json
import logging
import shutil
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from mammoseg.rebuild import digests
from mammoseg.plan.cohort import Lock
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import write_csv
from mammoseg.index.index_files import patients_draw_ids
from mammoseg.rebuild.job_records import FOLDER as RECORDS
from mammoseg.plan.shard_images import write_shards
from mammoseg.plan.make_plan import SHARDS, SPLITS, WORK, make_plan, read_index


def main(indexes: Mapping[str, Path], results: Path, private: Path, recipe: Mapping, cohort_recipe: Mapping) -> None:
    """Write splits.csv, shards.csv and work.csv into `results`, the lock beside them, and each shard's rows into `private`."""
    lock = Lock.load(results)
    if (drawn := lock.drawn_with) and drawn != cohort_recipe:
        changed = ", ".join(f"{k} from {drawn[k]} to {v}" for k, v in cohort_recipe.items() if drawn[k] != v)
        raise UserError(
            f"the cohort is locked and the config now changes {changed}: set it back, or start a new cohort on purpose "
            "with `snakemake relock`"
        )
    plan = make_plan(
        {d: read_index(path) for d, path in indexes.items()},
        {d: digests.sha256(path.with_name("excluded.csv")) for d, path in indexes.items()},
        recipe["roles"],
        dict(chain.from_iterable(patients_draw_ids(private / d / "sources.csv") for d in indexes)),
        lock,
        **cohort_recipe,
        require_mass=recipe["require_mass"],
        patients_per_shard=recipe["patients_per_shard"],
        extend=recipe["extend"],
    )
    plan.lock.save(results)
    for d, index in indexes.items():
        write_shards(index, private / d / "sources.csv", plan.shard_of(d), private / d / "shards")
    write_csv(results / "splits.csv", SPLITS, plan.splits)
    write_csv(results / "shards.csv", SHARDS, plan.shards)
    write_csv(results / "work.csv", WORK, plan.work)
    tidy(results, private, plan.work)
    for event in plan.events:
        logging.getLogger("mammoseg").info("%s", event)


def tidy(results: Path, private: Path, work: list[dict]) -> None:
    """Remove what belongs to shards that no row of work.csv names any more: nobody else ever looks at it."""
    units = {(w["dataset"], w["unit"]) for w in work}
    for dataset in {w["dataset"] for w in work if w["role"] == "index"}:
        for folder in (*(results / dataset / "png").glob("*/"), *(private / dataset / "dicom").glob("*/")):
            if (dataset, folder.name) not in units:
                shutil.rmtree(folder)
        for record in results.glob(f"{RECORDS}/*/{dataset}/*-*.json"):
            if record.parts[-3] in ("inject_voi_lut", "render_png") and (dataset, record.stem) not in units:
                record.unlink()


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            indexes=dict(zip(study.datasets, map(Path, snakemake.input.indexes), strict=True)),
            results=study.results,
            private=study.private,
            recipe=json.loads(snakemake.params.recipe),
            cohort_recipe=study.cohort_recipe(),
        )
