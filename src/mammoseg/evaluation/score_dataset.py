"""Scores of a data set, case by case: overlap and distances, the lesions that were found, and what calibration needs.

A case whose prediction, reference and recipe are as before keeps its scores. Rows go from file to file one by one; only what
tells where a case lies, and whether it is as before, is held for all.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from mammoseg.evaluation.case_scores import SCORES, Reference, binarise, score_case, votes_of
from mammoseg.images.letterbox import Letterbox
from mammoseg.images.png import read_mask, read_reference
from mammoseg.metrics.calibration import BINS, THRESHOLDS, dice_by_threshold, pixel_counts
from mammoseg.metrics.lesions import detect
from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import stream_csv, write_csv, write_text

FACTS = ("image_id", "patient_id", "laterality", "view", "n_masses", "largest_mass_mm")
COLUMNS = ("image_id", "patient_id", "part", *FACTS[2:], *SCORES)
LESIONS = ("image_id", "patient_id", "part", "kind", "pixels", "score", "dice_found", "dice_in_box")
"""One row per reference mass (``kind`` mass; `score` empty where it is missed) and per false positive."""
OF_LESIONS = LESIONS[3:]
KEPT = (*COLUMNS, "lesions", "bins", "sweep", "fingerprint", "code")
"""Columns of the memory of earlier scores; three hold JSON."""
FROM_SHARD = (
    *FACTS, "status", "rows", "columns", "side", "pad_right", "mirrored", "pixel_spacing_mm", "mask_sha256", "reference_sha256",
)  # fmt: skip
FROM_PREDICTION = ("image_id", "part", "png_sha256", "votes_sha256")


def score_cases(
    predictions: Path, shards: Iterable[Path], recipe: Mapping, cell: int | None, folds: int, code: Code, memory: Path
) -> tuple[int, int]:
    """Score one model on one data set into `memory`; a case that is as before keeps its scores.

    Parameters
    ----------
    predictions : Path
        ``manifest.csv`` of the predictions, sorted by image_id; ``<image_id>.png`` and ``<image_id>_votes.png`` lie beside it.
    shards : iterable of Path
        ``manifest.csv`` of each shard of the data set; ``<image_id>_mask.png`` and ``<image_id>_reference.png`` lie beside it.
    recipe : mapping
        ``threshold``, and ``min_iou`` and ``centre_inside`` of `mammoseg.metrics.lesions.detect`.
    cell, folds : int
        As in `case_scores.score_case`; the models of the ensemble.
    code, memory : Code, Path
        The code that scores, and the file in which scores are remembered: by `KEPT`, one row per image that has a reference,
        sorted by image_id.

    Returns
    -------
    int, int
        Cases in all, and those that were scored now.

    Raises
    ------
    UserError
        Where an image with a reference has no prediction: it must not silently leave the mean.
    """
    cases = _cases(shards)
    ids = sorted(cases)
    if lost := [image_id for image_id, row in zip(ids, _beside(ids, predictions), strict=True) if row is None]:
        raise UserError(
            f"{len(lost)} of {len(cases)} images have no prediction in {predictions}, e.g. image_id {lost[0]}: "
            "delete that file and run again, so that they are predicted"
        )
    scored = 0

    def rows() -> Iterator[Mapping]:
        nonlocal scored
        for image_id, old, prediction in zip(ids, _beside(ids, memory), _beside(ids, predictions), strict=True):
            values, folder = cases[image_id]
            case = dict(zip(FROM_SHARD, values, strict=True))
            facts = {k: case[k] for k in FACTS} | {"part": prediction["part"]}
            made_from = digests.digest(
                [dict(recipe), cell, folds]
                + [prediction[k] for k in FROM_PREDICTION[2:]]
                + [case[k] for k in FROM_SHARD[len(FACTS) + 1 :]]
            )
            if old and old["fingerprint"] == made_from and old["code"] in code.same:
                yield old | facts
            else:
                scored += 1
                found = _score(image_id, case, folder, prediction, predictions.parent, recipe, cell, folds)
                yield facts | found | {"fingerprint": made_from, "code": code.name}

    write_csv(memory, KEPT, rows())
    return len(cases), scored


def write_outputs(memory: Path, scores: Path, lesions: Path, trust: Path) -> None:
    """Write what others read from what `score_cases` remembers: cases, lesions, and by part the sums for calibration and sweep.

    ``trust`` is JSON: part → ``images``, ``pixels`` (`calibration.pixel_counts`, summed), ``cases`` with a mass, and ``dice``,
    their mean at each of `calibration.THRESHOLDS`.
    """
    write_csv(scores, COLUMNS, stream_csv(memory, COLUMNS))
    write_csv(lesions, LESIONS, _lesion_rows(memory))
    parts: dict[str, dict] = defaultdict(lambda: {"images": 0, "pixels": np.zeros((BINS, 3), np.int64), "dice": []})
    for row in stream_csv(memory, ("part", "bins", "sweep")):
        part = parts[row["part"]]
        part["images"] += 1
        for k, *counted in json.loads(row["bins"]):
            part["pixels"][k] += counted
        if row["sweep"]:
            part["dice"].append(np.array(json.loads(row["sweep"]), np.float32))
    summed = {
        name: {
            "images": part["images"],
            "pixels": part["pixels"].tolist(),
            "cases": len(part["dice"]),
            "dice": [round(float(d), 6) for d in np.mean(part["dice"], axis=0, dtype=np.float64)]
            if part["dice"]
            else [],
        }
        for name, part in sorted(parts.items())
    }
    write_text(trust, json.dumps({"thresholds": THRESHOLDS.round(2).tolist(), "parts": summed}) + "\n")


def _lesion_rows(memory: Path) -> Iterator[Mapping]:
    for row in stream_csv(memory, (*LESIONS[:3], "lesions")):
        for lesion in json.loads(row["lesions"]):
            yield {k: row[k] for k in LESIONS[:3]} | dict(zip(OF_LESIONS, lesion, strict=True))


def _cases(shards: Iterable[Path]) -> dict[str, tuple[tuple[str, ...], Path]]:
    """image_id → values of `FROM_SHARD` and folder of the shard, of every image with a reference: as small as a million need."""
    cases = {}
    for shard in map(Path, shards):
        folder = shard.parent
        for row in stream_csv(shard, FROM_SHARD):
            if row["status"] == "ok" and row["n_masses"] != "":
                cases[row["image_id"]] = (tuple(row.values()), folder)
    return cases


def _beside(image_ids: Iterable[str], table: Path) -> Iterator[Mapping | None]:
    """The row of each id in a table, if there is one; ids and rows are sorted by image_id."""
    rows = stream_csv(table) if table.exists() else iter(())
    row = next(rows, None)
    for image_id in image_ids:
        while row and row["image_id"] < image_id:
            row = next(rows, None)
        yield row if row and row["image_id"] == image_id else None


def _score(image_id: str, case: Mapping, folder: Path, prediction: Mapping, predicted: Path, recipe: Mapping,
           cell: int | None, folds: int) -> dict:  # fmt: skip
    """Everything that is remembered of one case, but its facts."""
    probability = read_probability(predicted / f"{image_id}.png", image_id)
    votes = (
        votes_of(read_votes(predicted / f"{image_id}_votes.png", image_id), folds)
        if prediction["votes_sha256"]
        else None
    )
    reference = reference_of(image_id, case, folder)
    found = detect(
        binarise(probability, recipe["threshold"]),
        probability,
        reference.square,
        recipe["min_iou"],
        recipe["centre_inside"],
    )
    lesions = [["mass", m.pixels, *map(_rounded, (m.score, m.dice_found, m.dice_in_box))] for m in found.masses]
    lesions += [["false_positive", "", _rounded(score), "", ""] for score in found.false_positives]
    image = reference.box.content  # padding is in no image, and sure not to be mass
    bins = pixel_counts(probability[image], reference.square[image])
    sweep = dice_by_threshold(probability, reference.square).round(6).tolist() if reference.square.any() else None
    return {
        **score_case(probability, reference, recipe["threshold"], cell, votes),
        "lesions": json.dumps(lesions),
        "bins": json.dumps([[k, *row] for k, row in enumerate(bins.tolist()) if row[0]]),
        "sweep": json.dumps(sweep) if sweep else "",
    }


def _rounded(value: float) -> float | str:
    return "" if np.isnan(value) else round(value, 6)


def reference_of(image_id: str, case: Mapping, folder: Path) -> Reference:
    """What an image is scored against, from its row of a shard's manifest (`FROM_SHARD`) and the shard's folder."""
    box = letterbox_of(case)
    square = read_mask(folder / f"{image_id}_mask.png", image_id).astype(bool)
    if case["reference_sha256"]:
        original = read_reference(folder / f"{image_id}_reference.png", image_id, box.rows, box.columns)
    else:
        original = np.zeros((box.rows, box.columns), bool)
    return Reference(square, original, box, float(case["pixel_spacing_mm"] or "nan"))


def letterbox_of(row: Mapping[str, str]) -> Letterbox:
    """The letterbox of an image, from its row of a shard's manifest."""
    return Letterbox(
        int(row["rows"]), int(row["columns"]), int(row["side"]), row["pad_right"] == "1", row["mirrored"] == "1"
    )


def read_probability(path: Path, image_id: str) -> np.ndarray:
    """Probability map (side, side) uint16 of one image; a UserError that names the image where it cannot be read."""
    return _read_prediction(path, image_id, (np.uint16,))


def read_votes(path: Path, image_id: str) -> np.ndarray:
    """Votes of the folds (side, side), one bit a fold (`mammoseg.prediction.ensemble.predict`); errors as `read_probability`."""
    return _read_prediction(path, image_id, (np.uint8, np.uint16))


def _read_prediction(path: Path, image_id: str, dtypes: tuple[type, ...]) -> np.ndarray:
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if array is None or array.dtype not in dtypes or array.ndim != 2:
        raise UserError(
            f"the prediction of image_id {image_id} is missing or damaged in {path.parent}: "
            "delete manifest.csv there and run again, so that it is predicted"
        )
    return array
