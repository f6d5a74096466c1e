"""Forget the locked cohort, so that the next run draws a new one."""

import _bootstrap

import logging
from pathlib import Path

from mammoseg.plan.cohort import LOCK, Lock, forget_plan
from mammoseg.rebuild.job_records import check_study


def main(results: Path) -> None:
    """Empty the lock and remove what the last plan wrote; who was withdrawn stays withdrawn."""
    check_study(results)
    lock = Lock.load(results) if (results / LOCK).exists() else Lock()
    said = "forgotten: the next run draws a new one" if lock.drawn_with else "not locked: there was nothing to forget"
    Lock(withdrawn=lock.withdrawn).save(results)
    forget_plan(results)
    logging.getLogger("mammoseg").info("the cohort is %s", said)


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(study.results)
