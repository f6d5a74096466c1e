"""Synthetic mammography sites: seeded, with known truth, written as real releases are (issue 10).

`make_release` writes a release, `add_patient` extends one; `Site` yields the images and their masks as arrays.
They stand in for archives that cannot be shipped. Figures reached on them say nothing about patients.
"""

from mammoseg.phantom.release import add_patient, make_release
from mammoseg.phantom.site import Site

__all__ = ["Site", "add_patient", "make_release"]
