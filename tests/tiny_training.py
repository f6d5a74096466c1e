"""A tiny network, a pack of discs and a short recipe: what the tests of training train."""

import copy
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from mammoseg.training.fit import train_fold
from mammoseg.training.pack import Pack

CONFIG = yaml.safe_load((Path(__file__).parents[1] / "config" / "config.yaml").read_text())
UNET = {"name": "resnet22-unet-random", "encoder": "resnet22_gmic", "decoder": "unet", "weights": "random"}
SIDE = 64


class Tiny(nn.Module):
    """An encoder with batch norm, a decoder with dropout: enough to see every rule of the training."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 6, 5, 2, 2, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.decoder = nn.Sequential(
            nn.Dropout2d(0.2),
            nn.Conv2d(6, 6, 3, 1, 1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(6, 1, 3, 1, 1),
        )
        self.decoder.cell = 1
        self.batches = []

    def forward(self, x):
        self.batches.append((len(x), self.training))
        return self.decoder(self.encoder(x))


def make_pack(n, side=SIDE, seed=0):
    """n images of two patients' views: one bright disc on noise each."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    images = generator.integers(0, 60, (n, side, side))
    masks = np.zeros((n, side, side), np.uint8)
    for i in range(n):
        row, column = generator.integers(side // 4, 3 * side // 4, 2)
        masks[i] = (y - row) ** 2 + (x - column) ** 2 <= generator.integers(side // 10, side // 5) ** 2
    cases = tuple({"image_id": f"i{i:02d}", "patient_id": f"p{i // 2}", "dataset": "a"} for i in range(n))
    return Pack((images + 100 * masks).astype(np.uint8), masks, cases)


PACK = make_pack(14)


def recipe(combined=1, tversky=1, freeze=0, milestones=(), **changes):
    """The config's recipe with a short schedule; `changes` of training, loss and schedule by name."""
    settings = copy.deepcopy(CONFIG["training"]) | {"batch_size": 4, "learning_rate": 0.01, "workers": 0}
    settings["schedule"] |= {
        "combined_epochs": combined,
        "focal_tversky_epochs": tversky,
        "freeze_encoder_epochs": freeze,
        "milestones": list(milestones),
    }
    for name, value in changes.items():
        part = next(p for p in (settings, settings["loss"], settings["schedule"]) if name in p)
        part[name] = value
    return settings


def run(pack=PACK, train=range(10), validate=range(10, 14), model=UNET, augmentation=CONFIG["augmentation"], **options):
    settings = {
        "encoder_weights": None, "training": recipe(), "augmentation": augmentation,
        "normalisation": {"augmented": True}, "seed": 1, "fold": 0, "threads": 1,
    }  # fmt: skip
    return train_fold(pack, train, validate, model=model, **(settings | options))


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


NO_AUGMENTATION = dict.fromkeys(CONFIG["augmentation"]) | {"probability": 0.5}
