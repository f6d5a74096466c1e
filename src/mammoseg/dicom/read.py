"""Opening DICOM files: headers, encoded pixels, and the reasons why a file is not a mammogram that can be shown.

Explanations hold nothing of the file but its transfer syntax; pydicom's own messages, which quote values, are silenced.
"""

import logging
import os
import warnings
from pathlib import Path

import pydicom
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.filereader import read_partial

from mammoseg.dicom.position import is_specimen
from mammoseg.dicom.values import integer, text, value
from mammoseg.runtime.errors import Unusable

# pydicom warns about odd values by quoting them, when it reads and again when a value is first asked for. A quoted value
# may be a name, and what is logged ends in results/logs: so these warnings are off for good, not only while reading.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\.")

MAX_PIXELS = 100_000_000  # the largest mammograms, scanned films, have about 30 million
PIXEL_DATA = 0x7FE00010
UNDEFINED_LENGTH = 0xFFFFFFFF
ENCODINGS = {
    (True, True): uid.ImplicitVRLittleEndian,
    (False, True): uid.ExplicitVRLittleEndian,
    (False, False): uid.ExplicitVRBigEndian,
}
TOMOSYNTHESIS = (
    uid.BreastTomosynthesisImageStorage,
    uid.BreastProjectionXRayImageStorageForPresentation,
    uid.BreastProjectionXRayImageStorageForProcessing,
)
FOR_PROCESSING = (
    uid.DigitalMammographyXRayImageStorageForProcessing,
    uid.DigitalXRayImageStorageForProcessing,
)
MODALITIES = ("MG", "CR", "DX", "")  # of mammograms; films and re-exports are secondary captures
SYNTHETIC = {"TOMO_2D", "GENERATED_2D"}  # ImageType of 2-D images computed from a tomosynthesis


def read_header(path: str | os.PathLike) -> FileDataset:
    """Read everything before the pixels, and refuse what no data set can use.

    Parameters
    ----------
    path : path
        A DICOM file; preamble and meta group may be missing.

    Returns
    -------
    FileDataset
        Without PixelData; its ``file_meta`` has a TransferSyntaxUID.

    Raises
    ------
    Unusable
        ``unreadable``, ``not_dicom``, ``no_pixels``, ``bad_header``, ``too_large``, ``truncated``, ``pixel_length``,
        ``multi_frame``, ``for_processing``, ``colour``.
    """
    return _parse(Path(path), whole=False)


def read_encoded(path: str | os.PathLike) -> FileDataset:
    """Read a whole file and leave its pixels encoded as they are.

    Raises
    ------
    Unusable
        As `read_header`.
    """
    return _parse(Path(path), whole=True)


def check_usable(header: FileDataset, secondary_capture: bool = False) -> None:
    """Refuse images that are no mammograms of a breast. Whatever the header does not say is given the benefit of the doubt.

    Parameters
    ----------
    header : Dataset
        Of `read_header`.
    secondary_capture : bool
        Accept secondary captures and modality OT, which INbreast and digitised films are.

    Raises
    ------
    Unusable
        ``secondary_capture``, ``not_mammography``, ``synthetic_2d``, ``specimen``.
    """
    sop_class, modality = text(header, "SOPClassUID"), text(header, "Modality").upper()
    captured = sop_class.startswith(uid.SecondaryCaptureImageStorage) or modality == "OT"
    if captured and not secondary_capture:
        raise Unusable("secondary_capture", "it is a secondary capture, not an image from a mammography system")
    if modality not in MODALITIES and not captured:
        raise Unusable("not_mammography", "its modality is not one of mammography")
    if SYNTHETIC & set(text(header, "ImageType").upper().split("\\")):
        raise Unusable("synthetic_2d", "it was computed from a tomosynthesis")
    if is_specimen(header):
        raise Unusable("specimen", "it shows a specimen, not a breast")


