"""Importers by the name that the config uses. A new data set is one file beside these and one line here."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mammoseg.errors import UserError

if TYPE_CHECKING:
    from mammoseg.datasets.importer import Importer

# The imports stand inside the functions: whoever only needs the names does not wait for pydicom and OpenCV.


def _inbreast(root: Path) -> "Importer":
    from mammoseg.datasets.inbreast import InbreastImporter

    return InbreastImporter(root)


def _oulu(root: Path) -> "Importer":
    from mammoseg.datasets.oulu import OuluImporter

    return OuluImporter(root)


def _manifest(root: Path) -> "Importer":
    from mammoseg.datasets.manifest import ManifestImporter

    return ManifestImporter(root)


def _cbis_ddsm(root: Path) -> "Importer":
    from mammoseg.datasets.cbis_ddsm import CbisDdsmImporter

    return CbisDdsmImporter(root)


def _cdd_cesm(root: Path) -> "Importer":
    from mammoseg.datasets.cdd_cesm import CddCesmImporter

    return CddCesmImporter(root)


IMPORTERS: dict[str, Callable[[Path], "Importer"]] = {
    "inbreast": _inbreast,
    "oulu": _oulu,
    "cbis_ddsm": _cbis_ddsm,
    "cdd_cesm": _cdd_cesm,
    "manifest": _manifest,
}


def importer_for(name: str, root: str | Path) -> "Importer":
    """The importer of the release at `root`.

    Raises
    ------
    UserError
        Where there is no importer of that name.
    """
    if name not in IMPORTERS:
        raise UserError(f"there is no importer {name!r}; known here: {', '.join(IMPORTERS)}")
    return IMPORTERS[name](Path(root))
