"""The images of one shard: VOI LUT injected where windowing is missing, rendered, letterboxed, with their masks.

Each image has a fingerprint of all that its PNG depends on; where it agrees with the one kept beside the PNG, the PNG stays.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mammoseg.datasets.importer import Importer
from mammoseg.datasets.pictures import is_picture, read_picture
from mammoseg.dicom.inject import inject
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.dicom.position import chest_wall_side
from mammoseg.dicom.render_file import render_file
from mammoseg.images.breast import chest_wall_on_left
from mammoseg.images.letterbox import Letterbox, diameter
from mammoseg.images.png import write_png
from mammoseg.images.similarity import signature
from mammoseg.plan.shard_images import Image, candidate_of
from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.rebuild.kept_outputs import ImageKeeper
from mammoseg.runtime.errors import Unusable, UserError
from mammoseg.runtime.files import read_csv
from mammoseg.runtime.progress import Progress
from mammoseg.runtime.worker_pool import in_processes

log = logging.getLogger(__name__)

INJECTED = ("image_id", "file", "status", "explanation", "sha256", "fingerprint", "code")
RENDERED = (
    "image_id", "patient_id", "study_id", "laterality", "view", "pixel_spacing_mm", "n_masses", "status", "explanation",
    "rows", "columns", "side", "pad_right", "mirrored", "facing", "windowing", "windowing_item", "white_share", "source_sha256",
    "png_sha256", "mask_sha256", "mask_pixels", "reference_sha256", "largest_mass_mm", "likeness", "fingerprint", "code",
)  # fmt: skip
CARRIED = RENDERED[:7]
"""Columns of the manifest that come from the index as they are."""
MOSTLY_WHITE = 0.5
"""Share of a breast's pixels that are fully white from which on its windowing shows nothing of it."""
NOTHING_INJECTED = ["", "ok"]
"""SHA-256 and status of an injection that an image does not need, as `inject_shard` notes them too."""
CRASHED = {
    "status": "decoder_crashed",
    "explanation": "the decoder ended abnormally: the file is damaged",
    "fingerprint": "",  # not remembered: a process that was killed for its memory looks the same, so it is tried again
}


def inject_shard(
    images: Sequence[Image], importer: Importer, folder: Path, missing: MissingWindowing, code: Code, workers: int
) -> tuple[int, int]:
    """Write a DICOM with a VOI LUT for every image of a shard that has no windowing, and the manifest.

    Parameters
    ----------
    folder : Path
        Where the injected files and manifest.csv go; private, for headers hold what identifies.
    missing : MissingWindowing
        What is injected; kind ``none`` injects nothing.
    code : Code
        The code that injects.
    workers : int
        Processes to use.

    Returns
    -------
    int, int
        Files written, and files kept that were there already; the other images need none.
    """
    keeper, rows, todo = ImageKeeper(folder, INJECTED, code), {}, []
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        row = {"image_id": image.id, "file": "", "status": "ok", "explanation": "", "fingerprint": ""}
        if image.index["windowing"] == "none" and missing:
            print_ = digests.digest([image.index["content"], missing.recipe])
            row |= {"file": f"{image.id}.dcm", "fingerprint": print_, "code": code.name}
            if known := keeper.known(image.id, print_, [row["file"]]):
                row = known
            else:
                todo.append((image.path(importer), row))
        rows[image.id] = row
    keeper.forget(row["image_id"] for _, row in todo)
    work = partial(_inject_one, folder=folder, missing=missing)
    rows |= {r["image_id"]: r for r in _with_progress(work, todo, workers, lost=_injection_crashed)}
    ordered = [rows[image.id] for image in images]
    keeper.finish(ordered, {r["file"] for r in ordered})
    return len(todo), sum(bool(r["file"]) for r in ordered) - len(todo)


def _inject_one(source: Path, row: Mapping, *, folder: Path, missing: MissingWindowing) -> dict:
    """Write one injected file; its row of the manifest."""
    try:
        inject(source, folder / row["file"], missing)
        return {**row, "sha256": digests.sha256(folder / row["file"])}
    except Unusable as bad:
        return {**row, "file": "", "status": bad.reason, "explanation": bad.explanation, "fingerprint": ""}


def _injection_crashed(source: Path, row: Mapping) -> dict:
    return {**row, "file": "", **CRASHED}


def _with_progress(work, todo: Sequence[tuple], workers: int, lost) -> list[dict]:
    progress = Progress("images", len(todo))
    try:
        return in_processes(work, todo, workers, lost, lambda row: progress.step())
    finally:
        progress.close()


