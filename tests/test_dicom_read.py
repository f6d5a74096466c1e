"""Reading: what is refused and why; every transfer syntax; nothing of the file in messages."""

import logging
import traceback
import warnings

import numpy as np
import pytest
import SimpleITK
from dicom_files import make_dicom, ramp, write_dicom
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from mammoseg.dicom import render
from mammoseg.dicom.decode import decode
from mammoseg.dicom.position import laterality_and_view, pixel_spacing_mm
from mammoseg.dicom.read import check_usable, read_encoded, read_header
from mammoseg.dicom.render_file import render_file
from mammoseg.dicom.values import text
from mammoseg.dicom.voi_lut import windowing_of
from mammoseg.runtime.errors import Unusable


def refused(function, *args, **kwargs) -> Unusable:
    with pytest.raises(Unusable) as bad:
        function(*args, **kwargs)
    return bad.value


def test_header_has_no_pixels_and_pixels_are_decoded(tmp_path):
    ds = write_dicom(tmp_path / "a.dcm")
    header = read_header(tmp_path / "a.dcm")
    assert "PixelData" not in header
    assert (header.Rows, header.Columns, header.SOPInstanceUID) == (64, 64, ds.SOPInstanceUID)
    assert np.array_equal(decode(read_encoded(tmp_path / "a.dcm")), ramp())


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    ],
)
def test_uncompressed_syntaxes(tmp_path, syntax):
    write_dicom(tmp_path / "a.dcm", syntax=syntax, WindowCenter=1000, WindowWidth=900)
    plain = make_dicom(ramp(), WindowCenter=1000, WindowWidth=900)
    assert read_header(tmp_path / "a.dcm").file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(render_file(tmp_path / "a.dcm")[0], render(plain))


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless])
def test_compressed_by_pydicom(tmp_path, syntax):
    ds = make_dicom(ramp())
    ds.compress(syntax)
    ds.save_as(tmp_path / "a.dcm")
    assert read_header(tmp_path / "a.dcm").file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(decode(read_encoded(tmp_path / "a.dcm")), ramp())


def _gdcm_compress(source, target, syntax):
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize("kind", ["JPEGLosslessProcess14_1", "JPEGLSLossless"])
def test_compressed_by_gdcm(tmp_path, kind):
    import gdcm

    write_dicom(tmp_path / "raw.dcm", syntax=uid.ExplicitVRLittleEndian)
    _gdcm_compress(tmp_path / "raw.dcm", tmp_path / "a.dcm", getattr(gdcm.TransferSyntax, kind))
    assert read_header(tmp_path / "a.dcm").file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(decode(read_encoded(tmp_path / "a.dcm")), ramp())
    image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "a.dcm")))  # the outside judge
    assert np.array_equal(np.squeeze(image), ramp())


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
def test_without_preamble_and_meta_group(tmp_path, syntax):
    write_dicom(tmp_path / "whole.dcm", syntax=syntax)
    meta_length = 132 + 12 + int.from_bytes((tmp_path / "whole.dcm").read_bytes()[140:144], "little")
    (tmp_path / "bare.dcm").write_bytes((tmp_path / "whole.dcm").read_bytes()[meta_length:])
    assert read_header(tmp_path / "bare.dcm").file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(decode(read_encoded(tmp_path / "bare.dcm")), ramp())


@pytest.mark.parametrize(
    "content", [b"", b"x", b"not a DICOM file at all, but text\n" * 50, b"\x89PNG\r\n\x1a\n" + bytes(500), bytes(2000)]
)
def test_not_dicom(tmp_path, content):
    (tmp_path / "a.dcm").write_bytes(content)
    assert refused(read_header, tmp_path / "a.dcm").reason == "not_dicom"


def test_missing_file(tmp_path):
    assert refused(read_header, tmp_path / "a.dcm").reason == "unreadable"


@pytest.mark.parametrize(
    ("reason", "attributes"),
    [
        ("no_pixels", {"PixelData": None}),
        ("multi_frame", {"NumberOfFrames": 2}),
        ("multi_frame", {"SOPClassUID": uid.BreastTomosynthesisImageStorage}),
        ("for_processing", {"SOPClassUID": uid.DigitalMammographyXRayImageStorageForProcessing}),
        ("for_processing", {"PresentationIntentType": "FOR PROCESSING"}),
        ("colour", {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}),
        ("colour", {"PhotometricInterpretation": "PALETTE COLOR"}),
        ("bad_header", {"SamplesPerPixel": None}),
        ("bad_header", {"PhotometricInterpretation": None}),
        ("bad_header", {"Rows": 0}),
        ("bad_header", {"Columns": None}),
        ("bad_header", {"BitsStored": 17}),
        ("bad_header", {"BitsAllocated": 32}),
        ("bad_header", {"PixelRepresentation": 2}),
        ("pixel_length", {"Rows": 63}),
        ("pixel_length", {"Rows": 65}),
        ("too_large", {"Rows": 65535, "Columns": 65535}),
    ],
)
def test_refused_by_header(tmp_path, reason, attributes):
    write_dicom(tmp_path / "a.dcm", **attributes)
    assert refused(read_header, tmp_path / "a.dcm").reason == reason
    assert refused(render_file, tmp_path / "a.dcm").reason == reason


