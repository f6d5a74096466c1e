"""Side, view and pixel size from headers: the three rules of the Oulu tool, codes, spacings that are none."""

import pytest
from pydicom.dataset import Dataset

from mammoseg.dicom.position import laterality_and_view, pixel_spacing_mm


def header(code=None, scheme="SCT", **attributes) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    if code:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "a view"
        ds.ViewCodeSequence = [item]
    return ds


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # (1) the processing description, where ViewPosition is missing or empty
        ({"AcquisitionDeviceProcessingDescription": "MLO SIN"}, ("L", "MLO")),
        ({"AcquisitionDeviceProcessingDescription": "CC DEX", "ViewPosition": ""}, ("R", "CC")),
        ({"AcquisitionDeviceProcessingDescription": "CC DEX extra", "ViewPosition": ""}, ("R", "CC")),
        # (2) side and view in one word
        ({"ViewPosition": "RCC"}, ("R", "CC")),
        ({"ViewPosition": "LMLO"}, ("L", "MLO")),
        ({"ViewPosition": "rmlo "}, ("R", "MLO")),
        # (3) as it is
        ({"ViewPosition": "MLO", "ImageLaterality": "L"}, ("L", "MLO")),
        (
            {"ViewPosition": "CC", "ImageLaterality": "R", "AcquisitionDeviceProcessingDescription": "MLO SIN"},
            ("R", "CC"),
        ),
        ({"ViewPosition": "LM", "Laterality": "R"}, ("R", "LM")),  # latero-medial, not the left M
        ({"ViewPosition": "LMO", "ImageLaterality": "R"}, ("R", "LMO")),
        # codes, where nothing else says it
        ({"code": "399162004", "ImageLaterality": "L"}, ("L", "CC")),
        ({"code": "R-10226", "scheme": "SRT"}, ("", "MLO")),
        ({"code": "R-10244", "scheme": "SNM3"}, ("", "FB")),
        # unknown
        ({}, ("", "")),
        ({"ViewPosition": "AP", "ImageLaterality": "B"}, ("", "")),
        ({"AcquisitionDeviceProcessingDescription": "screening"}, ("", "")),
    ],
)
def test_laterality_and_view(attributes, expected):
    assert laterality_and_view(header(**attributes)) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PixelSpacing": [0.085, 0.085], "ImagerPixelSpacing": [0.1, 0.1]}, 0.085),
        ({"ImagerPixelSpacing": [0.0941, 0.0941]}, 0.0941),
        ({"ImagerPixelSpacing": [0.0941, 0.0945]}, 0.0941),
        ({"PixelSpacing": "", "ImagerPixelSpacing": [0.07, 0.07]}, 0.07),
        ({"PixelSpacing": [0.07, 0.14]}, None),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": [0.07]}, None),
        ({}, None),
    ],
)
def test_pixel_spacing(attributes, expected):
    assert pixel_spacing_mm(header(**attributes)) == expected
