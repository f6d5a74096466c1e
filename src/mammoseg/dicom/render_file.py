"""From a DICOM file to what a viewer shows."""

import os
from collections.abc import Mapping

import cv2
import numpy as np
from pydicom.dataset import FileDataset

from mammoseg.dicom.decode import decode, is_constant, refuse_constant
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.dicom.read import read_encoded
from mammoseg.dicom.render import lookup_table
from mammoseg.dicom.voi_lut import Windowing, find_windowing
from mammoseg.runtime.errors import Unusable


def render_file(
    path: str | os.PathLike, choice: Mapping | None = None, missing: MissingWindowing | None = None
) -> tuple[np.ndarray, FileDataset, Windowing]:
    """Render the mammogram of a DICOM file.

    Parameters
    ----------
    choice : mapping, optional
        Which of several windowings counts: `prefer` and `item` of `find_windowing`.
    missing : MissingWindowing, optional
        What a file without windowing is shown with: the picture is the one of the file that `inject` would write.

    Returns
    -------
    pixels : (rows, columns) uint16 array
        As `render` gives.
    dataset : FileDataset
        The file.
    windowing : Windowing
        What was applied.

    Raises
    ------
    Unusable
        As `read_header`, `render` and `MissingWindowing.elements`; ``constant_image`` where all pixels are equal,
        ``constant_rendering`` where all are shown black, or white.
    """
    dataset = read_encoded(path)
    words = decode(dataset)
    refuse_constant(words, dataset.BitsStored)
    windowing = find_windowing(dataset, **(choice or {}))
    if windowing.kind == "none" and missing:
        for element in missing.elements(dataset, words):
            dataset.add(element)
        windowing = find_windowing(dataset)
    shown = cv2.LUT(words, lookup_table(dataset, windowing))
    if is_constant(shown):
        raise Unusable("constant_rendering", "its windowing shows all its pixels alike")
    return shown, dataset, windowing
