"""What differences from the authors' code are worth: trainings that differ in one thing, on the same folds, images and draws.

    snakemake --cores 2 --configfile STUDY.yaml results/STUDY/pack/pack.json     make the pack of a study first
    python benchmarks/authors_code.py results/STUDY --folder <scratch>           two trainings side by side, a thread each

Every image is scored by the fold that did not see it; the interval is over patients. Finished trainings stay in the folder, so
that a run that was stopped goes on. The decoders' initial values are those of the authors' own library; the other variants are
how other public code of the same group, or GMIC's, does it (docs/authors-code.md).
"""

import argparse
import itertools
import json
import logging
import resource
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import solt
import torch
import yaml
from _bench import ROOT

from mammoseg.evaluation.statistics import mean_interval
from mammoseg.metrics.overlap import dice
from mammoseg.models import build_model, decoders, encoders
from mammoseg.models.fold_model import FoldModel
from mammoseg.runtime.files import read_csv
from mammoseg.training import augmentation, fold_data, normalisation
from mammoseg.training.fit import train_fold
from mammoseg.training.pack import open_pack

MODELS = [(e, d) for e in ("resnet34", "resnet22_gmic") for d in ("unet", "fpn")]
# The paper's optimiser and learning rate. Batch 8 instead of 32, so that 30 epochs of a few dozen images have about as many steps
# as the paper's 80.
RECIPES = {
    "paper": {"batch_size": 8, "schedule": {"combined_epochs": 10, "focal_tversky_epochs": 20}},
    "one-cycle": {
        "batch_size": 8,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "schedule": {
            "combined_epochs": 10,
            "focal_tversky_epochs": 20,
            "freeze_encoder_epochs": 0,
            "policy": "one_cycle",
        },
    },
}


def one_of(settings: dict, side: int) -> solt.Stream:
    """The augmentation as the group's RabbitCCS draws it: of brightness and contrast one, and of the noises and blurs one."""
    steps = OUR_STREAM(settings, side).transforms
    grey, noise, blur = steps[6:8], steps[8:10], steps[10:12]
    either = solt.SelectiveStream([*noise, solt.SelectiveStream(blur, n=1)], n=1)
    return solt.Stream([*steps[:6], solt.SelectiveStream(grey, n=1), either, *steps[12:]])


def nothing(network: torch.nn.Module) -> None:
    """Leave PyTorch's own values."""


OUR_STREAM = augmentation.build_stream
VARIANTS = {
    "ours": [],
    "decoder as PyTorch": [(decoders, "initialise", nothing)],
    "ResNet22 as PyTorch": [(encoders, "initialise", nothing)],
    "one noise": [(fold_data, "build_stream", one_of), (normalisation, "build_stream", one_of)],
}
"""Variant → what is put in place of what."""
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def settings(recipe: str) -> dict:
    """The config's section `training` with a recipe's values."""
    own = RECIPES[recipe]
    training = CONFIG["training"] | {k: v for k, v in own.items() if k != "schedule"} | {"accelerator": "cpu"}
    return {**training, "schedule": training["schedule"] | own["schedule"]}


@contextmanager
def patched(variant: str) -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, other in VARIANTS[variant]:
            stack.enter_context(mock.patch.object(module, name, other))
        yield


def place(folder: Path, recipe: str, model: tuple[str, str], fold: int, variant: str) -> Path:
    return folder / f"{recipe}_{'-'.join(model)}_fold{fold}_{variant.replace(' ', '_')}.json"


def train(study: Path, folder: Path, recipe: str, model: tuple[str, str], fold: int, seed: int, variant: str) -> None:
    """Train one fold, and write what came out."""
    pack = open_pack(study / "pack")
    fold_of = {r["patient_id"]: r["fold"] for r in read_csv(study / "splits.csv") if r["role"] == "train"}
    validation = pack.rows_of(p for p, k in fold_of.items() if k == str(fold))
    training = sorted(set(range(len(pack.cases))) - set(validation))
    path = place(folder, recipe, model, fold, variant)
    if path.exists():
        return
    begun = resource.getrusage(resource.RUSAGE_SELF)
    with patched(variant):
        result = train_fold(
            pack,
            training,
            validation,
            model={"name": "-".join(model), "encoder": model[0], "decoder": model[1], "weights": "random"},
            encoder_weights=None,
            training=settings(recipe),
            augmentation=CONFIG["augmentation"],
            normalisation=CONFIG["normalisation"],
            seed=seed,
            fold=fold,
            threads=1,
            progress=False,
        )
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "cpu_seconds": used.ru_utime + used.ru_stime - begun.ru_utime - begun.ru_stime,
        "best_epoch": result.best_epoch,
        "history": list(result.history),
        "dice": scores(result, pack, validation, model),
    }
    path.write_text(json.dumps(found))
    print(f"{path.stem}: {time.strftime('%H:%M')}, {statistics.mean(found['dice'].values()):.3f}", flush=True)


