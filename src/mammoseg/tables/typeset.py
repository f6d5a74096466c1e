"""The segmentation table for people: Markdown, LaTeX, and the lines that a finished run prints."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mammoseg.tables.segmentation import published_table

HEAD = ("Data set", "Part", "Model", "Weights", "Images", "Patients", "Dice", "IoU", "Published Dice", "Published IoU")
PUBLISHED_HEAD = ("Data", "Model", "Weights", "Dice", "IoU")
PUBLISHED_TITLE = "Published: Isosalo et al., Proc. SPIE 12037 (2022), Table 2"


def display_cells(rows: Iterable[Mapping]) -> list[list[str]]:
    """The rows of the segmentation table as a reader wants them: mean ± SD in one cell, four decimals. Columns: `HEAD`."""
    return [
        [
            *(str(row[k]) for k in ("dataset", "part", "model", "weights", "n_images", "n_patients")),
            *(plus_minus(row[f"{k}_mean"], row[f"{k}_sd"]) for k in ("dice", "iou", "published_dice", "published_iou")),
        ]
        for row in rows
    ]


def published_cells() -> list[list[str]]:
    """The published table in the same manner. Columns: `PUBLISHED_HEAD`."""
    return [
        [
            row["data"],
            row["model"],
            row["weights"],
            *(plus_minus(row[f"{k}_mean"], row[f"{k}_sd"]) for k in ("dice", "iou")),
        ]
        for row in published_table()
    ]


def has_counterpart(rows: Iterable[Mapping]) -> bool:
    """Whether any row has a published value beside it; where none has, the published table is shown apart."""
    return any(row["published_dice_mean"] for row in rows)


def plus_minus(mean: str, sd: str) -> str:
    """``0.7677 ± 0.2134``; without the SD where there is none; empty where there is no mean."""
    return "" if mean == "" else f"{float(mean):.4f}" + (f" ± {float(sd):.4f}" if sd != "" else "")


def markdown(rows: Sequence[Mapping], notes: Sequence[str]) -> str:
    """The segmentation table in Markdown, the notes as a list below it."""
    parts = [_markdown_table(*_filled(HEAD, display_cells(rows)))]
    parts.append("\n".join(f"- {_escape_markdown(note)}" for note in notes))
    if not has_counterpart(rows):
        parts.append(f"{PUBLISHED_TITLE} (other images, for orientation only):")
        parts.append(_markdown_table(PUBLISHED_HEAD, published_cells()))
    return "\n\n".join(parts) + "\n"


def latex(rows: Sequence[Mapping], notes: Sequence[str]) -> str:
    """The segmentation table in LaTeX; needs the package booktabs. Notes follow as a paragraph."""
    blocks = [_latex_table(*_filled(HEAD, display_cells(rows)), numbers_from=4)]
    if not has_counterpart(rows):
        blocks.append("\\par\\medskip\n" + _escape_latex(f"{PUBLISHED_TITLE} (other images, for orientation only):"))
        blocks.append(r"\par\smallskip")
        blocks.append(_latex_table(PUBLISHED_HEAD, published_cells(), numbers_from=3))
    blocks.append(
        r"\par\smallskip" + "\n" + "{\\footnotesize " + "\n".join(_escape_latex(note) for note in notes) + "\\par}"
    )
    return "% needs \\usepackage{booktabs}\n" + "\n".join(blocks) + "\n"


def aligned(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table in plain text, columns aligned, for a terminal; columns without a value are left out."""
    head, cells = _filled(head, cells)
    lines = [head, *cells]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def summary_text(
    segmentation: Sequence[Mapping], baseline: Sequence[Mapping], warnings: Sequence[str], report: str | Path
) -> str:
    """What a finished run prints: the warnings, the table, the best ensemble against the best threshold, the report.

    Parameters
    ----------
    segmentation, baseline : sequence of mapping
        Rows of segmentation.csv and baseline.csv.
    warnings : sequence of str
        From `tables.warnings`.
    report : str or Path
        Where the report lies.
    """
    lines = [*warnings, *([""] if warnings else []), aligned(HEAD, display_cells(segmentation)), ""]
    lines += contest(segmentation, baseline)
    return "\n".join([*lines, f"Report: {report}"])


def contest(segmentation: Sequence[Mapping], baseline: Sequence[Mapping]) -> list[str]:
    """The best model against the best brightness threshold, in words: on the holdout, or out of fold where there is none."""
    part = next((p for p in ("holdout", "out_of_fold") if any(row["part"] == p for row in segmentation)), None)
    lines = []
    for threshold in (row for row in baseline if row["part"] == part):
        ours = [row for row in segmentation if row["part"] == part and row["dataset"] == threshold["dataset"]]
        if not ours:
            continue
        best = max(ours, key=lambda row: float(row["dice_mean"]))
        gain = float(best["dice_mean"]) - float(threshold["dice_mean"])
        where = f"{threshold['dataset']}, {part}, {best['n_images']} images"
        who = "ensemble" if part == "holdout" else "model"
        lines += [
            f"Best {who} ({where}): {best['model']}, Dice {plus_minus(best['dice_mean'], '')}",
            "Best brightness threshold, chosen on the training part: "
            f"{rule(threshold)}, Dice {plus_minus(threshold['dice_mean'], '')}",
            f"Difference: {gain:+.4f}",
        ]
    return lines


def rule(threshold: Mapping) -> str:
    """A row of baseline.csv in words."""
    if threshold["family"] == "grey_value":
        return f"8-bit value ≥ {float(threshold['value']):.0f}"
    return f"brightest {100 * float(threshold['value']):g} % of the breast"


def _filled(head: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The table without the columns that hold nothing, as long as there is a row."""
    keep = [k for k in range(len(head)) if not cells or any(row[k] for row in cells)]
    return [head[k] for k in keep], [[row[k] for k in keep] for row in cells]


def _markdown_table(head: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_escape_markdown(cell) for cell in row] for row in cells)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>])", r"\\\1", text)


def _latex_table(head: Sequence[str], cells: Iterable[Sequence[str]], numbers_from: int) -> str:
    columns = "l" * numbers_from + "r" * (len(head) - numbers_from)
    first, *others = [" & ".join(map(_escape_latex, line)) + r" \\" for line in (head, *cells)]
    lines = [
        f"\\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        first,
        r"\midrule",
        *others,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def _escape_latex(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "≥": r"$\geq$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
