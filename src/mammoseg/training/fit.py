"""Training one fold: from the pack to a network, its normalisation and its history."""

import copy
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from mammoseg.models import build_model, fold_model, parameter_counts
from mammoseg.models.fold_model import FoldModel
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.gpu import own_device
from mammoseg.runtime.progress import duration
from mammoseg.runtime.provenance import hardware
from mammoseg.training.augmentation import derive_seed
from mammoseg.training.events import Events
from mammoseg.training.fold_data import FoldImages, TrainingOrder, training_loader, validation_loader
from mammoseg.training.lightning_module import FoldTraining, Schedule
from mammoseg.training.normalisation import Normalisation, mean_and_sd
from mammoseg.training.pack import Pack
from mammoseg.training.resume import EpochState

LOG = logging.getLogger(__name__)

TERMINATED = 128 + 15
"""Exit status of a process that SIGTERM ended."""

UNKNOWN_CODE = Code("", frozenset([""]))
"""Of a caller that does not watch its code."""


@dataclass(frozen=True)
class FoldResult:
    """What a trained fold is.

    Attributes
    ----------
    model : mapping
        name, encoder, decoder, weights, stem, as asked for.
    weights_used : str
        ``"imagenet"``, ``"gmic"`` or ``"random"``.
    state : mapping of str to Tensor
        State dict of the network after the best epoch, on the CPU.
    normalisation : Normalisation
        Mean and SD of the training images, in units of the 0..1 image.
    history : sequence of mapping
        One row per epoch (see `mammoseg.training.lightning_module.FoldTraining`).
    best_epoch : int
        From 1.
    parameters : mapping of str to int
        Trainable parameters of encoder, decoder and both (total).
    cell : int
        Side, in pixels, of the cells on which the network computes its logits before it enlarges them.
    cost : mapping
        seconds (wall clock, from the normalisation to the last epoch, of all processes that had a part in it),
        peak_memory_mb (10^6 bytes, of the GPU or else of this process so far), device (``"cpu"`` or the GPU's name),
        resumed (how often the training was broken off and taken up again).
    hardware : sequence of mapping
        `mammoseg.runtime.provenance.hardware`, torch, precision and from_epoch of every machine that had a part in it, in turn.
    patients : mapping of str to list of str
        Pseudonyms of the patients in training and validation, sorted.
    """

    model: Mapping[str, Any]
    weights_used: str
    state: Mapping[str, Tensor]
    normalisation: Normalisation
    history: Sequence[Mapping]
    best_epoch: int
    parameters: Mapping[str, int]
    cell: int
    cost: Mapping[str, Any]
    hardware: Sequence[Mapping[str, Any]]
    patients: Mapping[str, list[str]]


