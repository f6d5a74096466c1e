"""Windowing against pydicom where it is right, and against values worked by hand where it is not."""

import numpy as np
import pydicom
import pytest
from dicom_files import lut_item, make_dicom, ramp, write_dicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian

from mammoseg.dicom import render
from mammoseg.dicom.voi_lut import find_windowing, windowing_of
from mammoseg.runtime.errors import Unusable

DARKER = np.rint(np.linspace(0, 1, 4096) ** 2 * 4095).astype(int)  # a 12-bit table


def reference(ds, lowest: float, highest: float, inverted: bool = False) -> np.ndarray:
    """pydicom's float64 answer on the nominal range, not rounded."""
    values = apply_modality_lut(ds.pixel_array.astype(np.int32), ds)
    shares = (apply_voi_lut(values, ds).astype(np.float64) - lowest) / (highest - lowest)
    return 65535 * (1 - shares if inverted else shares)


def assert_rendered(ds, lowest, highest, inverted=False):
    got, expected = render(ds), reference(ds, lowest, highest, inverted)
    assert got.dtype == np.uint16
    assert got.shape == (ds.Rows, ds.Columns)
    assert np.abs(got - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID", "sigmoid"])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1200.5, 700), (100, 1), (-50, 300), (4000, 3000)])
def test_window_equals_pydicom(function, center, width):
    ds = make_dicom(ramp(), WindowCenter=center, WindowWidth=width)
    if function:
        ds.VOILUTFunction = function
    assert_rendered(ds, 0, 4095)


def test_window_by_hand():
    # PS3.3 C.11.2.1.2: centre 2048, width 4096: y = ((x - 2047.5) / 4095 + 0.5) * range, so the identity.
    ds = make_dicom(np.array([[0, 1], [2048, 4095]], np.uint16), WindowCenter=2048, WindowWidth=4096)
    assert render(ds).tolist() == [[0, 16], [32776, 65535]]
    # LINEAR_EXACT, centre 100, width 100: 50 is the last black, 150 the first white, 100 the middle.
    exact = make_dicom(np.array([[50, 51, 100, 149, 150, 4000]], np.uint16), WindowCenter=100, WindowWidth=100)
    exact.VOILUTFunction = "LINEAR_EXACT"
    assert render(exact).tolist() == [[0, 655, 32768, 64880, 65535, 65535]]
    # SIGMOID: the centre is the middle; one width above it 1 / (1 + e^-4) = 0.98201379.
    s = make_dicom(np.array([[0, 1000, 1500]], np.uint16), WindowCenter=1000, WindowWidth=500, VOILUTFunction="SIGMOID")
    assert render(s).tolist() == [[22, 32768, 64356]]


@pytest.mark.parametrize("function", ["", "  ", "LINEAR"])
def test_empty_function_is_linear(function):
    ds = make_dicom(ramp(), WindowCenter=1000, WindowWidth=500, VOILUTFunction=function)
    plain = make_dicom(ramp(), WindowCenter=1000, WindowWidth=500)
    assert np.array_equal(render(ds), render(plain))  # pydicom raises ValueError on the empty one


def test_padded_lower_case_function():
    ds = make_dicom(ramp(), WindowCenter=1000, WindowWidth=500, VOILUTFunction="sigmoid ")
    plain = make_dicom(ramp(), WindowCenter=1000, WindowWidth=500, VOILUTFunction="SIGMOID")
    assert np.array_equal(render(ds), render(plain))


def test_first_of_several_windows():
    # As a GE mammogram has them.
    ds = make_dicom(ramp(), WindowCenter=[3703, 3745], WindowWidth=[900, 750], VOILUTFunction="SIGMOID")
    ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER"]
    assert_rendered(ds, 0, 4095)
    one = make_dicom(ramp(), WindowCenter=3703, WindowWidth=900, VOILUTFunction="SIGMOID")
    assert np.array_equal(render(ds), render(one))


def test_one_window_with_three_explanations():
    ds = make_dicom(ramp(), WindowCenter=2000, WindowWidth=1000)
    ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER", "SOFTER"]
    assert windowing_of(ds) == "window"
    assert_rendered(ds, 0, 4095)
    assert find_windowing(ds, item="SOFTER").content == (
        2000,
        1000,
    )  # the explanations are not those of this one window


@pytest.mark.parametrize(
    ("prefer", "item", "kind", "number", "content"),
    [
        ("lut", 1, "voi_lut", 1, "soft"),
        ("lut", 2, "voi_lut", 2, "hard"),
        ("lut", "hard ", "voi_lut", 2, "hard"),
        ("lut", "HARD", "voi_lut", 2, "hard"),
        ("lut", 3, "voi_lut", 1, "soft"),  # no such number: the first
        ("lut", "HARDER", "voi_lut", 1, "soft"),  # only a window is called so
        ("window", 1, "window", 1, (3703, 900)),
        ("window", 2, "window", 2, (3745, 750)),
        ("window", "harder", "window", 2, (3745, 750)),
        ("window", 9, "window", 1, (3703, 900)),
    ],
)
def test_choice_by_number_or_explanation(prefer, item, kind, number, content):
    luts = {name: lut_item(DARKER, 0, 12) for name in ("soft", "hard")}
    for name, lut in luts.items():
        lut.LUTExplanation = name
    ds = make_dicom(ramp(), VOILUTSequence=list(luts.values()), WindowCenter=[3703, 3745], WindowWidth=[900, 750])
    ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER"]
    found = find_windowing(ds, prefer, item)
    assert (found.kind, found.number, found.of) == (kind, number, 2)
    assert found.content is luts[content] if kind == "voi_lut" else found.content == content


def test_an_unusable_lut_is_passed_over_and_keeps_its_number():
    ds = make_dicom(ramp(), VOILUTSequence=[Dataset(), lut_item(DARKER, 0, 12)], WindowCenter=100, WindowWidth=50)
    found = find_windowing(ds)
    assert (found.kind, found.number) == ("voi_lut", 2)
    assert find_windowing(make_dicom(ramp(), WindowCenter=100, WindowWidth=50), prefer="lut").kind == "window"
    assert find_windowing(make_dicom(ramp())).kind == "none"


@pytest.mark.parametrize("data_vr", ["US", "OW"])
@pytest.mark.parametrize(("first", "n"), [(0, 4096), (736, 2065), (500, 100)])
def test_voi_lut_equals_pydicom(first, n, data_vr):
    ds = make_dicom(ramp(), VOILUTSequence=[lut_item(DARKER[:n], first, 12, data_vr=data_vr)])
    assert windowing_of(ds) == "voi_lut"
    assert_rendered(ds, 0, 4095)


def test_first_lut_wins_over_other_luts_and_windows():
    first, second = lut_item(DARKER, 0, 12), lut_item(4095 - DARKER, 0, 12)
    ds = make_dicom(ramp(), VOILUTSequence=[first, second], WindowCenter=100, WindowWidth=50)
    only = make_dicom(ramp(), VOILUTSequence=[first])
    assert np.array_equal(render(ds), render(only))
    assert_rendered(ds, 0, 4095)


def test_8_bit_lut_of_4096_entries_does_not_wrap():
    entries = np.arange(4096) // 16
    ds = make_dicom(np.array([[0, 256, 2048, 4095]], np.uint16), VOILUTSequence=[lut_item(entries, 0, 8)])
    # 256 / 16 = 16, 2048 / 16 = 128: 16 · 257, 128 · 257. (pydicom 3.0.2 gives 0 for both.)
    assert render(ds).tolist() == [[0, 16 * 257, 128 * 257, 65535]]


@pytest.mark.parametrize("n", [4096, 4095])
def test_8_bit_lut_packed_two_entries_to_a_word(n):
    entries = (np.arange(n) // 16).astype(np.uint8)
    item = lut_item(entries, 0, 8, data_vr="OW")
    item.LUTData = entries.tobytes() + bytes(n % 2)
    ds = make_dicom(np.array([[0, 17, 256, 2048, 4094]], np.uint16), VOILUTSequence=[item])
    assert render(ds).tolist() == [[0, 257, 16 * 257, 128 * 257, 65535]]


def test_negative_first_mapped_on_unsigned_pixels():
    # Entry i is for value i - 5: values 0, 1, 10 take entries 5, 6, 15; 100 lies past the end and takes the last.
    entries = np.arange(20) * 100
    ds = make_dicom(np.array([[0, 1, 10, 100]], np.uint16), VOILUTSequence=[lut_item(entries, -5, 16, "SS")])
    assert render(ds).tolist() == [[500, 600, 1500, 1900]]
    # The same two bytes read as US (implicit VR without the sign): 65531.
    unsigned = make_dicom(np.array([[0, 1, 10, 100]], np.uint16), VOILUTSequence=[lut_item(entries, 65531, 16)])
    assert np.array_equal(render(unsigned), render(ds))


def test_descriptor_of_65536_entries_and_signed_descriptor():
    full = np.arange(65536)[::-1]
    item = lut_item(full, 0, 16, data_vr="OW")
    assert item.LUTDescriptor[0] == 0  # 0 stands for 65536
    ds = make_dicom(np.array([[0, 1, 65535]], np.uint16), bits=16, VOILUTSequence=[item])
    assert render(ds).tolist() == [[65535, 65534, 0]]
    assert_rendered(ds, 0, 65535)
    # 2065\736\16 encoded as SS, with 12-bit data (cornerstone, pull request 79).
    ss = make_dicom(ramp(), VOILUTSequence=[lut_item(DARKER[:2065], 736, 16, "SS")])
    assert_rendered(ss, 0, 65535)
    # 40,000 entries as SS are -25536.
    many = lut_item(np.arange(40000), 0, 16, data_vr="OW")
    many.add_new("LUTDescriptor", "SS", [-25536, 0, 16])
    assert render(make_dicom(np.array([[0, 39999, 50000]], np.uint16), 16, VOILUTSequence=[many])).tolist() == [
        [0, 39999, 39999]
    ]


def test_big_endian_lut():
    item = lut_item(DARKER, 0, 12, data_vr="OW")
    item.LUTData = DARKER.astype(">u2").tobytes()
    ds = make_dicom(ramp(), syntax=ExplicitVRBigEndian, VOILUTSequence=[item])
    little = make_dicom(ramp(), VOILUTSequence=[lut_item(DARKER, 0, 12)])
    assert np.array_equal(render(ds), render(little))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"VOILUTSequence": [lut_item(DARKER[:10], 0, 12)]}, "bad_voi_lut"),  # the descriptor is changed below
        ({"WindowCenter": 10, "WindowWidth": 0}, "bad_window"),
        ({"WindowCenter": 10, "WindowWidth": 0.5}, "bad_window"),
        ({"WindowCenter": 10, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "bad_window"),
        ({"WindowCenter": 10, "WindowWidth": 5, "VOILUTFunction": "CUBIC"}, "bad_window"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "bad_modality_lut"),
    ],
)
def test_broken_windowing_is_unusable(attributes, reason):
    ds = make_dicom(ramp(), **attributes)
    if reason == "bad_voi_lut":
        ds.VOILUTSequence[0].LUTDescriptor = [4096, 0, 12]
    with pytest.raises(Unusable) as bad:
        render(ds)
    assert bad.value.reason == reason


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": 100},
        {"VOILUTSequence": []},
        {"VOILUTSequence": [Dataset()]},
    ],
)
def test_present_but_empty_is_absent(attributes):
    ds = make_dicom(ramp(), **attributes)
    assert windowing_of(ds) == "none"
    assert render(ds)[-1, -1] == 65535  # the range of BitsStored
    assert_rendered(make_dicom(ramp()), 0, 4095)


