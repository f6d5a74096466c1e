"""How fast the training is, and what holds it up: loader, step, whole training, and a plain PyTorch loop beside it.

    python benchmarks/training.py                                     a CPU, small: side 128, batch 8
    python benchmarks/training.py --side 512 --batch 32 --images 512  a GPU

All in one run, so that the ratios mean something. Images are synthetic mammograms. Needs no file; writes into a scratch folder.
"""

import argparse
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml
from _bench import ROOT
from torch.utils.data import DataLoader, Dataset

from mammoseg.images.png import read_image, read_mask
from mammoseg.models import build_model
from mammoseg.models.fold_model import FoldModel
from mammoseg.phantom import Site
from mammoseg.training.augmentation import augment, build_stream
from mammoseg.training.device_augmentation import Planner, augment_batch
from mammoseg.training.fit import train_fold
from mammoseg.training.losses import CombinedLoss
from mammoseg.training.pack import Entry, open_pack, write_pack

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())
MODELS = [(e, d) for d in ("unet", "fpn") for e in ("resnet34", "resnet22_gmic")]
PAPER = {"images": 2000, "epochs": 80, "folds": 5}  # training and validation images of a fold together, about


def make_pngs(folder: Path, images: int, side: int) -> list[Entry]:
    """16-bit PNGs and masks of phantoms, as rendering leaves them."""
    folder.mkdir()
    site = Site("oulu", 3, side, side)
    shown = itertools.cycle([m for number in range(1, 9) for m in site.images(site.patient(number))])
    entries = []
    for k in range(images):
        m = next(shown)
        image, mask = folder / f"{k}.png", folder / f"{k}_mask.png"
        cv2.imwrite(str(image), m.stored(65535))
        cv2.imwrite(str(mask), 255 * m.mass_mask.astype(np.uint8))
        entries.append(Entry(f"i{k:05d}", f"p{k:05d}", "bench", image, mask))
    return entries


def rate(images: int, work: Callable[[], object], device: str) -> float:
    """Images per second of `work`, the second time."""
    for _ in range(2):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return images / seconds


def loaders(entries: list[Entry], pack, side: int, device: str, batch: int) -> None:
    """One process, one core."""
    settings, few = CONFIG["augmentation"], entries[:64]
    stream, planner = build_stream(settings, side), Planner(settings, side)

    def png_solt():
        for k, e in enumerate(few):
            augment(read_image(e.image, e.image_id), read_mask(e.mask, e.image_id), stream, k)

    def pack_solt():
        for k in range(len(few)):
            augment(pack.images[k], pack.masks[k], stream, k)

    def plans():
        return [(pack.images[k].copy(), pack.masks[k].copy(), planner.plan(k)) for k in range(len(few))]

    images, masks = (torch.from_numpy(np.array(a[:batch]))[:, None].to(device) for a in (pack.images, pack.masks))
    drawn = [p for _, _, p in plans()][: len(images)]
    rates = {
        "PNG + SOLT": rate(len(few), png_solt, "cpu"),
        "pack + SOLT": rate(len(few), pack_solt, "cpu"),
        "pack + plan (augmentation.device: gpu)": rate(len(few), plans, "cpu"),
        f"its other part, on the {device}": rate(len(images), lambda: augment_batch(images, masks, drawn), device),
    }
    for name, images_a_second in rates.items():
        print(
            f"loader: {name:42} {images_a_second:9.1f} images/s  {images_a_second / rates['PNG + SOLT']:6.2f} x",
            flush=True,
        )


class PngImages(Dataset):
    """What a first script does: read, augment, convert."""

    def __init__(self, entries: list[Entry], side: int):
        self.entries, self.stream = entries, build_stream(CONFIG["augmentation"], side)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, k: int):
        e = self.entries[k]
        image, mask = augment(read_image(e.image, e.image_id), read_mask(e.mask, e.image_id), self.stream, k)
        image = torch.from_numpy(np.ascontiguousarray(image[None])).float() / 255
        return (image - 0.3) / 0.2, torch.from_numpy(np.ascontiguousarray(mask[None])).float()


def plain(entries: list[Entry], side: int, model: tuple[str, str], batch: int, device: str, workers: int) -> float:
    """Images per second of a plain float32 loop."""
    network = build_model(*model).to(device)
    optimizer, loss = torch.optim.Adam(network.parameters(), 1e-4), CombinedLoss()
    loader = DataLoader(
        PngImages(entries, side), batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )

    def epoch():
        for images, masks in loader:
            optimizer.zero_grad()
            value = loss(network(images.to(device)), masks.to(device))
            value.backward()
            optimizer.step()
            value.item()

    return rate(len(entries), epoch, device)


