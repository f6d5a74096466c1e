"""What the report says: counts and sentences worked out from the study's files."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mammoseg.tables.rows import DataSets, Models, decimals

Rows = Sequence[Mapping]

HIDDEN = {"data_root", "root", "file", "results_dir"}
"""Config keys whose values are paths of one machine: not for a page that is passed on."""
OF_AN_IMAGE = ("image_id", "patient_id", "n_masses", "windowing")
"""Columns of an index that the report is made from."""
ROLES = {"train": 0, "holdout": 1, "external": 2, "new": 3, "predict": 4}


@dataclass(frozen=True)
class ReportFigure:
    """A figure file (PNG or SVG), its title, and a caption that says what is seen and how it was made."""

    path: Path
    title: str
    caption: str


@dataclass(frozen=True)
class StudyRecord:
    """All that the report is made from.

    Attributes
    ----------
    title : str
    tables : mapping of str to rows
        results/tables/<name>.csv: segmentation, intervals, baseline, costs, and those of `mammoseg.report.evidence`.
    notes, warnings : sequence of str
        From `tables.notes` and `tables.warnings`.
    models, datasets
        As in `mammoseg.tables.segmentation.segmentation_rows`.
    indexes, excluded : mapping of str to rows
        Data set → rows of its index.csv (`OF_AN_IMAGE`), of its excluded.csv.
    unusable : mapping of str to rows
        Data set → status and explanation of each image that could not be rendered.
    waiting : collection of str
        Ids of the images that arrived after the cohort was locked.
    splits : rows of splits.csv
    figures : sequence of ReportFigure
    config : mapping
        The merged config.
    versions : mapping of str to str
        Package → version.
    methods : str
        results/tables/methods.md.
    """

    title: str
    tables: Mapping[str, Rows]
    notes: Sequence[str]
    warnings: Sequence[str]
    models: Models
    datasets: DataSets
    indexes: Mapping[str, Rows]
    excluded: Mapping[str, Rows]
    unusable: Mapping[str, Rows]
    waiting: Collection[str]
    splits: Rows
    figures: Sequence[ReportFigure]
    config: Mapping
    versions: Mapping[str, str]
    methods: str


def summary(study: StudyRecord) -> list[str]:
    """What was trained on what, and tested on what, one sentence each."""
    cohort = cohort_rows(study)
    folds = max(len(records) for records in study.models.values())
    said = [f"{_n(len(study.models), 'model')}, each trained on {folds} folds: {', '.join(study.models)}."]
    for role, lead in (
        ("train", "Trained and cross-validated on"),
        ("holdout", "Held out, never trained on:"),
        ("external", "External test:"),
        ("new", "Arrived after the cohort was locked; predicted, not trained on:"),
        ("predict", "Predicted only:"),
    ):
        amounts = []
        for dataset in study.datasets:
            rows = [r for r in cohort if r["dataset"] == dataset and r["role"] == role]
            if rows:
                count = {k: sum(r[k] for r in rows) for k in ("patients", "images", "images_with_mass")}
                amounts.append(
                    f"{dataset} ({_n(count['patients'], 'patient')}, {_n(count['images'], 'image')}, "
                    f"{count['images_with_mass']} with a mass)"
                )
        if amounts:
            said.append(f"{lead} {', '.join(amounts)}.")
    newcomers = {p for patients in new_patients(study).values() for p in patients}
    later = sum(
        i["image_id"] in study.waiting and i["patient_id"] not in newcomers for r in study.indexes.values() for i in r
    )
    if later:
        said.append(
            f"{_n(later, 'image')} of known patients arrived after the cohort was locked: predicted, not trained on."
        )
    return said


def cohort_rows(study: StudyRecord) -> list[dict]:
    """Patients and images by data set, role and fold: dataset, role, fold, patients, images, images_with_mass, windowing."""
    images = {dataset: _by_patient(rows) for dataset, rows in study.indexes.items()}
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in study.splits:
        groups[row["dataset"], row["role"], row["fold"]].append(row["patient_id"])
    order = list(study.datasets)
    rows = []
    for dataset, role, fold in sorted(groups, key=lambda g: (order.index(g[0]), ROLES[g[1]], int(g[2] or -1))):
        patients = groups[dataset, role, fold]
        mine = [i for p in patients for i in images.get(dataset, {}).get(p, ())]
        mine = [i for i in mine if role == "new" or i["image_id"] not in study.waiting]
        rows.append(
            {
                "dataset": dataset,
                "role": role,
                "fold": fold,
                "patients": len(patients),
                "images": len(mine),
                "images_with_mass": sum(int(image["n_masses"] or 0) > 0 for image in mine),
                "windowing": ", ".join(f"{k} {n}" for k, n in sorted(Counter(i["windowing"] for i in mine).items())),
            }
        )
    return rows


def new_patients(study: StudyRecord) -> dict[str, list[str]]:
    """Data set → pseudonyms of the patients who arrived after the cohort was locked."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in study.splits:
        if row["role"] == "new":
            found[row["dataset"]].append(row["patient_id"])
    return {dataset: sorted(patients) for dataset, patients in found.items()}


def unused_rows(study: StudyRecord) -> list[dict]:
    """Files that were not used, by data set, stage and reason: dataset, stage, reason, count, explanation (of the first)."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for dataset in study.datasets:
        for row in study.excluded.get(dataset, ()):
            found[dataset, "index", row["reason"]].append(row["explanation"])
        for row in study.unusable.get(dataset, ()):
            found[dataset, "rendering", row["status"]].append(row["explanation"])
    return [
        {"dataset": dataset, "stage": stage, "reason": reason, "count": len(texts), "explanation": min(texts)}
        for (dataset, stage, reason), texts in found.items()
    ]


def fold_rows(models: Models) -> list[dict]:
    """Each fold of each model: patients trained and validated on, best epoch, normalisation."""
    return [
        {
            "model": name,
            "fold": k,
            "training": len(record["patients"]["training"]),
            "validation": len(record["patients"]["validation"]),
            "best_epoch": record["best_epoch"],
            "mean": decimals(record["normalisation"]["mean"], 4),
            "sd": decimals(record["normalisation"]["sd"], 4),
        }
        for name, records in models.items()
        for k, record in enumerate(records)
    ]


def methods_blocks(text: str) -> list[tuple[str, list[str]]]:
    """The methods text, of `mammoseg.methods.text`, block by block: ``heading``, ``list`` or ``paragraph``, and its texts."""
    blocks = []
    for block in text.strip().split("\n\n")[1:]:  # the first one is the title
        plain = re.sub(r"\\(.)", r"\1", block.strip("*"))
        if plain.startswith("## "):
            blocks.append(("heading", [plain.removeprefix("## ")]))
        elif plain.startswith("- "):
            blocks.append(("list", [line.removeprefix("- ") for line in plain.splitlines()]))
        else:
            blocks.append(("paragraph", [plain]))
    return blocks


def config_text(config: Mapping) -> str:
    """The config as YAML, without the paths of this machine."""
    plain = json.loads(json.dumps(config, default=str))
    return yaml.safe_dump(
        _without_paths(plain), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )


def _without_paths(value):
    if isinstance(value, dict):
        return {k: "(left out)" if k in HIDDEN and v is not None else _without_paths(v) for k, v in value.items()}
    return [_without_paths(v) for v in value] if isinstance(value, list) else value


def _by_patient(rows: Rows) -> dict[str, list[Mapping]]:
    grouped: dict[str, list[Mapping]] = defaultdict(list)
    for row in rows:
        grouped[row["patient_id"]].append(row)
    return grouped


def _n(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
