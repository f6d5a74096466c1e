"""CDD-CESM: a phantom release in the true format; every contour judged by scikit-image."""

import csv
import json
import logging
import math
from pathlib import Path

import numpy as np
import openpyxl
import pytest
import skimage.draw
from PIL import Image

from mammoseg.datasets.cdd_cesm import CddCesmImporter
from mammoseg.datasets.importer import SetAside
from mammoseg.runtime.errors import Unusable, UserError

ROWS, COLUMNS = 300, 200
LOW, SUBTRACTED = "Low energy images of CDD-CESM", "Subtracted images of CDD-CESM"
COLUMN_NAMES = [
    "Image_name", "Patient_ID", "Side", "Type", "Age", "Breast density (ACR)", "BIRADS", "Findings", "View", "Tags",
    "Machine", "Pathology Classification/ Follow up",
]  # fmt: skip
POLYGON = {"name": "polygon", "all_points_x": [20, 90, 70, 15], "all_points_y": [40, 50, 120, 100]}
CIRCLE = {"name": "circle", "cx": 120, "cy": 200, "r": 35.5}
ELLIPSE = {"name": "ellipse", "cx": 100, "cy": 100, "rx": 60.2, "ry": 25.7, "theta": 0.6}
FINDINGS = {
    # image: findings, density, BI-RADS, pathology, contours
    "P1_L_DM_CC": ("Equal density mass with circumscribed margin ", "B", "3$2", "Benign", [POLYGON, CIRCLE]),
    "P1_L_DM_MLO": ("High density mass with speculated margin and edema pattern", "_", "5", "Malignant", [ELLIPSE]),
    "P1_L_CM_CC": ("Heterogenous enhancing mass", "_", "5", "Malignant", [CIRCLE]),
    "P2_R_DM_CC": ("Normal", "C", "1", "Normal", []),
    "P2_R_DM_MLO": ("Focal asymmetry and heterogenous non mass enhancement", "C", "4", "Benign", [CIRCLE]),
    "P3_R_DM_CC": ("Two equal density masses", "A", "3", "Benign", []),  # named, but not drawn
}


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS)).astype(np.uint8)
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(path, quality=95)


