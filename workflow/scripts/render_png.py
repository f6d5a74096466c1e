"""Render the images of a shard to 16-bit PNGs with their masks."""

import _bootstrap

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from mammoseg import fingerprint
from mammoseg.datasets.registry import importer_for
from mammoseg.preparation import images_of_shard, render_shard


def main(index: Path, sources: Path, shards: Path, dataset: str, shard: str, importer: str, root: Path, injected: Path,
         folder: Path, image: Mapping, workers: int) -> None:  # fmt: skip
    """Write the PNGs and manifest.csv of one shard into `folder`."""
    images = images_of_shard(index, sources, shards, dataset, shard)
    code = fingerprint.code(Path(__file__))
    converted, set_aside = render_shard(images, importer_for(importer, root), injected, folder, image, code, workers)
    logging.getLogger("mammoseg").info(
        "%s %s: %d of %d images converted, %d set aside", dataset, shard, converted, len(images), set_aside
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
            Path(snakemake.input.injected).parent,
            Path(snakemake.output.manifest).parent,
            json.loads(snakemake.params.recipe)["image"],
            snakemake.threads,
        )
