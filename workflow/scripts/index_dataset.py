"""Index a release: one row per usable image, one per file set aside."""

import _bootstrap

import logging
from collections import Counter
from pathlib import Path

from mammoseg.acceptance import Code
from mammoseg.datasets.registry import importer_for
from mammoseg.indexing import index_release, load_seen, rendered, write_index
from mammoseg.privacy import load_or_create_key

PHANTOM_KEY = b"phantoms are nobody's patients.."  # fixed, so that the demo's ids are the same everywhere


def main(name: str, importer: str, root: Path, site: str, public: Path, private: Path, only_phantoms: bool,
         code: Code, workers: int) -> None:  # fmt: skip
    """Index the release at `root`; results go into the folders `public` and `private` of the data set."""
    key = PHANTOM_KEY if only_phantoms else load_or_create_key(private.parent / "key")
    private.mkdir(parents=True, exist_ok=True)
    private.parent.chmod(0o700)
    index = index_release(
        importer_for(importer, root),
        dataset=name,
        site=site,
        key=key,
        code=code,
        seen=load_seen(private / "seen.jsonl"),
        rendered_sha256=rendered(public / "png"),
        workers=workers,
    )
    write_index(index, public, private)
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(Counter(x.reason for x in index.excluded).items()))
    logging.getLogger("mammoseg").info(
        "%s: %d images of %d patients, %d files set aside%s; %d files were opened",
        name,
        len(index.rows),
        len({r["patient_id"] for r in index.rows}),
        len(index.excluded),
        f" ({reasons})" if reasons else "",
        index.opened,
    )


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        dataset = study.datasets[snakemake.wildcards.dataset]
        main(
            dataset.name,
            dataset.importer,
            dataset.root,
            dataset.site,
            Path(snakemake.output.index).parent,
            Path(snakemake.output.sources).parent,
            study.only_phantoms,
            _bootstrap.code(snakemake, study),
            snakemake.threads,
        )
