"""Small DICOM files for the tests, written by pydicom alone."""

from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

SIGMOID_RECIPE = {
    "kind": "sigmoid",
    "center": 1450,
    "width": 1600,
    "entries": 4096,
    "explanation": None,
}
"""The default of the config's section image.voi_lut, as the study gives it on."""


LOSSLESS = {
    uid.JPEGLossless: lambda a, bits: imagecodecs.jpeg8_encode(a, lossless=True, predictor=6, bitspersample=bits),
    uid.JPEGLosslessSV1: lambda a, bits: imagecodecs.jpeg8_encode(a, lossless=True, predictor=1, bitspersample=bits),
    uid.JPEGLSLossless: lambda a, bits: imagecodecs.jpegls_encode(a),
    uid.JPEG2000Lossless: lambda a, bits: imagecodecs.jpeg2k_encode(
        a, codecformat="j2k", reversible=True, bitspersample=bits
    ),
    uid.HTJ2KLossless: lambda a, bits: imagecodecs.htj2k_encode(a),
}
LOSSY = {
    uid.JPEGBaseline8Bit: lambda a: imagecodecs.jpeg8_encode(a, level=95),
    uid.JPEGExtended12Bit: lambda a: imagecodecs.jpeg8_encode(a, level=95, bitspersample=12),
    uid.JPEGLSNearLossless: lambda a: imagecodecs.jpegls_encode(a, level=2),
    uid.JPEG2000: lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=False, level=90),
}


def ramp(rows: int = 64, columns: int = 64, highest: int = 4095) -> np.ndarray:
    """Values from 0 to `highest`, all of them where there are enough pixels; (rows, columns) uint16."""
    return np.linspace(0, highest, rows * columns).round().astype(np.uint16).reshape(rows, columns)


def make_dicom(pixels: np.ndarray, bits: int = 12, syntax=ExplicitVRLittleEndian, **attributes) -> Dataset:
    """A For Presentation mammogram with these stored pixels; `attributes` are set last, None deletes one."""
    ds = Dataset()
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = generate_uid()
    ds.Modality = "MG"
    ds.PatientID = "patient-1"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * pixels.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = ">" if not syntax.is_little_endian else "<"
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    ds.PixelData = data + bytes(len(data) % 2)
    ds["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", "")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "")
    return ds


def write_dicom(path: Path, pixels: np.ndarray | None = None, **kwargs) -> Dataset:
    """Write `make_dicom` to a file and return it."""
    ds = make_dicom(ramp() if pixels is None else pixels, **kwargs)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return ds


def lut_item(entries, first: int = 0, bits: int = 16, descriptor_vr: str = "US", data_vr: str = "US") -> Dataset:
    """An item of a VOI or Modality LUT Sequence; data as 16-bit words."""
    item = Dataset()
    entries = np.asarray(entries)
    item.add_new("LUTDescriptor", descriptor_vr, [len(entries) % 65536, first, bits])
    item.add_new("LUTData", data_vr, entries.tolist() if data_vr == "US" else entries.astype("<u2").tobytes())
    return item


def encapsulated_dicom(path: Path, pixels: np.ndarray, frame: bytes, syntax, bits: int, **attributes) -> Dataset:
    """Write a file that holds `frame`, which some encoder made of `pixels`, as its one frame."""
    ds = make_dicom(pixels, bits=bits, **attributes)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return ds
