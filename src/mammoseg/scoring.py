"""Scores of single cases: a probability map against the reference mask."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from mammoseg import fingerprint
from mammoseg.acceptance import Code
from mammoseg.errors import UserError
from mammoseg.files import read_csv, write_csv
from mammoseg.metrics import counts
from mammoseg.pack import read_mask

COLUMNS = (
    "image_id",
    "patient_id",
    "part",
    "laterality",
    "view",
    "n_masses",
    "reference_pixels",
    "predicted_pixels",
    "true_positive_pixels",
    "dice",
    "iou",
    "predicted_regions",
)
FACTS = ("image_id", "patient_id", "laterality", "view", "n_masses")
NEIGHBOURS = np.ones((3, 3), bool)  # regions may touch at a corner


KEPT = (*COLUMNS, "fingerprint", "code")
"""Columns of the memory of earlier scores."""


def score_cases(
    predictions: Path, shards: Iterable[Path], threshold: float, code: Code, memory: Path
) -> tuple[list[dict], int]:
    """Score one model on one data set; a case whose prediction, mask and threshold are as before keeps its scores.

    Parameters
    ----------
    predictions : Path
        ``manifest.csv`` of the predictions; ``<image_id>.png`` (16-bit probability) lies beside it.
    shards : iterable of Path
        ``manifest.csv`` of each shard of the data set; ``<image_id>_mask.png`` lies beside it.
    threshold : float
        Probability from which a pixel is mass, 0..1.
    code, memory : Code, Path
        The code that scores, and the file in which scores are remembered.

    Returns
    -------
    list of dict
        One row per image that has a reference, by `COLUMNS`, sorted by image_id. `dice` and `iou` are None (kept ones: "")
        where neither reference nor prediction holds a pixel.
    int
        Cases scored; the others were kept.

    Raises
    ------
    UserError
        Where an image with a reference has no prediction: it must not silently leave the mean.
    """
    predictions = Path(predictions)
    made = {row["image_id"]: row for row in read_csv(predictions, ("image_id", "part", "png_sha256"))}
    cases = {
        row["image_id"]: (row, Path(shard).parent)
        for shard in shards
        for row in read_csv(shard, (*FACTS, "status", "mask_sha256"))
        if row["status"] == "ok" and row["n_masses"] != ""
    }
    if lost := sorted(set(cases) - set(made)):
        raise UserError(
            f"{len(lost)} of {len(cases)} images have no prediction in {predictions}, e.g. image_id {lost[0]}: "
            "delete that file and run again, so that they are predicted"
        )
    known = {r["image_id"]: r for r in read_csv(memory)} if memory.exists() else {}
    rows, scored = [], 0
    for image_id in sorted(cases):
        case, folder = cases[image_id]
        facts = {k: case[k] for k in FACTS} | {"part": made[image_id]["part"]}
        made_from = fingerprint.digest([made[image_id]["png_sha256"], case["mask_sha256"], threshold])
        old = known.get(image_id)
        if old and old["fingerprint"] == made_from and old["code"] in code.same:
            rows.append(old | facts)
            continue
        scored += 1
        probability = read_probability(predictions.with_name(f"{image_id}.png"), image_id)
        reference = read_mask(folder / f"{image_id}_mask.png", image_id).astype(bool)
        scores = score_case(probability, reference, threshold)
        rows.append(facts | scores | {"fingerprint": made_from, "code": code.digest})
    write_csv(memory, KEPT, rows)
    return rows, scored


def score_case(probability: np.ndarray, reference: np.ndarray, threshold: float = 0.5) -> dict:
    """Score one image.

    Parameters
    ----------
    probability : (rows, columns) uint16
        65535 times the probability of mass.
    reference : (rows, columns) bool
        The reference mask.
    threshold : float
        Probability from which a pixel is mass, 0..1.

    Returns
    -------
    dict
        The last six of `COLUMNS`. A region is a connected component of the prediction, 8 neighbours.
    """
    predicted = binarise(probability, threshold)
    pixels = counts(predicted, reference)
    defined = pixels.predicted + pixels.reference > 0  # an undefined score is an empty cell, never a zero
    return {
        "reference_pixels": pixels.reference,
        "predicted_pixels": pixels.predicted,
        "true_positive_pixels": pixels.true_positive,
        "dice": pixels.dice if defined else None,
        "iou": pixels.iou if defined else None,
        "predicted_regions": int(ndimage.label(predicted, NEIGHBOURS)[1]),
    }


def binarise(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Mask of the pixels whose 16-bit `probability` is at least `threshold` (0..1), as bool.

    The threshold is rounded as the probabilities were, so that a probability equal to it is always mass.
    """
    return probability >= np.rint(65535 * threshold)


def read_probability(path: Path, image_id: str) -> np.ndarray:
    """Probability map (rows, columns) uint16 of one image; a UserError that names the image where it cannot be read."""
    probability = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if probability is None or probability.dtype != np.uint16 or probability.ndim != 2:
        raise UserError(
            f"the prediction of image_id {image_id} is missing or damaged in {path.parent}: "
            "delete manifest.csv there and run again, so that it is predicted"
        )
    return probability
