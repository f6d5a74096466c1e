"""mammoseg: from a DICOM mammography archive to defensible mass-segmentation numbers."""

__version__ = "0.1.0"
