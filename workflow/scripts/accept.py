"""Accept what other code has made as made by the present code: after a refactoring that changes no result."""

import _bootstrap

import logging
from collections.abc import Mapping
from pathlib import Path

from mammoseg.rebuild.code_versions import CodeVersions
from mammoseg.rebuild.job_records import check_study


def main(results: Path, present: Mapping[str, str], found: Mapping[str, Mapping[str, int]]) -> None:
    """Write accepted.json into `results`; `present` is stage → name of its present code, `found` as `to_accept` gives it."""
    check_study(results)
    accepted, log = CodeVersions(results), logging.getLogger("mammoseg")
    for stage, codes in sorted(found.items()):
        accepted.accept(present[stage], codes)
        made = ", ".join(f"{n} by {code}" for code, n in sorted(codes.items()))
        log.info("%s: what other code made is accepted as made by %s: %s", stage, present[stage], made)
    if found:
        accepted.save()
    log.info("accepted: nothing of it will be made again" if found else "nothing to accept: the present code made all")


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(results=study.results, present=snakemake.params.present, found=snakemake.params.found)
