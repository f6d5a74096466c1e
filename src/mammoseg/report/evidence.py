"""The tables of evidence as the report shows them: a title, what to know, and rows of short texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from mammoseg.tables.comparisons import TRAINED, confidence, p_in_words, verdicts_in_words

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class ShownTable:
    """One table: the first column is its rows' heading; `numbers` are the columns that stand to the right."""

    id: str
    title: str
    note: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int]


def evidence_tables(tables: Mapping[str, Rows], statistics: Mapping) -> list[ShownTable]:
    """The tables that hold anything, in the order in which a reader asks for them.

    Parameters
    ----------
    tables : mapping of str to rows
        answers, comparisons, ensembles, variance_components, original_geometry, detection, normal_images, trust.
    statistics : mapping
        The config's section.
    """
    words = {"level": confidence(statistics), "verdicts": verdicts_in_words(statistics), "trained": TRAINED}
    tables = {
        **tables,
        "variance_components": _by_models(tables.get("variance_components", ())),
        "normal_images": _with_intervals(tables.get("normal_images", ()), tables.get("detection", ())),
    }
    shown = []
    for id, (title, note, columns) in SHOWN.items():
        if rows := tables.get(id):
            # A column in which no row has anything (no seeds, no pixel spacing) says nothing.
            columns = {name: show for name, show in columns.items() if any(map(show, rows))}
            note = note.format(**words)
            shown.append(ShownTable(id, title, note, list(columns), _cells(rows, columns), _numbers(rows, columns)))
    return shown


def _by_models(rows: Rows) -> list[dict]:
    """Components of variance: one row per model, its components beside each other."""
    found: dict[tuple[str, str, str], dict] = {}
    for row in rows:
        key = row["dataset"], row["part"], row["models"]
        own = found.setdefault(
            key,
            dict.fromkeys(("patient", "image", "fold", "seed", "training", "residual"), "")
            | dict(zip(OF_ROW, key, strict=True)),
        )
        own[row["component"]] = row["sd"]
    return list(found.values())


def _with_intervals(normal_images: Rows, detection: Rows) -> list[dict]:
    """Images without a mass, with the interval of the specificity, which stands in the table of detection."""
    key = itemgetter("dataset", "part", "model")
    found = {key(row): row for row in detection}
    limits = ("specificity_low", "specificity_high")
    return [{**row, **{k: found.get(key(row), {}).get(k, "") for k in limits}} for row in normal_images]


def _cells(rows: Rows, columns: Mapping[str, Callable[[Mapping], str]]) -> list[list[str]]:
    return [[show(row) for show in columns.values()] for row in rows]


def _numbers(rows: Rows, columns: Mapping) -> frozenset[int]:
    cells = _cells(rows, columns)
    return frozenset(
        k for k in range(len(columns)) if all(not row[k] or row[k][0] in "<+−-0123456789" for row in cells)
    )


def _text(column: str) -> Callable[[Mapping], str]:
    return lambda row: str(row[column]).replace("_", " ") if column == "part" else str(row[column])


def _number(column: str, places: int = 3, sign: bool = False) -> Callable[[Mapping], str]:
    form = f"{'+' if sign else ''}.{places}f"
    return lambda row: format(float(row[column]), form).replace("inf", "∞") if row[column] else ""


def _interval(low: str, high: str, sign: bool = False) -> Callable[[Mapping], str]:
    one, other = _number(low, sign=sign), _number(high, sign=sign)
    return lambda row: f"{one(row)} to {other(row)}" if row[low] and row[high] else ""


def _p(column: str) -> Callable[[Mapping], str]:
    return lambda row: p_in_words(row[column])


OF_ROW = ("dataset", "part", "models")
OF = {"Data set": _text("dataset"), "Part": _text("part")}
OF_MODEL = {**OF, "Model": _text("model")}
DIFFERENCE = {
    "A − B": _number("difference", sign=True),
    "Interval": _interval("low", "high", sign=True),
    "Verdict": _text("verdict"),
    "Patients": _text("n_patients"),
}

