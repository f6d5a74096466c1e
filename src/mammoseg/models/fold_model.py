"""A network together with its normalisation, and the three files that a trained fold leaves behind."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from mammoseg.models import build_model
from mammoseg.rebuild.digests import sha256
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import whole, write_csv, write_text
from mammoseg.runtime.provenance import git_commit, installed_versions

HISTORY = ("epoch", "phase", "lr", "train_loss", "val_loss", "train_dice", "val_dice", "data_wait_share", "seconds")


class FoldModel(nn.Module):
    """8-bit mammograms in, logits out: the one place where pixels become the network's input.

    Parameters
    ----------
    network : torch.nn.Module
        From `mammoseg.models.build_model`.
    mean, sd : float
        Of the training images, in units of the 0..1 image.
    """

    def __init__(self, network: nn.Module, mean: float = 0.0, sd: float = 1.0):
        super().__init__()
        self.network = network
        self.mean = mean
        self.sd = sd

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, 1, H, W) float, of images, (B, 1, H, W) uint8."""
        return self.network((images.float() / 255 - self.mean) / self.sd)


def save_model(
    folder: str | os.PathLike,
    *,
    state: Mapping[str, Tensor],
    history: Iterable[Mapping],
    facts: Mapping,
) -> dict:
    """Write ``model.safetensors``, ``history.csv`` and, last, ``model.json``.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    state : mapping of str to Tensor
        The network's state dict.
    history : iterable of mapping
        One row per epoch; columns are `HISTORY`.
    facts : mapping
        What ``model.json`` says: at least ``model`` and ``normalisation``. The SHA-256 of the tensors' file, the
        versions of the packages and the commit of this checkout are added.

    Returns
    -------
    dict
        What was written to ``model.json``.
    """
    folder = Path(folder)
    with whole(folder / "model.safetensors", durable=True) as part:
        part.write_bytes(to_bytes({name: tensor.contiguous() for name, tensor in state.items()}))
    write_csv(folder / "history.csv", HISTORY, history)
    made_by = {"versions": installed_versions(), "commit": git_commit()}
    facts = {**facts, **made_by, "tensors_sha256": sha256(folder / "model.safetensors")}
    write_text(folder / "model.json", json.dumps(facts, indent=1) + "\n")
    return facts


def load_model(folder: str | os.PathLike, device: str | torch.device = "cpu") -> tuple[FoldModel, dict]:
    """Read a trained fold back, ready to predict.

    Returns
    -------
    model : FoldModel
        In eval mode, on `device`, its parameters without gradient.
    facts : dict
        ``model.json``.

    Raises
    ------
    UserError
        Where a file is missing, or the tensors are not those that ``model.json`` describes.
    """
    folder = Path(folder)
    place = f"{folder.parent.name}/{folder.name}"
    for name in ("model.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(f"The model {place} has no {name}: train it again.")
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if sha256(folder / "model.safetensors") != facts["tensors_sha256"]:
        raise UserError(f"The model.safetensors of {place} is not the file its model.json describes: train it again.")
    spec = facts["model"]
    network = build_model(encoder=spec["encoder"], decoder=spec["decoder"], weights=None, stem=spec["stem"])
    network.load_state_dict(load_file(folder / "model.safetensors"))
    model = FoldModel(network, **facts["normalisation"]).eval().requires_grad_(False)
    return model.to(device), facts