def test_structured_report_has_no_pixels(tmp_path):
    ds = make_dicom(ramp())
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated"):
        delattr(ds, keyword)
    ds.SOPClassUID, ds.Modality = uid.MammographyCADSRStorage, "SR"
    ds.save_as(tmp_path / "a.dcm")
    assert refused(read_header, tmp_path / "a.dcm").reason == "no_pixels"


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless])
@pytest.mark.parametrize("lost", [9, 100, 2000])
def test_truncated(tmp_path, syntax, lost):
    ds = make_dicom(np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16))
    if syntax.is_compressed:
        ds.compress(syntax)
    ds.save_as(tmp_path / "a.dcm")
    (tmp_path / "a.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:-lost])
    assert refused(render_file, tmp_path / "a.dcm").reason == "truncated"
    if not syntax.is_compressed:  # seen without reading the pixels
        assert refused(read_header, tmp_path / "a.dcm").reason == "truncated"


@pytest.mark.parametrize("value", [0, 1234])
def test_constant_image(tmp_path, value):
    # Values above BitsStored differ: they are no part of the image.
    pixels = np.full((200, 200), value, np.uint16)
    pixels[100, 100] |= 1 << 14
    write_dicom(tmp_path / "a.dcm", pixels)
    assert refused(render_file, tmp_path / "a.dcm").reason == "constant_image"
    pixels[3, 5] += 1  # one pixel, off the coarse grid that is looked at first
    write_dicom(tmp_path / "b.dcm", pixels)
    assert render_file(tmp_path / "b.dcm")[0].shape[0] == 200


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.RLELossless])
def test_undecodable_names_the_syntax(tmp_path, syntax):
    ds = make_dicom(ramp())
    ds.PixelData = encapsulate([b"these are no compressed pixels, whatever the header says"])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(tmp_path / "a.dcm")
    bad = refused(render_file, tmp_path / "a.dcm")
    assert bad.reason == "undecodable"
    assert syntax.name in bad.explanation


def test_unknown_syntax(tmp_path):
    ds = make_dicom(ramp())
    ds.PixelData = encapsulate([bytes(100)])
    ds.file_meta.TransferSyntaxUID = uid.UID("1.2.3.4.5.6.7.8.9")
    ds.set_original_encoding(False, True)
    ds["PixelData"].is_undefined_length = True
    ds.save_as(tmp_path / "a.dcm", implicit_vr=False, little_endian=True)
    bad = refused(render_file, tmp_path / "a.dcm")
    assert bad.reason == "undecodable"
    assert "1.2.3.4" not in bad.explanation


@pytest.mark.parametrize(
    ("reason", "attributes"),
    [
        ("secondary_capture", {"SOPClassUID": uid.SecondaryCaptureImageStorage}),
        ("secondary_capture", {"Modality": "OT"}),
        ("not_mammography", {"Modality": "CT"}),
        ("synthetic_2d", {"ImageType": ["DERIVED", "PRIMARY", "TOMO_2D"]}),
        ("specimen", {"ImageType": ["ORIGINAL", "PRIMARY", "SPECIMEN"]}),
    ],
)
def test_no_mammogram(reason, attributes):
    assert refused(check_usable, make_dicom(ramp(), **attributes)).reason == reason


def test_specimen_by_view_code():
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "127457009", "SCT", "tissue specimen from breast"
    assert refused(check_usable, make_dicom(ramp(), ViewCodeSequence=[code])).reason == "specimen"


def test_secondary_capture_is_opted_in():
    check_usable(make_dicom(ramp(), Modality="OT"), secondary_capture=True)
    check_usable(make_dicom(ramp(), SOPClassUID=uid.SecondaryCaptureImageStorage), secondary_capture=True)
    check_usable(make_dicom(ramp()))


