"""How long the trainings of a whole study will still take, by what the finished and the running ones took."""

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from mammoseg.runtime.files import read_csv
from mammoseg.runtime.progress import duration

SILENT = 3
"""A training that has not ended an epoch in so many times the usual is not counted as running."""


class TimeLeft(NamedTuple):
    """Trainings that are finished, all trainings, those that run now, and seconds until the last one ends."""

    finished: int
    planned: int
    running: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"the study: {self.finished} of {self.planned} trainings finished, {self.running} at work, "
            f"about {duration(self.seconds)} of training left"
        )


def time_left(models: Path, epochs: Mapping[str, int], folds: int, now: float | None = None) -> TimeLeft | None:
    """Estimate from the histories below `models`.

    A fold that was not begun takes its model's mean seconds per epoch; of a model that was not begun, those of the others.
    As many trainings as run now are taken to run side by side to the end.

    Parameters
    ----------
    models : Path
        The folder of the trained models: <model>/fold<k>/history.csv is a finished training,
        <model>/fold<k>/.resume/history.csv one that runs or was broken off.
    epochs : mapping of str to int
        Epochs of each model of the study.
    folds : int
    now : float, optional
        Seconds since 1970; by default the present.

    Returns
    -------
    TimeLeft or None
        None before the first epoch of all.
    """
    now = time.time() if now is None else now
    seconds: dict[str, list[float]] = {model: [] for model in epochs}
    left = {(model, fold): number for model, number in epochs.items() for fold in range(folds)}
    running = 0
    for model, fold in left:
        place = models / model / f"fold{fold}"
        for history in (place / ".resume/history.csv", place / "history.csv"):
            try:
                took = [float(row["seconds"]) for row in read_csv(history, ["seconds"])]
                age = now - history.stat().st_mtime
            except FileNotFoundError:  # not begun, or finished while this was looking
                continue
            seconds[model] += took
            left[model, fold] = max(0, epochs[model] - len(took))
            running += left[model, fold] > 0 and bool(took) and age < max(60, SILENT * max(took))
            break
    known = {model: mean(took) for model, took in seconds.items() if took}
    if not known:
        return None
    rest = sum(number * known.get(model, mean(known.values())) for (model, _), number in left.items())
    return TimeLeft(sum(n == 0 for n in left.values()), len(left), max(1, running), rest / max(1, running))
