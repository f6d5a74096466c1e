"""How fast DICOMs become pictures: against the plain way, stage by stage, on one core and two, and against DCMTK.

    python benchmarks/rendering.py --folder FOLDER [--images 16]

One 3328 x 2560, 12-bit phantom with noise, in every transfer syntax; FOLDER must not exist, or be empty. The plain way is
pydicom's apply_voi_lut in floating point, padding, resizing and writing by Pillow. DCMTK windows, scales and writes a 16-bit
PNG, one process an image, without padding, mask or digests. Everything is pinned to one core, but where two are said.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import cv2
import numpy as np
import pydicom
from _bench import ROOT, new_folder
from dicom_files import LOSSLESS, LOSSY, encapsulated_dicom, make_dicom, write_dicom
from PIL import Image as Pillow
from pydicom import uid
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder

from mammoseg.datasets.masks import draw_region, read_mask
from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.decode import ORDER, decode, refuse_constant
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.dicom.read import read_encoded
from mammoseg.dicom.render import lookup_table
from mammoseg.dicom.voi_lut import find_windowing
from mammoseg.images.breast import chest_wall_on_left
from mammoseg.images.letterbox import Letterbox
from mammoseg.images.similarity import signature
from mammoseg.index.build_index import index_release
from mammoseg.index.index_files import write_index
from mammoseg.plan.shard_images import images_of_shard, write_shards
from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.render.shards import inject_shard, render_shard
from mammoseg.runtime.files import write_csv

ROWS, COLUMNS, SIDE, BITS = 3328, 2560, 512, 12
RECIPE = {"side": SIDE, "mask_share": 0.5, "orient": "as_is", "windowing": {"prefer": "lut", "item": 1}}
CODE = Code("benchmark", frozenset({"benchmark"}))
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
SYNTAXES = {
    "uncompressed": uid.ExplicitVRLittleEndian,
    "RLE": uid.RLELossless,
    "JPEG lossless": uid.JPEGLosslessSV1,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG 2000 lossless": uid.JPEG2000Lossless,
    "JPEG 2000": uid.JPEG2000,
    "HTJ2K lossless": uid.HTJ2KLossless,
    "JPEG 12 bit": uid.JPEGExtended12Bit,
}
HEADERS = 4000


def phantom() -> np.ndarray:
    """A breast with texture and noise, black air; (ROWS, COLUMNS) uint16."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    breast = 2600 - ((y - ROWS / 2) ** 2 / 900 + x**2 / 1500)
    noise = [cv2.GaussianBlur(rng.normal(0, 1, (ROWS, COLUMNS)).astype(np.float32), (0, 0), s) for s in (6, 1.2)]
    values = breast + 900 * noise[0] + 60 * noise[1] + rng.normal(0, 6, (ROWS, COLUMNS))
    return np.where(breast > 0, np.clip(values, 0, 2**BITS - 1), 0).astype(np.uint16)


def write(path: Path, pixels: np.ndarray, syntax: uid.UID) -> None:
    if syntax == uid.ExplicitVRLittleEndian:
        write_dicom(path, pixels, **WINDOW)
    elif syntax == uid.RLELossless:
        ds = make_dicom(pixels, **WINDOW)
        ds.compress(syntax)
        ds.save_as(path, enforce_file_format=True)
    else:
        frame = LOSSLESS[syntax](pixels, BITS) if syntax in LOSSLESS else LOSSY[syntax](pixels)
        encapsulated_dicom(path, pixels, frame, syntax, BITS, **WINDOW)


def plain_way(path: Path, target: Path) -> None:
    ds = pydicom.dcmread(path)
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax.is_compressed:  # by the decoder that was the fastest: pydicom itself would ask slower ones first
        available = get_decoder(syntax).available_plugins
        ds.pixel_array_options(decoding_plugin=next(p for p in ORDER if p in available))
    shown = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds).astype(np.float64)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shown = shown.max() - shown
    shown = shown / (2**ds.BitsStored - 1) * 65535
    side = max(shown.shape)
    square = np.pad(shown, ((0, side - shown.shape[0]), (0, side - shown.shape[1])))
    small = Pillow.fromarray(square.astype(np.float32)).resize((SIDE, SIDE), Pillow.Resampling.BOX)
    Pillow.fromarray(np.asarray(small).round().astype(np.uint16)).save(target)