SHOWN: Mapping[str, tuple[str, str, Mapping[str, Callable[[Mapping], str]]]] = {
    "answers": (
        "The study's questions",
        "Mean Dice of A less that of B over the pairs of models that differ in nothing else, with a {level} bootstrap "
        "interval over patients; p of Wilcoxon's signed-rank test on patient means, corrected by Holm over the questions of "
        "a part; equivalence within the margin of the config. Where a question names two things the answer is of both "
        "together; where pairs point opposite ways, the average hides it. "
        "{verdicts} {trained} "
        "At another threshold the models may stand otherwise: look at the figure of the threshold, too.",
        {
            **OF,
            "Question": _text("question"),
            "A": _text("a"),
            "B": _text("b"),
            **DIFFERENCE,
            "p (Holm)": _p("p_holm"),
            "p (equivalence)": _p("p_equivalence"),
            "Pairs of models": _text("n_pairs"),
            "Of each pair": _text("of_pairs"),
        },
    ),
    "comparisons": (
        "Do the models differ?",
        "Every pair of models on the same images. Difference of the mean Dice (A − B) with its {level} bootstrap interval "
        "over patients; Wilcoxon's signed-rank test on patient means, corrected by Holm over the pairs of a part; equivalence "
        "within the margin of the config. A test that is not significant does not show that two models are equal: hence "
        "the test of equivalence. Only a contrast in one thing is clean. {verdicts} {trained}",
        {
            **OF,
            "A": _text("model_a"),
            "B": _text("model_b"),
            "They differ in": _text("contrast"),
            **DIFFERENCE,
            "p (Holm)": _p("p_holm"),
            "p (equivalence)": _p("p_equivalence"),
        },
    ),
    "ensembles": (
        "Does ensembling help?",
        "The ensemble of all folds beside its single folds (mass from a probability of 0.5), image by image, where no "
        "fold was trained on the patient; {level} bootstrap interval over patients, Wilcoxon's test on patient means, "
        "corrected by Holm over the models of a part. The verdicts are as above.",
        {
            **OF_MODEL,
            "Ensemble": _number("dice_ensemble"),
            "Mean of the folds": _number("dice_folds_mean"),
            "Each fold": _text("dice_of_folds"),
            "Gain": _number("difference", sign=True),
            "Interval": _interval("low", "high", sign=True),
            "Verdict": _text("verdict"),
            "Patients": _text("n_patients"),
        },
    ),
    "variance_components": (
        "How much is chance?",
        "SD of every fold's own Dice: between patients, between a patient's images, between folds (what their training "
        "data do to all images alike). With several seeds of a model also between seeds, and between the trainings of "
        "one seed and fold; with one seed that chance is in the folds', and cannot be told from it. The residual is how "
        "trainings differ from image to image. Out of fold an image has one fold's score only: nothing to divide.",
        {
            **OF,
            "Models": _text("models"),
            "Between patients": _number("patient"),
            "Between images": _number("image"),
            "Between folds": _number("fold"),
            "Between seeds": _number("seed"),
            "Between trainings": _number("training"),
            "Residual": _number("residual"),
        },
    ),
    "original_geometry": (
        "On the original images",
        "Predictions laid back onto the original's own pixels, images with a mass. Reference through the "
        "square, the model's grid: the Dice that the reference mask itself keeps on that way and back (a soft map may keep "
        "more). Precision is of the images in which anything was predicted. Distances in mm where the pixel spacing is known: "
        "medians, infinite where nothing was predicted.",
        {
            **OF_MODEL,
            "Dice": _number("original_dice_mean"),
            "IoU": _number("original_iou_mean"),
            "Precision": _number("original_precision_mean"),
            "Recall": _number("original_recall_mean"),
            "Reference through the square": _number("ceiling_square_mean"),
            "through the model's grid": _number("ceiling_model_mean"),
            "HD95, mm": _number("hd95_mm_median", 1),
            "Surface distance, mm": _number("average_surface_distance_mm_median", 1),
            "Surface Dice, 1 mm": _number("surface_dice_1mm_mean"),
            "2 mm": _number("surface_dice_2mm_mean"),
            "Images": _text("n_images"),
            "with a prediction": _text("n_images_predicted"),
            "in mm": _text("n_images_in_mm"),
            "∞": _text("n_without_surface"),
        },
    ),
    "detection": (
        "Are the masses found?",
        "A mass is found by a connected region of the prediction, by the rule of the config's section detection; "
        "sensitivity with an exact {level} interval for as many observations as the patients are worth; false positives per "
        "image over all images, with and without a mass. "
        "At 0.25 … 2: the highest sensitivity at no more false positives per image than that. The last two columns leave "
        "out missed masses, or all that lies outside the reference's box: for comparison with publications that do so, and for "
        "nothing else.",
        {
            **OF_MODEL,
            "Masses": _text("n_masses"),
            "Sensitivity": _number("sensitivity"),
            "Interval": _interval("sensitivity_low", "sensitivity_high"),
            "Images with a mass found": _number("image_sensitivity"),
            "False positives per image": _number("false_positives_per_image", 2),
            "at 0.25": _number("sensitivity_at_0.25"),
            "0.5": _number("sensitivity_at_0.5"),
            "1": _number("sensitivity_at_1"),
            "2": _number("sensitivity_at_2"),
            "Images": _text("n_images"),
            "Dice of found masses": _number("dice_of_found_masses"),
            "Dice in the reference's box": _number("dice_in_box_of_reference"),
        },
    ),
    "normal_images": (
        "Images without a mass",
        "Scored apart, never in a mean Dice. Specificity: share of these images without a predicted region, with an exact "
        "{level} interval for as many observations as the patients are worth. A false positive is a predicted region.",
        {
            **OF_MODEL,
            "Images": _text("n_images"),
            "Patients": _text("n_patients"),
            "Specificity": _number("specificity"),
            "Interval": _interval("specificity_low", "specificity_high"),
            "False positives per image": _number("false_positives_per_image", 2),
        },
    ),
    "trust": (
        "Can the probabilities be trusted?",
        "Expected calibration error over the pixels of all scored images, padding left out: nearly all of them are sure "
        "not to be mass, so compare models. Area under the risk–coverage curve (risk: 1 − Dice), where images are ranked by "
        "the disagreement of the folds: the nearer to the best possible area, the better disagreement warns of failures.",
        {
            **OF_MODEL,
            "Images": _text("n_images"),
            "Calibration error": _number("expected_calibration_error", 4),
            "Risk–coverage area": _number("risk_coverage_area"),
            "best possible": _number("risk_coverage_area_best"),
            "random order": _number("risk_coverage_area_uninformed"),
            "Images with folds to compare": _text("n_disagreement"),
        },
    ),
}
"""Table → title, note, and its columns: heading → how a row is shown."""
