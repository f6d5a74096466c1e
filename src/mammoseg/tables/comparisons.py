"""Whether models differ: intervals of their means, paired tests and equivalence tests between them, over patients."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from mammoseg.evaluation.statistics import equivalence, holm, mean_interval, paired_test
from mammoseg.tables.rows import DataSets, Models, Scores, decimals, groups, has_mass

INTERVALS = (
    "dataset", "part", "model", "n_images", "n_patients", "dice_mean", "dice_low", "dice_high", "iou_mean", "iou_low",
    "iou_high", "original_dice_mean", "original_dice_low", "original_dice_high",
)  # fmt: skip
READ = ("image_id", "patient_id", "part", "n_masses", "predicted_regions", "dice", "iou", "original_dice")
"""Columns of the scores that these tables are made from."""
COMPARISONS = (
    "dataset", "part", "model_a", "model_b", "contrast", "n_images", "n_patients", "difference", "low", "high", "p", "p_holm",
    "rank_biserial", "margin", "p_equivalence", "verdict",
)  # fmt: skip
HEADINGS = {
    "dataset": "data set", "part": "part", "model_a": "A", "model_b": "B", "contrast": "they differ in", "n_patients": "patients",
    "difference": "A − B", "low": "low", "high": "high", "p_holm": "p (Holm)", "p_equivalence": "p (equivalence)",
    "verdict": "verdict",
}  # fmt: skip
"""Columns of the readable table."""

DISAGREE = "not decided: ranks and means disagree"
TOO_FEW = "not decided: too few patients"

TRAINED = (
    "Intervals and tests are over patients, for the networks as they were trained: how far the same networks would differ, "
    "trained once more, is not in them (several seeds of a model show it: variance_components)."
)
"""What every reader of a verdict must know."""

Cases = Mapping[str, Mapping[str, tuple[float, str]]]
"""Model → image_id → Dice and patient_id."""


def interval_rows(
    scores: Scores, models: Models, datasets: DataSets, require_mass: bool, recipe: Mapping
) -> list[dict]:
    """Mean Dice and IoU of each model with confidence intervals, by `INTERVALS`, values as text.

    Of the images that enter the means of the segmentation table.

    Parameters
    ----------
    scores, models, datasets, require_mass
        As `tables.segmentation_rows`.
    recipe : mapping
        Config `statistics`, and ``seed``.
    """
    rows = []
    for dataset, part, model, cases in groups(scores, models, datasets):
        cases = [c for c in cases if c["dice"] not in ("", None) and (has_mass(c) or not require_mass)]
        if not cases:
            continue
        patients = [c["patient_id"] for c in cases]
        row = {
            "dataset": dataset,
            "part": part,
            "model": model,
            "n_images": len(cases),
            "n_patients": len(set(patients)),
        }
        for score in ("dice", "iou", "original_dice"):
            known = [(float(c[score]), p) for c, p in zip(cases, patients, strict=True) if c[score] not in ("", None)]
            if known:
                found = mean_interval(
                    *zip(*known, strict=True), 1 - recipe["alpha"], recipe["resamples"], recipe["seed"]
                )
                row |= {f"{score}_{k}": decimals(v) for k, v in zip(("mean", "low", "high"), found, strict=True)}
        rows.append(row)
    return rows


def comparison_rows(scores: Scores, models: Models, datasets: DataSets, recipe: Mapping) -> list[dict]:
    """Every pair of models on the images with a mass that both were scored on, by `COMPARISONS`, values as text.

    Difference of the mean Dice with a bootstrap interval over patients; Wilcoxon's test on patient means, corrected by Holm over
    the pairs of one data set and part; equivalence within ±margin. A test that is not significant shows no equality: hence both.

    Parameters
    ----------
    As `interval_rows`. Images without a mass never count: on them one model may have no score where the other has 0, so that a
    comparison of what both have would leave out just what tells them apart.
    """
    rows = []
    for dataset, part, cases in parts(scores, models, datasets):
        of_part = []
        for a, b in combinations(cases, 2):
            images = sorted(cases[a].keys() & cases[b].keys())
            if not images:
                continue
            one, other = ([cases[m][i][0] for i in images] for m in (a, b))
            patients = [cases[a][i][1] for i in images]
            of = {
                "dataset": dataset,
                "part": part,
                "model_a": a,
                "model_b": b,
                "contrast": contrast(models[a], models[b]),
            }
            of_part.append((of, compared(one, other, patients, recipe)))
        for (of, (found, equivalent)), p in zip(
            of_part, holm([float(found["p"]) for _, (found, _) in of_part]), strict=True
        ):
            said = verdict(p, equivalent, found, of["model_a"], of["model_b"], recipe["alpha"], len(of_part))
            rows.append({**of, **found, "p_holm": significant(p), "verdict": said})
    return rows


def compared(one: Sequence[float], other: Sequence[float], patients: Sequence, recipe: Mapping) -> tuple[dict, bool]:
    """What `mammoseg.evaluation.statistics` says of the scores of two models on the same images.

    Parameters
    ----------
    one, other, patients
        As in `statistics.paired_test`.
    recipe : mapping
        As in `interval_rows`.

    Returns
    -------
    dict of str
        n_images, n_patients; difference of the means (one − other), low, high; p, rank_biserial of the paired test; margin,
        p_equivalence.
    bool
        Whether they are equivalent.
    """
    difference = mean_interval(
        np.subtract(one, other), patients, 1 - recipe["alpha"], recipe["resamples"], recipe["seed"]
    )
    test = paired_test(one, other, patients)
    same = equivalence(one, other, patients, recipe["margin"], recipe["alpha"])
    found = {
        "n_images": len(one), "n_patients": test.n_patients, "difference": decimals(difference.estimate),
        "low": decimals(difference.low), "high": decimals(difference.high), "p": significant(test.p),
        "rank_biserial": decimals(test.rank_biserial), "margin": decimals(recipe["margin"]), "p_equivalence": significant(same.p),
    }  # fmt: skip
    return found, same.equivalent


def verdict(p: float, equivalent: bool, found: Mapping, a: str, b: str, alpha: float, tests: int) -> str:
    """What the two tests and the interval say together, in words; `found` as `compared` gives it, for `a` less `b`.

    `p` is corrected for so many `tests`. With few patients it cannot reach `alpha`, whatever the models do: Wilcoxon's exact p is
    at least 2 / 2^patients. Then nothing is decided, and that is said.

    The test compares ranks, the interval means. Only where both point the same way is one called better: a model that wins
    narrowly in most patients and loses the others by much has the ranks for it and the mean against it.
    """
    margin, different = f"{float(found['margin']):g}", p < alpha
    if different and equivalent:
        return f"differ, by less than {margin}"
    if different:
        towards = {np.sign(float(found[k] or "nan")) for k in ("rank_biserial", "low", "high")}
        return f"{a} is better" if towards == {1} else f"{b} is better" if towards == {-1} else DISAGREE
    if equivalent:
        return f"equivalent within {margin}"
    return TOO_FEW if tests * 2.0 ** (1 - found["n_patients"]) >= alpha else "not decided"


def significant(p: float) -> str:
    """A p as text, six significant digits; empty for NaN."""
    return "" if np.isnan(p) else f"{p:.6g}"


def contrast(a: Sequence[Mapping], b: Sequence[Mapping]) -> str:
    """In what two models differ: encoder, decoder, stem, weights, training, seed. Only where it is one thing is it clean.

    Parameters
    ----------
    a, b : sequence of mapping
        Their folds' model.json.
    """
    one, other = a[0]["model"], b[0]["model"]
    found = [k for k in ("encoder", "decoder", "stem") if one.get(k) != other.get(k)]
    if {f["weights_used"] for f in a} != {f["weights_used"] for f in b}:  # not those that were asked for
        found.append("weights")
    if a[0]["recipe"].get("training") != b[0]["recipe"].get("training"):
        found.append("training")
    if a[0]["recipe"].get("seed") != b[0]["recipe"].get("seed"):
        found.append("seed")
    return " + ".join(found) or "nothing"


def p_in_words(p: str) -> str:
    """Three decimals; ``< 0.001`` for less, for no p is 0."""
    return "" if not p else "< 0.001" if float(p) < 0.001 else f"{float(p):.3f}"


def readable(rows: Sequence[Mapping], headings: Mapping[str, str], note: str) -> str:
    """Rows of compared models as a table in Markdown: the columns of `headings`, under their words, and a note below."""
    lines = [f"| {' | '.join(headings.values())} |", "|" + "---|" * len(headings)]
    for row in rows:
        cells = {**row, "part": row["part"].replace("_", " ")}
        cells |= {k: f"{float(row[k]):.3f}" for k in ("difference", "low", "high") if row[k]}
        cells |= {k: p_in_words(row[k]) for k in ("p", "p_holm", "p_equivalence") if k in headings}
        lines.append(f"| {' | '.join(str(cells[k]) for k in headings)} |")
    return "\n".join([*lines, "", note, ""])


def confidence(recipe: Mapping, tails: int = 1) -> str:
    """``95 %``: the level of the intervals; with two `tails`, that of the interval by which equivalence is judged."""
    return f"{100 * (1 - tails * recipe['alpha']):g} %"


def verdicts_in_words(recipe: Mapping) -> str:
    """What the words of a verdict stand for."""
    return (
        f"Better: p (Holm) below {recipe['alpha']:g}, and the interval without 0 on the side of the ranks. Too few patients: "
        "even if one were better in every patient, p could not get there. Equivalence is judged by an interval of "
        f"{confidence(recipe, 2)}, narrower than the one shown."
    )


def markdown(rows: Sequence[Mapping], recipe: Mapping, warnings: Sequence[str] = ()) -> str:
    """The comparisons as a readable table, with what its words mean, and what makes them less than a study."""
    note = (
        f"Difference of the mean Dice with a {confidence(recipe)} bootstrap interval over patients (BCa); "
        "Wilcoxon's signed-rank test on patient means, corrected by Holm over the pairs of a part; equivalence: two "
        f"one-sided tests against ±{recipe['margin']:g}, each pair for itself. Images with a mass; out of fold each is scored by "
        f"the model that was not trained on it, elsewhere by the ensemble. {verdicts_in_words(recipe)} {TRAINED}"
    )
    return readable(rows, HEADINGS, " ".join([*warnings, note]))


def parts(scores: Scores, models: Models, datasets: DataSets) -> Iterator[tuple[str, str, Cases]]:
    """Data set, part, and the Dice of its images with a mass by model."""
    found: dict[tuple[str, str], dict] = {}
    for dataset, part, model, cases in groups(scores, models, datasets):
        counted = {
            c["image_id"]: (float(c["dice"]), c["patient_id"])
            for c in cases
            if c["dice"] not in ("", None) and has_mass(c)
        }
        if counted:
            found.setdefault((dataset, part), {})[model] = counted
    for (dataset, part), cases in found.items():
        yield dataset, part, cases
