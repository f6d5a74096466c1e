"""Draw the training curves of all models and folds."""

import _bootstrap

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.figures import save, training_curves
from mammoseg.runtime.files import read_csv


def main(histories: Mapping[str, Sequence[Path]], png: Path, svg: Path) -> None:
    """Draw the figure. `histories` is model → its folds' history.csv."""
    save(training_curves({model: [read_csv(p) for p in paths] for model, paths in histories.items()}), png, svg)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        models = json.loads(snakemake.params.recipe)["models"]
        paths = [Path(h) for h in snakemake.input.histories]
        main(
            histories={model: [p for p in paths if p.parts[-3] == model] for model in models},
            png=Path(snakemake.output.png),
            svg=Path(snakemake.output.svg),
        )
