"""The tables of segmentation beside the published one, of images without a mass, and of costs, with their notes and warnings."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mammoseg.runtime.files import read_csv
from mammoseg.tables.rows import PARTS, DataSets, Models, Scores, decimals, groups, has_mass, mean_and_sd

SEGMENTATION = (
    "dataset",
    "part",
    "model",
    "encoder",
    "decoder",
    "weights",
    "n_images",
    "n_patients",
    "dice_mean",
    "dice_sd",
    "iou_mean",
    "iou_sd",
    "published_dice_mean",
    "published_dice_sd",
    "published_iou_mean",
    "published_iou_sd",
)
NORMAL_IMAGES = ("dataset", "part", "model", "n_images", "n_patients", "specificity", "false_positives_per_image")
COSTS = (
    "model",
    "encoder",
    "decoder",
    "weights",
    "parameters_encoder",
    "parameters_decoder",
    "parameters",
    "training_seconds",
    "peak_memory_mb",
    "device",
    "folds",
)
OF_A_CASE = ("image_id", "patient_id", "part", "n_masses", "dice", "iou", "predicted_regions")
"""Columns of the scores that the tables are made from."""


def segmentation_rows(scores: Scores, models: Models, datasets: DataSets, require_mass: bool = True) -> list[dict]:
    """Dice and IoU per data set, part and model: mean and sample SD (n - 1) over images, beside the published values.

    Parameters
    ----------
    scores, models, datasets
        As `Scores`, `Models`, `DataSets`.
    require_mass : bool
        Whether only images with a mass enter. Without, an image where neither reference nor prediction holds a pixel still
        stays out: its Dice is undefined.

    Returns
    -------
    list of dict
        By `SEGMENTATION`, values as text; empty where there is no published value, or no SD (one image).
    """
    published = published_table()
    rows = []
    for dataset, part, model, cases in groups(scores, models, datasets):
        cases = [c for c in cases if c["dice"] not in ("", None) and (has_mass(c) or not require_mass)]
        if not cases:
            continue
        dice_mean, dice_sd = mean_and_sd([float(c["dice"]) for c in cases])
        iou_mean, iou_sd = mean_and_sd([float(c["iou"]) for c in cases])
        beside = counterpart(published, models[model], part, dataset, datasets[dataset]) or {}
        rows.append(
            {
                "dataset": dataset,
                "part": part,
                "model": model,
                "encoder": models[model][0]["model"]["encoder"],
                "decoder": models[model][0]["model"]["decoder"],
                "weights": weights_in_words(models[model]),
                "n_images": len(cases),
                "n_patients": len({c["patient_id"] for c in cases}),
                "dice_mean": decimals(dice_mean),
                "dice_sd": decimals(dice_sd),
                "iou_mean": decimals(iou_mean),
                "iou_sd": decimals(iou_sd),
            }
            | {f"published_{k}": beside.get(k, "") for k in ("dice_mean", "dice_sd", "iou_mean", "iou_sd")}
        )
    return rows


def normal_image_rows(scores: Scores, models: Models, datasets: DataSets) -> list[dict]:
    """How quiet a model is on images without a mass: by `NORMAL_IMAGES`, values as text.

    Specificity is the share of these images without a predicted region; a false positive is a predicted region.
    """
    rows = []
    for dataset, part, model, cases in groups(scores, models, datasets):
        regions = [int(c["predicted_regions"]) for c in cases if not has_mass(c)]
        if not regions:
            continue
        rows.append(
            {
                "dataset": dataset,
                "part": part,
                "model": model,
                "n_images": len(regions),
                "n_patients": len({c["patient_id"] for c in cases if not has_mass(c)}),
                "specificity": decimals(regions.count(0) / len(regions)),
                "false_positives_per_image": decimals(sum(regions) / len(regions)),
            }
        )
    return rows


def cost_rows(models: Models) -> list[dict]:
    """What each model costs, by `COSTS`: seconds summed over its folds, memory the highest of them."""
    return [
        {
            "model": name,
            "encoder": folds[0]["model"]["encoder"],
            "decoder": folds[0]["model"]["decoder"],
            "weights": weights_in_words(folds),
            "parameters_encoder": folds[0]["parameters"]["encoder"],
            "parameters_decoder": folds[0]["parameters"]["decoder"],
            "parameters": folds[0]["parameters"]["total"],
            "training_seconds": decimals(math.fsum(f["cost"]["seconds"] for f in folds), 1),
            "peak_memory_mb": decimals(max(f["cost"]["peak_memory_mb"] for f in folds), 1),
            "device": ", ".join(sorted({f["cost"]["device"] for f in folds})),
            "folds": len(folds),
        }
        for name, folds in models.items()
    ]


def notes(scores: Scores, models: Models, datasets: DataSets, require_mass: bool = True) -> list[str]:
    """What a reader of the segmentation table must know, one sentence or two each; the warnings come first."""
    said = warnings(models, datasets)
    said.append(
        "Dice and IoU per image, mean ± sample SD over images"
        + (" with a mass; images without one are scored apart (normal_images)." if require_mass else ".")
    )
    parts = {part for _, part, _, _ in groups(scores, models, datasets)}
    if "out_of_fold" in parts:
        said.append(
            "out_of_fold: every image of the training part is predicted by the one fold that was not trained on it. The epoch of "
            "that fold was chosen by its loss on these images, which flatters them a little."
        )
    if parts & {"holdout", "external"}:
        said.append(
            "holdout and external: predicted by the ensemble of all folds; no fold was trained on these patients."
        )
    if any(
        counterpart(published_table(), models[m], p, d, datasets[d]) for d, p, m, _ in groups(scores, models, datasets)
    ):
        said.append(
            "Published values: Isosalo et al., Proc. SPIE 12037 (2022), Table 2: OUDSM beside the holdout, INbreast beside "
            "INbreast as external data set."
        )
    undefined = {
        (dataset, case["image_id"])
        for dataset, _, _, cases in groups(scores, models, datasets)
        for case in cases
        if case["dice"] in ("", None) and (has_mass(case) or not require_mass)
    }
    if undefined:
        said.append(
            f"Images left out of a mean because neither reference nor prediction holds a pixel: {len(undefined)}."
        )
    apart = {(d, c["image_id"]) for (d, _), cases in scores.items() for c in cases if c["part"] not in PARTS}
    if apart:
        said.append(f"Scored images of patients outside the cohort (new), which enter no mean: {len(apart)}.")
    return said


def warnings(models: Models, datasets: DataSets) -> list[str]:
    """What makes the figures less than a study: phantoms, and random weights where others were asked for."""
    said = []
    phantoms = [name for name, facts in datasets.items() if facts["phantom"]]
    if phantoms:
        every = len(phantoms) == len(datasets)
        who = "All data sets are" if every else f"{', '.join(phantoms)}:"
        said.append(f"{who} synthetic phantoms. Figures on phantoms are not comparable with the published ones.")
    if replaced := [name for name, folds in models.items() if replaced_weights(folds)]:
        who = "all models" if len(replaced) == len(models) else ", ".join(replaced)
        said.append(
            f"The encoder weights asked for were not there: {who} started from random weights, so the table says nothing "
            "about ImageNet or GMIC initialisation."
        )
    elif models and all(folds[0]["model"]["weights"] == "random" for folds in models.values()):
        said.append("All models started from random weights, as configured.")
    return said


def published_table() -> list[dict[str, str]]:
    """Table 2 of Isosalo et al. 2022: data, model, encoder, decoder, weights, dice_mean, dice_sd, iou_mean, iou_sd."""
    return read_csv(Path(__file__).parents[1] / "data" / "published_table2.csv")


def counterpart(
    published: Iterable[Mapping[str, str]], folds: Sequence[Mapping], part: str, dataset: str, facts: Mapping
) -> Mapping[str, str] | None:
    """The published row that stands beside one of ours, or None.

    OUDSM stands beside the holdout of a release in the Oulu layout and INbreast beside INbreast as external data set, for
    the paper's four models trained from the weights they are named for. Nothing stands beside phantoms.
    """
    inbreast = facts["importer"] == "inbreast" or "inbreast" in dataset.lower()
    oulu = facts["importer"] == "oulu"
    data = "OUDSM" if part == "holdout" and oulu else "INbreast" if part == "external" and inbreast else None
    model = folds[0]["model"]
    if facts["phantom"] or replaced_weights(folds):
        return None
    ours = (data, model["encoder"], model["decoder"], model["weights"])
    return next(
        (row for row in published if (row["data"], row["encoder"], row["decoder"], row["weights"]) == ours), None
    )


def replaced_weights(folds: Sequence[Mapping]) -> bool:
    """Whether a fold started from random weights though others were asked for."""
    return any(f["weights_used"] != f["model"]["weights"] for f in folds)


def weights_in_words(folds: Sequence[Mapping]) -> str:
    """``imagenet``, ``gmic``, ``random``, or ``random (imagenet missing)``."""
    asked = folds[0]["model"]["weights"]
    used = sorted({f["weights_used"] for f in folds})
    return asked if used == [asked] else f"{' and '.join(used)} ({asked} missing)"
