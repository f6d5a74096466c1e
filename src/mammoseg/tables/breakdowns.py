"""Dice by what is known of an image: size of its largest mass, view, laterality, pathology, density, fold."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from mammoseg.evaluation.statistics import mean_interval
from mammoseg.images.letterbox import diameter
from mammoseg.tables.rows import DataSets, Models, Scores, decimals, groups, has_mass, mean_and_sd

COLUMNS = (
    "dataset", "part", "model", "by", "group", "n_images", "n_patients", "dice_mean", "dice_low", "dice_high",
    "original_dice_mean", "ceiling_square_mean", "ceiling_model_mean",
)  # fmt: skip
READ = (
    "image_id", "patient_id", "part", "laterality", "view", "n_masses", "largest_mass_mm", "reference_pixels", "dice",
    "original_dice", "ceiling_square", "ceiling_model",
)  # fmt: skip
"""Columns of the scores that it is made from."""
MIN_PATIENTS = 5
"""A group of fewer is not shown: its mean would say more of chance, and of single persons, than of the model."""
TOO_FEW = "too few patients"
"""All groups of a kind that are not shown, together: how many images they hold, and no score."""
MOST_VALUES = 12
"""A column with more values than this is a measurement or a name, not a grouping."""
SIZE = "largest mass"
ON_SQUARE = "mass on the square"
"""Size where no pixel spacing is known: diameter of a disc as large as an image's masses, in % of the side of the square."""
SIZES_PERCENT = (4.0, 8.0)
"""Limits of its groups: some 10 and 20 mm of a mammogram of 24 cm."""

Extras = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Data set → image_id → further columns of its index (``birads``, ``pathology``, …)."""
Folds = Mapping[tuple[str, str], str]
"""(data set, patient_id) → fold, or empty text."""


def breakdown_rows(
    scores: Scores, models: Models, datasets: DataSets, extras: Extras, folds: Folds, recipe: Mapping
) -> list[dict]:
    """Mean Dice with a confidence interval over patients, group by group, by `COLUMNS`, values as text.

    Of the images with a mass. An image without a value (no pixel spacing, no BI-RADS) is in no group of that kind.

    Parameters
    ----------
    scores, models, datasets
        As in `segmentation.segmentation_rows`.
    extras, folds
        As `Extras`, `Folds`.
    recipe : mapping
        Config `statistics`, ``seed``, and ``side`` of the square.
    """
    rows = []
    for dataset, part, model, cases in groups(scores, models, datasets):
        cases = [c for c in cases if has_mass(c) and c["dice"] not in ("", None)]
        for by, value in _kinds(cases, dataset, part, extras, folds, recipe):
            of_value: dict[str, list[Mapping]] = defaultdict(list)
            for case in cases:
                if found := value(case):
                    of_value[found].append(case)
            hidden: list[Mapping] = []
            for group, members in sorted(of_value.items(), key=lambda g: _natural(g[0])):
                patients = [c["patient_id"] for c in members]
                if len(set(patients)) < MIN_PATIENTS:
                    hidden += members
                    continue
                dice = [float(c["dice"]) for c in members]
                found = mean_interval(dice, patients, 1 - recipe["alpha"], recipe["resamples"], recipe["seed"])
                rows.append(
                    {
                        "dataset": dataset, "part": part, "model": model, "by": by, "group": group,
                        "n_images": len(members), "n_patients": len(set(patients)), "dice_mean": decimals(found.estimate),
                        "dice_low": decimals(found.low), "dice_high": decimals(found.high),
                    }
                    | {
                        f"{k}_mean": decimals(mean_and_sd([float(c[k]) for c in members if c[k]])[0])
                        for k in ("original_dice", "ceiling_square", "ceiling_model")
                    }
                )  # fmt: skip
            if hidden:
                of = {"dataset": dataset, "part": part, "model": model, "by": by, "group": TOO_FEW}
                counts = {"n_images": len(hidden), "n_patients": len({c["patient_id"] for c in hidden})}
                rows.append(of | counts)
    return rows


def size_group(size: str, limits: Sequence[float], unit: str = "mm") -> str:
    """``below 10 mm``, ``10 to 20 mm``, ``20 mm and more``; empty where the size is not known. A limit is of the upper group."""
    if not size:
        return ""
    known = float(size)
    if known < limits[0]:
        return f"below {limits[0]:g} {unit}"
    if known >= limits[-1]:
        return f"{limits[-1]:g} {unit} and more"
    low, high = next((a, b) for a, b in pairwise(limits) if a <= known < b)
    return f"{low:g} to {high:g} {unit}"


def _kinds(
    cases: Sequence[Mapping], dataset: str, part: str, extras: Extras, folds: Folds, recipe: Mapping
) -> Iterator[tuple[str, Callable[[Mapping], str]]]:
    """Each kind of group, and how an image's is found; kinds with one group only are left out, but for the size."""
    of_image = extras.get(dataset, {})
    in_mm = any(case["largest_mass_mm"] for case in cases)
    kinds: dict[str, Callable[[Mapping], str]] = {
        SIZE: lambda case: size_group(case["largest_mass_mm"], recipe["sizes_mm"]),
        ON_SQUARE: lambda case: "" if in_mm else _on_square(case, recipe["side"]),
        "view": lambda case: case["view"],
        "laterality": lambda case: case["laterality"],
    }
    for name in next(iter(of_image.values()), {}):
        kinds[name.replace("_", " ")] = lambda case, name=name: of_image.get(case["image_id"], {}).get(name, "")
    if part == "out_of_fold":
        kinds["fold"] = lambda case: folds.get((dataset, case["patient_id"]), "")
    for by, value in kinds.items():
        found = {value(case) for case in cases} - {""}
        if by in (SIZE, ON_SQUARE) or 2 <= len(found) <= MOST_VALUES:
            yield by, value


def _on_square(case: Mapping, side: int) -> str:
    return size_group(str(100 * diameter(int(case["reference_pixels"])) / side), SIZES_PERCENT, "%")


def _natural(group: str) -> tuple[int, float, str]:
    """Sizes and numbers in their order, then words."""
    first, _, rest = group.removeprefix("below ").partition(" ")
    try:
        return 0, float(first) - group.startswith("below"), rest
    except ValueError:
        return 1, 0.0, group
