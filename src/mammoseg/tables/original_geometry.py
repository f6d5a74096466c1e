"""The table of scores in the original's own pixels and millimetres, beside what the way through the square lets through."""

import math
import statistics
from collections.abc import Sequence

from mammoseg.tables.rows import DataSets, Models, Scores, decimals, groups, has_mass, mean_and_sd

COLUMNS = (
    "dataset", "part", "model", "n_images", "n_patients", "n_images_predicted", "original_dice_mean",
    "original_dice_sd", "original_iou_mean", "original_iou_sd", "original_precision_mean",
    "original_recall_mean", "ceiling_square_mean", "ceiling_model_mean", "n_images_in_mm", "n_without_surface",
    "hd95_mm_median", "average_surface_distance_mm_median", "surface_dice_1mm_mean", "surface_dice_2mm_mean",
)  # fmt: skip
READ = (
    "image_id", "patient_id", "part", "n_masses", "original_dice", "original_iou",
    "original_precision", "original_recall", "ceiling_square", "ceiling_model", "hd95_mm", "average_surface_distance_mm",
    "surface_dice_1mm", "surface_dice_2mm",
)  # fmt: skip
"""Columns of the scores that it is made from."""


def original_geometry_rows(scores: Scores, models: Models, datasets: DataSets) -> list[dict]:
    """Scores of the images with a mass, by `COLUMNS`, values as text.

    Means leave out what is undefined: precision where nothing was predicted (in all but ``n_images_predicted``), everything in mm
    where the pixel spacing is unknown.
    Distances have medians, for one is infinite where nothing was predicted: ``n_without_surface`` of ``n_images_in_mm`` are.
    """
    rows = []
    for dataset, part, model, cases in groups(scores, models, datasets):
        cases = [c for c in cases if has_mass(c)]
        if not cases:
            continue
        values = {k: [float(c[k]) for c in cases if c[k] != ""] for k in READ[4:]}
        rows.append(
            {
                "dataset": dataset,
                "part": part,
                "model": model,
                "n_images": len(cases),
                "n_patients": len({c["patient_id"] for c in cases}),
                "n_images_predicted": len(values["original_precision"]),
                "n_images_in_mm": len(values["hd95_mm"]),
                "n_without_surface": sum(map(math.isinf, values["hd95_mm"])),
            }
            | {c: _mean(values[c.removesuffix("_mean")]) for c in COLUMNS if c.endswith("_mean")}
            | {c: _sd(values[c.removesuffix("_sd")]) for c in COLUMNS if c.endswith("_sd")}
            | {c: _median(values[c.removesuffix("_median")]) for c in COLUMNS if c.endswith("_median")}
        )
    return rows


def _mean(values: Sequence[float]) -> str:
    return decimals(mean_and_sd(values)[0])


def _sd(values: Sequence[float]) -> str:
    return decimals(mean_and_sd(values)[1])


def _median(values: Sequence[float]) -> str:
    """The upper one of two middle values: their mean would be undefined where one is infinite."""
    return decimals(statistics.median_high(values)) if values else ""
