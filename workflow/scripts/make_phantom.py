"""Make a synthetic release."""

import _bootstrap

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from mammoseg.phantom import make_release
from mammoseg.runtime.files import write_text


def main(root: Path, made: Path, phantom: Mapping) -> None:
    """Write the release below `root` anew, then `made`, which says what is in it."""
    shutil.rmtree(root, ignore_errors=True)  # lies below results_dir: the config is refused otherwise
    summary = make_release(root, **phantom)
    write_text(made, json.dumps(summary, indent=2, sort_keys=True) + "\n")
    logging.getLogger("mammoseg").info("phantom release made: %s patients", phantom["patients"])


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        dataset = study.datasets[snakemake.wildcards.dataset]
        main(root=dataset.root, made=Path(snakemake.output.made), phantom=dataset.phantom)
