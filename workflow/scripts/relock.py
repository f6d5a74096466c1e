"""Forget the locked cohort, so that the next run draws a new one."""

import _bootstrap

import logging
from pathlib import Path

from assign_folds import LOCK


def main(results: Path) -> None:
    """Remove the lock and what the last plan wrote; everything trained on the old cohort will be made again."""
    was_there = (results / LOCK).exists()
    for name in (LOCK, "splits.csv", "shards.csv", "work.csv"):
        (results / name).unlink(missing_ok=True)
    said = "forgotten: the next run draws a new one" if was_there else "not locked: there was nothing to forget"
    logging.getLogger("mammoseg").info("the cohort is %s", said)


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(study.results)
