"""Stop where one image stands in two folds, or in training and test, under two patients' names."""

import _bootstrap

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv, write_text
from mammoseg.plan.leakage import Rendered, find_copies, refuse_copies
from mammoseg.plan.stop_sign import StopSign
from mammoseg.images.png import read_image


def main(manifests: Iterable[Path], splits: Path, allow: Collection[Sequence[str]], work: Path, checked: Path) -> None:
    """Compare the images; write how many stand where into `checked`. A manifest lies in <dataset>/png/<shard>/.

    What is found stands beside it for the trainings of the same plan: they do not begin.
    """
    stop = StopSign(checked.parent, read_csv(work), allow)
    stop.remove()
    images = list(_rendered(manifests, splits))
    copies = find_copies(images, lambda path: read_image(path, path.stem), {frozenset(pair) for pair in allow})
    log = logging.getLogger("mammoseg")
    for c in copies:
        log.debug("image %s of patient %s (%s) and image %s of patient %s (%s): %s, correlation %.3f", *c)
    try:
        refuse_copies(copies)
    except UserError as found:
        stop.put_up(str(found))
        raise
    places = Counter(image.place for image in images)
    write_text(checked, json.dumps({"images": len(images), "places": dict(sorted(places.items()))}) + "\n")
    log.info("%d images compared: none stands in two of %d places under two names", len(images), len(places))


def _rendered(manifests: Iterable[Path], splits: Path) -> Iterator[Rendered]:
    words = {"train": "fold {fold}", "holdout": "holdout", "external": "external {dataset}"}
    place = {
        (r["dataset"], r["patient_id"]): words[r["role"]].format(**r) for r in read_csv(splits) if r["role"] in words
    }
    for manifest in manifests:
        for r in read_csv(manifest):
            if r["status"] == "ok":
                where = place[manifest.parts[-4], r["patient_id"]]
                png = manifest.parent / f"{r['image_id']}.png"
                yield Rendered(r["image_id"], r["patient_id"], where, r["png_sha256"], r["likeness"], png)


if __name__ == "__main__":
    with _bootstrap.job(snakemake):
        main(
            manifests=[Path(m) for m in snakemake.input.manifests],
            splits=Path(snakemake.input.splits),
            allow=json.loads(snakemake.params.recipe)["allow"],
            work=Path(snakemake.input.plan),
            checked=Path(snakemake.output.checked),
        )
