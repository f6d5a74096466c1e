"""Draw docs/voi-lut.png: what each kind of image.voi_lut makes of a phantom.

python docs/draw_voi_lut.py
"""

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.dicom.render import lookup_table, render
from mammoseg.dicom.voi_lut import find_windowing
from mammoseg.figures.style import CYCLE, GREY, house_style, new_figure, save
from mammoseg.phantom import Site

KINDS = {
    "none": {"kind": "none"},
    "sigmoid": {"kind": "sigmoid", "center": 1450, "width": 1600, "entries": 4096},
    "window": {"kind": "window", "center": 1450, "width": 1600},
    "mode": {"kind": "mode", "mode": {"below": 500, "above": 800}},
    "percentiles": {"kind": "percentiles", "percentiles": [1, 99]},
}


def phantom() -> FileDataset:
    """A phantom without windowing, as INbreast stores its images: 16 bits of which some 12 are used."""
    site = Site("inbreast", 11, 832, 640)
    image = next(m for number in range(1, 9) for m in site.images(site.patient(number)) if m.mass_mask.any())
    ds = FileDataset(None, {}, file_meta=FileMetaDataset())
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.Rows, ds.Columns = 832, 640
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelData = image.stored(3500).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def main() -> None:
    with house_style():
        figure = new_figure(11, 5.6)
        grid = figure.add_gridspec(2, len(KINDS), height_ratios=(1, 1.25))
        curves = figure.add_subplot(grid[0, 1:])
        histogram = figure.add_subplot(grid[0, 0])
        stored = np.frombuffer(phantom().PixelData, np.uint16)
        histogram.hist(stored[stored > 20], bins=80, color=GREY)
        histogram.set(title="stored values", xlabel="stored value", yticks=[], xlim=(0, 4095))
        for k, (kind, recipe) in enumerate(KINDS.items()):
            ds = phantom()
            for element in MissingWindowing({"explanation": None, **recipe}).elements(ds):
                ds.add(element)
            table = lookup_table(ds, find_windowing(ds))
            curves.plot(table[:4096] / 65535, label=kind, color=GREY if kind == "none" else CYCLE[k - 1])
            shown = figure.add_subplot(grid[1, k])
            shown.imshow(render(ds), cmap="gray", vmin=0, vmax=65535)
            shown.set(title=kind, xticks=[], yticks=[])
            shown.grid(False)
        curves.set(title="what is shown of them", xlabel="stored value", ylabel="grey, black to white", xlim=(0, 4095))
        curves.legend(ncols=len(KINDS), loc="lower right")
    save(figure, Path(__file__).with_name("voi-lut.png"))


if __name__ == "__main__":
    main()