def scores(result, pack, rows: list[int], model: tuple[str, str]) -> dict[str, float]:
    """Dice of every validation image by the kept network, at the threshold 0.5."""
    network = build_model(*model)
    network.load_state_dict(result.state)
    whole = FoldModel(network, *result.normalisation).eval()
    with torch.inference_mode():
        masks = {row: whole(torch.from_numpy(pack.images[row][None, None].copy()))[0, 0] >= 0 for row in rows}
    return {pack.cases[row]["image_id"]: dice(m.numpy(), pack.masks[row] > 0) for row, m in masks.items()}


def report(study: Path, folder: Path, folds: int) -> None:
    """Print a line for each recipe, model and variant: ours beside it."""
    patient_of = {c["image_id"]: c["patient_id"] for c in open_pack(study / "pack").cases}
    for recipe, model, variant in itertools.product(RECIPES, MODELS, list(VARIANTS)[1:]):
        paths = [[place(folder, recipe, model, k, v) for k in range(folds)] for v in (variant, "ours")]
        if not all(p.exists() for of_variant in paths for p in of_variant):
            continue
        theirs, ours = ([json.loads(p.read_text()) for p in of_variant] for of_variant in paths)
        one, other = ({i: d for f in of_variant for i, d in f["dice"].items()} for of_variant in (theirs, ours))
        images = sorted(one)
        gain = mean_interval([other[i] - one[i] for i in images], [patient_of[i] for i in images])
        ends = [" ".join(f"{f['history'][-1]['val_dice']:.3f}" for f in of_variant) for of_variant in (theirs, ours)]
        seconds = [sum(f["cpu_seconds"] for f in of_variant) for of_variant in (theirs, ours)]
        print(
            f"{recipe}, {'-'.join(model)}, {variant} -> ours: out of fold {statistics.mean(one.values()):.3f} -> "
            f"{statistics.mean(other.values()):.3f}, "
            f"difference {gain.estimate:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}), better in "
            f"{sum(other[i] > one[i] for i in images)} of {len(images)}; validation Dice at the end {ends[0]} -> {ends[1]}; "
            f"CPU seconds {seconds[1] / seconds[0]:.2f} x"
        )
    for recipe, model in itertools.product(RECIPES, MODELS):
        paths = [place(folder, recipe, model, k, "ours") for k in range(folds)]
        if all(p.exists() for p in paths):
            found = [json.loads(p.read_text()) for p in paths]
            kept = statistics.mean(f["history"][f["best_epoch"] - 1]["val_dice"] for f in found)
            lowest = [min(f["history"], key=lambda row: row["val_loss"]) for f in found]
            print(
                f"{recipe}, {'-'.join(model)}: validation Dice of the kept epoch {kept:.3f}; of the lowest loss over both phases "
                f"{statistics.mean(row['val_dice'] for row in lowest):.3f} (epochs {[row['epoch'] for row in lowest]})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="results folder of a study whose pack is made")
    parser.add_argument("--folder", type=Path, required=True, help="where finished trainings stay")
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS)[:2])
    parser.add_argument("--encoders", nargs="+", default=["resnet34", "resnet22_gmic"])
    parser.add_argument("--decoders", nargs="+", default=["unet", "fpn"])
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("--processes", type=int, default=2)
    a = parser.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    folds = len({r["fold"] for r in read_csv(a.study / "splits.csv") if r["role"] == "train"})
    jobs = [
        (a.study, a.folder, r, m, k, a.seed, v)
        for r in a.recipes
        for m in MODELS
        if m[0] in a.encoders and m[1] in a.decoders
        for k in range(folds)
        for v in a.variants
    ]
    with ProcessPoolExecutor(a.processes, mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(train, *job) for job in jobs]:
            done.result()
    report(a.study, a.folder, folds)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    main()
