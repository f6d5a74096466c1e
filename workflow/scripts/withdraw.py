"""Take patients out of the study for good, and name the models that saw them."""

import _bootstrap

import json
import logging
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from mammoseg.plan.cohort import Lock, forget_plan, seen_by
from mammoseg.rebuild.kept_outputs import KEPT
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import half


def main(results: Path, patients: Sequence[str], models: Collection[str]) -> None:
    """Take `patients` out of the lock and remove their pictures; the next run trains again what saw them.

    `models` are those of the config: a model that it no longer has is nobody's to train again.
    """
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
        for how, folds in seen_by(results, patient).items():
            ours = [f for f in folds if f.partition("/")[0] in models]
            others = sorted({f.partition("/")[0] for f in folds} - set(models))
            if ours:
                log.info("%s by %s: they are trained again by the next run", how, ", ".join(ours))
            if others:
                log.warning(
                    "%s by %s, no longer in the config: remove what is named so below %s",
                    how,
                    ", ".join(others),
                    results,
                )
            for fold in folds:  # its files show validation images, and cannot lose one of them
                shutil.rmtree(results / "tensorboard" / fold, ignore_errors=True)
        remove_pictures(results, lock.images(patient))
        forget_kept_models(results, patient)
    lock.withdraw(patients)
    lock.save(results)
    forget_plan(results)
    log.info(
        "images, masks and predictions are removed. Run the study once more: until then the pack, the scores, the figures and "
        "the report still hold what was made of them, and verify misses the files. What lies in the release is yours to remove"
    )


def forget_kept_models(results: Path, patient: str) -> None:
    """Remove every kept set of a model that saw the patient, also one of an earlier cohort: it would come back."""
    for model in results.glob(f"models/*/*/{KEPT}/*/model.json"):
        if any(patient in people for people in json.loads(model.read_text())["patients"].values()):
            shutil.rmtree(model.parent)


def remove_pictures(results: Path, images: Collection[str]) -> None:
    """Remove what was made of some images, also for models and data sets that are no longer in the config."""
    for folder in (*results.glob("*/png/*/"), *results.glob("*/predictions/*/"), *results.glob("private/*/dicom/*/")):
        for image in images:
            for ending in (".png", "_mask.png", "_reference.png", "_votes.png", ".dcm"):
                for path in (
                    folder / f"{image}{ending}",
                    half(folder / f"{image}{ending}"),
                ):  # a killed process left it
                    path.unlink(missing_ok=True)


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(results=study.results, patients=study.patients, models=study.models)
