"""Put the report together: figures embedded, one template, one file."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jinja2

from mammoseg.report import content
from mammoseg.report.content import ReportFigure, StudyRecord
from mammoseg.report.evidence import evidence_tables
from mammoseg.runtime.files import write_text
from mammoseg.runtime.progress import duration
from mammoseg.tables import typeset
from mammoseg.tables.comparisons import confidence

MIME = {".png": "image/png", ".svg": "image/svg+xml"}
PART_TITLES = {
    "holdout": "holdout, ensemble of all folds",
    "external": "external test, ensemble of all folds",
    "out_of_fold": "training part, each image by the fold that was not trained on it",
}


def build_report(study: StudyRecord, target: Path) -> None:
    """Write the report of `study` to `target`, an HTML file that needs nothing beside it and no network."""
    write_text(target, render(study))


def render(study: StudyRecord) -> str:
    """The report as HTML. Every text from outside the template is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = lambda seconds: duration(float(seconds))
    return environment.get_template("template.html").render(
        study=study,
        summary=content.summary(study),
        results=result_groups(study.tables["segmentation"], study.tables["intervals"]),
        level=confidence(study.config["statistics"]),
        tiles=tiles(study.tables["segmentation"], study.tables["baseline"], study.tables["intervals"]),
        published=None if typeset.has_counterpart(study.tables["segmentation"]) else typeset.published_cells(),
        published_title=typeset.PUBLISHED_TITLE,
        contest=typeset.contest(study.tables["segmentation"], study.tables["baseline"]),
        baseline=[
            row
            | {"rule": typeset.rule(row), "dice": typeset.plus_minus(row["dice_mean"], row["dice_sd"])}
            | {"iou": typeset.plus_minus(row["iou_mean"], row["iou_sd"])}
            for row in study.tables["baseline"]
        ],
        evidence=evidence_tables(study.tables, study.config["statistics"]),
        figures=[(figure, data_uri(figure)) for figure in study.figures],
        cohort=content.cohort_rows(study),
        newcomers=content.new_patients(study),
        unused=content.unused_rows(study),
        folds=content.fold_rows(study.models),
        methods=content.methods_blocks(study.methods),
        config=content.config_text(study.config),
    )


def result_groups(rows: Iterable[Mapping], intervals: Iterable[Mapping]) -> list[dict]:
    """The segmentation table in groups of one data set and part, for display; the best Dice of a group is marked."""
    of_dice = dice_intervals(intervals)
    groups: dict[tuple[str, str], list[Mapping]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["part"]), []).append(row)
    return [
        {
            "title": f"{dataset}: {PART_TITLES[part]}",
            "rows": [
                {
                    **row,
                    **{
                        k: typeset.plus_minus(row[f"{k}_mean"], row[f"{k}_sd"])
                        for k in ("dice", "iou", "published_dice", "published_iou")
                    },
                    "interval": of_dice.get((dataset, part, row["model"]), ""),
                    "best": len(members) > 1 and row["dice_mean"] == max((m["dice_mean"] for m in members), key=float),
                }
                for row in members
            ],
        }
        for (dataset, part), members in groups.items()
    ]


def dice_intervals(intervals: Iterable[Mapping]) -> dict[tuple[str, str, str], str]:
    """(data set, part, model) → the interval of the mean Dice, as it is shown."""
    return {
        (r["dataset"], r["part"], r["model"]): f"{float(r['dice_low']):.3f} to {float(r['dice_high']):.3f}"
        for r in intervals
        if r["dice_low"]
    }


def tiles(segmentation: Sequence[Mapping], baseline: Sequence[Mapping], intervals: Iterable[Mapping]) -> list[dict]:
    """The few numbers at the top: the best Dice of each data set and part, and the brightness threshold's beside it."""
    of_dice = dice_intervals(intervals)
    threshold = {(row["dataset"], row["part"]): row for row in baseline}
    found: dict[tuple[str, str], Mapping] = {}
    for row in segmentation:
        key = row["dataset"], row["part"]
        if key not in found or float(row["dice_mean"]) > float(found[key]["dice_mean"]):
            found[key] = row
    return [
        {
            "label": f"{dataset}, {part.replace('_', ' ')}",
            "value": f"{float(row['dice_mean']):.3f}",
            "model": row["model"],
            "interval": of_dice.get((dataset, part, row["model"]), ""),
            "threshold": f"{float(threshold[dataset, part]['dice_mean']):.3f}"
            if (dataset, part) in threshold
            else None,
        }
        for (dataset, part), row in found.items()
    ]


def data_uri(figure: ReportFigure) -> str:
    """The figure's file as a data URI."""
    encoded = base64.b64encode(figure.path.read_bytes()).decode("ascii")
    return f"data:{MIME[figure.path.suffix]};base64,{encoded}"