def _parse(path: Path, whole: bool) -> FileDataset:
    """Read a file, up to the pixels or with them, and check its structure."""
    pixel_lengths: list[int] = []
    before = -1

    def at_pixels(tag, vr, length) -> bool:
        # DICOM wants tags to ascend. Where a length is wrong, or a stretch of the file is lost, what is read next is no
        # attribute, and a picture that is then shown without its window or with half its header must not pass.
        nonlocal before
        if tag <= before:
            if pixel_lengths:
                return True  # what stands behind the pixels is no attribute: padding to a whole block, for example
            raise ValueError("tags do not ascend")
        before = tag
        if tag == PIXEL_DATA:
            pixel_lengths.append(length)
        return tag >= PIXEL_DATA and not whole

    try:
        with path.open("rb") as f:
            dataset = read_partial(f, stop_when=at_pixels, force=True)  # force: no preamble; what it is shows below
            left = os.fstat(f.fileno()).st_size - f.tell()
    except (
        Exception
    ) as error:  # pydicom raises almost anything on bytes that are no DICOM, OSError without a number too
        if isinstance(error, OSError) and error.errno is not None:
            raise Unusable("unreadable", "the file cannot be opened or read") from None
        raise Unusable("not_dicom", "it is not a DICOM file, or damaged beyond reading") from None
    if not pixel_lengths:
        if integer(dataset, "Rows") is None and "SOPClassUID" not in dataset:
            raise Unusable("not_dicom", "it is not a DICOM file, or damaged beyond reading")
        raise Unusable("no_pixels", "it holds no pixel data")
    if whole and "PixelData" not in dataset:  # begun, but cut off: pydicom then gives up the whole dataset
        raise Unusable("truncated", "the file ends before its pixels do")
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ENCODINGS[dataset.original_encoding]
    if not isinstance(value(dataset.file_meta, "TransferSyntaxUID"), uid.UID):
        raise Unusable("bad_header", "its transfer syntax is empty, or several")
    if (
        text(dataset, "SOPClassUID") in FOR_PROCESSING
        or text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING"
    ):
        raise Unusable("for_processing", "it is raw detector data (FOR PROCESSING), not meant to be shown")
    check_image(dataset)
    if whole:
        pixels = value(dataset, "PixelData")
        if not isinstance(pixels, bytes):
            raise Unusable("bad_header", "its pixel data is empty or of an unknown type")
        present = len(pixels)
    elif dataset.file_meta.TransferSyntaxUID == uid.DeflatedExplicitVRLittleEndian:
        present = pixel_lengths[0]  # a cut-off deflated stream cannot be read at all
    else:
        present = left - (8 if dataset.original_encoding[0] else 12)  # tag, (type,) length of the pixel element
    _check_length(dataset, pixel_lengths[0], present)
    return dataset


def check_image(header: FileDataset) -> None:
    """Refuse headers that do not describe one grey image of a sensible size.

    Raises
    ------
    Unusable
        ``multi_frame``, ``colour``, ``bad_header``, ``too_large``.
    """
    if text(header, "SOPClassUID") in TOMOSYNTHESIS or (integer(header, "NumberOfFrames") or 1) > 1:
        raise Unusable("multi_frame", "it is a tomosynthesis or holds several frames")
    samples, photometric = integer(header, "SamplesPerPixel"), text(header, "PhotometricInterpretation")
    if samples is None or not photometric:
        raise Unusable("bad_header", "SamplesPerPixel or PhotometricInterpretation is missing")
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise Unusable("colour", "it is not a grey image (MONOCHROME1 or MONOCHROME2 with one sample per pixel)")
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if not rows or not columns or rows < 0 or columns < 0:
        raise Unusable("bad_header", "Rows or Columns is missing or zero")
    if rows * columns > MAX_PIXELS:
        raise Unusable("too_large", f"it claims more than {MAX_PIXELS // 1_000_000} million pixels")
    allocated, stored = integer(header, "BitsAllocated"), integer(header, "BitsStored")
    if allocated not in (8, 16) or stored is None or not 1 <= stored <= allocated:
        raise Unusable("bad_header", "BitsAllocated is not 8 or 16, or BitsStored does not fit it")
    if integer(header, "HighBit") not in (None, stored - 1):
        # Values in the upper bits, or merely a sloppy header? Guessing would make a picture that is 16 times too bright.
        raise Unusable("bad_header", "HighBit is not BitsStored - 1")
    if integer(header, "PixelRepresentation") not in (0, 1):
        raise Unusable("bad_header", "PixelRepresentation is missing or neither 0 nor 1")


def _check_length(header: FileDataset, length: int, present: int) -> None:
    """Refuse uncompressed pixels that are not as long as the header says, or of which less is `present` than announced."""
    syntax = header.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated if syntax in uid.AllTransferSyntaxes else length == UNDEFINED_LENGTH:
        return
    row = header.Columns * header.BitsAllocated // 8
    expected = header.Rows * row
    if not expected <= length < expected + max(row, 2):  # some pad to a whole block; a row more is another picture
        raise Unusable("pixel_length", f"its pixel data has {length} bytes, its header asks for {expected}")
    if present < length:
        raise Unusable("truncated", "the file ends before its pixels do")
