"""Write the tables of the study: segmentation, images without a mass, costs, and what is printed at the end."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.runtime.files import read_csv, write_csv, write_text
from mammoseg.tables import original_geometry, segmentation, typeset


def main(results: Path, scores: Sequence[Path], models: Sequence[Path], baseline: Path, recipe: Mapping) -> None:
    """Write results/tables/. Scores lie in <dataset>/scores/<model>.csv, models in models/<model>/fold<k>/model.json."""
    cases = {(s.parts[-3], s.stem): read_csv(s, {*segmentation.OF_A_CASE, *original_geometry.READ}) for s in scores}
    folds = {m: [json.loads(p.read_text()) for p in models if p.parts[-3] == m] for m in recipe["models"]}
    datasets, folder = recipe["datasets"], results / "tables"
    rows = segmentation.segmentation_rows(cases, folds, datasets, recipe["require_mass"])
    notes = segmentation.notes(cases, folds, datasets, recipe["require_mass"])
    write_csv(folder / "segmentation.csv", segmentation.SEGMENTATION, rows)
    write_text(folder / "segmentation.md", typeset.markdown(rows, notes))
    write_text(folder / "segmentation.tex", typeset.latex(rows, notes))
    write_csv(
        folder / "normal_images.csv", segmentation.NORMAL_IMAGES, segmentation.normal_image_rows(cases, folds, datasets)
    )
    original = original_geometry.original_geometry_rows(cases, folds, datasets)
    write_csv(folder / "original_geometry.csv", original_geometry.COLUMNS, original)
    write_csv(folder / "costs.csv", segmentation.COSTS, segmentation.cost_rows(folds))
    warnings = segmentation.warnings(folds, datasets)
    summary = typeset.summary_text(rows, read_csv(baseline), warnings, results / "report.html")
    write_text(folder / "summary.txt", summary + "\n")


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            results=study.results,
            scores=[Path(s) for s in snakemake.input.scores],
            models=[Path(m) for m in snakemake.input.models],
            baseline=Path(snakemake.input.baseline),
            recipe=json.loads(snakemake.params.recipe),
        )
