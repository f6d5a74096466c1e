"""Score one model on one data set, case by case."""

import _bootstrap

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from mammoseg.rebuild.code_versions import Code
from mammoseg.evaluation.score_dataset import score_cases, write_outputs


def main(predictions: Path, manifests: list[Path], models: list[Path], scores: Path, lesions: Path, trust: Path,
         recipe: Mapping, code: Code) -> None:  # fmt: skip
    """Write one row per image that has a reference, and what belongs to it; what was scored before is remembered beside it."""
    memory = scores.with_name(f".{scores.name}")
    cell = json.loads(models[0].read_text()).get("cell")
    cases, scored = score_cases(predictions, manifests, recipe, cell, len(models), code, memory)
    write_outputs(memory, scores, lesions, trust)
    logging.getLogger("mammoseg").info(
        "%s on %s: %d of %d cases scored, %d kept (prediction, reference and recipe are the same)",
        scores.stem, scores.parts[-3], scored, cases, cases - scored,
    )  # fmt: skip


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        recipe = json.loads(snakemake.params.recipe)
        main(
            predictions=Path(snakemake.input.predictions),
            manifests=[Path(m) for m in snakemake.input.manifests],
            models=[Path(m) for m in snakemake.input.models],
            scores=Path(snakemake.output.scores),
            lesions=Path(snakemake.output.lesions),
            trust=Path(snakemake.output.trust),
            recipe={
                k: v for k, v in recipe.items() if k != "code"
            },  # which is told beside it, with what counts as the same
            code=_bootstrap.code(snakemake, study),
        )
