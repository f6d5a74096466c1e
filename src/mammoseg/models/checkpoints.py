"""Encoder weights from files: read without running anything in them, loaded strictly, every misfit named."""

import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import safetensors.torch
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from mammoseg.models.encoders import ResNet22Encoder
from mammoseg.runtime.errors import UserError

# Of GMIC's checkpoints only the global network is an encoder of ours; its tensors are called ds_net.<our name>.
GMIC_PREFIX = "ds_net."


def read_state_dict(path: str | PathLike) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, from a ``.safetensors`` file or one that ``torch.save`` wrote.

    Raises
    ------
    UserError
        No such file; a file that is no state dict; one that holds code, which is never run.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"There is no weights file {path}: give the path of a .safetensors file or a torch.save state dict."
        )
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        with path.open("rb") as f:
            bare_pickle = f.read(1) == pickle.PROTO
        if bare_pickle or "GLOBAL" in str(error):
            raise UserError(
                f"{path} holds more than plain tensors (a pickle, which may run code when it is read) and is refused: "
                "save its state dict alone, or get the file from its publisher again."
            ) from error
        raise _not_weights(path) from error
    except (OSError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # which one, depends on the wrong bytes: torch takes them for the instructions of a pickle
        raise _not_weights(path) from error
    if not isinstance(state, Mapping) or not state:
        raise _not_weights(path)
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise _not_weights(path)
    return dict(state)


def load_encoder(encoder: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Set every tensor of `encoder` from `state`; nothing may be missing, left over or of another shape.

    Parameters
    ----------
    encoder : torch.nn.Module
        As `make_encoder` gives it.
    state : mapping of str to Tensor
        The encoder's own state dict, a GMIC checkpoint for ResNet22, or a classifier of segmentation-models-pytorch
        or torchvision, whose last layer the encoder drops.
    source : str
        What to call it in an error.

    Raises
    ------
    UserError
        Names the keys that do not fit.
    """
    ours = isinstance(encoder, ResNet22Encoder)
    prefix = GMIC_PREFIX if ours and any(key.startswith(GMIC_PREFIX) for key in state) else ""
    given = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    expected = encoder.state_dict()
    failure = None
    try:
        encoder.load_state_dict(given)  # smp's encoders drop the classifier from `given` itself here
    except RuntimeError as error:
        failure = error
    if not ours:  # files from before 2018 lack these counters, which nothing here reads
        counters = {key: value for key, value in expected.items() if key.endswith(".num_batches_tracked")}
        given = {**counters, **given}
    misfits = [f"{prefix}{misfit}" for misfit in _misfits(expected, given)]
    if misfits or failure:
        more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise UserError(f"{source} does not fit the encoder: {'; '.join(misfits[:3]) or failure}{more}.") from failure


def imagenet_source(name: str) -> str:
    """Address of the ImageNet weights that segmentation-models-pytorch has for an encoder.

    Raises UserError where there are none.
    """
    if name.startswith("tu-"):
        return f"https://huggingface.co/timm/{name[3:]}"
    hub = smp.encoders.encoders[name]["pretrained_settings"].get("imagenet")
    if hub is None:
        raise UserError(f"There are no ImageNet weights for the encoder {name}: use weights random.")
    return f"https://huggingface.co/{hub['repo_id']}/resolve/{hub['revision']}/model.safetensors"


def imagenet_encoder(name: str) -> nn.Module:
    """An encoder of segmentation-models-pytorch with its ImageNet weights, downloaded or from its cache.

    Raises
    ------
    UserError
        There are none for this encoder, or they cannot be had: says which file and where to put it.
    """
    source = imagenet_source(name)
    try:
        weights = True if name.startswith("tu-") else "imagenet"
        return smp.encoders.get_encoder(name, in_channels=3, weights=weights)
    except Exception as error:  # no network, no such model, a broken download: one answer to all
        reason = " ".join(str(error).split())
        raise UserError(
            f"The ImageNet weights of {name} cannot be had ({type(error).__name__}: {reason}); download {source} "
            "where there is a network and name the file in weights.imagenet.file."
        ) from error


def _misfits(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """One phrase for each key that is missing, left over, misshapen, of another kind, or not finite."""
    found = [f"{key} is missing" for key in expected if key not in given]
    found += [f"{key} is not part of it" for key in given if key not in expected]
    for key in expected.keys() & given.keys():
        want, have = expected[key], given[key]
        if want.shape != have.shape:
            found.append(f"{key} has shape {tuple(have.shape)} instead of {tuple(want.shape)}")
        elif want.is_floating_point() != have.is_floating_point():
            found.append(f"{key} is {have.dtype} instead of {want.dtype}")
        elif not torch.isfinite(have).all():
            found.append(f"{key} holds values that are not finite")
    return sorted(found)


def _not_weights(path: Path) -> UserError:
    return UserError(f"{path} cannot be read as weights: it must be a .safetensors file or a state dict of torch.save.")
