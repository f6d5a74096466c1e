"""One prediction per image: a training patient's by the one fold that did not train on it, everyone else's by all folds.

Each image has a fingerprint of its pixels and of the models that see it; where it agrees with the one kept beside the
probability map, the map stays. The fold models are loaded only where an image is left to predict.
"""

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammoseg.images.png import read_image, write_png
from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.rebuild.kept_outputs import ImageKeeper
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import stream_csv

COLUMNS = ("image_id", "patient_id", "part", "made_by", "png_sha256", "votes_sha256", "fingerprint", "code")
ENSEMBLE = "ensemble"

Predict = Callable[[Sequence[int], np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Folds and images (N, side, side) uint8 → what `mammoseg.prediction.ensemble.predict` returns: probabilities and votes."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One image to predict: where its PNG lies, its part, and who predicts it (a fold, or all)."""

    id: str
    patient_id: str
    png_sha256: str
    folder: Path
    part: str
    made_by: str

    @property
    def png(self) -> Path:
        return self.folder / f"{self.id}.png"


def images_to_predict(
    manifests: Iterable[Path], splits: Iterable[Mapping], dataset: str, waiting: Collection[str] = ()
) -> list[Shown]:
    """All usable images of one data set with the models that may see them, in the order of their ids.

    Parameters
    ----------
    manifests : iterable of Path
        Manifests of the data set's shards, the PNGs beside them.
    splits : rows of splits.csv
    waiting : collection of str
        Shards of images that arrived after the lock: part ``new``, also where their patient is in the cohort.
    """
    place = {r["patient_id"]: (r["role"], r["fold"]) for r in splits if r["dataset"] == dataset}
    shown = []
    for manifest in manifests:
        folder = manifest.parent
        waits = folder.name in waiting
        for row in stream_csv(manifest, ("image_id", "patient_id", "png_sha256", "status")):
            if row["status"] == "ok":
                role, fold = place[row["patient_id"]]
                part = "new" if waits else "out_of_fold" if role == "train" else role
                by = sys.intern(f"fold{fold}") if fold else ENSEMBLE
                shown.append(Shown(row["image_id"], row["patient_id"], row["png_sha256"], folder, part, by))
    return sorted(shown, key=lambda s: s.id)


def predict_dataset(
    shown: Sequence[Shown],
    models: Sequence[Path],
    folder: Path,
    *,
    average: str,
    code: Code,
    predict: Predict,
    chunk: int = 64,
) -> int:
    """Write a 16-bit probability map for every image, the votes of the folds where an ensemble predicts, and the manifest.

    Parameters
    ----------
    shown : sequence of Shown
        The manifest keeps their order.
    models : sequence of Path
        model.json of the folds, in their order.
    folder : Path
        Where <image_id>.png, <image_id>_votes.png and manifest.csv go.
    average : str
        How the folds are combined; part of an ensemble's fingerprint.
    code : Code
        The code that predicts.
    predict : function
        Called with the folds to use and at most `chunk` images.

    Returns
    -------
    int
        Images predicted; the others were there already.
    """
    facts = [json.loads(m.read_text()) for m in models]
    prints = [[f["tensors_sha256"], f["normalisation"]] for f in facts]
    for k, f in enumerate(facts):
        for by, seen in ((f"fold{k}", ("training",)), (ENSEMBLE, ("training", "validation"))):
            _refuse_seen(f, seen, {s.patient_id for s in shown if s.made_by == by}, k)
    keeper, rows, todo = ImageKeeper(folder, COLUMNS, code), [], {}
    seen_by = {f"fold{k}": digests.digest([p]) for k, p in enumerate(prints)}
    seen_by[ENSEMBLE] = digests.digest([prints, average])
    for s in shown:
        print_ = digests.digest(f"{s.png_sha256} {seen_by[s.made_by]}")
        row = {"image_id": s.id, "patient_id": s.patient_id, "part": s.part, "made_by": s.made_by}
        if old := keeper.known(s.id, print_, _files(s)):
            row = old if row.items() <= old.items() else {**old, **row}  # a million rows need not stand twice in memory
        else:
            row |= {"fingerprint": print_, "code": code.name}
            todo.setdefault(s.made_by, []).append((s, row))
        rows.append(row)
    keeper.forget(s.id for group in todo.values() for s, _ in group)
    for made_by, group in todo.items():
        # Which images share a batch may move the last digit, so it follows from the pictures, not from the pseudonyms' key.
        group.sort(key=lambda each: each[0].png_sha256)
        folds = range(len(models)) if made_by == ENSEMBLE else [int(made_by.removeprefix("fold"))]
        for start in range(0, len(group), chunk):
            part = group[start : start + chunk]
            probabilities, votes = predict(folds, np.stack([read_image(s.png, s.id) for s, _ in part]))
            for (s, row), probability, vote in zip(part, probabilities, votes, strict=True):
                row["png_sha256"] = write_png(folder / f"{s.id}.png", to_16bit(probability))
                if made_by == ENSEMBLE:  # a map of one byte where eight models are enough
                    smallest = vote.astype(np.uint8 if len(models) <= 8 else np.uint16)
                    row["votes_sha256"] = write_png(folder / f"{s.id}_votes.png", smallest)
    keeper.finish(rows, {f for s in shown for f in _files(s)})
    return sum(map(len, todo.values()))


def _files(shown: Shown) -> list[str]:
    return [f"{shown.id}.png"] + ([f"{shown.id}_votes.png"] if shown.made_by == ENSEMBLE else [])


def _refuse_seen(facts: Mapping, how: Sequence[str], patients: set[str], fold: int) -> None:
    """Raise UserError where a fold model is about to be tested on a patient it was trained on or chosen by."""
    seen = {p for part in how for p in facts["patients"][part]}
    if both := sorted(seen & patients):
        raise UserError(
            f"fold {fold} of {facts['model']['name']} was made with patient {both[0]}, whom it would now be tested on "
            f"({len(both)} such patients): the models do not belong to this splits.csv; run again to retrain them"
        )


def to_16bit(probability: np.ndarray) -> np.ndarray:
    """round(65535 p) as uint16, of probabilities 0..1; `case_scores.binarise` rounds a threshold in the same way."""
    return np.rint(probability.astype(np.float64) * 65535).astype(np.uint16)
