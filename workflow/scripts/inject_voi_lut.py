"""Inject a VOI LUT into the DICOMs of a shard that carry no windowing."""

import _bootstrap

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from mammoseg.rebuild.code_versions import Code
from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.render.shards import inject_shard
from mammoseg.plan.shard_images import images_of_shard


def main(rows: Path, importer: str, root: Path, folder: Path, voi_lut: Mapping, file: Path | None, code: Code,
         workers: int) -> None:  # fmt: skip
    """Write the injected DICOMs and manifest.csv into `folder`."""
    images = images_of_shard(rows)
    written, kept = inject_shard(
        images, importer_for(importer, root), folder, MissingWindowing(voi_lut, file), code, workers
    )
    logging.getLogger("mammoseg").info(
        "%s %s: VOI LUT injected into %d of %d images, %d kept", *folder.parts[-3::2], written, len(images), kept
    )


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        data, shard = study.datasets[snakemake.wildcards.dataset], snakemake.wildcards.shard
        # First of all, so that whatever follows an interrupted run renders: with these copies, or else it removes them.
        (study.results / data.name / "png" / shard / "manifest.csv").unlink(missing_ok=True)
        main(
            rows=study.shard_rows(data.name, shard),
            importer=data.importer,
            root=data.root,
            folder=Path(snakemake.output.manifest).parent,
            voi_lut=json.loads(snakemake.params.recipe)["voi_lut"],
            file=study.injection_file,
            code=_bootstrap.code(snakemake, study),
            workers=snakemake.threads,
        )
