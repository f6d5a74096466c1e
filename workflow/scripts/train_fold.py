"""Train one model on one fold, unless the model that is there was made from the same."""

import _bootstrap

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv
from mammoseg.rebuild.kept_outputs import Keeper
from mammoseg.plan.overlap import refuse_overlap
from mammoseg.plan.stop_sign import StopSign
from mammoseg.study import BESIDE
from mammoseg.training.time_left import time_left
from mammoseg.training.fit import save_model, train_fold
from mammoseg.training.lightning_module import Schedule
from mammoseg.training.pack import open_pack

FILES = ("model.safetensors", "model.json", "history.csv")


def main(pack: Path, draw_ids: Path, splits: Path, weights: Path | None, folder: Path, fold: int, recipe: Mapping, code: Code,
         beside: Mapping, threads: int, events: Path, study_left: Callable[[], str]) -> None:  # fmt: skip
    """Write the fold's model into `folder`. `weights` is the record of the encoder weights, None for random values.

    `beside` are settings of the training that decide no value, `events` is the folder for TensorBoard, and `study_left` says how
    long all trainings will still take.
    """
    people = read_csv(splits)
    refuse_overlap(people)
    images = open_pack(pack)
    in_pack = {c["patient_id"] for c in images.cases}
    validation = {r["patient_id"] for r in people if r["role"] == "train" and r["fold"] == str(fold)} & in_pack
    if strangers := in_pack - {r["patient_id"] for r in people if r["role"] == "train"}:
        raise UserError(
            f"patient {min(strangers)} is in the pack but not in the training part of splits.csv: run again"
        )
    record = json.loads(weights.read_text()) if weights else {"status": "random"}
    found = record["status"] == "found"
    recipe = {k: recipe[k] for k in ("model", "training", "augmentation", "normalisation", "seed")}
    content = json.loads((pack / "pack.json").read_text())["content"]
    draw_id = {r["image_id"]: r["draw_id"] for r in read_csv(draw_ids)}
    print_ = digests.digest(
        {
            "pack": content,
            "validation": sorted(validation),
            "fold": fold,
            "weights": record.get("sha256") if found else "random",
            "recipe": recipe,
        }
    )
    keeper, log, state = Keeper(folder, FILES, sets=2), logging.getLogger("mammoseg"), folder / ".resume"
    if keeper.restore(print_, code):
        log.info("%s fold %d is kept: data, recipe, weights and code are the same", recipe["model"]["name"], fold)
        shutil.rmtree(state, ignore_errors=True)
        return
    result = train_fold(
        images,
        images.rows_of(in_pack - validation),
        images.rows_of(validation),
        draw_ids=[draw_id[c["image_id"]] for c in images.cases],
        model=recipe["model"],
        encoder_weights=weights.with_suffix(".safetensors") if found else None,
        training={**recipe["training"], **beside},
        augmentation=recipe["augmentation"],
        normalisation=recipe["normalisation"],
        seed=recipe["seed"],
        fold=fold,
        threads=threads,
        log=log,
        state=state,
        made_from=print_,
        code=code,
        events=events,
        watchers=[lambda _: log.info("%s", study_left())],
    )
    save_model(folder, result, recipe=recipe, fingerprint=print_, data=content)
    keeper.store(print_, code)
    shutil.rmtree(state, ignore_errors=True)  # what stays does no harm: the model is found first


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        StopSign(Path(snakemake.input.checked).parent, read_csv(snakemake.input.plan), study.leakage["allow"]).obey()
        model, folder = snakemake.wildcards.model, Path(snakemake.output.model).parent
        epochs = {m.name: Schedule(m.training["schedule"]).epochs for m in study.models.values()}
        main(
            pack=Path(snakemake.input.pack).parent,
            draw_ids=Path(snakemake.input.draw_ids),
            splits=Path(snakemake.input.splits),
            weights=Path(snakemake.input.weights) if snakemake.input.get("weights") else None,
            folder=folder,
            fold=int(snakemake.wildcards.fold),
            recipe=json.loads(snakemake.params.recipe),
            code=_bootstrap.code(snakemake, study),
            beside={name: study.models[model].training[name] for name in BESIDE},
            threads=snakemake.threads,
            events=study.results / "tensorboard" / model / folder.name,
            study_left=lambda: str(time_left(folder.parents[1], epochs, study.splits["folds"])),
        )
