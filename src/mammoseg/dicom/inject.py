"""Give a DICOM file the windowing it lacks, as an attribute that every viewer understands. The pixels are not touched."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRBigEndian

from mammoseg.dicom.read import read_encoded
from mammoseg.dicom.voi_lut import injection_items, windowing_of
from mammoseg.errors import Unusable
from mammoseg.files import whole


def inject(source: str | os.PathLike, target: str | os.PathLike, recipe: Mapping) -> None:
    """Write a copy of a DICOM file with a VOI LUT or a window.

    Parameters
    ----------
    source : path
        A file without windowing (`windowing_of` its header is ``"none"``).
    target : path
        Written whole or not at all. All other attributes, the transfer syntax and the bytes of PixelData stay as they are;
        a missing preamble and meta group are added.
    recipe : mapping
        Config `image.voi_lut` (`injection_items`).

    Raises
    ------
    Unusable
        As `read_header`; ``unwritable`` where the file's other attributes cannot be written back.
    ValueError
        Where the file has windowing of its own, which must be kept.
    """
    dataset = read_encoded(source)
    if windowing_of(dataset) != "none":
        raise ValueError("the file carries windowing of its own, which is not to be replaced")
    little_endian = dataset.file_meta.TransferSyntaxUID != ExplicitVRBigEndian
    for element in injection_items(recipe, little_endian):
        dataset.add(element)
    dataset.preamble = dataset.preamble or bytes(128)
    with whole(Path(target)) as part:
        try:
            dcmwrite(part, dataset)
        except Exception as error:  # pydicom raises whatever a broken attribute makes it raise, OSError too
            if isinstance(error, OSError) and error.errno is not None:  # the disk, not the data
                raise
            raise Unusable("unwritable", "its header holds attributes that cannot be written back") from None
