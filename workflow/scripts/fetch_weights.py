"""Fetch the weights that an encoder starts from."""

import _bootstrap

import logging
from collections.abc import Mapping
from pathlib import Path

from mammoseg.models.weights import fetch


def main(name: str, settings: Mapping, folder: Path) -> None:
    """Write <name>.json, and <name>.safetensors where the weights can be had; `name` is <weights>-<encoder>."""
    weights, _, encoder = name.partition("-")
    record = fetch(weights, encoder, settings, folder)
    log = logging.getLogger("mammoseg")
    if record["status"] == "random":
        log.warning("weights %s are missing: the models start from random values (weights.missing: random)", name)
    else:
        log.info("weights %s: sha256 %s", name, record["sha256"])


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(name=snakemake.wildcards.weights, settings=study.weights, folder=Path(snakemake.output.record).parent)
