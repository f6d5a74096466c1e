"""The one interface of all releases: what a data set is to the rest of the program."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from pydicom.dataset import Dataset

from mammoseg.runtime.errors import Unusable


@dataclass(frozen=True)
class Candidate:
    """One image file of a release, before it has been opened: what path and tables say of it.

    Attributes
    ----------
    image : str
        Path of the image below the root, with forward slashes.
    annotations : tuple of str
        Paths below the root of all files that the image's masses come from; their bytes decide whether masks are redone.
    facts : mapping of str to str
        What the importer learnt from names and tables and needs later; values are text. `outlines` is what the masses are
        drawn from where a table of the release holds it: its text too decides whether masks are redone.
    """

    image: str
    annotations: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One usable image: who, which breast, which view.

    Attributes
    ----------
    key : str
        Identifies the image inside its site for ever (SOP instance UID or the release's own key), wherever the file lies.
    patient, study : str
        As in the release; pseudonyms are made of them later.
    laterality : str
        ``"L"``, ``"R"`` or ``""`` where unknown.
    view : str
        ``"CC"``, ``"MLO"``, … or ``""``.
    pixel_spacing_mm : float or None
        Of the stored pixels, in millimetres; None where neither header nor release say.
    n_masses : int or None
        Annotated masses; None where the release says nothing of this image (then it has no reference).
    extra : mapping of str to str
        Further columns to carry along (birads, density, …), in snake_case; only those among `CARRIED`, or named by the
        config, leave results/private.
    """

    key: str
    patient: str
    study: str
    laterality: str
    view: str
    pixel_spacing_mm: float | None
    n_masses: int | None
    extra: Mapping[str, str] = field(default_factory=dict)


CARRIED = frozenset(
    {
        "birads", "bi_rads", "density", "breast_density", "pathology", "finding", "lesion_type", "subtlety",
        "mass_shape", "mass_margins", "calc_type", "calc_distribution", "n_calcifications", "n_masks_resized",
        "official_split", "in_both_splits", "annotation_status",
    }
)  # fmt: skip
"""Further columns that identify no one and go into index.csv; the config's `carry` names more. In a table of the user's own
they do so only where they hold words and numbers of the field, not free text (`Importer.free_text`)."""


@dataclass(frozen=True)
class SetAside:
    """A file of the release that is not used: its path below the root, a reason code and a sentence without identifiers."""

    path: str
    reason: str
    explanation: str


class Importer(ABC):
    """A release on disk. Importers read and never write; the order of directories does not matter to them.

    Parameters
    ----------
    root : Path
        The data set's root as the config names it.

    Attributes
    ----------
    source : str
        What the Methods text says of the release: it ends the sentence “The data set X …”, with its citation.
    reference : str
        Where the reference masks come from: it ends the sentence “The reference was …”.
    layout : str
        What the Methods text calls a release of this format.
    by_design : frozenset of str
        Reasons of files that every copy of the release holds and that are never used: they tell nothing of this copy.
    free_text : bool
        Whether `Case.extra` comes from a table of the user's own, whose cells may hold anything under any header.
    expected : mapping of str to int
        What is known of the whole release: files (the ones set aside included), patients, images with a mass, masses. Empty
        where nothing is. A copy that differs is used, with a warning.
    """

    source: str
    reference: str
    layout: str
    by_design: frozenset[str] = frozenset()
    free_text: bool = False
    expected: Mapping[str, int] = MappingProxyType({})

    def __init__(self, root: Path):
        self.root = Path(root)

    @abstractmethod
    def candidates(self) -> tuple[list[Candidate], list[SetAside]]:
        """Find the images by names and tables alone, without opening one.

        Raises
        ------
        UserError
            Where the folder is not such a release; says what was expected.
        """

    @abstractmethod
    def describe(self, candidate: Candidate, header: Dataset | None) -> Case:
        """Describe one image. `header` is the DICOM header without pixels, None for PNG, JPEG and TIFF.

        Raises
        ------
        Unusable
            Where this image cannot be used.
        """

    @abstractmethod
    def mass_masks(self, candidate: Candidate, rows: int, columns: int) -> Iterable[np.ndarray]:
        """Masks of the masses, one boolean (rows, columns) array per mass in image pixels; empty where there is none.

        They are asked for once and one after the other: a generator holds no more than one of them in memory.

        Raises
        ------
        Unusable
            Where an annotation cannot be read or does not fit the image.
        """


__all__ = ["Candidate", "Case", "Importer", "SetAside", "Unusable"]
