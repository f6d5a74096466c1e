"""Give a DICOM file the windowing it lacks, as an attribute that every viewer understands. The pixels are not touched."""

import os
from pathlib import Path

from pydicom.filewriter import dcmwrite

from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.dicom.read import read_encoded
from mammoseg.dicom.values import text
from mammoseg.dicom.voi_lut import windowing_of
from mammoseg.runtime.errors import Unusable
from mammoseg.runtime.files import whole


def inject(source: str | os.PathLike, target: str | os.PathLike, missing: MissingWindowing) -> None:
    """Write a copy of a DICOM file with a VOI LUT or a window.

    Parameters
    ----------
    source : path
        A file without windowing (`windowing_of` its header is ``"none"``).
    target : path
        Written whole or not at all. All other attributes, the transfer syntax and the bytes of PixelData stay as they are;
        a missing preamble and meta group are added.
    missing : MissingWindowing
        What is injected.

    Raises
    ------
    Unusable
        As `read_header` and `MissingWindowing.elements`; ``unwritable`` where the file's other attributes cannot be written back.
    ValueError
        Where the file has windowing of its own, which must be kept.
    """
    dataset = read_encoded(source)
    if windowing_of(dataset) != "none":
        raise ValueError("the file carries windowing of its own, which is not to be replaced")
    for element in missing.elements(dataset):
        dataset.add(element)
    dataset.preamble = dataset.preamble or bytes(128)
    meta, named = dataset.file_meta, [text(dataset, k) for k in ("SOPClassUID", "SOPInstanceUID")]
    bare = len(meta) == 1 and all(named)  # it had none: the transfer syntax is what reading found out
    if bare:
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = named
    with whole(Path(target)) as part:
        try:
            dcmwrite(part, dataset, enforce_file_format=bare)  # a meta group that is there stays as it is
        except Exception as error:  # pydicom raises whatever a broken attribute makes it raise, OSError too
            if isinstance(error, OSError) and error.errno is not None:  # the disk, not the data
                raise
            raise Unusable("unwritable", "its header holds attributes that cannot be written back") from None
