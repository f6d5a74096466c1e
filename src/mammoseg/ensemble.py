"""From the models of the folds to one probability map per image."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from mammoseg.fold_model import FoldModel

AVERAGES = ("probability", "logit", "vote")
VOTE = 0.5
"""A model votes for mass where its own probability is at least this, whatever the ensemble's threshold."""


def predict(
    models: Sequence[FoldModel], images: np.ndarray | Iterable[np.ndarray], average: str, batch_size: int
) -> np.ndarray:
    """Predict all images; `predict_each` does so one batch at a time.

    Parameters
    ----------
    models : sequence of FoldModel
        In eval mode, all on one device (`mammoseg.fold_model.load_model`); a single one is an ensemble too.
    images : array or iterable of array
        (side, side) uint8 each.
    average : str
        ``"probability"``: the mean of the probabilities; ``"logit"``: the probability of the mean logit;
        ``"vote"``: the share of the models whose probability is at least 0.5.
    batch_size : int
        Images predicted at once.

    Returns
    -------
    numpy.ndarray
        (N, side, side) float32 in 0..1.
    """
    maps = list(predict_each(models, images, average, batch_size))
    return np.stack(maps) if maps else np.empty((0, 0, 0), np.float32)


def predict_each(
    models: Sequence[FoldModel], images: np.ndarray | Iterable[np.ndarray], average: str, batch_size: int
) -> Iterator[np.ndarray]:
    """As `predict`, but one (side, side) map after the other, for more images than fit into memory."""
    if average not in AVERAGES:
        raise ValueError(f"average is {average!r}, must be one of {', '.join(AVERAGES)}")
    if not models:
        raise ValueError("an ensemble needs one model at least")
    device = next(models[0].parameters()).device
    stream = iter(images)
    while batch := list(islice(stream, batch_size)):
        stacked = torch.from_numpy(np.stack(batch))[:, None].to(device)
        with torch.inference_mode():
            maps = combine(torch.stack([model(stacked)[:, 0].float() for model in models]), average)
        yield from maps.cpu().numpy()


def combine(logits: Tensor, average: str) -> Tensor:
    """Combine the models' logits, (models, ...) float, to one probability map of shape (...); see `predict`."""
    if average == "logit":
        return logits.mean(0).sigmoid()
    probabilities = logits.sigmoid()
    if average == "vote":
        probabilities = (probabilities >= VOTE).to(logits.dtype)
    return probabilities.mean(0)
