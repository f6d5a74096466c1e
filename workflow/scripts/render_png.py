"""Render the images of a shard to 16-bit PNGs with their masks."""

import _bootstrap

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from mammoseg.rebuild.code_versions import Code
from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.runtime.errors import UserError
from mammoseg.render.shards import render_shard
from mammoseg.rebuild.job_records import Record
from mammoseg.plan.shard_images import images_of_shard


def main(rows: Path, importer: str, root: Path, injected: Path | None, folder: Path, image: Mapping, codecs: Mapping,
         missing: MissingWindowing | None, code: Code, workers: int, in_cohort: bool) -> None:  # fmt: skip
    """Write the PNGs and manifest.csv of one shard into `folder`."""
    images = images_of_shard(rows)
    recipe = {k: v for k, v in image.items() if k != "voi_lut"} | {"codecs": codecs}
    converted, set_aside = render_shard(
        images, importer_for(importer, root), injected, folder, recipe, code, workers, in_cohort, missing
    )
    logging.getLogger("mammoseg").info(
        "%s %s: %d of %d images converted, %d kept (made from the same), %d set aside",
        *folder.parts[-3::2], converted, len(images), len(images) - converted, set_aside,
    )  # fmt: skip


def forget_injected(results: Path, private: Path, dataset: str, shard: str) -> None:
    """Remove what an earlier run injected for a shard, now that it is not asked for any more: a copy of the archive."""
    folder = private / dataset / "dicom" / shard
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as bad:
        raise UserError(
            f"the injected DICOMs in {folder} are not asked for any more and cannot be removed ({bad.strerror}): remove them, "
            "and run again"
        ) from None
    Record(results, results / "logs/inject_voi_lut" / dataset / f"{shard}.log").remove()


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        data, injected = study.datasets[snakemake.wildcards.dataset], snakemake.input.injected
        recipe = json.loads(snakemake.params.recipe)
        main(
            rows=study.shard_rows(data.name, snakemake.wildcards.shard),
            importer=data.importer,
            root=data.root,
            injected=Path(injected).parent if injected else None,
            folder=Path(snakemake.output.manifest).parent,
            image=recipe["image"],
            codecs=recipe["codecs"],
            missing=None if injected else MissingWindowing(study.injection_recipe(), study.injection_file),
            code=_bootstrap.code(snakemake, study),
            workers=snakemake.threads,
            in_cohort=snakemake.wildcards.shard.startswith(("train-", "holdout-")),
        )
        if not injected:
            forget_injected(study.results, study.private, data.name, snakemake.wildcards.shard)
