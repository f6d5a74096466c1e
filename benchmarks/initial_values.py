"""What the decoders' initial values are worth: PyTorch's own beside the authors', on the same folds, images and draws.

    snakemake --cores 2 --configfile STUDY.yaml results/STUDY/pack/pack.json     make the pack of a study first
    python benchmarks/initial_values.py results/STUDY --folder <scratch>         two trainings side by side, a thread each

Only the decoder differs. Every image is scored by the fold that did not see it; the interval is over patients. Finished trainings
stay in the folder, so that a run that was stopped goes on.
"""

import argparse
import json
import logging
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import yaml
from _bench import ROOT

from mammoseg.files import read_csv
from mammoseg.fold_model import FoldModel
from mammoseg.metrics import dice
from mammoseg.models import build_model, decoders
from mammoseg.statistics import mean_interval
from mammoseg.training.fit import train_fold
from mammoseg.training.pack import open_pack

MODELS = [(e, d) for e in ("resnet34", "resnet22_gmic") for d in ("unet", "fpn")]
STARTS = ("PyTorch's", "the authors'")
# The paper's recipe ends after epoch 40 here, where its learning rate falls to a tenth: half the time, and little moves after it.
RECIPES = {
    "paper": {"batch_size": 32, "schedule": {"focal_tversky_epochs": 20}},
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
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def settings(recipe: str) -> dict:
    """The config's section `training` with a recipe's values."""
    own = RECIPES[recipe]
    training = CONFIG["training"] | {k: v for k, v in own.items() if k != "schedule"} | {"accelerator": "cpu"}
    return {**training, "schedule": training["schedule"] | own["schedule"]}


def train(study: Path, folder: Path, recipe: str, model: tuple[str, str], fold: int, seed: int) -> None:
    """Train one fold from both starts, and write what came out beside the others."""
    pack = open_pack(study / "pack")
    fold_of = {r["patient_id"]: r["fold"] for r in read_csv(study / "splits.csv") if r["role"] == "train"}
    validation = pack.rows_of(p for p, k in fold_of.items() if k == str(fold))
    training = sorted(set(range(len(pack.cases))) - set(validation))
    for start in STARTS:
        path = folder / f"{recipe}_{'-'.join(model)}_fold{fold}_{STARTS.index(start)}.json"
        if path.exists():
            continue
        own, begun = decoders.initialise, resource.getrusage(resource.RUSAGE_SELF)
        decoders.initialise = own if start == "the authors'" else lambda network: None
        try:
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
        finally:
            decoders.initialise = own
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
    """Print a line for each recipe and model."""
    patient_of = {c["image_id"]: c["patient_id"] for c in open_pack(study / "pack").cases}
    for recipe in RECIPES:
        for model in MODELS:
            stem = f"{recipe}_{'-'.join(model)}"
            paths = [[folder / f"{stem}_fold{k}_{s}.json" for k in range(folds)] for s in (0, 1)]
            if not all(p.exists() for s in paths for p in s):
                print(f"{stem}: not all folds are trained")
                continue
            before, after = ([json.loads(p.read_text()) for p in s] for s in paths)
            one, other = ({i: d for f in s for i, d in f["dice"].items()} for s in (before, after))
            images = sorted(one)
            gain = mean_interval([other[i] - one[i] for i in images], [patient_of[i] for i in images])
            last = [" ".join(f"{f['history'][-1]['val_dice']:.3f}" for f in s) for s in (before, after)]
            ratio = sum(f["cpu_seconds"] for f in after) / sum(f["cpu_seconds"] for f in before)
            print(
                f"{stem}: out of fold {statistics.mean(one.values()):.3f} -> {statistics.mean(other.values()):.3f}, "
                f"difference {gain.estimate:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}), better in "
                f"{sum(other[i] > one[i] for i in images)} of {len(images)}; validation Dice at the end {last[0]} -> {last[1]}; "
                f"CPU seconds {ratio:.2f} x"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="results folder of a study whose pack is made")
    parser.add_argument("--folder", type=Path, required=True, help="where finished trainings stay")
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("--processes", type=int, default=2)
    a = parser.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    folds = len({r["fold"] for r in read_csv(a.study / "splits.csv") if r["role"] == "train"})
    jobs = [(a.study, a.folder, r, m, k, a.seed) for r in a.recipes for m in MODELS for k in range(folds)]
    with ProcessPoolExecutor(a.processes, mp_context=get_context("spawn")) as pool:
        for done in [pool.submit(train, *job) for job in jobs]:
            done.result()
    report(a.study, a.folder, folds)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    main()
