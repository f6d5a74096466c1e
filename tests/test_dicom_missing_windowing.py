"""What is injected: against formulas worked by hand, and against what pydicom shows of the result."""

import numpy as np
import pydicom
import pytest
from dicom_files import SIGMOID_RECIPE, lut_item, make_dicom, ramp, write_dicom
from pydicom.pixels import apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian

from mammoseg.dicom import render
from mammoseg.dicom.missing_windowing import MissingWindowing, sigmoid_table
from mammoseg.dicom.voi_lut import windowing_of
from mammoseg.runtime.errors import Unusable, UserError

MODE = {"kind": "mode", "explanation": None, "mode": {"below": 500, "above": 800}}
PERCENTILES = {"kind": "percentiles", "explanation": None, "percentiles": [5, 99]}
CHOICE = {"prefer": "lut", "item": 1}
FILE = {"kind": "file", "explanation": None, "choice": CHOICE}


def injected(ds, recipe, file=None):
    """The dataset with what is injected, as pydicom's own elements."""
    for element in MissingWindowing(recipe, file).elements(ds):
        ds.add(element)
    return ds


def test_sigmoid_table_by_hand():
    table = sigmoid_table(1450, 1600, 4096)
    assert table.dtype == np.uint16
    assert len(table) == 4096
    assert (table[0], table[4095]) == (0, 65535)
    # s(0) = 1 / (1 + e^3.625) = 0.02595736, s(4095) = 1 / (1 + e^-6.6125) = 0.99865835, s(1450) = 0.5:
    # y(1450) = (0.5 - 0.02595736) / (0.99865835 - 0.02595736) * 65535 = 31938.0
    assert table[1450] == 31938
    # s(2970), the release's largest value: 1 / (1 + e^-3.8) = 0.97811873, y = 64151.1
    assert table[2970] == 64151
    assert (np.diff(table.astype(int)) >= 0).all()


def test_sigmoid():
    ds = injected(make_dicom(ramp()), SIGMOID_RECIPE)
    (item,) = ds.VOILUTSequence
    assert list(item.LUTDescriptor) == [4096, 0, 16]
    assert (item["LUTDescriptor"].VR, item.LUTExplanation) == ("US", "mammoseg Siemens-like sigmoid")
    assert list(item.LUTData) == sigmoid_table(1450, 1600, 4096).tolist()


def test_window():
    ds = injected(make_dicom(ramp()), {"kind": "window", "center": 1450.5, "width": 1600, "explanation": "mine"})
    assert (ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction) == (1450.5, 1600, "LINEAR")
    assert ds.WindowCenterWidthExplanation == "mine"


def test_none():
    missing = MissingWindowing({"kind": "none", "explanation": None})
    assert not missing
    assert missing.elements(make_dicom(ramp())) == []


