"""Pre-trained encoder weights: fetched once, checked, kept as our own encoder's state dict with a record beside it."""

import json
import logging
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import safetensors.torch
import segmentation_models_pytorch as smp
from huggingface_hub import hf_hub_download
from torch import Tensor

from mammoseg.models.checkpoints import imagenet_encoder, imagenet_source, load_encoder, read_state_dict
from mammoseg.models.download import download
from mammoseg.models.encoders import RESNET22, make_encoder
from mammoseg.rebuild.digests import digest, sha256
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import whole, write_text

logger = logging.getLogger(__name__)

PRETRAINED = ("imagenet", "gmic")


def fetch(weights: str, encoder: str, settings: Mapping, target_folder: str | PathLike) -> dict:
    """Put an encoder's pre-trained weights into `target_folder`, or record that it starts from random values.

    Parameters
    ----------
    weights : str
        ``"imagenet"`` or ``"gmic"``.
    encoder : str
        As in `build_model`.
    settings : mapping
        The config's section ``weights``: ``missing`` (``"error"`` or ``"random"``), ``gmic`` (``file``, ``url``,
        ``sha256``) and ``imagenet`` (``file``, ``sha256``). With ``missing: random`` nothing is downloaded and no
        cache is looked into, so that a study is the same on every machine: only the file that the settings name, or
        what was fetched into `target_folder` before, counts.
    target_folder : path
        Gets ``<weights>-<encoder>.safetensors`` and ``<weights>-<encoder>.json``; downloads stay in ``downloads/``.

    Returns
    -------
    dict
        The record, as in the JSON file: ``weights``, ``encoder``, ``status`` (``"found"`` or ``"random"``), ``sha256``
        and ``file`` of the tensors, ``source`` and ``source_sha256`` of what they came from; None where random.

    Raises
    ------
    UserError
        They cannot be had, are not those that the settings name, or do not fit the encoder.
    """
    folder = Path(target_folder)
    _check_pair(weights, encoder, settings)
    tensors = folder / f"{weights}-{encoder}.safetensors"
    if kept := _kept(weights, encoder, settings, folder):
        _write_record(tensors, kept)
        return kept

    record = {"weights": weights, "encoder": encoder, "status": "random", "sha256": None, "file": None}
    record |= {"source": None, "source_sha256": None}
    obtained = _obtain(weights, encoder, settings, folder)
    if obtained is None:
        tensors.unlink(missing_ok=True)
        logger.warning("%s weights of %s are not here: it starts from random values", weights, encoder)
    else:
        state, source, source_sha256 = obtained
        with whole(tensors) as part:
            safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, part)
        record |= {"status": "found", "sha256": sha256(tensors), "file": tensors.name}
        record |= {"source": source, "source_sha256": source_sha256}
    _write_record(tensors, record)
    return record


def _write_record(tensors: Path, record: Mapping) -> None:
    """Write the record, and first a hidden copy: Snakemake removes a declared output before its job runs again."""
    for name in (_memory(tensors.stem), f"{tensors.stem}.json"):
        write_text(tensors.with_name(name), json.dumps(record, indent=2) + "\n")


def _memory(name: str) -> str:
    return f".{name}.json"


def check_available(weights: str, encoder: str, settings: Mapping, target_folder: str | PathLike) -> None:
    """Raise UserError where `fetch` would: before a study starts. Downloads what is needed, writes no result.

    Parameters
    ----------
    weights : str
        ``"imagenet"``, ``"gmic"`` or ``"random"``; of random weights there is nothing to check.
    encoder, settings, target_folder
        As in `fetch`.
    """
    if weights == "random":
        return
    _check_pair(weights, encoder, settings)
    folder = Path(target_folder)
    if not _kept(weights, encoder, settings, folder):
        _obtain(weights, encoder, settings, folder)