def train_fold(
    pack: Pack,
    training_rows: Sequence[int],
    validation_rows: Sequence[int],
    *,
    draw_ids: Sequence[str] | None = None,
    model: Mapping[str, Any],
    encoder_weights: Path | None,
    training: Mapping[str, Any],
    augmentation: Mapping[str, Any],
    normalisation: Mapping[str, Any],
    seed: int,
    fold: int,
    threads: int,
    log: logging.Logger = LOG,
    progress: bool | None = None,
    state: Path | None = None,
    made_from: str = "",
    code: Code = UNKNOWN_CODE,
    events: Path | None = None,
    watchers: Sequence[Callable[[FoldTraining], None]] = (),
) -> FoldResult:
    """Train one model on one fold.

    Everything random follows from (`seed`, `fold`): the models of a fold see the same images in the same order with the
    same draws, so that they are compared like with like. On the CPU two runs with as many `threads` agree bit for bit,
    whatever the number of workers, and however often the training was killed and taken up again. Global state (random
    generators, threads, torch's flags) is given back.

    Parameters
    ----------
    pack : Pack
    training_rows, validation_rows : sequence of int
        Rows of the pack; their order does not matter.
    draw_ids : sequence of str, optional
        One a row of the pack: the order of the images and all draws follow from them. By default the image_ids.
    model : mapping
        name, encoder, decoder, weights, stem (by default ``"dense"``).
    encoder_weights : Path or None
        The encoder's state dict; None starts from random values.
    training : mapping
        The config's section `training`, with the model's overrides merged in.
    augmentation, normalisation : mapping
        The config's sections.
    seed : int
        The study's.
    fold : int
    threads : int
        CPU cores this call may use.
    log : logging.Logger
        Gets the device in the first line, then one line an epoch.
    progress : bool, optional
        Show a progress bar; by default on a terminal only.
    state : Path, optional
        Folder, of its own, for the state after each epoch; a training finds there what a killed one left. It is not removed
        at the end: first the model is to be safe.
    made_from : str, optional
        Fingerprint of data and recipe; the state of a training with another one is not gone on from.
    code : Code, optional
        The code that trains; nor is a state that counts as another one's.
    events : Path, optional
        Folder for TensorBoard's files.
    watchers : sequence of callable
        Called after every epoch.

    Raises
    ------
    UserError
        Patients on both sides, too few images, no GPU where one is asked for, a loss that is not finite, too little memory
        on the GPU.
    """
    names = [case["image_id"] for case in pack.cases] if draw_ids is None else draw_ids
    # In an order that depends neither on the pack's nor on the pseudonyms.
    rows = {
        part: sorted(map(int, part_rows), key=lambda row: names[row])
        for part, part_rows in (("training", training_rows), ("validation", validation_rows))
    }
    patients = {part: sorted({pack.cases[row]["patient_id"] for row in part_rows}) for part, part_rows in rows.items()}
    label = f"{model['name']} fold {fold}"
    _check_parts(rows, patients, label)
    schedule = Schedule(training["schedule"])
    fold_seed = derive_seed(seed, fold)
    started = time.perf_counter()

    with own_device(training["accelerator"], log) as device, _own_state(device, threads), _quiet_lightning():
        on_gpu = device.type == "cuda"
        workers = _workers(training["workers"], threads, on_gpu)
        torch.manual_seed(derive_seed(fold_seed, "weights"))
        spec = {"stem": "dense", **model}
        network = build_model(spec["encoder"], spec["decoder"], weights=encoder_weights, stem=spec["stem"])
        _announce(log, device, network, pack.side, rows, schedule.epochs, training["accelerator"], label)
        parameters, cell = parameter_counts(network), network.decoder.cell

        epochs = EpochState(state, made_from, code) if state else None
        left = epochs.prepare(log) if epochs else None
        recorders = [epochs.keep] if epochs else []
        drawn_by = [names[row] for row in rows["training"]]
        settings = augmentation if normalisation["augmented"] else None
        measured = (
            epochs.normalisation if left else mean_and_sd(pack.images, rows["training"], drawn_by, settings, fold_seed)
        )
        log.info("%s: normalised by mean %.4f, SD %.4f of the 0..1 image", label, *measured)

        images = FoldImages(pack, augmentation)
        order = TrainingOrder(rows["training"], drawn_by, training["batch_size"], fold_seed)
        loader = training_loader(images, order, training["batch_size"], workers, on_gpu)
        validation = validation_loader(images, rows["validation"], training["batch_size"], on_gpu)
        if training["compile"]:
            network.compile()
        trainer = _trainer(training, schedule.epochs, device, progress, epochs)
        machine = {**hardware(device, threads), "torch": str(torch.__version__), "precision": trainer.precision}
        # By pseudonym: which images are shown must not tell the order of their original ids.
        shown = sorted(rows["validation"], key=lambda row: pack.cases[row]["image_id"])
        with Events(events, images, shown, training["overlays_every"]) as seen:
            job = FoldTraining(
                FoldModel(network, *measured),
                loader,
                training,
                fold_seed,
                label,
                log,
                [*recorders, seen, *watchers],
                started,
                machine,
            )
            try:
                trainer.fit(job, loader, validation, ckpt_path=left, weights_only=True)
            except SIGTERMException:
                raise SystemExit(TERMINATED) from None  # Lightning's own would end with status 0
            except torch.OutOfMemoryError:
                raise UserError(_out_of_memory(label, training, device)) from None
            except Exception:
                if trainer.received_sigterm:  # and so did a worker that had just begun, or whatever else failed by it
                    raise SystemExit(TERMINATED) from None
                raise
        cost = {
            "seconds": round(job.seconds_so_far(), 1),
            "peak_memory_mb": _peak_memory_mb(device),
            "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
            "resumed": job.resumed,
        }

    return FoldResult(
        model=spec,
        weights_used=spec["weights"] if encoder_weights is not None else "random",
        state=job.best_state,
        normalisation=measured,
        history=job.history,
        best_epoch=job.best_epoch,
        parameters=parameters,
        cell=cell,
        cost=cost,
        hardware=job.machines,
        patients=patients,
    )


def save_model(
    folder: str | os.PathLike, result: FoldResult, *, recipe: Mapping, fingerprint: str, data: str = ""
) -> dict:
    """Write ``model.safetensors``, ``history.csv`` and, last, ``model.json``.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    result : FoldResult
    recipe : mapping
        The config values the model was made from, as JSON.
    fingerprint : str
        Of everything the model was made from.
    data : str
        Fingerprint of the pack.

    Returns
    -------
    dict
        What was written to ``model.json``.
    """
    facts = {
        "model": dict(result.model),
        "weights_used": result.weights_used,
        "recipe": recipe,
        "normalisation": result.normalisation._asdict(),
        "best_epoch": result.best_epoch,
        "parameters": dict(result.parameters),
        "cell": result.cell,
        "cost": dict(result.cost),
        "hardware": list(result.hardware),
        "patients": dict(result.patients),
        "data": data,
        "fingerprint": fingerprint,
    }
    return fold_model.save_model(folder, state=result.state, history=result.history, facts=facts)


