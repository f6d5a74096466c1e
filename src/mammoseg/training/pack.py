"""The pack: all training images and masks as two arrays that open by memory map, without decoding a PNG."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mammoseg.images.png import read_image, read_mask
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv, whole, write_csv

COLUMNS = ("image_id", "patient_id", "dataset")


class Entry(NamedTuple):
    """One case of a pack: its names, and where its 16-bit image and its 8-bit mask (0 or 255) lie."""

    image_id: str
    patient_id: str
    dataset: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Pack:
    """An opened pack.

    Attributes
    ----------
    images : numpy.ndarray
        (N, side, side) uint8, memory-mapped, read-only.
    masks : numpy.ndarray
        (N, side, side) uint8, 0 or 1, memory-mapped, read-only.
    cases : tuple of mapping
        One a row: image_id, patient_id, dataset.
    folder : Path or None
        Where the pack lies; None for arrays in memory.
    """

    images: np.ndarray
    masks: np.ndarray
    cases: tuple[Mapping[str, str], ...]
    folder: Path | None = None

    def __reduce__(self):
        """A worker process opens the files itself: a pickled memory map would carry all pixels."""
        if self.folder is not None:
            return open_pack, (self.folder,)
        return Pack, (self.images, self.masks, self.cases)

    @property
    def side(self) -> int:
        """Side of the square images, in pixels."""
        return self.images.shape[1]

    def rows_of(self, patients: Iterable[str]) -> list[int]:
        """Rows of all images of these patients, in the pack's order."""
        wanted = set(patients)
        return [row for row, case in enumerate(self.cases) if case["patient_id"] in wanted]


def write_pack(folder: str | os.PathLike, entries: Iterable[Entry | tuple]) -> dict[str, int]:
    """Write ``images.npy``, ``masks.npy`` and ``cases.csv`` into `folder`, one case in memory at a time.

    Each file is written under a temporary name and renamed; ``cases.csv`` goes first and comes back last, so that
    a pack that has one is of a piece.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    entries : iterable of Entry
        Or of plain tuples in that order. Their order is the order of the pack.

    Returns
    -------
    dict
        ``{"images": number of cases, "side": pixels}``.

    Raises
    ------
    UserError
        Where there is no entry, an id comes twice, or a file is missing or of another size or kind than the first;
        names the image_id.
    """
    folder = Path(folder)
    entries = [Entry(*entry) for entry in entries]
    if not entries:
        raise UserError("There is no image to train on: no case of a data set with the role train has a usable mask.")
    _refuse_duplicates(entries)
    side = read_image(entries[0].image, entries[0].image_id).shape[0]
    shape = (len(entries), side, side)

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.csv").unlink(missing_ok=True)
    with whole(folder / "images.npy") as images_part, whole(folder / "masks.npy") as masks_part:
        images = np.lib.format.open_memmap(images_part, mode="w+", dtype=np.uint8, shape=shape)
        masks = np.lib.format.open_memmap(masks_part, mode="w+", dtype=np.uint8, shape=shape)
        for row, entry in enumerate(entries):
            images[row] = _of_side(read_image(entry.image, entry.image_id), side, "PNG", entry.image_id)
            masks[row] = _of_side(read_mask(entry.mask, entry.image_id), side, "mask", entry.image_id)
        images.flush()
        masks.flush()
    write_csv(folder / "cases.csv", COLUMNS, (entry._asdict() for entry in entries))
    return {"images": len(entries), "side": side}


def open_pack(folder: str | os.PathLike) -> Pack:
    """Open a pack without reading its pixels.

    Raises
    ------
    UserError
        Where a file is missing or the three do not belong together.
    """
    folder = Path(folder)
    try:
        cases = tuple(read_csv(folder / "cases.csv"))
        images = np.load(folder / "images.npy", mmap_mode="r")
        masks = np.load(folder / "masks.npy", mmap_mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"The pack is not whole ({type(error).__name__}): delete its folder and run again.") from error
    if images.dtype != np.uint8 or masks.dtype != np.uint8 or images.shape != masks.shape or len(images) != len(cases):
        raise UserError(
            f"The pack's files do not belong together: {len(cases)} cases, images {images.shape}, masks {masks.shape}; "
            "delete its folder and run again."
        )
    return Pack(images, masks, cases, folder)


def _of_side(image: np.ndarray, side: int, what: str, image_id: str) -> np.ndarray:
    if image.shape[0] != side:
        raise UserError(
            f"The {what} of image {image_id} has side {image.shape[0]}, the pack has {side}: "
            "render all with the same image.side."
        )
    return image


def _refuse_duplicates(entries: list[Entry]) -> None:
    seen = set()
    for entry in entries:
        if entry.image_id in seen:
            raise UserError(f"Image {entry.image_id} stands twice among the training images: take one of them out.")
        seen.add(entry.image_id)
