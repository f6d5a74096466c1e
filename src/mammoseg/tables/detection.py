"""How many masses are found, and at what price: sensitivity, specificity and FROC."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mammoseg.evaluation.statistics import proportion_interval
from mammoseg.metrics.lesions import RATES, Detections, Froc, Mass, froc
from mammoseg.tables.rows import DataSets, Models, Scores, decimals, groups

COLUMNS = (
    "dataset", "part", "model", "n_images", "n_patients", "n_masses", "sensitivity", "sensitivity_low", "sensitivity_high",
    "n_images_with_mass", "image_sensitivity", "n_images_without_mass", "specificity", "specificity_low", "specificity_high",
    "false_positives_per_image", *(f"sensitivity_at_{rate:g}" for rate in RATES), "dice_of_found_masses",
    "dice_in_box_of_reference",
)  # fmt: skip
CURVE = ("dataset", "part", "model", "threshold", "false_positives_per_image", "sensitivity")
MOST_POINTS = 200
"""Of a curve that is written down."""

Lesions = Mapping[tuple[str, str], Sequence[Mapping]]
"""(data set, model) → rows of results/<dataset>/lesions/<model>.csv."""


def detection_rows(
    scores: Scores, lesions: Lesions, models: Models, datasets: DataSets, recipe: Mapping
) -> tuple[list[dict], list[dict]]:
    """Detection per data set, part and model, values as text.

    Parameters
    ----------
    scores, models, datasets
        As in `segmentation.segmentation_rows`; of the scores, all images count, with and without a mass.
    lesions
        As `Lesions`.
    recipe : mapping
        Config `statistics`, and ``seed``.

    Returns
    -------
    list of dict
        By `COLUMNS`. ``sensitivity``, with its interval over patients, and ``false_positives_per_image`` are of all regions at
        the config's threshold; ``image_sensitivity`` is the share of the images with a mass in which one is found,
        ``specificity``, with its interval, that of the images without a mass in which nothing is marked; ``sensitivity_at_…`` of
        the FROC, at so many false positives per image. False positives per image are of all images, with and without a mass. The
        last two are for comparison with publications that leave out missed masses, or give the model the reference's box.
    list of dict
        The FROC's points, by `CURVE`, at most `MOST_POINTS` a model.
    """
    rows, curves = [], []
    for dataset, part, model, cases in groups(scores, models, datasets):
        images = _images(cases, (r for r in lesions[dataset, model] if r["part"] == part))
        detected = [found for found, _ in images]
        curve = froc(detected)
        with_mass = [any(mass.found for mass in found.masses) for found in detected if found.masses]
        masses = [(mass, patient) for found, patient in images for mass in found.masses]
        without = [(not found.false_positives, patient) for found, patient in images if not found.masses]
        row = {
            "dataset": dataset,
            "part": part,
            "model": model,
            "n_images": len(images),
            "n_patients": len({patient for _, patient in images}),
            "n_masses": len(masses),
            "false_positives_per_image": decimals(float(curve.false_positives_per_image[-1])),
        }
        if masses:
            row |= _share("sensitivity", [(mass.found, patient) for mass, patient in masses], recipe)
            row |= {
                "n_images_with_mass": len(with_mass),
                "image_sensitivity": decimals(float(np.mean(with_mass))),
                **{f"sensitivity_at_{rate:g}": decimals(curve.sensitivity_at(rate)) for rate in RATES},
                "dice_of_found_masses": decimals(_mean(mass.dice_found for mass, _ in masses)),
                "dice_in_box_of_reference": decimals(_mean(mass.dice_in_box for mass, _ in masses)),
            }
            curves += _points({"dataset": dataset, "part": part, "model": model}, curve)
        if without:
            row |= {"n_images_without_mass": len(without)} | _share("specificity", without, recipe)
        rows.append(row)
    return rows, curves


def _share(name: str, hits: Sequence[tuple[bool, str]], recipe: Mapping) -> dict[str, str]:
    found = proportion_interval(*zip(*hits, strict=True), 1 - recipe["alpha"])
    return {
        name: decimals(found.estimate),
        f"{name}_low": decimals(found.low),
        f"{name}_high": decimals(found.high),
    }


def _images(cases: Sequence[Mapping], lesions: Iterable[Mapping]) -> list[tuple[Detections, str]]:
    """What was found in each image, and whose it is."""
    of_image: dict[str, tuple[list, list]] = {case["image_id"]: ([], []) for case in cases}
    for row in lesions:
        masses, false_positives = of_image[row["image_id"]]
        if row["kind"] == "mass":
            values = [float(row[k] or "nan") for k in ("score", "dice_found", "dice_in_box")]
            masses.append(Mass(int(row["pixels"]), *values))
        else:
            false_positives.append(float(row["score"]))
    return [
        (Detections(tuple(of_image[case["image_id"]][0]), tuple(of_image[case["image_id"]][1])), case["patient_id"])
        for case in cases
    ]


def _points(of: Mapping, curve: Froc) -> list[dict]:
    kept = np.unique(np.linspace(0, len(curve.thresholds) - 1, MOST_POINTS).round().astype(int))
    return [
        {
            **of,
            "threshold": "" if np.isinf(curve.thresholds[k]) else decimals(float(curve.thresholds[k])),
            "false_positives_per_image": decimals(float(curve.false_positives_per_image[k])),
            "sensitivity": decimals(float(curve.sensitivity[k])),
        }
        for k in kept
    ]


def _mean(values: Iterable[float]) -> float:
    values = np.array([v for v in values if not np.isnan(v)])
    return float(values.mean()) if len(values) else float("nan")
