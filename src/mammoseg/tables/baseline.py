"""What brightness alone can do: the best threshold, chosen on the training images, scored on all parts.

A network that does not beat it has learnt nothing. Two families of rules are tried and the better one is kept:

``grey_value``
    A pixel is mass where its 8-bit value is at least `value` (1..255): one cut for all images.
``brightest_share``
    The brightest `value` (0..1) of each image's breast pixels are mass, the breast being all that is not air (0). The cut
    follows the image's own histogram, so that it does not matter how bright or dense the breast is.

Two histograms an image hold all that either family needs (all pixels, pixels of the mass), so that every cut of every image
is scored at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammoseg.images.png import read_image, read_mask
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv
from mammoseg.tables.rows import decimals, mean_and_sd

COLUMNS = (
    "dataset",
    "part",
    "family",
    "value",
    "n_images",
    "n_patients",
    "dice_mean",
    "dice_sd",
    "iou_mean",
    "iou_sd",
)
CUTS = np.arange(257)  # a cut of 256 predicts nothing
GREY_VALUES = np.arange(1, 256)
SHARES = np.arange(1, 201) / 400  # 0.25 % to 50 % of the breast
PARTS = {"train": "out_of_fold", "holdout": "holdout", "external": "external"}
"""Part of the tables by a patient's role. On the training part the threshold scores the very images it was chosen on."""


@dataclass(frozen=True)
class Brightness:
    """One image with a mass, as far as brightness goes: histograms of its 8-bit values, (256,) int64 each."""

    patient_id: str
    pixels: np.ndarray
    mass_pixels: np.ndarray


@dataclass(frozen=True)
class Threshold:
    """A rule of one family; `training_dice` is its mean Dice over the training images."""

    family: str
    value: float
    training_dice: float


def baseline_rows(shards: Mapping[str, Iterable[Path]], splits: Iterable[Mapping]) -> list[dict]:
    """Choose the threshold on the training part and score it on every part.

    Parameters
    ----------
    shards : mapping of str to iterable of Path
        Each data set's shard manifests; PNGs and masks lie beside them.
    splits : iterable of mapping
        Rows of splits.csv.

    Returns
    -------
    list of dict
        One row per data set and part, by `COLUMNS`, values as text. Only images with a mass enter.

    Raises
    ------
    UserError
        Where no training image has a mass.
    """
    role = {(row["dataset"], row["patient_id"]): row["role"] for row in splits}
    groups: dict[tuple[str, str], list[Brightness]] = {}
    for dataset, manifests in shards.items():
        for image in read_brightness(manifests):
            part = PARTS.get(role.get((dataset, image.patient_id)))
            if part:
                groups.setdefault((dataset, part), []).append(image)
    training = [image for (_, part), images in groups.items() if part == "out_of_fold" for image in images]
    if not training:
        raise UserError("no training image has a mass, so there is nothing to choose a brightness threshold on")
    best = best_threshold(training)
    return [_row(best, dataset, part, images) for (dataset, part), images in sorted(groups.items())]


def read_brightness(shards: Iterable[Path]) -> list[Brightness]:
    """Histograms of the usable images with a mass; `shards` are manifests with PNGs and masks beside them."""
    images = []
    for shard in shards:
        for row in read_csv(shard):
            if row["status"] == "ok" and row["n_masses"] not in ("", "0"):
                picture = Path(shard).with_name(row["image_id"])
                image = read_image(f"{picture}.png", row["image_id"])
                mask = read_mask(f"{picture}_mask.png", row["image_id"]).astype(bool)
                images.append(brightness(row["patient_id"], image, mask))
    return images


def brightness(patient_id: str, image: np.ndarray, mask: np.ndarray) -> Brightness:
    """Histograms of one image, (rows, columns) uint8, and of its reference mask, the same shape, bool."""
    return Brightness(patient_id, np.bincount(image.ravel(), minlength=256), np.bincount(image[mask], minlength=256))


def best_threshold(images: Sequence[Brightness]) -> Threshold:
    """The rule of either family with the highest mean Dice over `images`; of equals, the first."""
    curves = [scores_at_all_cuts(image)[0] for image in images]
    grey = np.mean([curve[GREY_VALUES] for curve in curves], axis=0)
    share = np.mean(
        [curve[cuts_for_shares(image, SHARES)] for image, curve in zip(images, curves, strict=True)], axis=0
    )
    candidates = [
        Threshold("grey_value", float(GREY_VALUES[grey.argmax()]), float(grey.max())),
        Threshold("brightest_share", float(SHARES[share.argmax()]), float(share.max())),
    ]
    return max(candidates, key=lambda threshold: threshold.training_dice)


def score(threshold: Threshold, image: Brightness) -> tuple[float, float]:
    """Dice and IoU of one image at `threshold`."""
    cut = (
        int(threshold.value) if threshold.family == "grey_value" else int(cuts_for_shares(image, [threshold.value])[0])
    )
    dice, iou = scores_at_all_cuts(image)
    return float(dice[cut]), float(iou[cut])


def scores_at_all_cuts(image: Brightness) -> tuple[np.ndarray, np.ndarray]:
    """Dice and IoU, (257,) float64 each, of the rule "value >= cut" for the cuts 0..256."""
    predicted, hits = _from_above(image.pixels), _from_above(image.mass_pixels)
    both = predicted + hits[0]  # hits[0]: all pixels of the reference
    return 2 * hits / np.maximum(both, 1), hits / np.maximum(both - hits, 1)


def cuts_for_shares(image: Brightness, shares: Sequence[float]) -> np.ndarray:
    """The lowest cut (1..256) that leaves at most each share of the breast's pixels above it, (len(shares),) int."""
    predicted = _from_above(image.pixels)
    allowed = np.asarray(shares) * predicted[1]
    return 1 + np.argmax(predicted[None, 1:] <= allowed[:, None], axis=1)  # predicted[256] is 0: a cut is always found


def _from_above(histogram: np.ndarray) -> np.ndarray:
    """Number of pixels with a value of at least 0..256, (257,)."""
    return np.append(np.cumsum(histogram[::-1])[::-1], 0)


def _row(threshold: Threshold, dataset: str, part: str, images: list[Brightness]) -> dict:
    scores = [score(threshold, image) for image in images]
    dice_mean, dice_sd = mean_and_sd([dice for dice, _ in scores])
    iou_mean, iou_sd = mean_and_sd([iou for _, iou in scores])
    return {
        "dataset": dataset,
        "part": part,
        "family": threshold.family,
        "value": decimals(threshold.value),
        "n_images": len(images),
        "n_patients": len({image.patient_id for image in images}),
        "dice_mean": decimals(dice_mean),
        "dice_sd": decimals(dice_sd),
        "iou_mean": decimals(iou_mean),
        "iou_sd": decimals(iou_sd),
    }
