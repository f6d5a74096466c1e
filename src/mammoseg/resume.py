"""A training that was killed goes on after its last finished epoch."""

import logging
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import lightning as L
import torch

from mammoseg.files import whole, write_csv
from mammoseg.fold_model import HISTORY
from mammoseg.lightning_module import FoldTraining
from mammoseg.normalisation import Normalisation

STATE = "state.ckpt"
HISTORY_SO_FAR = "history.csv"


class EpochState(L.Callback):
    """Keeps the state after each finished epoch in a folder: network, optimiser, schedule, history, best epoch so far.

    What an epoch draws follows from its number (`mammoseg.fold_data`), so that no random state is kept.

    Parameters
    ----------
    folder : Path
        Holds nothing else.
    made_from : str
        Fingerprint of all that the training is made from: it never goes on from the state of another.

    Attributes
    ----------
    normalisation : Normalisation or None
        As it was measured when the training that goes on began.
    """

    def __init__(self, folder: Path, made_from: str):
        self.folder = folder
        self.made_from = made_from
        self.state = folder / STATE
        self.written = 0
        self.normalisation: Normalisation | None = None

    def prepare(self, log: logging.Logger) -> Path | None:
        """Give this training's state, where there is one; remove what is of another, or cannot be read."""
        kept = self._read(log)
        if kept is None or kept["made_from"] != self.made_from:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            return None
        kept = kept["fold"]
        self.written, self.normalisation = len(kept["history"]), Normalisation(*kept["normalisation"])
        return self.state

    def _read(self, log: logging.Logger) -> Mapping | None:
        try:
            return torch.load(self.state, map_location="cpu", weights_only=True, mmap=True)
        except FileNotFoundError:
            return None
        except (RuntimeError, OSError, EOFError, BadZipFile, pickle.UnpicklingError):
            log.warning("the state of the broken-off training cannot be read; it begins anew")
            return None

    def on_save_checkpoint(self, trainer: L.Trainer, training: FoldTraining, checkpoint: dict) -> None:
        checkpoint["made_from"] = self.made_from

    def write_history(self, training: FoldTraining) -> None:
        """After every epoch, for `mammoseg.time_left` and for whoever wants to look."""
        write_csv(self.folder / HISTORY_SO_FAR, HISTORY, training.history)

    def on_train_epoch_start(self, trainer: L.Trainer, training: FoldTraining) -> None:
        """Write what the last epoch left. Here, not at its end: by now the learning rate has been lowered where it should be."""
        if len(training.history) > self.written:
            self._write(trainer, training)

    def on_train_end(self, trainer: L.Trainer, training: FoldTraining) -> None:
        self._write(trainer, training)

    def _write(self, trainer: L.Trainer, training: FoldTraining) -> None:
        with whole(self.state, durable=True) as part:
            trainer.save_checkpoint(part)
        self.written = len(training.history)
