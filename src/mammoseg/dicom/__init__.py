"""DICOM mammograms: reading, windowing, injection of a VOI LUT, rendering."""

from mammoseg.dicom.render import render

__all__ = ["render"]
