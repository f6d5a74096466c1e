"""Forget the locked cohort, so that the next run draws a new one."""

import _bootstrap

import logging
from pathlib import Path

from mammoseg.cohort import LOCK, forget_plan


def main(results: Path) -> None:
    """Remove the lock and what the last plan wrote; everything trained on the old cohort will be made again."""
    was_there = (results / LOCK).exists()
    (results / LOCK).unlink(missing_ok=True)
    forget_plan(results)
    said = "forgotten: the next run draws a new one" if was_there else "not locked: there was nothing to forget"
    logging.getLogger("mammoseg").info("the cohort is %s", said)


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(study.results)
