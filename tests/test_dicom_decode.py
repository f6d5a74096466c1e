"""Every transfer syntax and bit depth decodes to the stored words; a decoder that refuses is followed by the next."""

import imagecodecs
import numpy as np
import pytest
import SimpleITK
from dicom_files import LOSSLESS, LOSSY, encapsulated_dicom, make_dicom, ramp
from pydicom import uid
from pydicom.pixels import get_decoder

from mammoseg.dicom import decode as decoding
from mammoseg.dicom.decode import ORDER, decode
from mammoseg.dicom.read import read_encoded
from mammoseg.runtime.errors import Unusable


def picture(bits: int, rows: int = 61, columns: int = 75) -> np.ndarray:
    """A smooth picture with noise that uses the whole range; odd sizes."""
    y, x = np.mgrid[:rows, :columns]
    values = (y + x) / (rows + columns - 2) * (2**bits - 1) + np.random.default_rng(0).normal(0, 2, (rows, columns))
    values = np.clip(values, 0, 2**bits - 1).round()
    values[0, 0], values[-1, -1] = 0, 2**bits - 1
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_lossless_syntaxes(tmp_path, syntax, bits):
    pixels = picture(bits)
    encapsulated_dicom(tmp_path / "a.dcm", pixels, LOSSLESS[syntax](pixels, bits), syntax, bits)
    assert np.array_equal(decode(read_encoded(tmp_path / "a.dcm")), pixels)
    if syntax not in (uid.HTJ2KLossless,):  # GDCM, the outside judge, does not know it
        judged = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "a.dcm")))
        assert np.array_equal(np.squeeze(judged), pixels)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_htj2k_as_openjpeg_decodes_it(tmp_path, bits):
    pixels = picture(bits)
    encapsulated_dicom(tmp_path / "a.dcm", pixels, imagecodecs.htj2k_encode(pixels), uid.HTJ2KLossless, bits)
    dataset = read_encoded(tmp_path / "a.dcm")
    judged = get_decoder(uid.HTJ2KLossless).as_array(dataset, decoding_plugin="pylibjpeg", raw=True)[0]
    assert np.array_equal(judged, pixels)
    assert np.array_equal(decode(dataset), judged)


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda s: s.name)
def test_lossy_syntaxes(tmp_path, syntax):
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    pixels = picture(bits)
    encapsulated_dicom(tmp_path / "a.dcm", pixels, LOSSY[syntax](pixels), syntax, bits)
    ours = decode(read_encoded(tmp_path / "a.dcm")).astype(int)
    assert np.abs(ours - pixels).mean() < 0.01 * 2**bits
    if syntax != uid.JPEGExtended12Bit or bits == 8:
        judged = np.squeeze(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "a.dcm")))).astype(int)
        within = (pixels > 8) & (pixels < 2**bits - 9)  # GDCM lets what overshoots the range wrap to the other end
        assert np.abs(ours - judged)[within].max() <= 1
    assert ours[pixels == 2**bits - 1].min() > 0.95 * 2**bits  # ours stays white


def test_jpeg_2000_of_signed_values(tmp_path):
    pixels = np.linspace(-2048, 2047, 64 * 64).round().astype(np.int16).reshape(64, 64)
    frame = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)
    encapsulated_dicom(tmp_path / "a.dcm", pixels, frame, uid.JPEG2000Lossless, 16)
    assert np.array_equal(decode(read_encoded(tmp_path / "a.dcm")).view(np.int16), pixels)


def test_jpeg_2000_whose_signedness_differs_from_the_header(tmp_path):
    """Seen in the wild: unsigned in the codestream, signed in the header. pydicom's rule, the header's, holds."""
    stored = np.linspace(-2048, 2047, 64 * 64).round().astype(np.int16).reshape(64, 64)
    frame = imagecodecs.jpeg2k_encode(
        stored.view(np.uint16) & 0xFFF, codecformat="j2k", reversible=True, bitspersample=12
    )
    encapsulated_dicom(tmp_path / "a.dcm", stored, frame, uid.JPEG2000Lossless, 12)
    words = decode(read_encoded(tmp_path / "a.dcm"))
    assert np.array_equal(((words & 0xFFF).astype(int) ^ 2048) - 2048, stored)


@pytest.mark.parametrize(
    "syntax", [uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless], ids=lambda s: s.name
)
def test_a_decoder_that_refuses_is_followed_by_the_next(tmp_path, monkeypatch, syntax):
    asked = []

    def refuse(encoded):
        asked.append(len(encoded))
        raise ValueError("not today")

    pixels = picture(12)
    encapsulated_dicom(tmp_path / "a.dcm", pixels, LOSSLESS[syntax](pixels, 12), syntax, 12)
    monkeypatch.setitem(decoding.IMAGECODECS, syntax, refuse)
    assert np.array_equal(decode(read_encoded(tmp_path / "a.dcm")), pixels)
    assert asked


def test_a_codestream_of_another_size_is_refused(tmp_path):
    """As many pixels as the header says, but 75 x 61 instead of 61 x 75: a picture, and a wrong one."""
    pixels = picture(12)
    for syntax, encode in LOSSLESS.items():
        encapsulated_dicom(tmp_path / "a.dcm", pixels, encode(pixels.reshape(75, 61), 12), syntax, 12)
        with pytest.raises(Unusable, match=r"undecodable.*transfer syntax"):
            decode(read_encoded(tmp_path / "a.dcm"))


def test_every_compressed_syntax_has_a_decoder_and_all_but_two_a_second():
    syntaxes = {*LOSSLESS, *LOSSY, uid.HTJ2K, uid.HTJ2KLosslessRPCL, uid.RLELossless}
    number = {s.name: len([p for p in ORDER if p in get_decoder(s).available_plugins]) for s in syntaxes}
    assert all(number.values())
    assert {name for name, n in number.items() if n < 2} <= {uid.JPEGExtended12Bit.name}
    assert set().union(*(get_decoder(s).available_plugins for s in syntaxes)) <= set(ORDER)


def test_uncompressed_words_are_not_copied():
    dataset = make_dicom(ramp())
    assert np.shares_memory(decode(dataset), np.frombuffer(dataset.PixelData, np.uint16))