def write_release(root: Path) -> None:
    for name in FINDINGS:
        write_image(root / (SUBTRACTED if "_CM_" in name else LOW) / f"{name}.jpg")
    write_image(root / LOW / "P9_L_DM_CC.jpg")  # in neither table
    write_image(root / LOW / "copy of P1.jpg")
    write_image(root / "elsewhere" / "P1_L_DM_CC.jpg")  # of another size, say
    rows = [
        [name, name[1], name[3], "DM", 31, density, birads, text, "CC", "x, y", 2, pathology]
        for name, (text, density, birads, pathology, _) in FINDINGS.items()
    ]
    with (root / "Radiology-manual-annotations.csv").open("w", newline="") as f:
        csv.writer(f).writerows([[*COLUMN_NAMES[:7], " Findings ", *COLUMN_NAMES[8:]], *rows])
    with (root / "Radiology_hand_drawn_segmentations_v2.csv").open("w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["#filename", "file_size", "file_attributes", "region_count", "region_id", "region_shape_attributes", "region_attributes"])  # fmt: skip
        for name, (*_, regions) in FINDINGS.items():
            for k, region in enumerate(regions):
                out.writerow([f"{name}.jpg", 1, "{}", len(regions), k, json.dumps(region), "{}"])
            if not regions:
                out.writerow([f"{name}.jpg", 1, "{}", 0, 0, "{}", "{}"])


@pytest.fixture
def release(tmp_path) -> Path:
    write_release(tmp_path / "CDD-CESM")
    return tmp_path / "CDD-CESM"


def cases(root: Path) -> dict:
    importer = CddCesmImporter(root)
    return {c.image.rsplit("/", 1)[-1]: importer.describe(c, None) for c in importer.candidates()[0]}


def test_every_case(release, caplog):
    with caplog.at_level(logging.INFO):
        found = cases(release)
    got = {n: (c.patient, c.laterality, c.view, c.n_masses, *c.extra.values()) for n, c in found.items()}
    assert got == {
        "P1_L_DM_CC.jpg": ("P1", "L", "CC", 2, "mass", "3$2", "B", "benign"),
        "P1_L_DM_MLO.jpg": ("P1", "L", "MLO", 1, "mass_and_other", "5", "", "malignant"),
        "P2_R_DM_CC.jpg": ("P2", "R", "CC", 0, "normal", "1", "C", "normal"),
        "P2_R_DM_MLO.jpg": ("P2", "R", "MLO", 0, "other", "4", "C", "benign"),
        "P3_R_DM_CC.jpg": ("P3", "R", "CC", None, "mass", "3", "A", "benign"),
        "P9_L_DM_CC.jpg": ("P9", "L", "CC", None, "", "", "", ""),
    }
    assert all(c.pixel_spacing_mm is None for c in found.values())
    assert "1 images are not in the table of findings" in caplog.text
    assert "1 pictures outside the release's folders are left alone" in caplog.text
    assert not any("31" in c.extra.values() for c in found.values())  # her age is not carried along


def test_what_is_set_aside(release):
    write_image(release / LOW / "again" / "P1_L_DM_CC.jpg")
    aside = CddCesmImporter(release).candidates()[1]
    assert sorted((x.path.rsplit("/", 1)[-1], x.reason) for x in aside) == [
        ("P1_L_CM_CC.jpg", "subtracted"),
        ("P1_L_DM_CC.jpg", "duplicate"),
        ("copy of P1.jpg", "unknown_name"),
    ]
    assert all(isinstance(x, SetAside) for x in aside)


def test_second_exposures_and_names_that_are_none(release):
    for name in (
        "P99_L_DM_MLO_2",
        "P281_L_DM_MLO2",
        "P281_L_DM_MLO",
        "P7_L_DM_SMITH",
        "P7_L_DM_MLO_SMITH",
        "P7_L_DM_MLO_22",
    ):
        write_image(release / LOW / f"{name}.jpg")
    found, aside = CddCesmImporter(release).candidates()
    keys = {c.key: c.view for c in cases(release).values() if c.patient in ("P7", "P99", "P281")}
    assert keys == {"P99_L_DM_MLO_2": "MLO", "P281_L_DM_MLO2": "MLO", "P281_L_DM_MLO": "MLO"}
    assert [x.reason for x in aside if "P7_" in x.path] == ["unknown_name"] * 3
    assert all(c.facts["view"] in ("CC", "MLO") for c in found)


def test_masks_as_scikit_image_draws_them(release):
    importer = CddCesmImporter(release)
    by_name = {c.image.rsplit("/", 1)[-1]: c for c in importer.candidates()[0]}
    polygon, circle = importer.mass_masks(by_name["P1_L_DM_CC.jpg"], ROWS, COLUMNS)
    judged = np.zeros((ROWS, COLUMNS), bool)
    judged[skimage.draw.polygon(POLYGON["all_points_y"], POLYGON["all_points_x"])] = True
    assert (polygon ^ judged).sum() <= 4  # centres that lie on the outline
    judged = np.zeros((ROWS, COLUMNS), bool)
    judged[skimage.draw.disk((CIRCLE["cy"], CIRCLE["cx"]), CIRCLE["r"])] = True
    assert np.array_equal(circle, judged)
    (ellipse,) = importer.mass_masks(by_name["P1_L_DM_MLO.jpg"], ROWS, COLUMNS)
    judged = np.zeros((ROWS, COLUMNS), bool)
    # scikit-image turns from the x axis against the y axis; theta goes from x towards y, as a canvas has it.
    args = ELLIPSE["cy"], ELLIPSE["cx"], ELLIPSE["ry"], ELLIPSE["rx"]
    judged[skimage.draw.ellipse(*args, shape=judged.shape, rotation=-ELLIPSE["theta"])] = True
    assert (ellipse ^ judged).sum() <= 4
    assert abs(ellipse.sum() / (math.pi * 60.2 * 25.7) - 1) < 0.01
    far = ELLIPSE["cx"] + 55 * math.cos(0.6), ELLIPSE["cy"] + 55 * math.sin(0.6)  # on the long axis, to the lower right
    assert ellipse[round(far[1]), round(far[0])]
    assert list(importer.mass_masks(by_name["P2_R_DM_MLO.jpg"], ROWS, COLUMNS)) == []  # a contour, and no mass


def test_the_table_of_findings_may_be_an_excel_file(release):
    before = cases(release)
    table = release / "Radiology-manual-annotations.csv"
    book = openpyxl.Workbook()
    with table.open(newline="") as f:
        for row in csv.reader(f):
            book.active.append([float(c) if c.isdigit() else c for c in row])
    book.save(table.with_suffix(".xlsx"))
    table.unlink()
    assert cases(release) == before


def test_a_contour_that_cannot_be_read_sets_its_image_aside(release):
    table = release / "Radiology_hand_drawn_segmentations_v2.csv"
    table.write_text(table.read_text().replace('""name"": ""ellipse""', '""name"": ""spiral""'))
    importer = CddCesmImporter(release)
    candidate = next(c for c in importer.candidates()[0] if "P1_L_DM_MLO" in c.image)
    with pytest.raises(Unusable, match="bad_annotation"):
        importer.describe(candidate, None)


@pytest.mark.parametrize(
    "contour",
    [
        '{"name": "polygon", "all_points_x": [20, 90, 70], "all_points_y": [40, 50, %s]}' % ("9" * 400),
        '{"name": "circle", "cx": 20, "cy": 20, "r": %s}' % ("9" * 400),
        '{"name": "polygon", "all_points_x": [20, 90, NaN], "all_points_y": [40, 50, 60]}',
        '{"name": "polygon", "all_points_x": [20, 90, 70], "all_points_y": [40, 50, Infinity]}',
        '{"name": "polyline", "all_points_x": [20, 90, 1e400], "all_points_y": [40, 50, 60]}',
        '{"name": "point", "cx": NaN, "cy": 3}',
        "[" * 100_000,
    ],
    ids=["integer", "radius", "nan", "infinity", "1e400", "point", "nested"],
)
def test_a_contour_of_impossible_numbers_sets_its_image_aside(release, contour):
    (release / "Radiology_hand_drawn_segmentations_v2.csv").write_text(
        '#filename,region_shape_attributes\nP1_L_DM_CC.jpg,"' + contour.replace('"', '""') + '"\n'
    )
    importer = CddCesmImporter(release)
    candidate = next(c for c in importer.candidates()[0] if c.image.endswith("P1_L_DM_CC.jpg"))
    with pytest.raises(Unusable, match="bad_annotation"):
        importer.describe(candidate, None)


@pytest.mark.parametrize(
    "missing", ["Radiology-manual-annotations.csv", "Radiology_hand_drawn_segmentations_v2.csv", LOW]
)
def test_not_a_release(release, missing):
    path = release / missing
    path.rename(release.parent / "moved")
    if missing == LOW:
        (release / "elsewhere/P1_L_DM_CC.jpg").unlink()
    with pytest.raises(UserError, match="CDD-CESM"):
        CddCesmImporter(release).candidates()


@pytest.mark.parametrize("name", ["Radiology-manual-annotations.csv", "Radiology_hand_drawn_segmentations_v2.csv"])
def test_a_table_that_is_a_link_out_of_the_release_is_not_read(release, name):
    (release / name).rename(release.parent / name)
    (release / name).symlink_to(release.parent / name)
    with pytest.raises(UserError, match=f"{name} is a link that leaves the data root"):
        CddCesmImporter(release).candidates()


def test_a_table_without_a_column_is_refused_and_its_headers_are_not_quoted(release):
    table = release / "Radiology-manual-annotations.csv"
    table.write_text("Jane Smith,Findings\nP1_L_DM_CC,mass\n")
    with pytest.raises(UserError, match="has no column 'image_name'; put the release's own there") as said:
        CddCesmImporter(release).candidates()
    assert "smith" not in str(said.value).lower()
