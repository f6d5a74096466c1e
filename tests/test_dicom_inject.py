"""Injection: a real attribute for every viewer, pixel bytes and all else as they were."""

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import SIGMOID_RECIPE, make_dicom, ramp, write_dicom
from pydicom import uid
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_voi_lut

from mammoseg.dicom import render
from mammoseg.dicom.inject import inject
from mammoseg.dicom.missing_windowing import MissingWindowing, sigmoid_table
from mammoseg.dicom.read import read_header
from mammoseg.dicom.render_file import render_file
from mammoseg.dicom.voi_lut import windowing_of
from mammoseg.runtime.errors import Unusable

SIGMOID = MissingWindowing(SIGMOID_RECIPE)
SYNTAXES = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEG2000Lossless,
]


def write(path, syntax=uid.ExplicitVRLittleEndian, **attributes):
    if not syntax.is_compressed or syntax == uid.DeflatedExplicitVRLittleEndian:
        return write_dicom(path, syntax=syntax, **attributes)
    ds = make_dicom(ramp(), **attributes)
    ds.compress(syntax)
    ds.save_as(path, enforce_file_format=True)
    return ds


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_only_the_attribute_is_added(tmp_path, syntax):
    write(tmp_path / "a.dcm", syntax, PatientComments="stays", AcquisitionNumber=7)
    inject(tmp_path / "a.dcm", tmp_path / "b.dcm", SIGMOID)
    before, after = pydicom.dcmread(tmp_path / "a.dcm"), pydicom.dcmread(tmp_path / "b.dcm")
    assert after.file_meta.TransferSyntaxUID == syntax
    assert after.PixelData == before.PixelData
    assert windowing_of(read_header(tmp_path / "b.dcm")) == "voi_lut"
    item = after.VOILUTSequence[0]
    assert list(item.LUTDescriptor) == [4096, 0, 16]
    assert (
        list(item.LUTData) == sigmoid_table(1450, 1600, 4096).tolist()
        or item.LUTData == sigmoid_table(1450, 1600, 4096).tobytes()
    )
    assert item.LUTExplanation == "mammoseg Siemens-like sigmoid"
    del after.VOILUTSequence
    assert after == before
    assert after.file_meta == before.file_meta


def test_encapsulated_fragments_are_copied_not_encoded_again(tmp_path):
    ds = write(tmp_path / "a.dcm", uid.JPEG2000Lossless)
    inject(tmp_path / "a.dcm", tmp_path / "b.dcm", SIGMOID)
    frames = [
        next(generate_frames(pydicom.dcmread(tmp_path / f).PixelData, number_of_frames=1)) for f in ("a.dcm", "b.dcm")
    ]
    assert frames[0] == frames[1] == next(generate_frames(ds.PixelData, number_of_frames=1))
    assert frames[0] in (tmp_path / "b.dcm").read_bytes()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_viewers_show_the_injected_table(tmp_path, syntax):
    """pydicom applies the table as any viewer; SimpleITK (GDCM) reads the same pixels as before."""
    write(tmp_path / "a.dcm", syntax)
    inject(tmp_path / "a.dcm", tmp_path / "b.dcm", SIGMOID)
    ds = pydicom.dcmread(tmp_path / "b.dcm")
    shown = apply_voi_lut(ds.pixel_array, ds)
    assert np.array_equal(shown, sigmoid_table(1450, 1600, 4096)[ramp()])
    assert np.array_equal(render_file(tmp_path / "b.dcm")[0], shown)
    assert np.array_equal(np.squeeze(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "b.dcm")))), ramp())


def test_window(tmp_path):
    write(tmp_path / "a.dcm", WindowCenter="", WindowWidth="", VOILUTFunction="SIGMOID")  # empty, and a stray function
    inject(
        tmp_path / "a.dcm",
        tmp_path / "b.dcm",
        MissingWindowing({**SIGMOID_RECIPE, "kind": "window", "center": 1450.5, "width": 1600}),
    )
    ds = pydicom.dcmread(tmp_path / "b.dcm")
    assert (ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction) == (1450.5, 1600, "LINEAR")
    assert np.abs(render(ds) - 65535 * apply_voi_lut(ds.pixel_array, ds) / 4095).max() <= 0.5 + 1e-6


def test_none_adds_nothing(tmp_path):
    write(tmp_path / "a.dcm")
    inject(tmp_path / "a.dcm", tmp_path / "b.dcm", MissingWindowing({**SIGMOID_RECIPE, "kind": "none"}))
    assert pydicom.dcmread(tmp_path / "b.dcm") == pydicom.dcmread(tmp_path / "a.dcm")


@pytest.mark.parametrize("entries", [16384, 65536])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_long_tables(tmp_path, entries, syntax):
    """65,536 entries are 131,072 bytes, too long for US in explicit VR; the descriptor says 0."""
    pixels = np.array([[0, 1000, 16383, 65535]], np.uint16)
    write_dicom(tmp_path / "a.dcm", pixels, bits=16, syntax=syntax)
    inject(
        tmp_path / "a.dcm",
        tmp_path / "b.dcm",
        MissingWindowing({**SIGMOID_RECIPE, "entries": entries, "center": 8000, "width": 9000}),
    )
    ds = pydicom.dcmread(tmp_path / "b.dcm")
    assert ds.VOILUTSequence[0].LUTDescriptor[0] == entries % 65536
    expected = sigmoid_table(8000, 9000, entries)[np.minimum(pixels, entries - 1)]
    assert np.array_equal(render(ds), expected)
    assert np.array_equal(apply_voi_lut(ds.pixel_array, ds), expected)


def test_own_windowing_is_never_replaced(tmp_path):
    write(tmp_path / "a.dcm", WindowCenter=1, WindowWidth=2)
    with pytest.raises(ValueError, match="of its own"):
        inject(tmp_path / "a.dcm", tmp_path / "b.dcm", SIGMOID)
    assert not (tmp_path / "b.dcm").exists()


def test_bare_file_gets_preamble_and_meta_group(tmp_path):
    write(tmp_path / "whole.dcm")
    data = (tmp_path / "whole.dcm").read_bytes()
    (tmp_path / "bare.dcm").write_bytes(data[132 + 12 + int.from_bytes(data[140:144], "little") :])
    inject(tmp_path / "bare.dcm", tmp_path / "b.dcm", SIGMOID)
    ds = pydicom.dcmread(tmp_path / "b.dcm")  # not forced: a proper file
    meta = ds.file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (ds.SOPClassUID, ds.SOPInstanceUID)
    assert {"FileMetaInformationGroupLength", "FileMetaInformationVersion", "ImplementationClassUID"} <= set(meta.dir())
    assert np.array_equal(apply_voi_lut(ds.pixel_array, ds), sigmoid_table(1450, 1600, 4096)[ramp()])


def test_whole_or_not_at_all(tmp_path):
    (tmp_path / "a.dcm").write_text("no DICOM")
    with pytest.raises(Unusable):
        inject(tmp_path / "a.dcm", tmp_path / "out" / "b.dcm", SIGMOID)
    write(tmp_path / "good.dcm")
    inject(tmp_path / "good.dcm", tmp_path / "out" / "b.dcm", SIGMOID)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.dcm"]
