"""A training as TensorBoard shows it: curves, and validation images with both outlines."""

import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from mammoseg.training.fold_data import FoldImages
from mammoseg.training.lightning_module import FoldTraining

SHOWN = 4
BLUE, ORANGE = (86, 180, 233), (230, 159, 0)
"""Red, green and blue of the two outlines, 0..255."""
CURVES = {"train_loss": "loss/training", "val_loss": "loss/validation", "train_dice": "Dice/training",
          "val_dice": "Dice/validation", "lr": "learning rate", "data_wait_share": "time/share waiting for data",
          "seconds": "time/seconds per epoch"}  # fmt: skip


class Events:
    """Called after every epoch, writes the history's newest row and, every few epochs, the same few validation images.

    Parameters
    ----------
    folder : Path or None
        None writes nothing. What an earlier process wrote of the same training stays.
    images : FoldImages
    rows : sequence of int
        The validation rows; up to `SHOWN` of them, evenly chosen, are drawn.
    every : int
        Epochs between two drawings; 0 draws none.
    """

    def __init__(self, folder: Path | None, images: FoldImages, rows: Sequence[int], every: int):
        self.folder = folder
        self.images = images
        self.rows = [rows[i] for i in sorted({round(k) for k in np.linspace(0, len(rows) - 1, SHOWN)})]
        self.every = every
        self.writer = None

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_failure) -> None:
        if self.writer:
            self.writer.close()

    def __call__(self, training: FoldTraining) -> None:
        if self.folder is None:
            return
        row = training.history[-1]
        epoch = row["epoch"]
        if self.writer is None:
            logging.getLogger("tensorboard").setLevel(logging.ERROR)
            from torch.utils.tensorboard import SummaryWriter  # half a second, only where it is wanted

            if epoch == 1:
                for old in self.folder.glob("events.out.tfevents.*"):
                    old.unlink()
            # What a killed process wrote of this epoch and later ones is not shown.
            self.writer = SummaryWriter(self.folder, purge_step=epoch)
        for column, name in CURVES.items():
            if row[column] is not None:
                self.writer.add_scalar(name, row[column], epoch)
        if self.every and (epoch % self.every == 0 or epoch == training.schedule.epochs):
            self._draw(training, epoch)
        self.writer.flush()

    @torch.no_grad()
    def _draw(self, training: FoldTraining, epoch: int) -> None:
        training.eval()
        for row in self.rows:
            image, mask, _ = self.images[row, None]
            answer = training.model(image[None].to(training.device))[0, 0] >= 0
            picture = outlined(image[0].numpy(), mask[0].numpy() > 0, answer.cpu().numpy())
            name = self.images.pack.cases[row]["image_id"]
            self.writer.add_image(f"validation/{name}", picture, epoch, dataformats="HWC")
        training.train()


def outlined(image: np.ndarray, reference: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """The image, (side, side, 3) uint8, with the outlines of the reference (blue) and of the answer (orange)."""
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    for mask, colour in ((reference, BLUE), (answer, ORANGE)):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, colour, 1)
    return picture
