"""DCMTK as an outside judge of what we write and how we render. Needs the Debian package dcmtk (`make system-deps`)."""

import shutil
import subprocess

import cv2
import numpy as np
import pytest
from dicom_files import SIGMOID_RECIPE, lut_item, ramp, write_dicom

from mammoseg.dicom.inject import inject
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.dicom.render_file import render_file

needs_dcmtk = pytest.mark.skipif(not shutil.which("dcm2pnm"), reason="dcmtk is not installed (make system-deps)")


def rendered_by_dcmtk(path, folder, *options) -> np.ndarray:
    """The file as DCMTK shows it, 16 bits."""
    target = folder / "dcmtk.png"
    subprocess.run(["dcm2pnm", "--write-16-bit-png", *options, path, target], check=True, capture_output=True)
    return cv2.imread(str(target), cv2.IMREAD_UNCHANGED).astype(int)


SOFT = np.rint(np.linspace(0, 1, 4096) ** 2 * 4095).astype(int)  # a 12-bit table
SIGNED = np.linspace(-2048, 2047, 4096).round().astype(np.int16).reshape(64, 64)
ABOVE_BITS_STORED = ramp(64, 64) | ((np.arange(4096).reshape(64, 64) % 7 == 0) << 14).astype(np.uint16)
WINDOW = {"WindowCenter": 2000, "WindowWidth": 3000}
WINDOWS = {"WindowCenter": [1000, 2500], "WindowWidth": [500, 1500]}


@needs_dcmtk
@pytest.mark.parametrize(
    ("pixels", "attributes", "choice"),
    [
        (ramp(64, 64), WINDOW, {}),
        (ramp(64, 64), {**WINDOW, "VOILUTFunction": "SIGMOID"}, {}),
        (ramp(64, 64), {**WINDOW, "PhotometricInterpretation": "MONOCHROME1"}, {}),
        (ramp(64, 64), {**WINDOW, "PresentationLUTShape": "INVERSE"}, {}),
        (ramp(64, 64), {**WINDOW, "PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"}, {}),
        (ramp(64, 64), {"WindowCenter": 2000, "WindowWidth": 1}, {}),
        (ramp(64, 64), WINDOWS, {"item": 2}),
        (ramp(64, 64), {**WINDOWS, "VOILUTSequence": [lut_item(SOFT, 0, 12)]}, {"prefer": "window"}),
        (ramp(64, 64), {**WINDOW, "ModalityLUTSequence": [lut_item(SOFT, 0, 12)]}, {}),
        (SIGNED, {"WindowCenter": 100, "WindowWidth": 1500}, {}),
        (ABOVE_BITS_STORED, WINDOW, {}),
    ],
    ids=["linear", "sigmoid", "monochrome1", "inverse", "inverse once", "width 1", "second window", "window before lut",
         "modality lut", "signed", "bits above BitsStored"],
)  # fmt: skip
def test_dcmtk_shows_a_window_as_we_render_it(tmp_path, pixels, attributes, choice):
    write_dicom(tmp_path / "a.dcm", pixels, **attributes)
    ours = render_file(tmp_path / "a.dcm", choice)[0].astype(int)
    theirs = rendered_by_dcmtk(tmp_path / "a.dcm", tmp_path, "--use-window", str(choice.get("item", 1)))
    assert np.abs(ours - theirs).max() <= 1, "one grey level of 65536"


@needs_dcmtk
def test_monochrome1_with_identity_is_inverted_by_us_alone(tmp_path):
    # A contradiction: C.8.11.3 asks MONOCHROME1 for INVERSE. DCMTK believes the shape; we believe that the lowest value is to
    # be white, as MONOCHROME1 says and as detectors' raw values are: a shape that was left at its default must not turn air white.
    write_dicom(tmp_path / "a.dcm", **WINDOW, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY")
    ours = render_file(tmp_path / "a.dcm")[0].astype(int)
    theirs = rendered_by_dcmtk(tmp_path / "a.dcm", tmp_path, "--use-window", "1")
    assert np.abs((65535 - ours) - theirs).max() <= 1


@needs_dcmtk
def test_dcmtk_shows_a_rescaled_window_as_we_render_it_but_for_half_values(tmp_path):
    # It rounds what a slope of 0.5 makes of the stored values to whole numbers before the window; we do not.
    write_dicom(tmp_path / "a.dcm", WindowCenter=100, WindowWidth=1500, RescaleSlope=0.5, RescaleIntercept=-200)
    ours = render_file(tmp_path / "a.dcm")[0].astype(int)
    theirs = rendered_by_dcmtk(tmp_path / "a.dcm", tmp_path, "--use-window", "1")
    assert np.abs(ours - theirs).max() <= 0.5 * 65535 / 1499 + 2


@needs_dcmtk
@pytest.mark.parametrize(
    ("pixels", "items", "number"),
    [
        (ramp(64, 64), [lut_item(np.arange(4096) // 16, 0, 8)], 1),
        (ramp(64, 64), [lut_item(np.arange(2065) * 31, 736, 16, "SS", "OW")], 1),
        (ramp(64, 64), [lut_item(np.arange(65536), 0, 16, "US", "OW")], 1),
        (ramp(64, 64), [lut_item(SOFT, 0, 12), lut_item(SOFT[::-1].copy(), 0, 12)], 2),
        (SIGNED, [lut_item(SOFT, -2048, 12, "SS")], 1),
    ],
    ids=["8 bit of 4096 entries", "signed descriptor", "0 entries are 65536", "second", "signed pixels"],
)
def test_dcmtk_shows_a_voi_lut_as_we_render_it(tmp_path, pixels, items, number):
    write_dicom(tmp_path / "a.dcm", pixels, VOILUTSequence=items)
    ours = render_file(tmp_path / "a.dcm", {"item": number})[0].astype(int)
    theirs = rendered_by_dcmtk(tmp_path / "a.dcm", tmp_path, "--use-voi-lut", str(number))
    # It makes 16 bits of fewer by a shift, so that white stays a little grey; we stretch. The table's own entries agree.
    bits = items[0].LUTDescriptor[2]
    assert np.array_equal(np.rint(ours / 65535 * (2**bits - 1)), theirs >> (16 - bits))


@needs_dcmtk
def test_dcmtk_shows_an_injected_voi_lut_as_we_render_it(tmp_path):
    write_dicom(tmp_path / "plain.dcm", ramp(64, 64))
    inject(tmp_path / "plain.dcm", tmp_path / "injected.dcm", MissingWindowing(SIGMOID_RECIPE))
    ours = render_file(tmp_path / "injected.dcm")[0].astype(int)
    theirs = rendered_by_dcmtk(tmp_path / "injected.dcm", tmp_path, "--use-voi-lut", "1")
    assert np.abs(ours - theirs).max() <= 1


@needs_dcmtk
def test_dcmtk_finds_nothing_wrong_with_an_injected_file(tmp_path):
    write_dicom(tmp_path / "plain.dcm", ramp(64, 64))
    inject(tmp_path / "plain.dcm", tmp_path / "injected.dcm", MissingWindowing(SIGMOID_RECIPE))
    dump = subprocess.run(["dcmdump", tmp_path / "injected.dcm"], check=True, capture_output=True, text=True)
    assert "4096\\0\\16" in dump.stdout
    assert "mammoseg Siemens-like sigmoid" in dump.stdout
    assert not dump.stderr
