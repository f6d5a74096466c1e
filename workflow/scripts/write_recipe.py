"""Write down what decides the trained values of a model."""

import _bootstrap

from pathlib import Path

from mammoseg.files import write_text


def main(recipe: str, file: Path) -> None:
    """Write `recipe`, JSON, into `file`."""
    write_text(file, recipe + "\n")


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(snakemake.params.recipe, Path(snakemake.output.recipe))
