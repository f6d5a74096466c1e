"""Dice of the images of a batch, where the network is trained; apart from the metrics, whose changes must retrain no model."""

from torch import Tensor


def dice_per_image(logits: Tensor, target: Tensor) -> Tensor:
    """Dice of each image of a batch, mass being where the probability is at least 0.5.

    Parameters
    ----------
    logits : Tensor
        (B, ...), any floating type.
    target : Tensor
        Same shape, mass where above 0.5.

    Returns
    -------
    Tensor
        (B,) float32; NaN where both masks are empty.
    """
    if logits.shape != target.shape:
        raise ValueError(f"logits have shape {tuple(logits.shape)}, the target has {tuple(target.shape)}")
    prediction, reference = (logits >= 0).flatten(1), (target > 0.5).flatten(1)
    return 2 * (prediction & reference).sum(1) / (prediction.sum(1) + reference.sum(1))
