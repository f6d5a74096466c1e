"""What the incremental graph costs by the number of images: to index, to plan, with nothing to do, for one new patient.

    python benchmarks/scale.py --images 20000 --folder FOLDER

The release is real as far as the index and the plan look: DICOM headers, a manifest, masks; its pixels are sparse. What lies
below the plan (PNGs, 20 fold models, probability maps, scores) is not computed but written as the jobs would have left it, with
true manifests and fingerprints, and put on Snakemake's record with --touch. Then every run is a real one. FOLDER
must not exist, or be empty.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import yaml
from _bench import ROOT, new_folder

ROWS, COLUMNS, SIDE = 256, 208, 64
VIEWS = ("LCC", "LMLO", "RCC", "RMLO")
FOLDS = 5
MODELS = [f"model-{k}" for k in range(4)]


def header(number: str, patient: str, view: str) -> bytes:
    """A DICOM file without its pixels' bytes; numbers of fixed width, so that a file is made by replacing them."""
    import io

    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = number
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, number
    ds.StudyInstanceUID, ds.PatientID = f"{number}.1", patient
    ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
    ds.ImageLaterality, ds.ViewPosition = view[0], view[1:]
    ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLUMNS, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PhotometricInterpretation, ds.WindowCenter, ds.WindowWidth = "MONOCHROME2", 2048, 4096
    ds.ImagerPixelSpacing = [0.07, 0.07]
    buffer = io.BytesIO()
    ds.PixelData = b"\0" * (2 * ROWS * COLUMNS)
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()[: -2 * ROWS * COLUMNS]


NUMBER, PATIENT = "1.2.3.4.500000000", "P00000000"


class Release:
    """Patients with four images; every tenth patient has a mass in each."""

    def __init__(self, folder: Path):
        self.folder, self.rows = folder, []
        folder.mkdir(parents=True)
        mask = np.zeros((ROWS, COLUMNS), np.uint8)
        mask[100:130, 60:90] = 255
        cv2.imwrite(str(folder / "mass.png"), mask)
        cv2.imwrite(str(folder / "none.png"), mask * 0)
        self.headers = {v: header(NUMBER, PATIENT, v) for v in VIEWS}

    def add(self, patient: int, pixels: bytes = b"") -> None:
        place = self.folder / f"{patient // 1000:04d}"
        place.mkdir(exist_ok=True)
        for k, view in enumerate(VIEWS):
            name, number = f"{place.name}/{patient:08d}_{view}.dcm", f"1.2.3.4.5{4 * patient + k:08d}"
            data = (
                self.headers[view]
                .replace(NUMBER.encode(), number.encode())
                .replace(PATIENT.encode(), f"P{patient:08d}".encode())
            )
            with open(self.folder / name, "wb") as f:
                f.write(data + pixels)
                f.truncate(len(data) + 2 * ROWS * COLUMNS)
            self.rows.append((name, f"P{patient:08d}", "mass.png" if patient % 10 == 0 else ""))

    def write(self) -> None:
        with open(self.folder / "manifest.csv", "w") as f:
            f.write("image,patient,mask\n")
            f.writelines(",".join(r) + "\n" for r in self.rows)