class Release:
    """`images` copies of one file, each under a name of its own, indexed, with or without a mask each."""

    def __init__(self, folder: Path, file: Path, images: int, mask: Path | None = None):
        self.folder, self.names = folder, [f"{k:03d}.dcm" for k in range(images)]
        folder.mkdir(parents=True)
        plain = pydicom.dcmread(file)
        for k, name in enumerate(self.names):
            plain.SOPInstanceUID = plain.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k}"
            plain.save_as(folder / name)
        rows = [{"image": n, "patient": n, "mask": mask.name if mask else ""} for n in self.names]
        if mask:
            shutil.copy(mask, folder / mask.name)
        write_csv(folder / "manifest.csv", ("image", "patient", "mask") if mask else ("image", "patient"), rows)
        self.importer = importer_for("manifest", folder)
        index = index_release(
            self.importer, dataset="d", site="s", key=b"k" * 32, code=CODE, seen=[], rendered_sha256={}.get
        )
        write_index(index, folder / "index", folder / "index")
        mine = {r["image_id"]: "predict-00000" for r in index.rows}
        write_shards(folder / "index/index.csv", folder / "index/sources.csv", mine, folder / "shards")
        self.images = images_of_shard(folder / "shards/predict-00000.csv")

    def render(self, workers: int) -> float:
        """Seconds to render all images."""
        shutil.rmtree(self.folder / "png", ignore_errors=True)
        start = time.perf_counter()
        converted, set_aside = render_shard(
            self.images, self.importer, None, self.folder / "png", RECIPE, CODE, workers
        )
        assert (converted, set_aside) == (len(self.names), 0)
        return time.perf_counter() - start


def peak_memory(release: Release) -> float:
    """Megabytes of the largest worker, in a process that holds nothing else."""
    script = f"""
import resource, sys; sys.path.insert(0, {str(ROOT / "src")!r})
from pathlib import Path
from mammoseg.rebuild.code_versions import Code
from mammoseg.datasets.registry import importer_for
from mammoseg.render.shards import inject_shard, render_shard
from mammoseg.plan.shard_images import images_of_shard
folder = Path({str(release.folder)!r})
images = images_of_shard(folder / "shards/predict-00000.csv")
render_shard(images, importer_for("manifest", folder), None, folder / "memory", {RECIPE!r}, Code("x", frozenset()), 2)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
    return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout) / 1e3


def per_image(function: Callable[[], object], times: int = 5) -> float:
    """Milliseconds of the quickest of some calls."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def stages(file: Path, folder: Path) -> dict[str, float]:
    """Milliseconds of each stage of one image."""
    ds = read_encoded(file)
    words = decode(ds)
    table = lookup_table(ds, find_windowing(ds))
    pixels = cv2.LUT(words, table)
    box = Letterbox(*pixels.shape, SIDE, chest_wall_on_left(pixels))
    small = box.image(pixels)
    angle = np.linspace(0, 2 * np.pi, 60)
    outline = np.stack([700 + 180 * np.cos(angle), 1500 + 150 * np.sin(angle)], axis=1)  # a mass of 25 mm
    mask = draw_region(outline, ROWS, COLUMNS)
    cv2.imwrite(str(folder / "mask.png"), mask * np.uint8(255))
    return {
        "read the file": per_image(lambda: read_encoded(file)),
        "decode": per_image(lambda: decode(ds)),
        "LUT and inversion": per_image(lambda: cv2.LUT(words, lookup_table(ds, find_windowing(ds)))),
        "constant? facing?": per_image(lambda: (refuse_constant(words, BITS), chest_wall_on_left(pixels))),
        "pad and resize": per_image(lambda: box.image(pixels)),
        "encode and write PNG": per_image(lambda: cv2.imwrite(str(folder / "a.png"), small)),
        "likeness": per_image(lambda: signature(small)),
        "SHA-256 of source and PNG": per_image(lambda: (digests.sha256(file), digests.sha256(folder / "a.png"))),
        "mask, outline": per_image(lambda: box.mask(draw_region(outline, ROWS, COLUMNS))),
        "mask, PNG file": per_image(lambda: box.mask(read_mask(folder / "mask.png", ROWS, COLUMNS))),
    }


def injection(folder: Path, pixels: np.ndarray, images: int) -> None:
    """Files without windowing: injected files kept and read again, against injection while rendering."""
    write_dicom(folder / "bare.dcm", pixels)
    release = Release(folder / "bare", folder / "bare.dcm", images)
    missing = MissingWindowing({"kind": "sigmoid", "center": 1450, "width": 1600, "entries": 4096, "explanation": None})

    def kept() -> None:
        for name in ("dicom", "png"):
            shutil.rmtree(release.folder / name, ignore_errors=True)
        inject_shard(release.images, release.importer, release.folder / "dicom", missing, CODE, 1)
        render_shard(
            release.images, release.importer, release.folder / "dicom", release.folder / "png", RECIPE, CODE, 1
        )

    def not_kept() -> None:
        shutil.rmtree(release.folder / "png", ignore_errors=True)
        render_shard(release.images, release.importer, None, release.folder / "png", RECIPE, CODE, 1, missing=missing)

    os.sched_setaffinity(0, {0})
    with_files, without = per_image(kept, 3) / images, per_image(not_kept, 3) / images
    print(f"injected files kept {with_files:.0f} ms, not kept {without:.0f} ms an image: {with_files / without:.2f} x")


