"""Decoders: the authors' U-Net and FPN (SPEC 4), and segmentation-models-pytorch's behind the same interface.

A decoder takes the list of features that an encoder gives, the input first, and returns logits (B, 1, H, W).

An enlargement is exactly two-fold; where the next grid differs, the surplus is cut off, or the last row and column
are repeated, always at the bottom and right. Nothing is stretched: that would move the answer across the image.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mammoseg.models.initial_values import initialise


def fit(x: Tensor, size: Sequence[int], most: int = 4) -> Tensor:
    """Crop `x` (B, C, h, w), or pad it by replication, at the bottom and right, to `size` (rows, columns).

    Raises ValueError where that takes more than `most` rows or columns: the grids do not belong together. Four is
    what GMIC's stem loses (508 of 512); other grids differ by less.
    """
    rows, columns = size
    below, right = rows - x.shape[-2], columns - x.shape[-1]
    if max(abs(below), abs(right)) > most:
        raise ValueError(f"a map of {x.shape[-2]} x {x.shape[-1]} does not belong on a grid of {rows} x {columns}")
    x = x[..., :rows, :columns]
    return F.pad(x, (0, max(right, 0), 0, max(below, 0)), mode="replicate") if below > 0 or right > 0 else x


def double(x: Tensor) -> Tensor:
    """Twice as large, each value four times."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def conv_block(inputs: int, outputs: int, bias: bool = False) -> nn.Sequential:
    """Convolution 3 × 3, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Rise(nn.Module):
    """One step up of the U-Net: twice as large, then two convolution blocks."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.blocks = nn.Sequential(conv_block(inputs, outputs), conv_block(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(double(x))


class UNetDecoder(nn.Module):
    """The authors' U-Net.

    Parameters
    ----------
    channels : sequence of int
        Channels of c1..c5, shallow to deep.
    stride : int
        Stride of c1: 2, or 4 on GMIC's grid, where the logits are doubled once more at the end.
    width : int
        Channels of the last step; the deeper ones have 2 and 8 times as many.
    dropout : float
        Share of the channels that spatial dropout (Dropout2d) sets to 0 before the head, 0..1.
    """

    def __init__(self, channels: Sequence[int], stride: int = 2, width: int = 32, dropout: float = 0.2):
        super().__init__()
        c1, c2, c3, c4, c5 = channels
        self.stride = stride
        self.cell = stride // 2
        self.centre = Rise(c5, 8 * width)
        self.rises = nn.ModuleList(
            [
                Rise(8 * width + c5, 8 * width),
                Rise(8 * width + c4, 8 * width),
                Rise(8 * width + c3, 2 * width),
                Rise(2 * width + c2, 2 * width),
                Rise(2 * width + c1, width),
            ]
        )
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(width, 1, 1)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features of (B, ., H, W) images -> logits (B, 1, H, W). Raises ValueError where the images are too small."""
        image, *skips = features
        if min(skips[-1].shape[-2:]) < 2:
            raise ValueError(
                f"an image of {image.shape[-2]} x {image.shape[-1]} is too small for the U-Net: "
                "its smallest side is 64, with the stem gmic 96"
            )
        x = self.centre(F.max_pool2d(skips[-1], 2))
        for rise, skip in zip(self.rises, reversed(skips), strict=True):
            x = rise(torch.cat([fit(x, skip.shape[-2:]), skip], dim=1))
        x = self.head(self.dropout(x))
        if self.stride == 4:
            x = double(x)
        return fit(x, image.shape[-2:])


class FPNBranch(nn.Module):
    """From one level of the pyramid to c2's grid: a convolution block before every doubling, at least one.

    Parameters
    ----------
    inputs, outputs : int
        Channels before and after.
    doublings : int
        0 for c2's own level, up to 3 for c5's.
    """

    def __init__(self, inputs: int, outputs: int, doublings: int):
        super().__init__()
        self.blocks = nn.ModuleList(conv_block(outputs if i else inputs, outputs) for i in range(max(doublings, 1)))

    def forward(self, x: Tensor, sizes: list[torch.Size]) -> Tensor:
        """`sizes`: rows and columns of the levels to pass through, c2's last; empty for c2 itself."""
        if not sizes:
            return self.blocks[0](x)
        for block, size in zip(self.blocks, sizes, strict=True):
            x = fit(double(block(x)), size)
        return x


class FPNDecoder(nn.Module):
    """The authors' feature pyramid: c5..c2 meet on c2's grid; the logits are enlarged bilinearly at the end.

    Parameters
    ----------
    channels : sequence of int
        Channels of c1..c5, shallow to deep; c1 is not used.
    stride : int
        Stride of c1: 2, or 4 on GMIC's grid; c2's, by which the logits are enlarged, is twice that.
    pyramid, branch : int
        Channels of the pyramid and of each of the four branches.
    dropout : float
        Share of the channels that spatial dropout (Dropout2d) sets to 0 before the head, 0..1.
    """

    def __init__(
        self, channels: Sequence[int], stride: int = 2, pyramid: int = 256, branch: int = 128, dropout: float = 0.2
    ):
        super().__init__()
        self.cell = 2 * stride
        # Both lists go from deep to shallow: c5, c4, c3, c2.
        self.laterals = nn.ModuleList(nn.Conv2d(c, pyramid, 1) for c in reversed(channels[1:]))
        self.branches = nn.ModuleList(FPNBranch(pyramid, branch, doublings) for doublings in (3, 2, 1, 0))
        self.merge = conv_block(4 * branch, branch, bias=True)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(branch, 1, 1)
        initialise(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features of (B, ., H, W) images -> logits (B, 1, H, W)."""
        image, _, *skips = features
        skips.reverse()
        sizes = [skip.shape[-2:] for skip in skips]
        levels = []
        for lateral, skip, size in zip(self.laterals, skips, sizes, strict=True):
            level = lateral(skip)
            levels.append(level + fit(double(levels[-1]), size) if levels else level)
        drawn = [b(level, sizes[i + 1 :]) for i, (b, level) in enumerate(zip(self.branches, levels, strict=True))]
        x = self.head(self.dropout(self.merge(torch.cat(drawn, dim=1))))
        x = F.interpolate(x, scale_factor=self.cell, mode="bilinear", align_corners=True)
        return fit(x, image.shape[-2:])


class SmpDecoder(nn.Module):
    """Decoder and head of a network of segmentation-models-pytorch, as one module."""

    def __init__(self, body: nn.Module, head: nn.Module):
        super().__init__()
        self.body = body
        self.head = head
        self.cell = max((int(getattr(m, "scale_factor", 1)) for m in head), default=1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features of (B, ., H, W) images, H and W multiples of 32 -> logits (B, 1, H, W)."""
        return self.head(self.body(features))