def render_shard(
    images: Sequence[Image],
    importer: Importer,
    injected: Path | None,
    folder: Path,
    recipe: Mapping,
    code: Code,
    workers: int,
    in_cohort: bool = False,
    missing: MissingWindowing | None = None,
) -> tuple[int, int]:
    """Render the images of a shard to 16-bit PNGs with their masks, and write the manifest.

    An image with a mass also gets its reference mask in the original's own pixels, for scores in the original geometry. An image
    that cannot be rendered keeps its row, with a reason code as `status`.

    Parameters
    ----------
    injected : Path or None
        Folder of `inject_shard`; None where it had nothing to do, or injected files are not kept.
    folder : Path
        Where PNGs and manifest.csv go.
    recipe : mapping
        ``side``, ``mask_share``, ``orient``, ``windowing``.
    code : Code
        The code that renders.
    workers : int
        Processes to use.
    in_cohort : bool
        Whether the images are trained on or held out: then one that could be rendered before must not drop out.
    missing : MissingWindowing, optional
        What images without windowing are shown with where injected files are not kept.

    Returns
    -------
    int, int
        Images converted, and images set aside.
    """
    keeper = ImageKeeper(folder, RENDERED, code)
    injections = {r["image_id"]: r for r in read_csv(injected / "manifest.csv")} if injected else {}
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict] = {}
    todo = []
    for image in images:
        injection, given = injections[image.id] if injected else None, NOTHING_INJECTED
        if injection:
            given = [injection["sha256"], injection["status"]]
        elif missing and image.index["windowing"] == "none":
            given = missing.recipe
        made_from = [
            image.index["content"],
            image.index["annotations"],
            image.index["n_masses"] != "",
            image.index["laterality"],
            given,
            dict(recipe),
        ]
        print_ = digests.digest(made_from)
        old = keeper.known(image.id, print_)
        if old and keeper.present.issuperset(_files(old)):
            rows[image.id] = {**old, **{c: image.index[c] for c in CARRIED}}
        else:
            todo.append((image, injection, print_))
    keeper.forget(image.id for image, *_ in todo)
    work = partial(
        _render_one,
        importer=importer,
        injected=injected,
        missing=missing,
        folder=folder,
        recipe=recipe,
        code=code.name,
    )
    rows |= {r["image_id"]: r for r in _with_progress(work, todo, workers, lost=_rendering_crashed)}
    ordered = [rows[image.id] for image in images]
    _warn_of_facing(ordered)
    _warn_of_white(ordered)
    if in_cohort:
        _refuse_lost(keeper, ordered)
    keeper.finish(ordered, {f for r in ordered for f in _files(r)})
    return len(todo), sum(r["status"] != "ok" for r in ordered)


def _warn_of_facing(rows: Iterable[Mapping]) -> None:
    doubtful = [r["image_id"] for r in rows if r.get("facing") == "differs"]
    if doubtful:
        log.warning(
            "%d images face the other way than their header or file name says, the first is %s; the pixels are believed: "
            "look at them (column facing of the manifest)",
            len(doubtful),
            doubtful[0],
        )


def _warn_of_white(rows: Iterable[Mapping]) -> None:
    white = [
        r["image_id"]
        for r in rows
        if r.get("windowing") == "injected" and float(r.get("white_share") or 0) > MOSTLY_WHITE
    ]
    if white:
        log.warning(
            "image.voi_lut does not fit the values of %d images, the first is %s: more than half of the breast is fully white; "
            "choose another, such as kind percentiles (column white_share of the manifest)",
            len(white),
            white[0],
        )


def _refuse_lost(keeper: ImageKeeper, rows: Sequence[Mapping]) -> None:
    lost = [r for r in rows if r["status"] != "ok" and keeper.rows.get(r["image_id"], {}).get("status") == "ok"]
    if lost:
        r = lost[0]
        raise UserError(
            f"{len(lost)} images of the cohort could be rendered before and cannot any more; the first is {r['image_id']} of "
            f"patient {r['patient_id']} ({r['status']}: {r['explanation']}): restore the file and run again, or take her out by "
            f"`snakemake withdraw --config patients={r['patient_id']}`"
        )


def _rendering_crashed(image: Image, *_: object) -> dict:
    return {**{c: image.index[c] for c in (*CARRIED, "rows", "columns")}, **CRASHED}


