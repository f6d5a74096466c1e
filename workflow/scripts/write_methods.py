"""Write results/tables/methods.md: the Methods section that a paper on this study needs."""

import _bootstrap

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg import __version__
from mammoseg.runtime.files import read_csv, write_text
from mammoseg.runtime.provenance import installed_versions
from mammoseg.methods.text import INDEXED, RENDERED, MethodsStudy, count_study, methods_text


def main(recipe: Mapping, splits: Path, work: Path, indexes: Sequence[Path], manifests: Sequence[Path], models: Sequence[Path],
         weights: Sequence[Path], checked: Path, md: Path) -> None:  # fmt: skip
    """Write the text into `md`. An index lies in <dataset>/, beside its excluded.csv; other places as in the other scripts."""
    waiting_shards = {(w["dataset"], w["unit"]) for w in read_csv(work) if w["role"] == "new"}
    rendered, waiting = defaultdict(list), set()
    for m in manifests:
        rows = read_csv(m, RENDERED)
        rendered[m.parts[-4]] += rows
        if (m.parts[-4], m.parts[-2]) in waiting_shards:
            waiting |= {r["image_id"] for r in rows}
    by_name = {index.parent.name: index for index in indexes}
    counts = count_study(
        {d: read_csv(index, INDEXED) for d, index in by_name.items()},
        {d: read_csv(index.with_name("excluded.csv")) for d, index in by_name.items()},
        rendered,
        read_csv(splits),
        waiting,
    )
    study = MethodsStudy(
        datasets=recipe["datasets"],
        recipe=recipe,
        counts=counts,
        models={m: [json.loads(p.read_text()) for p in models if p.parts[-3] == m] for m in recipe["models"]},
        weights=[json.loads(w.read_text()) for w in weights],
        compared=json.loads(checked.read_text())["images"],
        versions={**installed_versions(), "mammoseg": __version__},
    )
    write_text(md, methods_text(study))


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        given = snakemake.input
        main(
            recipe=json.loads(snakemake.params.recipe),
            splits=Path(given.splits),
            work=Path(given.plan),
            indexes=[Path(p) for p in given.indexes],
            manifests=[Path(p) for p in given.manifests],
            models=[Path(p) for p in given.models],
            weights=[Path(p) for p in given.weights],
            checked=Path(given.checked),
            md=Path(snakemake.output.md),
        )