def _check_pair(weights: str, encoder: str, settings: Mapping) -> None:
    """Such weights exist for such an encoder."""
    if weights not in PRETRAINED:
        raise UserError(f"There are no weights {weights!r}: choose {', '.join(PRETRAINED)} or random.")
    if (weights == "gmic") != (encoder == RESNET22):
        raise UserError(
            f"Weights {weights} do not exist for the encoder {encoder}: gmic belongs to {RESNET22} alone, "
            "imagenet to the others; weights random fit all."
        )
    if weights == "imagenet" and not settings["imagenet"].get("file"):
        imagenet_source(encoder)


def _kept(weights: str, encoder: str, settings: Mapping, folder: Path) -> dict | None:
    """The record of an earlier fetch, where its tensors are whole and still what the settings ask for."""
    own = settings[weights]
    try:
        record = json.loads((folder / _memory(f"{weights}-{encoder}")).read_text(encoding="utf-8"))
        if record["status"] != "found" or sha256(folder / record["file"]) != record["sha256"]:
            return None
        source, source_sha256 = record["source"], record["source_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if own.get("sha256") and source_sha256 != own["sha256"].lower():
        return None
    file = _own_file(own)
    if file and file.is_file():
        return record if source_sha256 == sha256(file) else None
    if settings["missing"] == "random":
        return record
    online = own["url"] if weights == "gmic" else imagenet_source(encoder)
    return record if not file and source == online else None


def _own_file(own: Mapping) -> Path | None:
    """The file that the settings name; ``~`` is the user's home, as in every path of the config."""
    return Path(own["file"]).expanduser() if own.get("file") else None


def _obtain(
    weights: str, encoder: str, settings: Mapping, folder: Path
) -> tuple[dict[str, Tensor], str, str | None] | None:
    """The encoder's state dict, its source and the source's SHA-256; None where it is to start from random values."""
    own = settings[weights]
    wanted = own["sha256"].lower() if own.get("sha256") else None
    if path := _own_file(own):
        if not path.is_file():
            if settings["missing"] == "random":
                return None
            raise UserError(f"There is no file {path}, which weights.{weights}.file names.")
        found = sha256(path)
        if wanted and found != wanted:
            raise UserError(f"{path} has the sha256 {found}, but weights.{weights}.sha256 says {wanted}.")
        return _converted(path, encoder), path.name, found
    if settings["missing"] == "random":
        return None
    if weights == "imagenet":
        return _from_smp(encoder, wanted)
    return _from_url(own["url"], encoder, wanted, folder / "downloads")


def _from_smp(encoder: str, wanted: str | None) -> tuple[dict[str, Tensor], str, str | None]:
    state, source = imagenet_encoder(encoder).state_dict(), imagenet_source(encoder)
    if encoder.startswith("tu-"):
        if wanted:
            raise UserError(f"weights.imagenet.sha256 cannot be checked for {encoder}: name its file, too.")
        return state, source, None
    hub = smp.encoders.encoders[encoder]["pretrained_settings"]["imagenet"]
    found = sha256(hf_hub_download(hub["repo_id"], "model.safetensors", revision=hub["revision"]))  # now in the cache
    if wanted and found != wanted:
        raise UserError(f"{source} has the sha256 {found}, but weights.imagenet.sha256 says {wanted}.")
    return state, source, found


def _from_url(url: str, encoder: str, wanted: str | None, downloads: Path) -> tuple[dict[str, Tensor], str, str | None]:
    # The folder is named after the address, so that another address is another file.
    path = downloads / digest(url)[:8] / (url.split("?")[0].rstrip("/").rsplit("/", 1)[-1] or "weights")
    advice = "download it where there is a network and name the file in weights.gmic.file"
    try:
        download(url, path, wanted)
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}; {advice}.") from error
    try:
        return _converted(path, encoder), url, sha256(path)
    except UserError as error:
        path.unlink()  # so that the next run asks the server again
        raise UserError(f"What {url} serves is of no use: {str(error).rstrip('.')}; {advice}.") from error


def _converted(path: Path, encoder: str) -> dict[str, Tensor]:
    module = make_encoder(encoder)
    load_encoder(module, read_state_dict(path), str(path))
    return module.state_dict()