def _check_parts(rows: Mapping[str, list[int]], patients: Mapping[str, list[str]], label: str) -> None:
    both = sorted(set(patients["training"]) & set(patients["validation"]))
    if both:
        raise UserError(
            f"{label}: {len(both)} patients stand in training and validation, e.g. {', '.join(both[:3])}: "
            "splits.csv was changed by hand; put it back."
        )
    if len(rows["training"]) < 2 or not rows["validation"]:
        raise UserError(
            f"{label} has {len(rows['training'])} training and {len(rows['validation'])} validation images; "
            "it needs 2 and 1 at least: add images with a mass, or lower splits.folds."
        )


def _workers(workers: int | str, threads: int, on_gpu: bool) -> int:
    """Processes that augment: on a CPU none by default, since the steps themselves want all its threads."""
    return (max(0, threads - 1) if on_gpu else 0) if workers == "auto" else workers


def _out_of_memory(label: str, training: Mapping[str, Any], device: torch.device) -> str:
    """One sentence: the batch to try, and how the optimiser sees as many images at a step, or nearly so."""
    size, times = training["batch_size"], training["accumulate"]
    memory = f"{torch.cuda.get_device_name(device)}'s memory" if device.type == "cuda" else "the memory"
    if size < 4:
        return (
            f"{label}: {memory} is too small even for training.batch_size {size}; use a smaller network or image.side."
        )
    seen = size // 2 * 2 * times
    kept = f"still sees {seen} images" if seen == size * times else f"sees {seen} images instead of {size * times}"
    return (
        f"{label}: {memory} is too small for training.batch_size {size}; set training.batch_size to {size // 2} and "
        f"training.accumulate to {2 * times}, so that a step of the optimiser {kept}."
    )


def _trainer(
    training: Mapping[str, Any], epochs: int, device: torch.device, progress: bool | None, state: EpochState | None
) -> L.Trainer:
    """Lightning as a loop: it writes nothing by itself, keeps out of the scheduler's way, and is silent."""
    precision = training["precision"]
    if precision == "auto":
        precision = "bf16-mixed" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"
    return L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index] if device.type == "cuda" else 1,
        precision=precision,
        max_epochs=epochs,
        accumulate_grad_batches=training["accumulate"],
        deterministic=training["deterministic"],
        benchmark=not training["deterministic"],
        # Under Slurm Lightning would count tasks and requeue the job by itself.
        plugins=[LightningEnvironment(), *([state] if state else [])],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty() and sys.stdout.isatty() if progress is None else progress,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _announce(
    log: logging.Logger,
    device: torch.device,
    network: torch.nn.Module,
    side: int,
    rows: Mapping[str, list[int]],
    epochs: int,
    accelerator: str,
    label: str,
) -> None:
    """First line of the log: where the training runs and, on a CPU, roughly how long."""
    training, validation = len(rows["training"]), len(rows["validation"])
    job = f"{label}: {training} + {validation} images of {side} × {side}, {epochs} epoch{'s' * (epochs > 1)}"
    if device.type == "cuda":
        log.info("Training on %s; %s", torch.cuda.get_device_name(device), job)
        return
    # A pass without gradient costs about a third of one with.
    seconds = _seconds_per_image(network, side) * (training + validation / 3) * epochs
    why = "No accelerator: training" if accelerator == "auto" else "Training"
    log.info("%s on the CPU, roughly %s; %s", why, duration(seconds), job)


def _seconds_per_image(network: torch.nn.Module, side: int) -> float:
    """Forward and backward on a copy of `network`; the second of two tries, since the first one warms up."""
    trial = copy.deepcopy(network).train()
    images = torch.zeros(2, 1, side, side)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        trial(images).mean().backward()
        seconds = time.perf_counter() - start
    return seconds / len(images)


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    return round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6, 1)


@contextmanager
def _own_state(device: torch.device, threads: int) -> Iterator[None]:
    """Give the training its random generators, threads and flags, and the caller back what was there."""
    before = (
        torch.get_num_threads(),
        cv2.getNumThreads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
    )
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # its pictures are too small to share out, and its threads do not survive a fork
    # Deterministic mode fills all new memory with NaN, to show what reads it too early: nothing here does.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            if device.type == "cuda":
                torch.cuda.init()  # unlike most of torch.cuda the next call does not do that itself, and fails without
                torch.cuda.reset_peak_memory_stats(device)
            yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
        torch.use_deterministic_algorithms(before[2])
        torch.utils.deterministic.fill_uninitialized_memory = before[3]
        torch.backends.cudnn.benchmark = before[4]


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's hints and advertisements are not for the users of a study."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        warnings.filterwarnings("ignore", message=r".*LeafSpec.*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
