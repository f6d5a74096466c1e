"""A training that was killed goes on after its last finished epoch."""

import io
import logging
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from mammoseg.models.fold_model import HISTORY
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import whole, write_csv
from mammoseg.training.lightning_module import FoldTraining
from mammoseg.training.normalisation import Normalisation

STATE = "state.ckpt"
HISTORY_SO_FAR = "history.csv"
SEAL = 64
"""The state's first bytes: the SHA-256 of all others, since torch trains on what a flipped bit has made of a tensor."""


class EpochState(CheckpointIO):
    """Keeps the state after each finished epoch in a folder: network, optimiser, schedule, history, best epoch so far.

    What an epoch draws follows from its number (`fold_data`), so that no random state is kept. To Lightning it is what
    writes and reads its checkpoints: Lightning itself would write through the system's temporary folder.

    Parameters
    ----------
    folder : Path
        Holds nothing else.
    made_from : str
        Fingerprint of data and recipe: a training never goes on from the state of another.
    code : Code
        That trains now; it goes on from the states of all that count as it.

    Attributes
    ----------
    normalisation : Normalisation or None
        As it was measured when the training that goes on began.
    """

    def __init__(self, folder: Path, made_from: str, code: Code):
        self.folder = folder
        self.made_from = made_from
        self.code = code
        self.state = folder / STATE
        self.kept: Mapping | None = None
        self.normalisation: Normalisation | None = None

    def prepare(self, log: logging.Logger) -> Path | None:
        """Give this training's state, where there is one; remove what is of another, set aside what is damaged.

        Raises
        ------
        UserError
            The disk does not give the state: that may pass, and the state may be whole.
        """
        self.kept = self._read(log)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.kept and (self.kept["made_from"] != self.made_from or self.kept["code"] not in self.code.same):
            what = "data or recipe" if self.kept["made_from"] != self.made_from else "code, or all is to be made anew"
            epochs = len(self.kept["fold"]["history"])
            log.warning("the state of a training that had ended %d epochs is removed: it is of other %s", epochs, what)
            self.kept = None
        if self.kept is None:
            for name in (STATE, HISTORY_SO_FAR):
                (self.folder / name).unlink(missing_ok=True)
            return None
        self.normalisation = Normalisation(*self.kept["fold"]["normalisation"])
        return self.state

    def _read(self, log: logging.Logger) -> Mapping | None:
        try:
            with self.state.open("rb") as f:
                seal, state = f.read(SEAL), f.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(
                f"The state of the broken-off training, {self.state}, cannot be read ({error.strerror}): run again when its disk "
                "answers, or remove it to begin anew."
            ) from error
        if seal != _seal(state):
            aside = self.state.replace(self.state.with_suffix(".bad"))
            log.warning(
                "the state of the broken-off training is damaged: it begins anew, and %s is what was there", aside.name
            )
            return None
        return torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)

    def keep(self, training: FoldTraining) -> None:
        """After every epoch: the state, and its history for `mammoseg.training.time_left` and for whoever wants to look."""
        with whole(self.state, durable=True) as part:
            training.trainer.save_checkpoint(part)
        write_csv(self.folder / HISTORY_SO_FAR, HISTORY, training.history)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Path, storage_options: Any = None) -> None:
        """Called by Lightning."""
        buffer = io.BytesIO()
        torch.save({**checkpoint, "made_from": self.made_from, "code": self.code.name}, buffer)
        with open(path, "wb") as f:
            f.write(_seal(buffer.getbuffer()))
            f.write(buffer.getbuffer())

    def load_checkpoint(self, path: Path, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Called by Lightning, for what `prepare` has read."""
        kept, self.kept = self.kept, None  # not held in memory for the rest of the training
        return kept

    def remove_checkpoint(self, path: Path) -> None:
        """Never called: part of Lightning's interface."""


def _seal(state: bytes | memoryview) -> bytes:
    return sha256(state).hexdigest().encode()