def step(pack, model: tuple[str, str], batch: int, device: str, steps: int, compiled: bool) -> tuple[float, float]:
    """Images per second, and peak memory in GB, of our step on tensors that are on the device already."""
    network = build_model(*model)
    if compiled:
        network.compile()
    module = FoldModel(network, 0.3, 0.2).to(device, memory_format=torch.channels_last).train()
    optimizer, loss = torch.optim.Adam(module.parameters(), 1e-4, fused=True), CombinedLoss()
    images, masks = (torch.from_numpy(np.array(a[:batch]))[:, None].to(device) for a in (pack.images, pack.masks))
    torch.backends.cudnn.benchmark = True

    def run():
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                value = loss(module(images), masks.float())
            value.backward()
            optimizer.step()

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    images_a_second = rate(steps * len(images), run, device)
    return images_a_second, torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan")


def whole(
    pack, model: tuple[str, str], batch: int, workers: int, folder: Path, **changes
) -> tuple[float, float, float]:
    """Images per second and share of the time spent waiting, of the last epoch, and seconds to write an epoch's state."""
    schedule = {
        **CONFIG["training"]["schedule"],
        "combined_epochs": 3,
        "focal_tversky_epochs": 0,
        "freeze_encoder_epochs": 0,
    }
    settings = {
        **CONFIG["training"],
        "batch_size": batch,
        "workers": workers,
        "schedule": schedule,
        "overlays_every": 0,
    }
    on = changes.pop("augmentation", "cpu")
    rows = len(pack.cases)
    validate = max(2, rows // 8)
    result = train_fold(
        pack, range(validate, rows), range(validate), encoder_weights=None,
        model={"name": "x", "encoder": model[0], "decoder": model[1], "weights": "random"},
        training={**settings, **changes}, augmentation={**CONFIG["augmentation"], "device": on},
        normalisation={"augmented": False}, seed=1, fold=0, threads=torch.get_num_threads(), state=folder,
        made_from=f"{model} {on} {changes}",  # else a run would go on from what the last one left
    )  # fmt: skip
    last = result.history[-1]
    start = time.perf_counter()
    with open(folder / "state.ckpt", "rb") as f:
        os.fsync(f.fileno())
        data = f.read()
    with open(folder / "copy", "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    written = time.perf_counter() - start
    # An image without gradient costs a third of one with.
    return (rows - validate + validate / 3) / last["seconds"], last["data_wait_share"], written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--workers", type=int, default=None, help="by default the cores but one with a GPU, else none")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    workers = given.workers if given.workers is not None else (os.cpu_count() - 1 if device == "cuda" else 0)
    cv2.setNumThreads(1)
    logging.disable(logging.INFO)
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}; side {given.side}, batch {given.batch}, {workers} workers")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        entries = make_pngs(folder / "png", given.images, given.side)
        write_pack(folder / "pack", entries)
        pack = open_pack(folder / "pack")
        loaders(entries, pack, given.side, device, given.batch)
        hours = 0.0
        for model in MODELS:
            label = "-".join(model)
            best, memory = step(pack, model, given.batch, device, given.steps, compiled=False)
            print(f"{label}: step on the device {best:8.1f} images/s, peak memory {memory:.1f} GB", flush=True)
            compiled, _ = step(pack, model, given.batch, device, given.steps, compiled=True)
            print(f"    torch.compile               {compiled:8.1f} images/s  {compiled / best:5.2f} x", flush=True)
            simple = plain(entries, given.side, model, given.batch, device, workers)
            runs = {"training": {}, "training, not deterministic": {"deterministic": False}}
            runs["training, augmentation.device: gpu"] = {"augmentation": "gpu", "deterministic": False}
            fastest = 0.0
            for what, changes in runs.items():
                got, waited, written = whole(pack, model, given.batch, workers, folder / "state", **changes)
                fastest = max(fastest, got)
                print(
                    f"    {what:36} {got:8.1f} images/s  {got / best:5.2f} of the step  {got / simple:5.2f} x the plain loop"
                    f"  waits {100 * waited:4.1f} %  state {written:.2f} s",
                    flush=True,
                )
            print(f"    plain float32 loop with PNGs {simple:8.1f} images/s", flush=True)
            hours += PAPER["images"] * PAPER["epochs"] * PAPER["folds"] / fastest / 3600
        print(
            f"the four models, {PAPER['folds']} folds, {PAPER['epochs']} epochs, {PAPER['images']} images: {hours:.1f} hours"
        )


if __name__ == "__main__":
    main()
