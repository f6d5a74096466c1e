"""What would fail hours later is found before the first job of a run."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from mammoseg.runtime.errors import UserError
from mammoseg.study import Study

WITHOUT_NETWORKS = {"index", "plan", "render"}
"""Targets that neither train nor predict."""
OURS = {"encoders": {"resnet34", "resnet22_gmic"}, "decoders": {"unet", "fpn"}}
"""Networks whose names need no look-up in segmentation-models-pytorch."""
UNREPEATABLE = {"smp.PSPNet", "smp.UPerNet"}
"""Decoders with an adaptive average pooling, whose gradient torch cannot repeat on a GPU, and refuses where it is to."""


def preflight(study: Study, targets: Collection[str], trains_here: bool) -> None:
    """Check what a run needs.

    Parameters
    ----------
    study : Study
    targets : collection of str
        Targets asked for; empty means all.
    trains_here : bool
        False where jobs are submitted: a login node has no GPU.

    Raises
    ------
    UserError
        For the first thing that is missing.
    """
    for dataset in study.datasets.values():
        if not dataset.phantom:
            check_root(dataset.name, dataset.root)
    check_injection(study)
    if targets and set(targets) <= WITHOUT_NETWORKS:
        return
    check_space(study)
    if trains_here:
        check_gpu(study)
    check_networks(study)
    check_repeatable(study, trains_here)
    check_weights(study)


def check_root(name: str, root: Path) -> None:
    """Raise UserError unless `root` is there, can be read and is not empty."""
    where = f"data set {name}: its root {root}"
    change = "change datasets or data_root in the config (--config data_root=…)"
    if not root.exists():
        raise UserError(f"{where} does not exist; {change}")
    if not os.access(root, os.R_OK):
        raise UserError(f"{where} cannot be read by this user; change its permissions")
    if root.is_dir() and not any(root.iterdir()):
        raise UserError(f"{where} is empty; {change}")


def check_injection(study: Study) -> None:
    """Raise UserError where the file that windowing is to be copied from is not there; what it holds is looked at later."""
    if study.injection_file and not study.injection_file.is_file():
        raise UserError(f"config key image.voi_lut.file is {str(study.injection_file)!r}: there is no such file")


def check_space(study: Study) -> None:
    """Raise UserError where the disk of the results cannot even hold the trained models (a ResNet34 U-Net is 110 MB)."""
    missing = sum(
        not (study.results / "models" / m / f"fold{k}" / "model.safetensors").exists()
        for m in study.models
        for k in study.folds
    )
    need = missing * 150e6 + 200e6
    existing = next(p for p in (study.results, *study.results.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < need:
        raise UserError(
            f"the disk of {study.results} has {free / 1e9:.1f} GB left and the models alone need {need / 1e9:.1f} GB: "
            "make room, or set results_dir to another disk"
        )


def check_gpu(study: Study) -> None:
    """Raise UserError where a model asks for a GPU and this machine shows none."""
    asking = [m.name for m in study.models.values() if m.training["accelerator"] == "gpu"]
    if asking:
        from mammoseg.runtime.gpu import gpu_visible

        if not gpu_visible():
            raise UserError(
                f"config key training.accelerator is gpu ({asking[0]}) and no GPU is visible on this machine: check its driver "
                "and CUDA_VISIBLE_DEVICES, or set training.accelerator to auto or cpu"
            )


def check_networks(study: Study) -> None:
    """Raise UserError for an encoder or decoder that does not exist."""
    others = [
        m for m in study.models.values() if m.encoder not in OURS["encoders"] or m.decoder not in OURS["decoders"]
    ]
    if others:
        from mammoseg.models import check_model

        for m in others:
            try:
                check_model(m.encoder, m.decoder, m.stem, side=study.image["side"])
            except UserError as mistake:
                raise UserError(f"model {m.name}: {mistake}") from None


def check_repeatable(study: Study, trains_here: bool) -> None:
    """Raise UserError where a model would be trained on a GPU, to the same bits every time, and cannot be."""
    asking = [m for m in study.models.values() if m.decoder in UNREPEATABLE and m.training["deterministic"]]
    for m in asking:
        if m.training["accelerator"] == "auto" and trains_here:
            from mammoseg.runtime.gpu import gpu_visible

            on_gpu = gpu_visible()
        else:
            on_gpu = m.training["accelerator"] != "cpu"
        if on_gpu:
            raise UserError(
                f"model {m.name}: decoder {m.decoder} cannot be trained repeatably on a GPU: set training.deterministic to false "
                "(for this model alone, under models), or training.accelerator to cpu"
            )


def check_weights(study: Study) -> None:
    """Raise UserError where encoder weights cannot be had; they are fetched here: a compute node may have no network."""
    for weights in sorted({name.partition("-")[0] for name in study.weights_names}):  # a path that was written is meant
        file = study.weights[weights].get("file")
        if file and not Path(file).expanduser().is_file():
            raise UserError(f"config key weights.{weights}.file is {file!r}: there is no such file")
    if study.weights_names and study.weights["missing"] == "error":
        from mammoseg.models.weights import check_available

        for name in study.weights_names:
            weights, _, encoder = name.partition("-")
            check_available(weights, encoder, study.weights, study.results / "weights")
