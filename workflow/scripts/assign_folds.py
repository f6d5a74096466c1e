"""Assign patients to roles, folds and shards; lock the cohort; digest every unit of work."""

import _bootstrap

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from mammoseg.errors import UserError
from mammoseg.files import read_csv, write_csv, write_text
from mammoseg.splits import SHARDS, SPLITS, WORK, make_plan

LOCK = "cohort.lock.json"


def main(indexes: Mapping[str, Path], results: Path, recipe: Mapping, cohort_recipe: Mapping) -> None:
    """Write splits.csv, shards.csv and work.csv into `results`, and the lock beside them."""
    lock = results / LOCK
    locked = (
        json.loads(lock.read_text()) if lock.exists() else {"drawn_with": cohort_recipe, "splits": [], "shards": []}
    )
    if (drawn := locked["drawn_with"]) != cohort_recipe:
        changed = ", ".join(f"{k} from {drawn[k]} to {v}" for k, v in cohort_recipe.items() if drawn[k] != v)
        raise UserError(
            f"the cohort is locked and the config now changes {changed}: set it back, or start a new cohort on purpose "
            "with `snakemake relock`"
        )
    plan = make_plan(
        {d: read_csv(path) for d, path in indexes.items()},
        {d: read_csv(path.with_name("excluded.csv")) for d, path in indexes.items()},
        recipe["roles"],
        locked["splits"],
        locked["shards"],
        folds=recipe["folds"],
        holdout=recipe["holdout"],
        seed=recipe["seed"],
        require_mass=recipe["require_mass"],
        patients_per_shard=recipe["patients_per_shard"],
        extend=recipe["extend"],
    )
    # The lock is not declared: neither a failed job nor Snakemake can take it away.
    write_text(lock, json.dumps({"drawn_with": dict(cohort_recipe), "splits": plan.splits, "shards": plan.shards}))
    write_csv(results / "splits.csv", SPLITS, plan.splits)
    write_csv(results / "shards.csv", SHARDS, plan.shards)
    write_csv(results / "work.csv", WORK, plan.work)
    tidy(results, plan.work)
    for event in plan.events:
        logging.getLogger("mammoseg").info("%s", event)


def tidy(results: Path, work: list[dict]) -> None:
    """Remove the folders of shards that no row of work.csv names any more: nobody else ever looks at them."""
    units = {(w["dataset"], w["unit"]) for w in work}
    for dataset in {w["dataset"] for w in work if w["role"] == "index"}:
        for folder in (*(results / dataset / "png").glob("*/"), *(results / "private" / dataset / "dicom").glob("*/")):
            if (dataset, folder.name) not in units:
                shutil.rmtree(folder)


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            dict(zip(study.datasets, map(Path, snakemake.input.indexes), strict=True)),
            study.results,
            json.loads(snakemake.params.recipe),
            study.cohort_recipe(),
        )
