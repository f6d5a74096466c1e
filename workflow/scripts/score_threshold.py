"""Score the best brightness threshold, chosen on the training part, on every part."""

import _bootstrap

from collections import defaultdict
from pathlib import Path

from mammoseg.tables.baseline import COLUMNS, baseline_rows
from mammoseg.runtime.files import read_csv, write_csv


def main(manifests: list[Path], splits: Path, baseline: Path) -> None:
    """Write one row per data set and part. A manifest lies in <dataset>/png/<shard>/."""
    shards = defaultdict(list)
    for manifest in manifests:
        shards[manifest.parts[-4]].append(manifest)
    write_csv(baseline, COLUMNS, baseline_rows(shards, read_csv(splits)))


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(
            manifests=[Path(m) for m in snakemake.input.manifests],
            splits=Path(snakemake.input.splits),
            baseline=Path(snakemake.output.baseline),
        )
