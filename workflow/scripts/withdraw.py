"""Take patients out of the study for good, and name the models that saw them."""

import _bootstrap

import logging
from collections.abc import Sequence
from pathlib import Path

from mammoseg.cohort import Lock, forget_plan, seen_by
from mammoseg.errors import UserError


def main(results: Path, patients: Sequence[str]) -> None:
    """Take `patients` out of the lock; the next run removes their images and trains again what saw them."""
    log, lock = logging.getLogger("mammoseg"), Lock.load(results)
    if not patients:
        raise UserError("no patient is named: write `snakemake withdraw --config patients=ID` (several: ID,ID)")
    known = {p for shards in lock.shards.values() for people in shards.values() for p in people} | lock.patients.keys()
    if strangers := sorted(set(patients) - known - lock.withdrawn):
        raise UserError(
            f"patient {strangers[0]} is not in this study: config key patients takes pseudonyms, as in splits.csv "
            "(private/<data set>/patients.csv says who is who)"
        )
    for patient in patients:
        place = " fold ".join(filter(None, lock.patients.get(patient, ("no part of the cohort", ""))))
        log.info("patient %s is withdrawn: %d images, %s", patient, len(lock.images(patient)), place)
        for how, models in seen_by(results, patient).items():
            log.info("%s by %s: they are trained again by the next run", how, ", ".join(models))
    lock.withdraw(patients)
    lock.save(results)
    forget_plan(results)
    log.info("the next run removes the images, masks and predictions; what lies in the release is yours to remove")


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(study.results, study.patients)
