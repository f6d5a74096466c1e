"""Importers by the name that the config uses. A new data set is one file beside these and one line here."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mammoseg.runtime.errors import UserError

if TYPE_CHECKING:
    from mammoseg.datasets.importer import Importer

IMPORTERS = {
    "inbreast": "InbreastImporter",
    "oulu": "OuluImporter",
    "cbis_ddsm": "CbisDdsmImporter",
    "cdd_cesm": "CddCesmImporter",
    "manifest": "ManifestImporter",
}
"""Name, which is that of the module too, and class. Imported when asked for, so that a stage's code holds only what it uses."""


def importer_for(name: str, root: str | Path) -> "Importer":
    """Return the importer of the release at `root`.

    Raises
    ------
    UserError
        Where there is no importer of that name.
    """
    if name not in IMPORTERS:
        raise UserError(f"there is no importer {name!r}; known here: {', '.join(IMPORTERS)}")
    return importer_class(name)(Path(root))


def importer_class(name: str) -> "type[Importer]":
    """Return the class of an importer."""
    return getattr(import_module(f"mammoseg.datasets.{name}"), IMPORTERS[name])


def importer_file(name: str) -> Path:
    """Return the source file of an importer."""
    return Path(find_spec(f"mammoseg.datasets.{name}").origin)
