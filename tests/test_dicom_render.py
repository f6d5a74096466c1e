"""Rendering against pydicom in float64, for every kind of pixel."""

import numpy as np
import pytest
from dicom_files import lut_item, make_dicom, ramp
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from mammoseg.dicom import render
from mammoseg.dicom.render import lookup_table
from mammoseg.dicom.voi_lut import find_windowing
from mammoseg.runtime.errors import Unusable


def reference(ds, lowest, highest):
    values = apply_modality_lut(ds.pixel_array.astype(np.int32), ds)
    return 65535 * (apply_voi_lut(values, ds).astype(np.float64) - lowest) / (highest - lowest)


def assert_close(got, expected):
    assert np.abs(got - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    "inverting",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
@pytest.mark.parametrize(
    "windowing",
    [{}, {"WindowCenter": 1000, "WindowWidth": 700}, {"VOILUTSequence": [lut_item(np.arange(4096) // 16, 0, 8)]}],
)
def test_inverted_once_on_the_output_range(inverting, windowing):
    plain = render(make_dicom(ramp(), **windowing))
    assert np.array_equal(render(make_dicom(ramp(), **windowing, **inverting)), 65535 - plain)


def test_identity_shape_is_not_inverted():
    assert render(make_dicom(ramp(), PresentationLUTShape="IDENTITY"))[0, 0] == 0


def test_without_windowing_the_stored_range():
    # 4095 of 16 bit stored is dark; of 12 bit stored it is white: never scaled by the image's own maximum.
    pixels = np.array([[0, 1000, 4095]], np.uint16)
    assert render(make_dicom(pixels, bits=16)).tolist() == [[0, 1000, 4095]]
    assert render(make_dicom(pixels, bits=12)).tolist() == [[0, 16004, 65535]]  # 1000 / 4095 * 65535 = 16003.7
    assert render(make_dicom(np.array([[0, 100, 255]], np.uint8), bits=8)).tolist() == [[0, 25700, 65535]]


@pytest.mark.parametrize(
    "windowing",
    [
        {},
        {"WindowCenter": 0, "WindowWidth": 1000},
        {"WindowCenter": -20, "WindowWidth": 9, "VOILUTFunction": "SIGMOID"},
    ],
)
@pytest.mark.parametrize("bits", [12, 16])
def test_signed_pixels(windowing, bits):
    pixels = np.linspace(-2048, 2047, 64 * 64).round().astype(np.int16).reshape(64, 64)
    ds = make_dicom(pixels, bits=bits, **windowing)
    assert_close(render(ds), reference(ds, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1))


def test_signed_pixels_with_a_lut():
    pixels = np.array([[-2048, -5, 0, 2047]], np.int16)
    ds = make_dicom(pixels, VOILUTSequence=[lut_item(np.arange(4096) * 16, -2048, 16, "SS")])
    assert render(ds).tolist() == [[0, 2043 * 16, 2048 * 16, 65520]]


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2, 0), (0.5, 10), (0.37, -3)])
@pytest.mark.parametrize(
    "windowing",
    [
        {},
        {"WindowCenter": 500, "WindowWidth": 900},
        {"VOILUTSequence": [lut_item(np.arange(3000) * 20, -100, 16, "SS")]},
    ],
)
def test_rescale(slope, intercept, windowing):
    ds = make_dicom(ramp(), RescaleSlope=slope, RescaleIntercept=intercept, **windowing)
    if (
        "VOILUTSequence" in windowing
    ):  # pydicom's table takes integers only; a value between two entries takes the lower
        values = np.floor(ds.pixel_array * np.float64(slope) + intercept).astype(np.int64)
        assert np.array_equal(render(ds), np.arange(3000)[np.clip(values + 100, 0, 2999)] * 20)
    else:
        assert_close(render(ds), reference(ds, intercept, 4095 * slope + intercept))


def test_negative_slope():
    # Without a window the modality transformation alone turns the image round.
    ds = make_dicom(ramp(), RescaleSlope=-1, RescaleIntercept=4095)
    assert np.array_equal(render(ds), 65535 - render(make_dicom(ramp())))


def test_modality_lut():
    table = np.rint(np.sqrt(np.arange(4096) / 4095) * 255).astype(int)
    ds = make_dicom(ramp(), ModalityLUTSequence=[lut_item(table, 0, 8)])
    assert np.array_equal(render(ds), table[ramp()] * 257)
    windowed = make_dicom(ramp(), ModalityLUTSequence=[lut_item(table * 16, 0, 16)], WindowCenter=2000, WindowWidth=900)
    assert_close(render(windowed), reference(windowed, 0, 65535))


def test_unused_high_bits_are_ignored():
    pixels = ramp()
    overlay = pixels | (np.arange(pixels.size, dtype=np.uint16).reshape(pixels.shape) % 16 << 12)
    for windowing in ({}, {"WindowCenter": 1000, "WindowWidth": 800}):
        assert np.array_equal(render(make_dicom(overlay, **windowing)), render(make_dicom(pixels, **windowing)))
    signed = (ramp().astype(np.int32) - 2048).astype(np.int16)
    stripped = (signed & 0xFFF).astype(np.int16)  # sign bits above BitsStored cut off
    assert np.array_equal(render(make_dicom(stripped)), render(make_dicom(signed)))


def test_value_in_the_upper_bits_is_refused():
    ds = make_dicom(ramp() << 4)
    ds.HighBit = 15
    with pytest.raises(Unusable, match="HighBit"):
        render(ds)


def test_padding_value_is_left_in_the_picture():
    ds = make_dicom(ramp(), PixelPaddingValue=0)
    assert np.array_equal(render(ds), render(make_dicom(ramp())))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_byte_orders(syntax):
    windowing = {"WindowCenter": 1000, "WindowWidth": 800}
    assert np.array_equal(
        render(make_dicom(ramp(), syntax=syntax, **windowing)), render(make_dicom(ramp(), **windowing))
    )


def test_table_covers_every_word():
    dataset = make_dicom(ramp(), WindowCenter=1000, WindowWidth=800)
    table = lookup_table(dataset, find_windowing(dataset))
    assert table.shape == (65536,)
    assert np.array_equal(table[:4096], table[4096:8192])


def test_render_does_not_change_the_dataset():
    ds = make_dicom(ramp(), WindowCenter=1000, WindowWidth=800)
    before, pixels = ds.to_json(), ds.pixel_array.copy()
    render(ds)
    assert ds.to_json() == before
    assert np.array_equal(ds.pixel_array, pixels)


def test_colour_is_refused():
    with pytest.raises(Unusable, match="colour"):
        render(make_dicom(ramp(), PhotometricInterpretation="PALETTE COLOR"))


def test_random_headers_against_the_formula():
    """Thirty random combinations against the standard's formulas in float64, written down here a second time."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        bits = int(rng.integers(6, 17))
        pixels = rng.integers(0, 2**bits, (17, 23)).astype(np.uint16)
        center, width = float(rng.integers(0, 2**bits)), float(rng.integers(2, 2**bits))
        function = rng.choice(["LINEAR", "LINEAR_EXACT", "SIGMOID"])
        photometric = rng.choice(["MONOCHROME1", "MONOCHROME2"])
        ds = make_dicom(
            pixels,
            bits,
            WindowCenter=center,
            WindowWidth=width,
            VOILUTFunction=function,
            PhotometricInterpretation=photometric,
        )
        x = pixels.astype(np.float64)
        share = {
            "LINEAR": np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0, 1),
            "LINEAR_EXACT": np.clip((x - center) / width + 0.5, 0, 1),
            "SIGMOID": 1 / (1 + np.exp(np.minimum(-4 * (x - center) / width, 700))),
        }[function]
        assert_close(render(ds), 65535 * (1 - share if photometric == "MONOCHROME1" else share))
