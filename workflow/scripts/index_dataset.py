"""Index a release: one row per usable image, one per file set aside."""

import _bootstrap

import logging
from collections import Counter
from pathlib import Path

from mammoseg.rebuild.code_versions import Code
from mammoseg.datasets.importer import Importer
from mammoseg.datasets.registry import importer_for
from mammoseg.runtime.errors import UserError
from mammoseg.index.index_files import Index, load_seen, rendered, write_excluded, write_index
from mammoseg.index.build_index import TooManyExcluded, counts, index_release
from mammoseg.index.pseudonyms import KNOWN_KEY, load_or_create_key
from mammoseg.study import DataSet

log = logging.getLogger("mammoseg")


def main(dataset: DataSet, public: Path, private: Path, only_phantoms: bool, code: Code, workers: int) -> None:
    """Index a release; results go into the folders `public` and `private` of the data set."""
    key = KNOWN_KEY if only_phantoms else load_or_create_key(private.parent / "key")
    private.mkdir(parents=True, exist_ok=True)
    private.parent.chmod(0o700)
    importer = importer_for(dataset.importer, dataset.root)
    try:
        index = index_release(
            importer,
            dataset=dataset.name,
            site=dataset.site,
            key=key,
            code=code,
            seen=load_seen(private / "seen.jsonl"),
            rendered_sha256=rendered(public / "png"),
            workers=workers,
            carry=dataset.carry,
            max_excluded=dataset.max_excluded,
            where=dataset.where,
        )
    except TooManyExcluded as too_many:
        write_excluded(too_many.index, private / "refused_reasons.csv", private / "refused.csv")
        raise UserError(f"{too_many}; {private / 'refused.csv'} names the files, refused_reasons.csv why") from None
    for name in ("refused.csv", "refused_reasons.csv"):
        (private / name).unlink(missing_ok=True)
    write_index(index, public, private)
    say(dataset, importer, index)


def say(dataset: DataSet, importer: Importer, index: Index) -> None:
    """What was found, and how it differs from what is known of the release."""
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(Counter(x.reason for x in index.excluded).items()))
    found, unknown = counts(index), sum(r["n_masses"] == "" for r in index.rows)
    log.info(
        "%s: %d images (%d with a mass%s) of %d patients, %d files set aside%s; %d files were opened",
        dataset.name,
        len(index.rows),
        found["images with a mass"],
        f", {unknown} without a reference" if unknown else "",
        len({r["patient_id"] for r in index.rows}),
        len(index.excluded),
        f" ({reasons})" if reasons else "",
        index.opened,
    )
    if dataset.phantom or dataset.where:  # neither is a whole release
        return
    if other := {k: n for k, n in importer.expected.items() if found[k] != n}:
        known = ", ".join(f"{n} {k}, here {found[k]}" for k, n in other.items())
        log.warning("%s: this copy of the release differs from what is known of the whole: %s", dataset.name, known)


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            dataset=study.datasets[snakemake.wildcards.dataset],
            public=Path(snakemake.output.index).parent,
            private=Path(snakemake.output.sources).parent,
            only_phantoms=study.only_phantoms,
            code=_bootstrap.code(snakemake, study),
            workers=snakemake.threads,
        )
