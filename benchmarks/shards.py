"""Our shards against one job per image, and the share of the time that is not image work.

    python benchmarks/shards.py --images 2000 --each 1000 --syntax uncompressed --folder FOLDER

The same true-sized DICOMs (3328 x 2560, 12 bit; uncompressed they are the quickest to decode) are rendered twice by the
workflow itself: in shards of the default size, with four images a patient, and the first --each of them in one job per image;
the ratio is of seconds per image. Beside it the image work alone: the same function and number of processes, no workflow. All
carry windowing, so that nothing is injected. FOLDER must not exist, or be empty.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import yaml
from _bench import ROOT, new_folder
from rendering import COLUMNS, ROWS, SYNTAXES, phantom, write


def make_release(folder: Path, syntax: str, images: int, each: int) -> None:
    """The files, of the same pixels under names of their own, and two manifests: four images per patient, and one."""
    folder.mkdir(parents=True)
    write(folder / "one.dcm", phantom(), SYNTAXES[syntax])
    ds = pydicom.dcmread(folder / "one.dcm")
    ds.ImageLaterality, ds.ViewPosition, ds.PresentationIntentType = "L", "CC", "FOR PRESENTATION"
    for k in range(images):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k}"
        ds.save_as(folder / f"{k:05d}.dcm")
    for name, per_patient, number in (("fours", 4, images), ("ones", 1, each)):
        rows = "".join(f"{k:05d}.dcm,P{k // per_patient}\n" for k in range(number))
        (folder / f"{name}.csv").write_text("image,patient\n" + rows)


def run(folder: Path, manifest: Path, splits: dict) -> tuple[float, float]:
    """Seconds that the workflow takes to render the planned release, and those of it in which jobs rendered, by their logs."""
    folder.mkdir()
    config = {
        "results_dir": "results",
        "models": [{"name": "none", "encoder": "resnet22_gmic", "decoder": "unet", "weights": "random"}],
        "splits": splits,
        "datasets": [
            {"name": "big", "importer": "manifest", "root": str(manifest), "role": "predict"},
            {"name": "cohort", "importer": "manifest", "root": str(folder / "cohort"), "role": "train"},
        ],
    }
    import cv2

    (folder / "cohort").mkdir()
    rows = ["image,patient,mask"]
    for k in range(10):  # a study needs someone to train on; prepared before the clock starts
        cv2.imwrite(str(folder / f"cohort/{k}.png"), np.full((64, 64), 100 * k + 1, np.uint16))
        cv2.imwrite(str(folder / f"cohort/{k}_mask.png"), np.eye(64, dtype=np.uint8) * 255)
        rows.append(f"{k}.png,{k},{k}_mask.png")
    (folder / "cohort/manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))

    def snakemake(*targets: str) -> None:
        command = [
            sys.executable,
            "-m",
            "snakemake",
            *targets,
            "-s",
            ROOT / "Snakefile",
            "-d",
            folder,
            "-c",
            "2",
            "-q",
            "rules",
        ]
        done = subprocess.run(
            [*map(str, command), "--configfile", str(folder / "config.yaml")], capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stdout[-3000:] + done.stderr[-3000:])

    snakemake("plan")
    cohort = (folder / "results/work.csv").read_text().splitlines()
    snakemake(
        *(
            f"results/cohort/png/{r.split(',')[1]}/manifest.csv"
            for r in cohort
            if r.startswith("cohort,") and "index" not in r
        )
    )
    start = time.perf_counter()
    snakemake("render")
    seconds = time.perf_counter() - start
    logs = [log.read_text() for log in (folder / "results/logs/render_png/big").glob("*.log")]
    rates = [re.findall(r"(\d+) of \1 images, ([\d.]+) a second", log)[-1] for log in logs]
    return seconds, sum(int(images) / float(rate) for images, rate in rates)


def work_alone(folder: Path) -> float:
    """Seconds that the same images take without a workflow: two processes, the same function."""
    script = f"""
import sys; sys.path.insert(0, {str(ROOT / "src")!r})
from pathlib import Path
from mammoseg.rebuild.code_versions import Code
from mammoseg.datasets.registry import importer_for
from mammoseg.render.shards import render_shard
from mammoseg.plan.shard_images import images_of_shard
images = [i for p in sorted(Path("results/private/big/shards").glob("*.csv")) for i in images_of_shard(p)]
importer, code = importer_for("manifest", {str(folder.parent / "release/fours.csv")!r}), Code("x", frozenset())
recipe = {{"side": 512, "mask_share": 0.5, "orient": "as_is", "windowing": {{"prefer": "lut", "item": 1}}}}
render_shard(images, importer, None, Path("alone/png"), recipe, code, 2)
"""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--each", type=int, default=1000, help="0: none")
    parser.add_argument("--syntax", choices=SYNTAXES, default="uncompressed")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    folder = new_folder(given.folder)
    make_release(folder / "release", given.syntax, given.images, given.each)
    os.sync()  # or the first run would wait for the writing of the files
    print(f"{given.images} images, {ROWS} x {COLUMNS}, {given.syntax}, 2 cores")
    ours, rendering = run(folder / "ours", folder / "release/fours.csv", {})
    alone = work_alone(folder / "ours")
    print(f"image work alone         {alone:8.1f} s")
    print(f"shards                   {ours:8.1f} s, of which that is {100 * alone / ours:.1f} %")
    print(
        f"    in jobs, rendering   {rendering:8.1f} s: {100 * (1 - rendering / ours):.1f} % is not image work",
        flush=True,
    )
    if not given.each:
        return
    each, _ = run(folder / "each", folder / "release/ones.csv", {"patients_per_shard": 1})
    ratio = (each / given.each) / (ours / given.images)
    print(f"one job per image        {each:8.1f} s for {given.each} images: {ratio:.1f} x an image")


if __name__ == "__main__":
    main()