def test_nothing_of_the_file_is_logged_or_warned(tmp_path, caplog):
    """Values that break the rules of their type make pydicom quote them, when they are read or asked for."""
    folder = tmp_path / "Canary"
    write_dicom(
        folder / "a.dcm", StudyDate="20200101", StudyTime="20200101", WindowCenter=20200101, WindowWidth=5, PatientAge="20200101",
        AccessionNumber="20200101" * 3, PixelSpacing=[20200101, 1], InstanceNumber=20200101, ViewPosition="20200101",
    )  # fmt: skip
    data = (folder / "a.dcm").read_bytes()
    assert data.count(b"20200101") >= 10
    (folder / "a.dcm").write_bytes(data.replace(b"20200101", b"Canary^A"))
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.filterwarnings("always", module="mammoseg")
        header = read_header(folder / "a.dcm")
        check_usable(header)
        assert laterality_and_view(header) == ("", "")
        assert pixel_spacing_mm(header) is None
        assert windowing_of(header) == "none"
        for keyword in ("StudyDate", "StudyTime", "PatientAge", "AccessionNumber", "InstanceNumber"):
            text(header, keyword)
        render_file(folder / "a.dcm")
    assert "Canary" not in caplog.text + "".join(str(w.message) for w in caught)


def test_errors_carry_no_trace_of_the_file(tmp_path):
    """An exception's context is printed with it: pydicom's own, which names file and values, must not be."""
    ds = make_dicom(ramp())
    ds.PixelData = encapsulate([b"Canary"])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    (tmp_path / "Canary").mkdir()
    ds.save_as(tmp_path / "Canary" / "a.dcm")
    for path in (tmp_path / "Canary" / "a.dcm", tmp_path / "Canary" / "absent.dcm"):
        bad = refused(render_file, path)
        assert "Canary" not in "".join(traceback.format_exception(bad)).replace(str(tmp_path), "")


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.JPEG2000Lossless])
@pytest.mark.parametrize("padding", [8, 512])
def test_padding_behind_the_data_set_is_no_damage(tmp_path, syntax, padding):
    ds = make_dicom(ramp(), syntax=uid.ExplicitVRLittleEndian if syntax.is_compressed else syntax)
    if syntax.is_compressed:
        ds.compress(syntax)
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with (tmp_path / "a.dcm").open("ab") as f:
        f.write(bytes(padding))
    assert read_header(tmp_path / "a.dcm").Rows == 64
    assert np.array_equal(decode(read_encoded(tmp_path / "a.dcm")), ramp())


def test_pixels_padded_by_less_than_a_row_are_no_damage(tmp_path):
    for extra, usable in ((2, True), (126, True), (128, False), (-2, False)):
        ds = make_dicom(ramp())
        ds.PixelData = (ds.PixelData + bytes(extra)) if extra > 0 else ds.PixelData[:extra]
        ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        if usable:
            assert np.array_equal(decode(read_encoded(tmp_path / "a.dcm")), ramp())
        else:
            assert refused(read_encoded, tmp_path / "a.dcm").reason == "pixel_length"


def test_several_transfer_syntaxes_are_a_bad_header(tmp_path):
    write_dicom(tmp_path / "a.dcm")
    data = (tmp_path / "a.dcm").read_bytes()
    name = b"1.2.840.10008.1.2.1\0"
    assert data.count(name) == 1
    (tmp_path / "a.dcm").write_bytes(data.replace(name, name[:-1] + b"\\"))
    for read in (read_header, read_encoded):
        assert refused(read, tmp_path / "a.dcm").reason == "bad_header"


def test_a_magnification_view_has_no_spacing():
    ds = make_dicom(ramp(), ImagerPixelSpacing=[0.1, 0.1])
    for factor, spacing in ((None, 0.1), (1.07, 0.1), (1.8, None)):
        if factor:
            ds.EstimatedRadiographicMagnificationFactor = factor
        assert pixel_spacing_mm(ds) == spacing


@pytest.mark.parametrize(
    ("code", "view"), [("399188001", "SIO"), ("R-102D0", "SIO"), ("441555000", "ISO"), ("R-40AAA", "ISO")]
)
def test_oblique_views_by_code(code, view):
    item = Dataset()
    item.CodeValue = code
    assert laterality_and_view(make_dicom(ramp(), ViewPosition="", ViewCodeSequence=[item]))[1] == view


@pytest.mark.parametrize(
    "window", [{"WindowCenter": 60000, "WindowWidth": 10}, {"WindowCenter": -100, "WindowWidth": 10}]
)
def test_a_window_that_shows_nothing_is_no_picture(tmp_path, window):
    write_dicom(tmp_path / "a.dcm", **window)
    assert refused(render_file, tmp_path / "a.dcm").reason == "constant_rendering"