def write_results(results: Path) -> None:
    """Everything below the plan as its jobs would have left it. For a process of its own: a child's peak counts its parent's."""
    from mammoseg.evaluation import score_dataset
    from mammoseg.images.png import write_png
    from mammoseg.models import build_model
    from mammoseg.models.fold_model import save_model
    from mammoseg.plan.shard_images import images_of_shard
    from mammoseg.prediction import predict_dataset
    from mammoseg.rebuild import code_digests, digests
    from mammoseg.rebuild.code_versions import CodeVersions
    from mammoseg.render.shards import RENDERED
    from mammoseg.runtime.files import read_csv, write_csv, write_text

    picture, mask, chance, reference = (results / f"{n}.png" for n in ("picture", "mask", "chance", "reference"))
    cv2.imwrite(str(picture), np.full((SIDE, SIDE), 30000, np.uint16))
    cv2.imwrite(str(mask), np.eye(SIDE, dtype=np.uint8) * 255)
    cv2.imwrite(str(chance), np.full((SIDE, SIDE), 20000, np.uint16))
    write_png(reference, np.eye(ROWS, COLUMNS, dtype=bool))
    sha = {p: digests.sha256(p) for p in (picture, mask, chance, reference)}
    generator = random.Random(1)
    for rows in sorted((results / "private/big/shards").glob("*.csv")):
        shard = rows.stem
        png = results / "big/png" / shard
        png.mkdir(parents=True)
        images = images_of_shard(rows)
        rendered = [
            {**i.index, "status": "ok", "side": SIDE, "pad_right": 1, "png_sha256": digests.digest(i.id) * 2,
             "likeness": f"{generator.getrandbits(256):064x}", "mask_sha256": sha[mask], "mask_pixels": SIDE,
             "source_sha256": digests.digest(i.id) * 2, "fingerprint": "x" * 24, "code": "x" * 24,
             "reference_sha256": "" if i.index["n_masses"] == "0" else sha[reference]}
            for i in images
        ]  # fmt: skip
        for i in images:
            os.symlink(picture, png / f"{i.id}.png")
            os.symlink(mask, png / f"{i.id}_mask.png")
            if i.index["n_masses"] != "0":
                os.symlink(reference, png / f"{i.id}_reference.png")
        for name in (".manifest.csv", "manifest.csv"):
            write_csv(png / name, RENDERED, rendered)
    for name in ("images.npy", "masks.npy", "cases.csv"):
        write_text(results / "pack" / name, "not computed")
    write_text(results / "pack/pack.json", "{}")
    people = [r for r in read_csv(results / "splits.csv") if r["role"] == "train"]
    state = build_model(encoder="resnet22_gmic", decoder="unet").state_dict()
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    recipe = {k: config[k] for k in ("training", "augmentation", "normalisation", "seed")}
    machine = {"system": "none", "processor": "none", "cores": 1, "threads": 1, "precision": "32-true", "from_epoch": 1}
    for name in MODELS:
        spec = {"name": name, "encoder": "resnet22_gmic", "decoder": "unet", "weights": "random", "stem": "dense"}
        for k in range(FOLDS):
            parts = {
                w: [r["patient_id"] for r in people if (r["fold"] == str(k)) == (w == "validation")]
                for w in ("training", "validation")
            }
            facts = {
                "model": spec, "weights_used": "random", "recipe": {"model": spec, **recipe}, "best_epoch": 1,
                "normalisation": {"mean": 0.5, "sd": 0.2},
                "parameters": {"encoder": 1, "decoder": 1, "total": 2}, "cell": 1, "patients": parts, "fingerprint": "x",
                "cost": {"seconds": 1, "peak_memory_mb": 1, "device": "cpu", "resumed": 0}, "hardware": [machine],
            }  # fmt: skip
            epoch = {
                "epoch": 1,
                "phase": 1,
                "lr": 0.1,
                "train_loss": 1,
                "val_loss": 1,
                "train_dice": 0,
                "val_dice": 0,
                "seconds": 1,
            }
            save_model(results / "models" / name / f"fold{k}", state=state, history=[epoch], facts=facts)
    manifests = sorted((results / "big/png").glob("*/manifest.csv"))
    predict_dataset.read_image = lambda path, image_id: np.zeros((1, 1), np.uint8)
    predict_dataset.write_png = lambda path, _: (os.symlink(chance, path), sha[chance])[1]
    shown = predict_dataset.images_to_predict(manifests, read_csv(results / "splits.csv"), "big")
    scores = dict.fromkeys(score_dataset.SCORES, 0.8) | {
        "reference_pixels": 64,
        "predicted_regions": 1,
        "dice_of_folds": "",
        "fold_disagreement": "",
    }
    scores |= {
        "lesions": '[["mass", 64, 0.9, 0.8, 0.8]]',
        "bins": "[[0, 4096, 1000000, 64]]",
        "sweep": json.dumps([0.5] * 19),
    }
    score_dataset._score = lambda *_: scores
    codes = {
        rule: CodeVersions(results).code(rule, code_digests.of_stage(ROOT / f"workflow/scripts/{rule}.py"))
        for rule in ("predict_ensemble", "score_cases")
    }
    for name in MODELS:
        folder = results / "big/predictions" / name
        folder.mkdir(parents=True)
        models = [results / "models" / name / f"fold{k}/model.json" for k in range(FOLDS)]
        predict_dataset.predict_dataset(
            shown,
            models,
            folder,
            average="probability",
            code=codes["predict_ensemble"],
            predict=lambda _, images: (images, images),
        )
        table = results / f"big/scores/{name}.csv"
        memory = table.with_name(f".{name}.csv")
        scored = {"threshold": 0.5, "min_iou": 0.2, "centre_inside": True}
        score_dataset.score_cases(folder / "manifest.csv", manifests, scored, 1, FOLDS, codes["score_cases"], memory)
        score_dataset.write_outputs(
            memory, table, results / f"big/lesions/{name}.csv", results / f"big/trust/{name}.json"
        )
    row = {"dataset": "big", "part": "holdout", "family": "grey", "value": 1, "n_images": 1, "n_patients": 1}
    row |= {"dice_mean": 0.3, "dice_sd": 0.1, "iou_mean": 0.2, "iou_sd": 0.1}
    write_csv(results / "tables/baseline.csv", list(row), [row])


