"""The two losses of the study, from logits.

Both promote half precision to float32 and keep float64; value and gradient stay finite for logits of ±200 and for
images that are all background or all mass. Sums run per image, so a small mass counts as much as a large one.

Sources: SPEC 5; Abraham & Khan, "A novel focal Tversky loss function with improved attention U-Net for lesion
segmentation", ISBI 2019.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REDUCTIONS = ("image", "pixel")
# 1 - TI is kept above this: a power below 1 has an infinite slope at 0. It moves the loss by less than 2e-7.
LOWEST_SHORTFALL = 1e-9


class CombinedLoss(nn.Module):
    """Cross-entropy and soft Jaccard: (1 - omega) · BCE - omega · J.

    At best it is -omega, so it may be negative: that is the paper's.

    Parameters
    ----------
    omega : float
        Weight of the soft Jaccard, 0..1.
    epsilon : float
        Added above and below the fraction, so that an image without mass and prediction has J = 1.
    reduction : str
        Of J. ``"image"``: sums per image inside the fraction, then the mean over images, the usual soft Jaccard.
        ``"pixel"``: the mean of the fraction over all pixels, as the paper prints it.
    """

    def __init__(self, omega: float = 0.5, epsilon: float = 1e-6, reduction: str = "image"):
        super().__init__()
        _check_range(omega=omega)
        _check_positive(epsilon=epsilon)
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {reduction!r}, must be {' or '.join(REDUCTIONS)}")
        self.omega = omega
        self.epsilon = epsilon
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """(B, ...) logits of any floating type, target 0..1 of the same shape -> scalar."""
        logits, target = _prepared(logits, target)
        bce = F.binary_cross_entropy_with_logits(logits, target)
        p = logits.sigmoid()
        common, total = p * target, p + target
        if self.reduction == "image":
            common, total = common.flatten(1).sum(1), total.flatten(1).sum(1)
        jaccard = ((common + self.epsilon) / (total - common + self.epsilon)).mean()
        return (1 - self.omega) * bce - self.omega * jaccard


class FocalTverskyLoss(nn.Module):
    """(1 - TI) to a power, TI the Tversky index of each image; the mean over images.

    Parameters
    ----------
    alpha : float
        Weight of the missed pixels, 0..1; falsely marked ones have 1 - alpha.
    exponent : float
        Of 1 - TI, above 0. Abraham & Khan use 3/4; the paper prints 4/3.
    epsilon : float
        Added above and below the fraction.
    """

    def __init__(self, alpha: float = 0.7, exponent: float = 0.75, epsilon: float = 1e-6):
        super().__init__()
        _check_range(alpha=alpha)
        _check_positive(exponent=exponent, epsilon=epsilon)
        self.alpha = alpha
        self.exponent = exponent
        self.epsilon = epsilon

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """(B, ...) logits of any floating type, target 0..1 of the same shape -> scalar."""
        logits, target = _prepared(logits, target)
        p, g = logits.sigmoid().flatten(1), target.flatten(1)
        hits = (p * g).sum(1)
        errors = self.alpha * ((1 - p) * g).sum(1) + (1 - self.alpha) * (p * (1 - g)).sum(1)
        # 1 - TI as one fraction: the difference would lose what matters near a perfect answer.
        shortfall = errors / (hits + errors + self.epsilon)
        return shortfall.clamp(min=LOWEST_SHORTFALL).pow(self.exponent).mean()


def _prepared(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the logits' type, float32 at least."""
    if logits.shape != target.shape:
        raise ValueError(f"logits have shape {tuple(logits.shape)}, the target has {tuple(target.shape)}")
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(dtype), target.to(dtype)


def _check_range(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}, must be in 0..1")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}, must be above 0")
