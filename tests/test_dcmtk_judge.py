"""DCMTK as an outside judge of what we write and how we render. Needs the Debian package dcmtk (`make system-deps`)."""

import shutil
import subprocess

import cv2
import numpy as np
import pytest
from dicom_files import SIGMOID_RECIPE, ramp, write_dicom

from mammoseg.dicom.inject import inject
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.dicom.render_file import render_file

needs_dcmtk = pytest.mark.skipif(not shutil.which("dcm2pnm"), reason="dcmtk is not installed (make system-deps)")


def rendered_by_dcmtk(path, folder, *options) -> np.ndarray:
    """The file as DCMTK shows it, 16 bits."""
    target = folder / "dcmtk.png"
    subprocess.run(["dcm2pnm", "--write-16-bit-png", *options, path, target], check=True, capture_output=True)
    return cv2.imread(str(target), cv2.IMREAD_UNCHANGED).astype(int)


@needs_dcmtk
@pytest.mark.parametrize(
    ("attributes", "options"),
    [
        ({"WindowCenter": 2000, "WindowWidth": 3000}, ["--use-window", "1"]),
        ({"WindowCenter": 2000, "WindowWidth": 3000, "VOILUTFunction": "SIGMOID"}, ["--use-window", "1"]),
        (
            {"WindowCenter": 1800, "WindowWidth": 1000, "PhotometricInterpretation": "MONOCHROME1"},
            ["--use-window", "1"],
        ),
    ],
    ids=["linear", "sigmoid", "monochrome1"],
)
def test_dcmtk_shows_a_window_as_we_render_it(tmp_path, attributes, options):
    write_dicom(tmp_path / "a.dcm", ramp(64, 64), **attributes)
    ours = render_file(tmp_path / "a.dcm")[0].astype(int)
    theirs = rendered_by_dcmtk(tmp_path / "a.dcm", tmp_path, *options)
    assert np.abs(ours - theirs).max() <= 1, "one grey level of 65536"


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