class Bench:
    """Runs Snakemake in a folder and prints what each run took."""

    def __init__(self, folder: Path):
        self.folder = folder

    def snakemake(
        self, label: str, *arguments: str, snakefile: Path = ROOT / "Snakefile", quiet: bool = False
    ) -> tuple[float, str]:
        command = [
            sys.executable,
            "-m",
            "snakemake",
            *arguments,
            "-s",
            str(snakefile),
            "-d",
            str(self.folder),
            "-c",
            "2",
            "-q",
            "rules",
        ]
        if snakefile == ROOT / "Snakefile":
            command += ["--configfile", str(self.folder / "config.yaml")]
        start = time.perf_counter()
        with open(self.folder / "out.log", "w+") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
            out.seek(0)
            text = out.read()
        seconds = time.perf_counter() - start
        if status:
            sys.exit(f"{label} failed:\n{text[-3000:]}")
        if not quiet:
            print(f"{label:44} {seconds:8.1f} s  {usage.ru_maxrss / 1000:7.0f} MB", flush=True)
        return seconds, text

    def jobs(self, since: float) -> None:
        """What the jobs of a run took, by Snakemake's own benchmark files."""
        taken = []
        for path in (self.folder / "results/benchmarks").rglob("*.tsv"):
            if path.stat().st_mtime >= since:
                values = read_tsv(path)
                taken.append(
                    (
                        float(values["s"]),
                        float(values["max_rss"] or 0),
                        path.relative_to(self.folder / "results/benchmarks"),
                    )
                )
        for seconds, memory, name in sorted(taken, reverse=True):
            print(f"    {name!s:40} {seconds:8.1f} s  {memory:7.0f} MB")
        print(f"    {len(taken)} jobs", flush=True)


def read_tsv(path: Path) -> dict[str, str]:
    names, values = (line.split("\t") for line in path.read_text().splitlines()[:2])
    return {n: v if v not in ("-", "NA") else "" for n, v in zip(names, values, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    folder = new_folder(given.folder)
    start = time.perf_counter()
    release = Release(folder / "release")
    for p in range(given.images // 4):
        release.add(p)
    release.write()
    print(f"{given.images} images made in {time.perf_counter() - start:.0f} s", flush=True)
    models = [{"name": m, "encoder": "resnet22_gmic", "decoder": "unet", "weights": "random"} for m in MODELS]
    config = {
        "results_dir": "results", "models": models, "image": {"side": SIDE},
        "datasets": [{"name": "big", "importer": "manifest", "root": str(folder / "release"), "role": "train"}],
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    bare = folder / "bare.smk"
    bare.write_text("rule all:\n    input: 'out.log'\n")
    run = Bench(folder)
    run.snakemake("", snakefile=bare, quiet=True)
    bare_seconds, _ = run.snakemake("Snakemake's own start, nothing to do", snakefile=bare)
    run.snakemake("index: first", "index")
    run.snakemake("plan: first", "plan")
    start = time.perf_counter()
    with get_context("spawn").Pool(1) as pool:
        pool.apply(write_results, (folder / "results",))
    print(f"results written in {time.perf_counter() - start:.0f} s", flush=True)
    scores = [f"results/big/scores/{m}.csv" for m in MODELS]
    run.snakemake("(--touch)", "render", "--touch")
    since = time.time()
    run.snakemake("leakage checks", *(f"results/leakage/{scope}.json" for scope in ("training", "tested")))
    run.jobs(since)
    run.snakemake("(--touch)", "predict", *scores, "results/tables/baseline.csv", "--touch")
    since = time.time()
    run.snakemake("tables, figures, report: first")
    run.jobs(since)
    run.snakemake("", quiet=True)
    nothing, text = run.snakemake("nothing to do")
    assert "Nothing to be done" in text
    print(f"    {nothing - bare_seconds:.1f} s above Snakemake's own start", flush=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "training": {"learning_rate": 0.0002}}))
    run.snakemake("dry run of another learning rate", "-n")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    release.add(
        given.images // 4 + 1, pixels=np.random.default_rng(1).integers(0, 4096, ROWS * COLUMNS, np.uint16).tobytes()
    )
    release.write()
    since = time.time()
    run.snakemake("one new patient")
    run.jobs(since)
    logs = "".join(p.read_text() for p in (folder / "results/logs").rglob("*.log") if p.stat().st_mtime >= since)
    print(*(f"    {m}" for m in re.findall(r"mammoseg: (.* images (?:converted|predicted)[^(\n]*)", logs)), sep="\n")


if __name__ == "__main__":
    main()