def headers(folder: Path) -> None:
    """Headers per second of the index, against a plain loop."""
    folder.mkdir()
    first = make_dicom(np.zeros((ROWS, COLUMNS), np.uint16), **WINDOW)
    del first.PixelData
    first.save_as(folder / "head", enforce_file_format=True)
    head = (folder / "head").read_bytes() + b"\xe0\x7f\x10\x00OW\x00\x00" + (2 * ROWS * COLUMNS).to_bytes(4, "little")
    end = head.rindex(str(first.SOPInstanceUID).encode()) + len(first.SOPInstanceUID)
    rows = []
    for k in range(HEADERS):
        name = f"{k:05d}.dcm"
        with (folder / name).open("wb") as f:
            f.write(head[: end - 9] + b"1%08d" % k + head[end:])
            f.truncate(len(head) + 2 * ROWS * COLUMNS)  # sparse: pixels do not matter
        rows.append({"image": name, "patient": name})
    write_csv(folder / "manifest.csv", ("image", "patient"), rows)

    def index(workers: int) -> None:
        found = index_release(
            importer_for("manifest", folder), dataset="d", site="s", key=b"k" * 32, code=CODE, seen=[],
            rendered_sha256={}.get, workers=workers,
        )  # fmt: skip
        assert len(found.rows) == HEADERS, found.excluded[:3]

    def loop() -> None:
        for row in rows:
            pydicom.dcmread(folder / row["image"], stop_before_pixels=True)

    os.sched_setaffinity(0, {0})
    plain, one = per_image(loop, 2), per_image(lambda: index(1), 2)
    os.sched_setaffinity(0, {0, 1})
    two = per_image(lambda: index(2), 2)
    for name, took in (("plain pydicom loop", plain), ("index, one core", one), ("index, two cores", two)):
        print(f"{name:22s} {1000 * HEADERS / took:8.0f} headers/s   {plain / took:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=16)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    folder = new_folder(given.folder)
    pixels = phantom()
    os.sched_setaffinity(0, {0})

    columns = ("plain", "ours", "ratio", "decoder", "share", "rest", "DCMTK")
    print(f"{'syntax':20s} {'MB':>5s} " + " ".join(f"{c:>8s}" for c in columns))
    releases, details = {}, {}
    for name, syntax in SYNTAXES.items():
        file = folder / f"{name}.dcm"
        write(file, pixels, syntax)
        ds = read_encoded(file)
        start = time.perf_counter()
        for _ in range(given.images):
            decode(ds)
        decoder = 1000 * (time.perf_counter() - start) / given.images
        releases[name] = Release(folder / name.replace(" ", "-"), file, given.images)
        releases[name].render(1)
        ours = 1000 * min(releases[name].render(1) for _ in range(2)) / given.images
        try:
            plain = per_image(lambda file=file: plain_way(file, folder / "plain.png"), 3)
        except Exception:  # no plug-in of pydicom reads it
            plain = float("nan")
        tool = "dcml2pnm" if syntax in uid.JPEGLSTransferSyntaxes else "dcmj2pnm"
        command = [tool, "+on2", "-mf", "+Wi", "1", "+Syv", str(SIDE), str(file), str(folder / "dcmtk.png")]
        try:
            subprocess.run(command, check=True, capture_output=True)
            dcmtk = per_image(lambda c=command: subprocess.run(c, check=True, capture_output=True), 3)
        except (subprocess.CalledProcessError, FileNotFoundError):
            dcmtk = float("nan")
        details[name] = stages(file, folder)
        print(
            f"{name:20s} {file.stat().st_size / 1e6:5.1f} {plain:5.0f} ms {ours:5.0f} ms {plain / ours:8.2f} {decoder:5.0f} ms "
            f"{100 * decoder / ours:6.0f} % {ours - decoder:5.0f} ms {dcmtk:5.0f} ms"
        )
    print()
    for stage in details["uncompressed"]:
        print(f"{stage:28s} {details['uncompressed'][stage]:6.1f} ms   RLE {details['RLE'][stage]:6.1f} ms")
    print()
    many = Release(folder / "many", folder / "uncompressed.dcm", 6 * given.images)
    many.render(1)
    one = min(many.render(1) for _ in range(2))
    os.sched_setaffinity(0, {0, 1})
    two = min(many.render(2) for _ in range(2))
    peak = peak_memory(many)
    print(f"one core {len(many.names) / one:.1f} images/s, two {len(many.names) / two:.1f}: {one / two:.2f} x")
    print(f"peak memory of a worker {peak:.0f} MB")
    print()
    injection(folder, pixels, given.images)
    print()
    headers(folder / "headers")


if __name__ == "__main__":
    main()
