"""Predict a data set with one model: each image by the folds that may see it."""

import _bootstrap

import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.files import read_csv
from mammoseg.prediction.predict_dataset import images_to_predict, predict_dataset


def main(manifests: list[Path], splits: Path, work: Path, dataset: str, models: list[Path], folder: Path,
         ensemble: Mapping, accelerator: str, code: Code, threads: int) -> None:  # fmt: skip
    """Write the probability maps and manifest.csv into `folder`."""
    waiting = {w["unit"] for w in read_csv(work) if w["dataset"] == dataset and w["role"] == "new"}
    shown = images_to_predict(manifests, read_csv(splits), dataset, waiting)

    def predict(folds, images):
        from mammoseg.prediction.ensemble import predict as run

        return run([load(k) for k in folds], images, average=ensemble["average"], batch_size=ensemble["batch_size"])

    @cache
    def device():
        import torch

        from mammoseg.runtime.gpu import own_device

        torch.set_num_threads(threads)
        return held.enter_context(own_device(accelerator, log))

    @cache
    def load(fold):
        from mammoseg.models.fold_model import load_model

        return load_model(models[fold].parent, device())[0]

    log = logging.getLogger("mammoseg")
    with ExitStack() as held:
        done = predict_dataset(shown, models, folder, average=ensemble["average"], code=code, predict=predict)
    log.info(
        "%s with %s: %d of %d images predicted, %d kept (image and models are the same)",
        dataset, folder.name, done, len(shown), len(shown) - done,
    )  # fmt: skip


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            manifests=[Path(m) for m in snakemake.input.manifests],
            splits=Path(snakemake.input.splits),
            work=Path(snakemake.input.plan),
            dataset=snakemake.wildcards.dataset,
            models=[Path(m) for m in snakemake.input.models],
            folder=Path(snakemake.output.manifest).parent,
            ensemble={**study.ensemble, **{"average": json.loads(snakemake.params.recipe)["average"]}},
            accelerator=study.models[snakemake.wildcards.model].training["accelerator"],
            code=_bootstrap.code(snakemake, study),
            threads=snakemake.threads,
        )