def _render_one(
    image: Image,
    injection: Mapping | None,
    print_: str,
    *,
    importer: Importer,
    injected: Path | None,
    missing: MissingWindowing | None,
    folder: Path,
    recipe: Mapping,
    code: str,
) -> dict:
    """Render one image; its row of the manifest."""
    row = {**{c: image.index[c] for c in CARRIED}, "rows": image.index["rows"], "columns": image.index["columns"]}
    row |= {"status": "ok", "side": recipe["side"], "fingerprint": print_, "code": code}
    source = image.path(importer)
    try:
        source.open("rb").close()
    except OSError as gone:  # the index has seen it: this is the disk, not the image
        raise UserError(
            f"the file of image {image.id} can no longer be opened ({gone.strerror}): private/<data set>/sources.csv "
            "says which it is; see that the archive is there, and run again"
        ) from None
    laterality, wall = image.index["laterality"], ""
    try:
        if injection and injection["status"] != "ok":
            raise Unusable(injection["status"], injection["explanation"])
        if is_picture(source):
            pixels = read_picture(source)
            row["windowing"] = "image"
        else:
            file = injected / injection["file"] if injection and injection["file"] else None
            pixels, dataset, windowing = render_file(file or source, recipe["windowing"], missing)
            row["windowing"] = windowing.kind
            if image.index["windowing"] == "none" != windowing.kind:
                row["windowing"] = "injected"
            elif windowing.of > 1:
                row["windowing_item"] = f"{windowing.number} of {windowing.of}"
            wall = chest_wall_side(dataset)
        on_left = chest_wall_on_left(pixels, laterality)
        mirrored = recipe["orient"] == "right" and not on_left
        box = Letterbox(*pixels.shape, recipe["side"], on_left or mirrored, mirrored)
        small = box.image(pixels)
        row |= {"rows": box.rows, "columns": box.columns, "pad_right": int(box.pad_right), "mirrored": int(mirrored)}
        said = wall or {"L": "left", "R": "right"}.get(laterality, "")  # as hung: L has its chest wall on the left
        row["facing"] = {"": "", "left" if on_left else "right": "agrees"}.get(said, "differs")
        row["source_sha256"] = digests.sha256(source)
        if image.index["n_masses"] != "":
            mask, reference, largest = masses(importer, image, box, recipe["mask_share"])
            row |= {
                "mask_pixels": int(mask.sum()),
                "mask_sha256": write_png(folder / f"{image.id}_mask.png", mask * np.uint8(255)),
            }
            if _has_mass(row):
                row["reference_sha256"] = write_png(folder / f"{image.id}_reference.png", reference)
            if largest and row["pixel_spacing_mm"]:
                row["largest_mass_mm"] = f"{diameter(largest) * float(row['pixel_spacing_mm']):.2f}"
        row["white_share"] = f"{np.count_nonzero(small == 65535) / max(1, np.count_nonzero(small)):.3f}"
        row |= {"png_sha256": write_png(folder / f"{image.id}.png", small), "likeness": signature(small)}
    except Unusable as bad:
        row |= {"status": bad.reason, "explanation": bad.explanation}
        if bad.reason == "unreadable":
            row["fingerprint"] = ""  # not remembered: a disk may be well again tomorrow
    return row


def masses(importer: Importer, image: Image, box: Letterbox, share: float) -> tuple[np.ndarray, np.ndarray, int]:
    """All masses of an image in one mask.

    Returns
    -------
    (side, side) array of bool
        On the network's square; each mass that would vanish keeps its best pixel.
    (rows, columns) array of bool
        In the original's own pixels.
    int
        Original pixels of the largest mass; 0 where there is none.
    """
    mask, reference = np.zeros((box.side, box.side), bool), np.zeros((box.rows, box.columns), bool)
    largest = 0
    for mass in importer.mass_masks(candidate_of(image.source), box.rows, box.columns):
        mask |= box.mask(mass, share)
        reference |= mass
        largest = max(largest, int(np.count_nonzero(mass)))
    return mask, reference, largest


def _files(row: Mapping) -> list[str]:
    """Names of the PNGs that belong to a row of the manifest."""
    if row["status"] != "ok":
        return []
    files = [f"{row['image_id']}.png"] + ([f"{row['image_id']}_mask.png"] if row["n_masses"] != "" else [])
    return files + ([f"{row['image_id']}_reference.png"] if _has_mass(row) else [])


def _has_mass(row: Mapping) -> bool:
    return row["n_masses"] not in ("", "0")
