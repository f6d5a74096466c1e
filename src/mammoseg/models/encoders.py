"""Encoders: the ResNet22 of GMIC, and every encoder of segmentation-models-pytorch by its name.

Importing this module registers ResNet22 there as ``resnet22_gmic``, so that ``smp.Unet("resnet22_gmic",
encoder_weights=None, in_channels=1)`` works too.

Sources: SPEC 3, after Shen et al., "An interpretable classifier for high-resolution breast cancer screening images
utilizing weakly supervised localization", Medical Image Analysis 68 (2021), whose global network this is.
"""

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.encoders._base import EncoderMixin
from segmentation_models_pytorch.encoders._utils import patch_first_conv
from torch import Tensor, nn

from mammoseg.models.initial_values import initialise
from mammoseg.runtime.errors import UserError

RESNET22 = "resnet22_gmic"
STEMS = ("dense", "gmic")


class PreActivationBlock(nn.Module):
    """Two 3 × 3 convolutions, each after batch norm and ReLU; nothing follows the sum with the shortcut.

    Parameters
    ----------
    inputs, filters : int
        Channels before and after.
    stride : int
        Of the first convolution and the shortcut.
    first : bool
        The first block of a stage projects its shortcut (1 × 1, from the activated input); later ones add the input.
    """

    def __init__(self, inputs: int, filters: int, stride: int, first: bool):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False)) if first else None

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.bn1(x), inplace=True)
        shortcut = x if self.downsample is None else self.downsample(activated)
        return self.conv2(F.relu(self.bn2(self.conv1(activated)), inplace=True)) + shortcut


class ResNet22Encoder(nn.Module, EncoderMixin):
    """GMIC's ResNet22. Its tensors have GMIC's names without the leading ``ds_net.``.

    Parameters
    ----------
    stem : str
        ``"dense"``: without GMIC's max-pool (which has no parameters), features at strides 2, 4, 8, 16, 32.
        ``"gmic"``: with it, features equal to GMIC's, at strides 4, 8, 16, 32, 64; a 512 × 512 image gives stages of
        127, 64, 32, 16, 8, the centre of cell j of the first lying on pixel 4j + 2.
    depth : int
        Number of stages used, 1..5 (for segmentation-models-pytorch).
    output_stride : int
        Asked for by segmentation-models-pytorch, which then dilates the deepest stages: 8, 16 or 32.
    """

    def __init__(self, stem: str = "dense", depth: int = 5, output_stride: int = 32):
        super().__init__()
        if not 1 <= depth <= 5:
            raise ValueError(f"depth is {depth}; {RESNET22} has 1 to 5 stages")
        self._depth = depth
        self._in_channels = 1
        self._output_stride = output_stride
        self._out_channels = [1, 16, 32, 64, 128, 256]

        self.first_conv = nn.Conv2d(1, 16, 7, stride=2, padding=3, bias=False)
        self.first_pool = nn.MaxPool2d(3, stride=2) if stem == "gmic" else nn.Identity()
        self.layer_list = nn.ModuleList()
        inputs = 16
        for filters, stride in zip(self._out_channels[1:], (1, 2, 2, 2, 2), strict=True):
            self.layer_list.append(
                nn.Sequential(
                    PreActivationBlock(inputs, filters, stride, first=True),
                    PreActivationBlock(filters, filters, 1, first=False),
                )
            )
            inputs = filters
        self.final_bn = nn.BatchNorm2d(inputs)

        # As torchvision starts its ResNets, so that two encoders without pre-training start alike. GMIC leaves PyTorch's own
        # values in this network and draws such values in its local network only.
        initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 1, H, W) -> the input, then the stages used, shallow to deep: raw sums, the fifth normed and activated."""
        features = [x]
        x = self.first_pool(self.first_conv(x))
        for i, stage in enumerate(self.layer_list):
            if i < self._depth:
                x = stage(x)
                features.append(F.relu(self.final_bn(x), inplace=True) if i == 4 else x)
        return features

    def get_stages(self) -> dict[int, list[nn.Module]]:
        """Stages by output stride: what segmentation-models-pytorch dilates for its DeepLab and PAN."""
        return {16: [self.layer_list[3]], 32: [self.layer_list[4]]}

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """Take `in_channels` channels instead of one; trained weights are shared out among them."""
        if in_channels == self._in_channels:
            return
        patch_first_conv(self, in_channels, default_in_channels=self._in_channels, pretrained=pretrained)
        self._in_channels = in_channels
        self._out_channels = [in_channels, *self._out_channels[1:]]


smp.encoders.encoders[RESNET22] = {"encoder": ResNet22Encoder, "pretrained_settings": {}, "params": {}}


def input_channels(name: str) -> int:
    """Channels that the encoder of this name is built with: 1 for ResNet22, 3 for all others."""
    return 1 if name == RESNET22 else 3


def check_encoder(name: str, stem: str) -> None:
    """Raise UserError unless there is such an encoder and it has such a stem."""
    known = name in smp.encoders.encoders or (name.startswith("tu-") and timm.models.is_model(name[3:]))
    if not known:
        raise UserError(
            f"There is no encoder {name!r}: choose one of {', '.join(sorted(smp.encoders.encoders))}, "
            "or tu-<name> for an encoder of timm."
        )
    if stem not in STEMS:
        raise UserError(f"There is no stem {stem!r} (encoder {name}): choose {' or '.join(STEMS)}.")
    if stem == "gmic" and name != RESNET22:
        raise UserError(f"The stem gmic belongs to {RESNET22} alone: take it out of the entry with encoder {name}.")


def make_encoder(name: str, stem: str = "dense") -> nn.Module:
    """The encoder of this name with random weights: x -> list of features, the input first.

    Parameters
    ----------
    name : str
        ``"resnet22_gmic"`` or any encoder of segmentation-models-pytorch, e.g. ``"resnet34"``.
    stem : str
        ``"dense"``, or ``"gmic"`` for ResNet22.

    Raises
    ------
    UserError
        No encoder of that name, or no such stem of it.
    """
    check_encoder(name, stem)
    if name == RESNET22:
        return grey_or_rgb(ResNet22Encoder(stem), name)
    return grey_or_rgb(smp.encoders.get_encoder(name, in_channels=3, weights=None), name)


def grey_or_rgb(encoder: nn.Module, name: str) -> nn.Module:
    """Let `encoder` take 1 or 3 channels: one is replicated for three, three are averaged for one."""
    encoder.register_forward_pre_hook(_to_one_channel if input_channels(name) == 1 else _to_three_channels)
    return encoder


def _to_three_channels(encoder: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    x = _checked(inputs)
    return (x.expand(-1, 3, -1, -1),)


def _to_one_channel(encoder: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    x = _checked(inputs)
    return (x if x.shape[1] == 1 else x.mean(1, keepdim=True),)


def _checked(inputs: tuple[Tensor]) -> Tensor:
    (x,) = inputs
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not torch.is_floating_point(x):
        raise ValueError(f"images must be (B, 1 or 3, H, W) of a floating type, got {tuple(x.shape)} of {x.dtype}")
    return x
