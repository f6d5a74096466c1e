"""From the models of the folds to one probability map per image, and what each fold would have said alone."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from mammoseg.models.fold_model import FoldModel

AVERAGES = ("probability", "logit", "vote")
VOTE = 0.5
"""A model votes for mass where its own probability is at least this, whatever the ensemble's threshold."""
MOST = 16
"""Models of an ensemble: their votes are the bits of one number."""


def predict(
    models: Sequence[FoldModel], images: np.ndarray | Iterable[np.ndarray], average: str, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predict all images; `predict_each` does so one batch at a time.

    Parameters
    ----------
    models : sequence of FoldModel
        In eval mode, all on one device (`mammoseg.models.fold_model.load_model`), 16 at most; a single one is an ensemble too.
    images : array or iterable of array
        (side, side) uint8 each.
    average : str
        ``"probability"``: the mean of the probabilities; ``"logit"``: the probability of the mean logit;
        ``"vote"``: the share of the models whose probability is at least 0.5.
    batch_size : int
        Images predicted at once.

    Returns
    -------
    (N, side, side) array of float32
        Probabilities, 0..1.
    (N, side, side) array of uint16
        Votes: bit k (of value 2 to the k) is set where the probability of ``models[k]`` is at least 0.5.
    """
    made = list(predict_each(models, images, average, batch_size))
    if not made:
        return np.empty((0, 0, 0), np.float32), np.empty((0, 0, 0), np.uint16)
    maps, votes = zip(*made, strict=True)
    return np.stack(maps), np.stack(votes)


def predict_each(
    models: Sequence[FoldModel], images: np.ndarray | Iterable[np.ndarray], average: str, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `predict`, but map and votes (side, side) of one image after the other, for more images than fit into memory."""
    if average not in AVERAGES:
        raise ValueError(f"average is {average!r}, must be one of {', '.join(AVERAGES)}")
    if not 1 <= len(models) <= MOST:
        raise ValueError(f"an ensemble needs one to {MOST} models, not {len(models)}")
    device = next(models[0].parameters()).device
    stream = iter(images)
    while batch := list(islice(stream, batch_size)):
        stacked = torch.from_numpy(np.stack(batch))[:, None].to(device)
        with torch.inference_mode():
            logits = torch.stack([model(stacked)[:, 0].float() for model in models])
            maps, votes = combine(logits, average), _voted(logits)
        yield from zip(maps.cpu().numpy(), votes.cpu().numpy().astype(np.uint16), strict=True)


def combine(logits: Tensor, average: str) -> Tensor:
    """Combine the models' logits, (models, ...) float, to one probability map of shape (...); see `predict`."""
    if average == "logit":
        return logits.mean(0).sigmoid()
    probabilities = logits.sigmoid()
    if average == "vote":
        probabilities = (probabilities >= VOTE).to(logits.dtype)
    return probabilities.mean(0)


def _voted(logits: Tensor) -> Tensor:
    """Votes of the models, (models, ...) float -> (...) int64; see `predict`."""
    bits = 2 ** torch.arange(len(logits), device=logits.device)
    return ((logits.sigmoid() >= VOTE) * bits.reshape(-1, *[1] * (logits.ndim - 1))).sum(0)
