"""Whole synthetic releases on disk, and how they grow."""

from collections import Counter
from pathlib import Path

from mammoseg.phantom import inbreast_release, oulu_release
from mammoseg.phantom.site import Site
from mammoseg.runtime.errors import UserError

LAYOUTS = {"oulu": oulu_release, "inbreast": inbreast_release}
SMALLEST = 64  # pixels; with fewer a mass of common size vanishes
COUNTED = ("windowing", "transfer_syntax", "photometric", "size")


def make_release(folder: Path, layout: str, patients: int, seed: int, rows: int, columns: int) -> dict:
    """Write a synthetic release, or extend one: what the folder holds already stays as it is.

    Parameters
    ----------
    folder : Path
        The release's root; made where it is missing.
    layout : str
        ``"oulu"`` (site A) or ``"inbreast"`` (site B).
    patients : int
        Patients 1 to `patients` are written. Every eighth has two exams, so there are a few more images than four each.
    seed : int
        Not negative. The same seed gives the same bytes, whatever else the release holds.
    rows, columns : int
        Of the images, 64 or more; of the larger of the two formats for ``"inbreast"``.

    Returns
    -------
    dict
        patients, studies, images, images_with_mass, masses (int), and by name the number of images of each windowing,
        transfer_syntax, photometric (interpretation) and size (text, rows × columns).

    Raises
    ------
    UserError
        Where an argument is out of range.
    """
    if patients < 1:
        raise UserError(f"a phantom release needs at least one patient, not {patients}")
    return _write(folder, layout, range(1, patients + 1), seed, rows, columns)


def add_patient(folder: Path, layout: str, number: int, seed: int, rows: int, columns: int) -> dict:
    """Write one patient more (number: 1 or more) and extend the release's tables; otherwise as `make_release`.

    Returns the same summary, of this patient alone.
    """
    if number < 1:
        raise UserError(f"phantom patients are numbered from 1, so there is no number {number}")
    return _write(folder, layout, [number], seed, rows, columns)


def _write(folder: Path, layout: str, numbers: range | list[int], seed: int, rows: int, columns: int) -> dict:
    if layout not in LAYOUTS:
        raise UserError(f"unknown phantom layout {layout!r}; choose one of: {', '.join(LAYOUTS)}")
    if seed < 0:
        raise UserError(f"the seed of a phantom release must not be negative, but is {seed}")
    if min(rows, columns) < SMALLEST:
        raise UserError(f"phantoms need {SMALLEST} x {SMALLEST} pixels or more, not {rows} x {columns}")
    site = Site(layout, seed, rows, columns)
    people = [site.patient(number) for number in numbers]
    facts = [fact for patient in people for fact in LAYOUTS[layout].write_patient(Path(folder), site, patient)]
    LAYOUTS[layout].write_tables(Path(folder), site, people)
    return {
        "layout": layout,
        "patients": len(people),
        "studies": len({fact["study"] for fact in facts}),
        "images": len(facts),
        "images_with_mass": sum(fact["masses"] > 0 for fact in facts),
        "masses": sum(fact["masses"] for fact in facts),
        **{key: dict(sorted(Counter(fact[key] for fact in facts).items())) for key in COUNTED},
    }
