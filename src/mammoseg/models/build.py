"""Networks from their names: one encoder, one decoder, and the weights to start from."""

from os import PathLike

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from mammoseg.models.checkpoints import imagenet_encoder, load_encoder, read_state_dict
from mammoseg.models.decoders import FPNDecoder, SmpDecoder, UNetDecoder, fit
from mammoseg.models.encoders import check_encoder, grey_or_rgb, input_channels, make_encoder
from mammoseg.runtime.errors import UserError

DECODERS = {"unet": UNetDecoder, "fpn": FPNDecoder}
# DPT is left out: it takes no list of features but a vision transformer's pairs, and no registered encoder fits it.
SMP_DECODERS = {f"smp.{c.__name__}": c for c in smp.MODEL_ARCHITECTURES_MAPPING.values() if c is not smp.DPT}
# Networks of segmentation-models-pytorch take only sides that are a multiple of their deepest stride.
SMP_MULTIPLE = 32


class Segmenter(nn.Module):
    """One logit per pixel of a mammogram: above 0 is mass.

    Attributes
    ----------
    encoder : torch.nn.Module
        Images -> list of features, the input first.
    decoder : torch.nn.Module
        That list -> logits; holds everything that is not the encoder, the head included. Its `cell` is the side, in pixels, of
        the cells on which logits are computed before they are enlarged.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, multiple: int = 1):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.multiple = multiple

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1 or 3, H, W) -> logits (B, 1, H, W).

        Sides that are no multiple of `multiple` are padded by replication at the bottom and right, and cut again.
        """
        size = images.shape[-2:]
        padded = [-(-side // self.multiple) * self.multiple for side in size]
        logits = self.decoder(self.encoder(fit(images, padded, self.multiple - 1)))
        return fit(logits, size, self.multiple - 1)


def build_model(
    encoder: str = "resnet22_gmic",
    decoder: str = "unet",
    weights: str | PathLike | None = None,
    stem: str = "dense",
    **options,
) -> Segmenter:
    """Build a segmentation network.

    Parameters
    ----------
    encoder : str
        ``"resnet22_gmic"``, ``"resnet34"`` or any other encoder of segmentation-models-pytorch.
    decoder : str
        ``"unet"`` or ``"fpn"``, the authors' (SPEC 4), or ``"smp.<Name>"``, e.g. ``"smp.UnetPlusPlus"``.
    weights : str or path, optional
        None: random values (seed torch before). ``"imagenet"``: segmentation-models-pytorch's download. Else the path
        of the encoder's weights: what `mammoseg.models.weights.fetch` wrote, a GMIC checkpoint, or a state dict.
    stem : str
        ``"dense"``, or ``"gmic"`` for ResNet22 on GMIC's own grid.
    **options
        Passed to the decoder: ``dropout`` (0.2) of the authors' two; keywords of the class ``smp.<Name>``.

    Returns
    -------
    Segmenter
        ``.encoder(x)`` -> list of features, the input first; ``.decoder`` holds everything else, head included.

    Raises
    ------
    UserError
        Unknown names, a combination that cannot work, weights that cannot be had or do not fit.
    """
    _check_names(encoder, decoder, stem)
    if decoder in DECODERS:
        body = make_encoder(encoder, stem)
        head = DECODERS[decoder](body.out_channels[1:], stride=4 if stem == "gmic" else 2, **options)
        model = Segmenter(body, head)
    else:
        channels = input_channels(encoder)
        whole = SMP_DECODERS[decoder](encoder, encoder_weights=None, in_channels=channels, classes=1, **options)
        head = SmpDecoder(whole.decoder, whole.segmentation_head)
        model = Segmenter(grey_or_rgb(whole.encoder, encoder), head, SMP_MULTIPLE)

    if weights == "imagenet":
        model.encoder.load_state_dict(imagenet_encoder(encoder).state_dict())
    elif weights is not None:
        load_encoder(model.encoder, read_state_dict(weights), str(weights))
    return model


def check_model(encoder: str, decoder: str, stem: str = "dense", side: int = 512) -> None:
    """Raise UserError unless a `side` × `side` image passes through such a network.

    Cheap: the network is built on torch's meta device, shapes without memory. What that device cannot do (a few
    transformers) is done on the CPU.
    """
    _check_names(encoder, decoder, stem)
    if stem == "gmic" and side < 96:
        raise UserError(f"image.side is {side}, but the stem gmic needs at least 96: raise it, or use the stem dense.")
    failure = None
    for device in ("meta", "cpu"):
        try:
            with torch.device(device), torch.no_grad(), torch.random.fork_rng(devices=[]):
                build_model(encoder, decoder, stem=stem).eval()(torch.zeros(1, 1, side, side))
            return
        except Exception as error:  # whatever somebody else's encoder or decoder raises, the combination fails
            failure = error
    raise UserError(
        f"Encoder {encoder} with decoder {decoder} and stem {stem} does not work on {side} x {side} images: "
        f"{type(failure).__name__}, {' '.join(str(failure).split())}."
    ) from failure


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Numbers of trainable parameters of `model`, also while some are frozen: encoder, decoder and total."""
    counts = {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in ("encoder", "decoder")}
    return {**counts, "total": sum(counts.values())}


def _check_names(encoder: str, decoder: str, stem: str) -> None:
    check_encoder(encoder, stem)
    if decoder not in DECODERS and decoder not in SMP_DECODERS:
        raise UserError(f"There is no decoder {decoder!r}: choose one of {', '.join([*DECODERS, *SMP_DECODERS])}.")
    if stem == "gmic" and decoder in SMP_DECODERS:
        raise UserError(
            f"Decoder {decoder} cannot be combined with the stem gmic, whose grid it does not expect: "
            "use the stem dense, or the decoder unet or fpn."
        )
