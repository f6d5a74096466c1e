"""One fold's training as Lightning sees it: two phases of loss, the frozen start, the history, and how it is taken up again."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from mammoseg.models.fold_model import FoldModel
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.progress import duration
from mammoseg.runtime.provenance import differences
from mammoseg.training.augmentation import derive_seed
from mammoseg.training.batch_dice import dice_per_image
from mammoseg.training.device_augmentation import augment_batch
from mammoseg.training.fold_data import Batch, TimedLoader
from mammoseg.training.losses import CombinedLoss, FocalTverskyLoss

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Schedule:
    """Which epoch belongs to which phase. Epochs count from 1.

    Parameters
    ----------
    settings : mapping
        The config's mapping `training.schedule`.
    """

    def __init__(self, settings: Mapping[str, Any]):
        self.combined = settings["combined_epochs"]
        self.epochs = self.combined + settings["focal_tversky_epochs"]
        self.frozen = settings["freeze_encoder_epochs"]
        if self.epochs < 1:
            raise UserError("training.schedule has no epoch: set combined_epochs or focal_tversky_epochs above 0.")

    def phase(self, epoch: int) -> int:
        """1 (BCE and soft Jaccard) or 2 (Focal Tversky)."""
        return 1 if epoch <= self.combined else 2

    @property
    def last_phase(self) -> int:
        """The phase whose best epoch is kept: losses of different phases cannot be compared."""
        return self.phase(self.epochs)


class FoldTraining(L.LightningModule):
    """Trains one model and keeps the history and the best state.

    Parameters
    ----------
    model : FoldModel
        Its network has the parts ``encoder`` and ``decoder``.
    loader : TimedLoader
        Of the training images.
    settings : mapping
        The config's section `training`, with the model's overrides.
    seed : int
        Of this fold.
    label : str
        What messages call it.
    log : logging.Logger
    watchers : sequence of callable
        Called with this object after every epoch, when its history row stands.
    started : float
        When the training began, by time.perf_counter().
    machine : mapping
        What this process computes on: of what may change the values, all (`mammoseg.runtime.provenance.differences`).

    Attributes
    ----------
    history : list of dict
        One row per finished epoch, as in history.csv. ``lr`` is the rate of the epoch's first step; losses and Dice are
        means over images (Dice at probability ≥ 0.5, images where mask and answer are both empty left out, None where
        all are), of the training over the epoch's augmented batches as they came, of the validation after the epoch.
        ``data_wait_share`` is the share of the training's time spent waiting for a batch.
    best_epoch : int
        The epoch with the lowest validation loss in the last phase.
    best_state : dict of str to Tensor
        The network's state dict after that epoch, on the CPU.
    resumed : int
        How often the training was taken up again; by a process that ended an epoch, but for the last one.
    machines : list of dict
        What the training was computed on, in turn, each with ``from_epoch``.
    """

    def __init__(
        self,
        model: FoldModel,
        loader: TimedLoader,
        settings: Mapping[str, Any],
        seed: int,
        label: str,
        log: logging.Logger,
        watchers: Sequence[Callable[["FoldTraining"], None]],
        started: float,
        machine: Mapping[str, Any],
    ):
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)  # a tenth faster, on a CPU too
        self.loader = loader
        self.settings = settings
        self.schedule = Schedule(settings["schedule"])
        loss = settings["loss"]
        self.losses = {
            1: CombinedLoss(omega=loss["omega"], epsilon=loss["epsilon"], reduction=loss["reduction"]),
            2: FocalTverskyLoss(alpha=loss["alpha"], exponent=loss["exponent"], epsilon=loss["epsilon"]),
        }
        self.seed = seed
        self.label = label
        self.messages = log
        self.history: list[dict] = []
        self.best_epoch = 0
        self.best_loss = math.inf
        self.best_state: dict[str, Tensor] = {}
        self.watchers = watchers
        self.earlier_seconds = 0.0  # of the processes before this one
        self.resumed = 0
        self.machines = [{**machine, "from_epoch": 1}]
        self.born = started

    @property
    def epoch(self) -> int:
        """The running epoch, from 1."""
        return self.current_epoch + 1

    def configure_optimizers(self) -> dict:
        """Adam or AdamW over all parameters; a frozen one has no gradient, and no decay either."""
        settings, schedule = self.settings, self.settings["schedule"]
        optimizer = OPTIMIZERS[settings["optimizer"]](
            self.model.parameters(),
            lr=settings["learning_rate"],
            weight_decay=settings["weight_decay"],
            fused=True,
        )
        steps = math.ceil(len(self.loader) / settings["accumulate"])
        if schedule["policy"] == "one_cycle":
            total = self.schedule.epochs * steps
            policy = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings["learning_rate"], total_steps=total)
        else:
            milestones = [epoch * steps for epoch in schedule["milestones"]]
            policy = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, schedule["factor"])
        # Counted in steps: what Lightning does once an epoch it does after the epoch's end, when the state has been written.
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": policy, "interval": "step"}}

    def train(self, mode: bool = True) -> "FoldTraining":
        """As usual, except that a frozen encoder keeps its batch-norm statistics."""
        super().train(mode)
        if mode and not next(self.model.network.encoder.parameters()).requires_grad:
            self.model.network.encoder.eval()
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What Lightning does not know of, in types that `torch.load` reads without running code."""
        checkpoint["fold"] = {
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "best_state": self.best_state,
            "normalisation": [self.model.mean, self.model.sd],
            "seconds": self.seconds_so_far(),
            "resumed": self.resumed,
            "machines": self.machines,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        kept = checkpoint["fold"]
        for name in ("history", "best_epoch", "best_loss", "best_state"):
            setattr(self, name, kept[name])
        self.earlier_seconds, self.resumed = kept["seconds"], kept["resumed"] + 1
        # The state is that at the end of an epoch, which Lightning would end once more, and then take its last batch for where
        # it stands in the next one; and it asks the loader for batches before it tells it the epoch.
        loops = checkpoint["loops"]["fit_loop"]
        for count in (loops["epoch_progress"]["total"], loops["epoch_progress"]["current"]):
            count["completed"] = count["processed"]
        batches = loops["epoch_loop.batch_progress"]
        batches |= {"current": dict.fromkeys(batches["current"], 0), "is_last_batch": False}
        self.loader.sampler.set_epoch(len(self.history))
        for row in self.history:
            self._report(row, logging.DEBUG)  # for the log file, which begins anew
        self.messages.info("%s goes on after epoch %d", self.label, len(self.history))
        self._take_over(kept["machines"])

    def _take_over(self, earlier: list[dict]) -> None:
        """The machines so far, and this one where it is another. No epoch is lost for that: the digits tell no better model."""
        now = self.machines[-1] | {"from_epoch": len(self.history) + 1}
        self.machines = earlier
        if len(self.history) < self.schedule.epochs and (other := differences(earlier[-1], now)):
            self.machines = [*earlier, now]
            self.messages.warning(
                "%s goes on with %s: its last digits are not those of an undisturbed training",
                self.label, ", ".join(other),
            )  # fmt: skip

    def seconds_so_far(self) -> float:
        """Wall clock of this training, in all its processes up to their last finished epoch."""
        return self.earlier_seconds + time.perf_counter() - self.born

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, _number: int) -> Batch:
        """Without waiting for the copy; the plans stay where they are."""
        images, masks, plans = batch
        return images.to(device, non_blocking=True), masks.to(device, non_blocking=True), plans

    def on_after_batch_transfer(self, batch: Batch, _number: int) -> tuple[Tensor, Tensor]:
        images, masks, plans = batch
        return (images, masks) if plans is None else augment_batch(images, masks, plans)

    def on_train_epoch_start(self) -> None:
        self.epoch_started = time.perf_counter()
        self.loader.waited = 0.0
        self.model.network.encoder.requires_grad_(self.epoch > self.schedule.frozen)
        self.train()
        torch.manual_seed(derive_seed(self.seed, "dropout", self.epoch))
        self.lr = self.optimizers().param_groups[0]["lr"]
        self.trained: list[tuple[Tensor, Tensor]] = []
        self.validated: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        """The batch's part of the mean loss over all images of the optimiser's step, for Lightning to divide by `accumulate`."""
        loss, scores = self._judge(batch)
        self.trained.append((loss.detach(), scores))
        accumulate = self.settings["accumulate"]
        return loss * (accumulate * len(scores) / self._images_in_step(number // accumulate))

    def _images_in_step(self, step: int) -> int:
        """An epoch's last step has what is left: fewer batches, and the last one may be smaller."""
        full = self.settings["accumulate"] * self.loader.batch_size
        return min(full, len(self.loader.sampler) - step * full)

    def on_validation_start(self) -> None:
        self._refuse_nonsense(self.trained, "batch")
        self.trained_seconds = time.perf_counter() - self.epoch_started

    def validation_step(self, batch: tuple[Tensor, Tensor], _number: int) -> None:
        self.validated.append(self._judge(batch))

    def on_train_epoch_end(self) -> None:
        self._refuse_nonsense(self.validated, "validation batch")
        train_loss, train_dice = _means(self.trained)
        val_loss, val_dice = _means(self.validated)
        phase = self.schedule.phase(self.epoch)
        if phase == self.schedule.last_phase and val_loss < self.best_loss:
            self.best_epoch, self.best_loss = self.epoch, val_loss
            state = self.model.network.state_dict()
            self.best_state = {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
        self.history.append(
            {
                "epoch": self.epoch,
                "phase": phase,
                "lr": _rounded(self.lr),
                "train_loss": _rounded(train_loss),
                "val_loss": _rounded(val_loss),
                "train_dice": _rounded(train_dice),
                "val_dice": _rounded(val_dice),
                "data_wait_share": round(self.loader.waited / self.trained_seconds, 4),
                "seconds": round(time.perf_counter() - self.epoch_started, 3),
            }
        )
        self._report(self.history[-1], logging.INFO)
        for watcher in self.watchers:
            watcher(self)

    def _judge(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Loss of one batch, and its images' Dice coefficients."""
        images, masks = batch
        logits = self.model(images)
        loss = self.losses[self.schedule.phase(self.epoch)](logits, masks.float())
        return loss, dice_per_image(logits.detach(), masks)

    def _refuse_nonsense(self, judged: list[tuple[Tensor, Tensor]], what: str) -> None:
        """Stop where a loss is not finite. Looked at once an epoch: every look makes a GPU wait."""
        bad = (~torch.isfinite(torch.stack([loss.detach() for loss, _ in judged]))).nonzero()
        if len(bad):
            raise UserError(
                f"{self.label}: the loss is not a finite number in epoch {self.epoch}, {what} {int(bad[0]) + 1}; "
                f"lower training.learning_rate (now {self.settings['learning_rate']:g}) "
                "or set training.precision to 32-true."
            )

    def _report(self, row: Mapping[str, Any], level: int) -> None:
        """One line per epoch."""
        left = sum(r["seconds"] for r in self.history) / len(self.history) * (self.schedule.epochs - row["epoch"])
        dice = ["–" if row[key] is None else f"{row[key]:.3f}" for key in ("train_dice", "val_dice")]
        self.messages.log(
            level,
            "%s, epoch %d of %d, phase %d: training loss %.4f, Dice %s; validation loss %.4f, Dice %s; "
            "%.1f s, %s left",
            self.label, row["epoch"], self.schedule.epochs, row["phase"], row["train_loss"], dice[0],
            row["val_loss"], dice[1], row["seconds"], duration(left),
        )  # fmt: skip


def _means(judged: list[tuple[Tensor, Tensor]]) -> tuple[float, float | None]:
    """Loss and Dice, each the mean over all images; batches weigh as many as they hold."""
    sizes = torch.tensor([len(scores) for _, scores in judged], dtype=torch.float64)
    losses = torch.stack([loss.detach() for loss, _ in judged]).double().cpu()
    dice = torch.cat([scores for _, scores in judged]).double().cpu().nanmean().item()
    return float((losses * sizes).sum() / sizes.sum()), None if math.isnan(dice) else dice


def _rounded(value: float | None) -> float | None:
    """Six digits: 0.001 times 0.1 is not to be read as 0.00010000000000000002."""
    return value if value is None else float(f"{value:.6g}")
