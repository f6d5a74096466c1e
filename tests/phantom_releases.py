"""The two synthetic releases that tests read, and the truth of what is in them."""

import hashlib

import SimpleITK

from mammoseg.phantom import Site

OULU = {"layout": "oulu", "seed": 5, "rows": 208, "columns": 160}
INBREAST = {"layout": "inbreast", "seed": 6, "rows": 204, "columns": 166}


def tree(root):
    """Digest of every file below `root`."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }


def times(root):
    return {p.relative_to(root).as_posix(): p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def read_by_itk(path):
    """Pixels as ITK gives them: MONOCHROME1 is inverted already."""
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]


def truth(options, number):
    """The patient's images as arrays, in the order in which they are written."""
    site = Site(options["layout"], options["seed"], options["rows"], options["columns"])
    return list(site.images(site.patient(number)))
