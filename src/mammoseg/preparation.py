"""The images of one shard: VOI LUT injected where windowing is missing, rendered, letterboxed, with their masks.

Each image has a fingerprint of all that its PNG depends on; where it agrees with the one kept beside the PNG, the PNG stays.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from mammoseg import fingerprint
from mammoseg.acceptance import Code
from mammoseg.datasets.importer import Importer
from mammoseg.datasets.pictures import is_picture, read_picture
from mammoseg.dicom.inject import inject
from mammoseg.dicom.render import render_file
from mammoseg.errors import Unusable, UserError
from mammoseg.files import read_csv, whole
from mammoseg.geometry import Letterbox, chest_wall_on_left
from mammoseg.indexing import candidate_of
from mammoseg.keeping import ImageKeeper
from mammoseg.likeness import signature
from mammoseg.shard_rows import Image

log = logging.getLogger(__name__)

INJECTED = ("image_id", "file", "status", "explanation", "sha256", "fingerprint", "code")
RENDERED = (
    "image_id", "patient_id", "study_id", "laterality", "view", "pixel_spacing_mm", "n_masses", "status", "explanation",
    "rows", "columns", "side", "pad_right", "windowing", "source_sha256", "png_sha256", "mask_sha256", "mask_pixels",
    "likeness", "fingerprint", "code",
)  # fmt: skip
CARRIED = RENDERED[:7]
"""Columns of the manifest that come from the index as they are."""


def inject_shard(
    images: Sequence[Image], importer: Importer, folder: Path, recipe: Mapping, code: Code
) -> tuple[int, int]:
    """Write a DICOM with a VOI LUT for every image of a shard that has no windowing, and the manifest.

    Parameters
    ----------
    folder : Path
        Where the injected files and manifest.csv go; private, for headers hold what identifies.
    recipe : mapping
        Config `image.voi_lut`; kind ``none`` injects nothing.
    code : Code
        The code that injects.

    Returns
    -------
    int, int
        Files written, and files kept that were there already; the other images need none.
    """
    keeper, rows, todo = ImageKeeper(folder, INJECTED, code), [], []
    for image in images:
        row = {"image_id": image.id, "file": "", "status": "ok", "explanation": "", "fingerprint": ""}
        if image.index["windowing"] == "none" and recipe["kind"] != "none":
            print_ = fingerprint.digest([image.index["content"], dict(recipe)])
            row |= {"file": f"{image.id}.dcm", "fingerprint": print_, "code": code.digest}
            if known := keeper.known(image.id, print_, [row["file"]]):
                row = known
            else:
                todo.append((image, row))
        rows.append(row)
    keeper.forget(image.id for image, _ in todo)
    for image, row in todo:
        try:
            inject(image.path(importer), folder / row["file"], recipe)
            row["sha256"] = fingerprint.sha256(folder / row["file"])
        except Unusable as bad:
            row |= {"file": "", "status": bad.reason, "explanation": bad.explanation, "fingerprint": ""}
    keeper.finish(rows, {r["file"] for r in rows})
    return len(todo), sum(bool(r["file"]) for r in rows) - len(todo)


def render_shard(
    images: Sequence[Image],
    importer: Importer,
    injected: Path,
    folder: Path,
    recipe: Mapping,
    code: Code,
    workers: int,
    in_cohort: bool = False,
) -> tuple[int, int]:
    """Render the images of a shard to 16-bit PNGs with their masks, and write the manifest.

    An image that cannot be rendered keeps its row, with a reason code as `status`.

    Parameters
    ----------
    injected : Path
        Folder of `inject_shard`.
    folder : Path
        Where PNGs and manifest.csv go.
    recipe : mapping
        ``side`` and ``mask_share``.
    code : Code
        The code that renders.
    workers : int
        Processes to use.
    in_cohort : bool
        Whether the images are trained on or held out: then one that could be rendered before must not drop out.

    Returns
    -------
    int, int
        Images converted, and images set aside.
    """
    keeper = ImageKeeper(folder, RENDERED, code)
    injections = {r["image_id"]: r for r in read_csv(injected / "manifest.csv")}
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict] = {}
    todo = []
    for image in images:
        injection = injections[image.id]
        made_from = [
            image.index["content"],
            image.index["annotations"],
            image.index["n_masses"] != "",
            image.index["laterality"],
            injection["sha256"],
            injection["status"],
            dict(recipe),
        ]
        print_ = fingerprint.digest(made_from)
        old = keeper.known(image.id, print_)
        if old and all((folder / f).is_file() for f in _files(old)):
            rows[image.id] = {**old, **{c: image.index[c] for c in CARRIED}}
        else:
            todo.append((image, injected / injection["file"] if injection["file"] else None, injection, print_))
    keeper.forget(image.id for image, *_ in todo)
    work = partial(_render_one, importer=importer, folder=folder, recipe=recipe, code=code.digest)
    made = _in_processes(work, todo, workers)
    rows |= {r["image_id"]: r for r in made}
    ordered = [rows[image.id] for image in images]
    if in_cohort:
        _refuse_lost(keeper, ordered)
    keeper.finish(ordered, {f for r in ordered for f in _files(r)})
    return len(todo), sum(r["status"] != "ok" for r in ordered)


def _refuse_lost(keeper: ImageKeeper, rows: Sequence[Mapping]) -> None:
    lost = [r for r in rows if r["status"] != "ok" and keeper.rows.get(r["image_id"], {}).get("status") == "ok"]
    if lost:
        r = lost[0]
        raise UserError(
            f"{len(lost)} images of the cohort could be rendered before and cannot any more; the first is {r['image_id']} of "
            f"patient {r['patient_id']} ({r['status']}: {r['explanation']}): restore the file and run again, or take her out by "
            f"`snakemake withdraw --config patients={r['patient_id']}`"
        )


def _in_processes(work: Callable[..., dict], todo: Sequence[tuple], workers: int) -> list[dict]:
    """Render in processes of their own: a decoder that crashes on a damaged file costs that image, not the shard."""
    cv2.setNumThreads(1)  # before the fork: a child cannot end its parent's threads, it would wait for ever
    made = _pooled(work, dict(enumerate(todo)), workers)
    for k, arguments in enumerate(todo):
        if k not in made:  # a crash took the pool with it: what was left over is tried one by one
            made |= _pooled(work, {k: arguments}, 1) or {k: _crashed(*arguments)}
    return [made[k] for k in range(len(todo))]


def _pooled(work: Callable[..., dict], todo: Mapping[int, tuple], workers: int) -> dict[int, dict]:
    """The rows that were made until all were, or until a process died."""
    made: dict[int, dict] = {}
    if todo:
        with ProcessPoolExecutor(min(workers, len(todo)), get_context("fork")) as pool, suppress(BrokenProcessPool):
            futures = {pool.submit(work, *arguments): k for k, arguments in todo.items()}
            for future in as_completed(futures):
                made[futures[future]] = future.result()
    return made


def _crashed(image: Image, *_: object) -> dict:
    row = {c: image.index[c] for c in (*CARRIED, "rows", "columns")}
    return {
        **row,
        "status": "decoder_crashed",
        "explanation": "the decoder ended abnormally: the file is damaged",
        "fingerprint": "",  # not remembered: a process that was killed for its memory looks the same, so it is tried again
    }


def _render_one(
    image: Image,
    injected: Path | None,
    injection: Mapping,
    print_: str,
    *,
    importer: Importer,
    folder: Path,
    recipe: Mapping,
    code: str,
) -> dict:
    """Render one image; its row of the manifest."""
    row = {**{c: image.index[c] for c in CARRIED}, "rows": image.index["rows"], "columns": image.index["columns"]}
    row |= {
        "status": "ok",
        "windowing": image.index["windowing"],
        "side": recipe["side"],
        "fingerprint": print_,
        "code": code,
    }
    source = image.path(importer)
    try:
        source.open("rb").close()
    except OSError as gone:  # the index has seen it: this is the disk, not the image
        raise UserError(
            f"the file of image {image.id} can no longer be opened ({gone.strerror}): private/<data set>/sources.csv "
            "says which it is; see that the archive is there, and run again"
        ) from None
    try:
        if injection["status"] != "ok":
            raise Unusable(injection["status"], injection["explanation"])
        pixels = read_picture(source) if is_picture(source) else render_file(injected or source)
        box = Letterbox(*pixels.shape, recipe["side"], pad_right=chest_wall_on_left(pixels, image.index["laterality"]))
        small = box.image(pixels)
        row |= {"rows": box.rows, "columns": box.columns, "pad_right": int(box.pad_right)}
        row |= {"source_sha256": fingerprint.sha256(source)}
        if injected:
            row["windowing"] = "injected"
        if image.index["n_masses"] != "":
            mask = masses(importer, image, box, recipe["mask_share"])
            row |= {
                "mask_pixels": int(mask.sum()),
                "mask_sha256": _write_png(folder / f"{image.id}_mask.png", mask * np.uint8(255)),
            }
        row |= {"png_sha256": _write_png(folder / f"{image.id}.png", small), "likeness": signature(small)}
    except Unusable as bad:
        row |= {"status": bad.reason, "explanation": bad.explanation}
    return row


def masses(importer: Importer, image: Image, box: Letterbox, share: float) -> np.ndarray:
    """All masses of an image in one (side, side) boolean mask; each one that would vanish keeps its best pixel."""
    mask = np.zeros((box.side, box.side), bool)
    for mass in importer.mass_masks(candidate_of(image.source), box.rows, box.columns):
        mask |= box.mask(mass, share)
    return mask


def _write_png(path: Path, array: np.ndarray) -> str:
    """Write a grey PNG whole; SHA-256 of the file."""
    with whole(path) as part:
        if not cv2.imwrite(str(part), array):
            raise OSError(f"could not write {path.name}")
    return fingerprint.sha256(path)


def _files(row: Mapping) -> list[str]:
    """Names of the PNGs that belong to a row of the manifest."""
    if row["status"] != "ok":
        return []
    return [f"{row['image_id']}.png"] + ([f"{row['image_id']}_mask.png"] if row["n_masses"] != "" else [])
