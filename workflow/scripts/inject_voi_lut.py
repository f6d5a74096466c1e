"""Inject a VOI LUT into the DICOMs of a shard that carry no windowing."""

import _bootstrap

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from mammoseg import fingerprint
from mammoseg.datasets.registry import importer_for
from mammoseg.preparation import images_of_shard, inject_shard


def main(index: Path, sources: Path, shards: Path, dataset: str, shard: str, importer: str, root: Path, folder: Path,
         voi_lut: Mapping) -> None:  # fmt: skip
    """Write the injected DICOMs and manifest.csv into `folder`."""
    images = images_of_shard(index, sources, shards, dataset, shard)
    written = inject_shard(images, importer_for(importer, root), folder, voi_lut, fingerprint.code(Path(__file__)))
    logging.getLogger("mammoseg").info(
        "%s %s: VOI LUT injected into %d of %d images", dataset, shard, written, len(images)
    )


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        data = study.datasets[snakemake.wildcards.dataset]
        main(
            Path(snakemake.input.index),
            Path(snakemake.input.sources),
            Path(snakemake.input.shards),
            data.name,
            snakemake.wildcards.shard,
            data.importer,
            data.root,
            Path(snakemake.output.manifest).parent,
            json.loads(snakemake.params.recipe)["voi_lut"],
        )
