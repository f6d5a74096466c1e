"""Pack the rendered training images and masks into arrays that open by memory map."""

import _bootstrap

import json
import logging
from pathlib import Path

from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.files import read_csv, write_csv, write_text
from mammoseg.rebuild.kept_outputs import Keeper
from mammoseg.plan.shard_images import images_of_shard
from mammoseg.training.pack import Entry, write_pack

FILES = ("images.npy", "masks.npy", "cases.csv", "pack.json")


def main(
    manifests: list[Path], shard_rows: list[Path], folder: Path, draw_ids: Path, require_mass: bool, code: Code
) -> None:
    """Write the pack into `folder`, or put the kept one back, and the draw ids of its images beside the private files.

    A manifest lies in <dataset>/png/<shard>/; `shard_rows` are what the plan left of the same shards.
    """
    rows = [
        (m, r)
        for m in manifests
        for r in read_csv(m)
        if r["status"] == "ok" and r["n_masses"] != "" and (r["n_masses"] != "0" or not require_mass)
    ]
    rows.sort(key=lambda x: x[1]["image_id"])
    contents = [[r["image_id"], r["patient_id"], r["png_sha256"], r["mask_sha256"]] for _, r in rows]
    in_pack = {r["image_id"] for _, r in rows}
    images = (i for path in shard_rows for i in images_of_shard(path) if i.id in in_pack)
    write_csv(draw_ids, ("image_id", "draw_id"), [{"image_id": i.id, "draw_id": i.source["draw_id"]} for i in images])
    print_ = digests.digest(contents)
    keeper, log = Keeper(folder, FILES), logging.getLogger("mammoseg")
    if keeper.restore(print_, code):
        log.info("the pack is kept: its %d images are the same", len(rows))
        return
    entries = (
        Entry(
            image_id=r["image_id"],
            patient_id=r["patient_id"],
            dataset=m.parts[-4],
            image=m.parent / f"{r['image_id']}.png",
            mask=m.parent / f"{r['image_id']}_mask.png",
        )
        for m, r in rows
    )
    summary = write_pack(folder, entries)
    write_text(folder / "pack.json", json.dumps({**summary, "content": digests.digest(contents)}, sort_keys=True))
    keeper.store(print_, code)
    log.info("%d images packed", len(rows))


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        main(
            manifests=[Path(m) for m in snakemake.input.manifests],
            shard_rows=[study.shard_rows(Path(m).parts[-4], Path(m).parts[-2]) for m in snakemake.input.manifests],
            folder=Path(snakemake.output.pack).parent,
            draw_ids=Path(snakemake.output.draw_ids),
            require_mass=json.loads(snakemake.params.recipe)["require_mass"],
            code=_bootstrap.code(snakemake, study),
        )
