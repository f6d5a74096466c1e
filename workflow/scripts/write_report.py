"""Write results/report.html: everything a reader needs, in one file that opens offline."""

import _bootstrap

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg import __version__
from mammoseg.runtime.files import read_csv
from mammoseg.runtime.provenance import installed_versions
from mammoseg.report import OF_AN_IMAGE, ReportFigure, StudyRecord, build_report
from mammoseg.report.captions import CAPTIONS, TITLES
from mammoseg.tables import segmentation
from mammoseg.tables.comparisons import confidence


def main(config: Mapping, recipe: Mapping, tables_: Mapping[str, Path], splits: Path, work: Path, indexes: Sequence[Path],
         manifests: Sequence[Path], models: Sequence[Path], scores: Sequence[Path], methods: Path, figures: Sequence[Path],
         html: Path) -> None:  # fmt: skip
    """Write the report. An index lies in <dataset>/, beside its excluded.csv; other places as in the other scripts."""
    by_name = {index.parent.name: index for index in indexes}
    waiting_shards = {(w["dataset"], w["unit"]) for w in read_csv(work) if w["role"] == "new"}
    unusable, waiting = defaultdict(list), set()
    for m in manifests:
        rows = read_csv(m, ("image_id", "status", "explanation"))
        unusable[m.parts[-4]] += [r for r in rows if r["status"] != "ok"]
        if (m.parts[-4], m.parts[-2]) in waiting_shards:
            waiting |= {r["image_id"] for r in rows}
    folds = {
        m["name"]: [json.loads(p.read_text()) for p in models if p.parts[-3] == m["name"]] for m in config["models"]
    }
    cases = {(s.parts[-3], s.stem): read_csv(s, segmentation.OF_A_CASE) for s in scores}
    require_mass = config["splits"]["require_mass"]
    build_report(
        StudyRecord(
            title="Breast mass segmentation",
            tables={name: read_csv(path) for name, path in tables_.items()},
            notes=segmentation.notes(cases, folds, recipe["datasets"], require_mass),
            warnings=segmentation.warnings(folds, recipe["datasets"]),
            models=folds,
            datasets=recipe["datasets"],
            indexes={d: read_csv(path, OF_AN_IMAGE) for d, path in by_name.items()},
            excluded={d: read_csv(path.with_name("excluded.csv")) for d, path in by_name.items()},
            unusable=unusable,
            waiting=waiting,
            splits=read_csv(splits),
            figures=[_figure(path, confidence(config["statistics"])) for path in figures],
            config=config,
            versions={**installed_versions(), **_trained_with(folds), "mammoseg": __version__},
            methods=methods.read_text(encoding="utf-8"),
        ),
        html,
    )


def _trained_with(folds: Mapping[str, Sequence[Mapping]]) -> Mapping[str, str]:
    """Versions as the first model records them: this job's environment may hold no torch."""
    return next(iter(folds.values()))[0]["versions"]


def _figure(path: Path, level: str) -> ReportFigure:
    kind, _, dataset = path.stem.partition("_")
    return ReportFigure(path, TITLES[kind].format(dataset=dataset), CAPTIONS[kind].format(level=level))


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        given = snakemake.input
        main(
            config=study.config,
            recipe=json.loads(snakemake.params.recipe),
            tables_={Path(t).stem: Path(t) for t in given.tables},
            splits=Path(given.splits),
            work=Path(given.plan),
            indexes=[Path(i) for i in given.indexes],
            manifests=[Path(m) for m in given.manifests],
            models=[Path(m) for m in given.models],
            scores=[Path(s) for s in given.scores],
            methods=Path(given.methods),
            figures=[Path(f) for f in given.figures],
            html=Path(snakemake.output.html),
        )