def breast(bits=12, photometric="MONOCHROME2", **attributes):
    """Air at 20 to 60; a breast of values 1000 to 2999, each equally often, and 1700 more often than any."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(20, 61, (600, 400)).astype(np.uint16)
    pixels[50:550, :250] = rng.permutation(np.arange(125_000) % 2000 + 1000).reshape(500, 250)
    pixels[200:230, 100:130] = 1700
    if photometric == "MONOCHROME1":
        pixels = 2**bits - 1 - pixels
    return make_dicom(pixels, bits=bits, PhotometricInterpretation=photometric, **attributes)


def test_window_around_the_mode():
    ds = injected(breast(), MODE)
    # [1700 - 500, 1700 + 800] black to white by PS3.3 C.11.2.1.2: c - 0.5 = 1850, w - 1 = 1300.
    assert (ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction) == (1850.5, 1301, "LINEAR")
    shown = apply_voi_lut(np.array([1199, 1200, 1850, 2500, 2501]), ds)
    assert shown.tolist() == [0, 0, 4095 / 2, 4095, 4095]


def test_what_is_dark_is_what_is_shown_dark():
    ds = injected(breast(photometric="MONOCHROME1"), MODE)
    mode = 4095 - 1700
    assert (ds.WindowCenter, ds.WindowWidth) == ((mode - 800 + mode + 500 + 1) / 2, 1301)
    twin = render(injected(breast(), MODE)).astype(int)
    assert np.abs(render(ds) - twin).max() <= 1  # halves are rounded to even on either side


def test_the_window_is_of_modality_values():
    ds = injected(breast(RescaleSlope=2, RescaleIntercept=-100), MODE)
    assert (ds.WindowCenter, ds.WindowWidth) == (2 * 1700 - 100 + 150.5, 1301)


def test_window_by_percentiles_of_the_breast_alone():
    ds = injected(breast(), PERCENTILES)
    pixels = ds.pixel_array
    low, high = np.percentile(pixels[pixels >= 1000], [5, 99], method="inverted_cdf")
    black, white = ds.WindowCenter - 0.5 - (ds.WindowWidth - 1) / 2, ds.WindowCenter - 0.5 + (ds.WindowWidth - 1) / 2
    assert abs(black - low) <= 5  # the overview's edge is not the breast's to the pixel
    assert abs(white - high) <= 5


def test_no_breast():
    with pytest.raises(Unusable, match="no_breast"):
        MissingWindowing(MODE).elements(make_dicom(np.full((600, 400), 7, np.uint16)))


@pytest.mark.parametrize("syntax", [None, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ("entries", "first", "bits", "vr"), [(4096, 0, 16, "US"), (65536, 0, 16, "OW"), (500, -20, 12, "US")]
)
def test_lut_copied_from_a_dicom(tmp_path, entries, first, bits, vr, syntax):
    table = np.linspace(0, 1, entries) ** 2 * (2**bits - 1)
    item = lut_item(table.round().astype(int), first, bits, "SS" if first < 0 else "US", vr)
    write_dicom(tmp_path / "reference.dcm", ramp(), VOILUTSequence=[item], WindowCenter=5, WindowWidth=10)
    pixels = ramp(highest=min(entries, 4096) - 1)
    target = make_dicom(pixels, **({"syntax": syntax} if syntax else {}))
    if syntax:
        target.set_original_encoding(False, False)
    ds = injected(target, FILE, tmp_path / "reference.dcm")
    index = np.clip(pixels.astype(int) - first, 0, entries - 1)
    expected = np.rint(table.round()[index] / (2**bits - 1) * 65535)
    assert np.abs(render(ds) - expected).max() <= 0.5


def test_lut_copied_from_a_big_endian_dicom(tmp_path):
    table = np.linspace(0, 1, 65536) ** 2 * 65535  # as bytes, OW, it stands in the reference's own byte order
    item = lut_item(table.round().astype(int), 0, 16, "US", "OW")
    item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
    write_dicom(tmp_path / "reference.dcm", ramp(), syntax=ExplicitVRBigEndian, VOILUTSequence=[item])
    ds = injected(make_dicom(ramp()), FILE, tmp_path / "reference.dcm")
    assert np.array_equal(render(ds), table.round()[ramp()])


def test_window_copied_from_a_dicom_with_its_function(tmp_path):
    write_dicom(tmp_path / "reference.dcm", WindowCenter=[1000, 2000], WindowWidth=[500, 700], VOILUTFunction="SIGMOID")
    ds = injected(make_dicom(ramp()), {**FILE, "choice": {"prefer": "lut", "item": 2}}, tmp_path / "reference.dcm")
    assert (ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction) == (2000, 700, "SIGMOID")


def test_table_from_a_text_file(tmp_path):
    table = 65535 - np.arange(4096) * 16
    (tmp_path / "table.csv").write_text("\n".join(map(str, table)))
    ds = injected(make_dicom(ramp()), FILE, tmp_path / "table.csv")
    assert windowing_of(ds) == "voi_lut"
    assert np.array_equal(render(ds), table[ramp()])
    assert ds.VOILUTSequence[0].LUTExplanation == "mammoseg copy of another windowing"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no such file"),
        (b"1\n2\n70000\n", "0 to 65535"),
        (b"7", "2 to 65536"),
        (b"1.5 2", "whole numbers"),
        (b"", "2 to 65536"),
        (b"\x00\xff garbage", "neither a table nor a DICOM"),
        ("plain", "carries no windowing"),
    ],
)
def test_a_file_that_cannot_serve(tmp_path, content, sentence):
    file = tmp_path / "file"
    if content == "plain":
        write_dicom(file)
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=rf"image\.voi_lut\.file.*{sentence}"):
        MissingWindowing(FILE, file)


@pytest.mark.parametrize("padding", [0, 4095])
@pytest.mark.parametrize("recipe", [MODE, PERCENTILES])
def test_padding_is_neither_air_nor_breast(recipe, padding):
    draw = np.random.default_rng(0)
    picture = (300 + draw.integers(0, 20, (256, 256))).astype(np.uint16)
    picture[40:200, :120] = draw.integers(1000, 3000, (160, 120))
    framed = np.pad(picture, ((0, 0), (0, 256)), constant_values=padding)
    plain = MissingWindowing(recipe).elements(make_dicom(np.pad(picture, ((0, 0), (0, 256)), constant_values=300)))
    padded = MissingWindowing(recipe).elements(make_dicom(framed, PixelPaddingValue=padding))
    for one, other in zip(plain[:2], padded[:2], strict=True):
        assert float(one.value) == pytest.approx(float(other.value), abs=20)


def test_a_range_of_signed_padding(tmp_path):
    picture = np.full((256, 256), -50, np.int16)
    picture[40:200, :120] = np.random.default_rng(0).integers(1000, 1900, (160, 120))
    picture[:, 200:] = np.random.default_rng(1).integers(-2048, -1999, (256, 56))
    write_dicom(tmp_path / "a.dcm", picture, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-2048)
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    center, width = (float(e.value) for e in MissingWindowing(PERCENTILES).elements(ds)[:2])
    assert 1000 <= center - width / 2 < center + width / 2 <= 1900