def test_signed_descriptor_of_a_table_for_high_unsigned_values():
    # First value mapped 40000, written as SS: -25536. Signed, the table would end below all values, and all would be white.
    pixels = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    entries = np.linspace(0, 65535, 4096).round().astype(int)
    ds = make_dicom(pixels, bits=16, VOILUTSequence=[lut_item(entries, -25536, 16, "SS")])
    expected = entries[np.clip(pixels.astype(int) - 40000, 0, 4095)]
    assert np.array_equal(render(ds), expected)


@pytest.mark.parametrize(
    ("center", "width", "number", "expected"),
    [
        (b"3703\\3745 ", b"900\\- ", 1, (3703, 900)),
        (b"x\\3745", b"900\\800 ", 2, (3745, 800)),
        (b"x ", b"900 ", 0, None),
    ],
)
def test_a_window_that_cannot_be_read_spoils_no_other(tmp_path, center, width, number, expected):
    write_dicom(tmp_path / "a.dcm", WindowCenter="1111\\2222", WindowWidth="333\\444")
    data = (tmp_path / "a.dcm").read_bytes()
    for old, new in ((b"1111\\2222 ", center), (b"333\\444 ", width)):
        at = data.index(old)
        data = data[: at - 2] + len(new).to_bytes(2, "little") + new + data[at + len(old) :]
    (tmp_path / "a.dcm").write_bytes(data)
    found = find_windowing(pydicom.dcmread(tmp_path / "a.dcm"))
    if expected is None:
        assert found.kind == "none"
    else:
        assert (found.kind, found.number, found.content) == ("window", number, expected)
