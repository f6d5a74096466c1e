"""DICOM objects as bytes: the same dataset always gives the same bytes."""

from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from mammoseg.phantom.seeds import PYDICOM_ROOT, uid

SYNTAXES = {"uncompressed": ExplicitVRLittleEndian, "rle": RLELossless, "jpeg2000": JPEG2000Lossless}
IMPLEMENTATION = uid(PYDICOM_ROOT, "mammoseg phantom")


def mammogram(pixels: np.ndarray, study: str, series: str, instance: str, bits_stored: int) -> Dataset:
    """What every mammogram of ours holds: UIDs and a MONOCHROME2 pixel module.

    pixels : (rows, columns) uint16.
    """
    ds = Dataset()
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID = instance, series, study
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits_stored, bits_stored - 1
    ds.PixelRepresentation = 0
    ds.add_new("PixelData", "OW", pixels.astype("<u2").tobytes())
    return ds


def encoded(ds: Dataset, syntax: str) -> bytes:
    """The dataset as a DICOM file in a transfer syntax of `SYNTAXES`; compresses it in place."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION
    ds.file_meta.ImplementationVersionName = "MAMMOSEG_PHANTOM"
    if syntax != "uncompressed":
        ds.compress(SYNTAXES[syntax], encoding_plugin="pylibjpeg", generate_instance_uid=False)
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()
