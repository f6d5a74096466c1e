"""Recompute every digest below the results, and name what is missing or not as it was made."""

import _bootstrap

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammoseg.runtime.errors import UserError
from mammoseg.rebuild.job_records import check_study, differences, recorded


def main(results: Path, names: Mapping[str, Sequence[str]]) -> None:
    """End with one sentence and exit status 1 where anything differs; each file is named in the log.

    `names` are those that wildcards have in the study: what was made for a model that was dropped is not looked at.
    """

    check_study(results)

    def belongs(record: Mapping) -> bool:
        return all(record["wildcards"].get(kind, known[0]) in known for kind, known in names.items())

    log, found = logging.getLogger("mammoseg"), 0
    for name, wrong in differences(results, belongs):
        found += 1
        log.warning("%s: %s", wrong, name)
    total = sum(1 for _ in recorded(results, belongs))
    if found:
        raise UserError(
            f"{found} of {total} files are missing or not as they were made: delete them, then run the study once with "
            "--forceall; what is whole is kept, and nothing else is made or trained again"
        )
    log.info("verified: all %d files are as they were made", total)


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            results=study.results,
            names={"dataset": list(study.datasets), "model": list(study.models), "fold": [str(k) for k in study.folds]},
        )
