"""Data and reference standard: files, exclusions, images and patients are counted, windowing and geometry told."""

import copy

import pytest
from described_study import EXCLUDED, PLACES, RAW, Small, image, is_sound, section

from mammoseg.datasets.registry import IMPORTERS, importer_class
from mammoseg.index import build_index
from mammoseg.methods.counts import LEFT_OUT
from mammoseg.methods.text import count_study


def test_files_exclusions_images_and_patients_are_counted(small):
    first, second, *_ = section(small.text(), "Data")
    assert first == (
        "The data set ours was an archive with a table that names the patient and the masks of each image and served to develop the "
        "networks. It held 15 files. Excluded were 3 files; the recorded reasons were “a mask has 4 x 6 pixels” or alike (2 files) and "
        f"“{RAW}” (1 file). Withdrawn from the study were 2 images of 1 patient. Excluded because it could not be rendered was 1 image; "
        "the recorded reason was “no installed decoder can read its pixels”. This left 9 images of 6 patients (7 in CC view and 2 in "
        "MLO view). Annotated masses were present in 6 images of 5 patients (7 masses in all); no mass was annotated in 2 images; there "
        "was no reference for 1 image. Pixel spacings were known for 8 of them (0.07 to 0.1 mm)."
    )
    assert second == (
        "The data set theirs was the INbreast release (Moreira et al., Academic Radiology 19, 2012) and served for external testing "
        "only. It held 2 files. All were used: 2 images of 2 patients. Each showed at least one annotated mass (2 masses in all). The "
        "pixel spacing was not recorded."
    )


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_importer_describes_its_own_release_and_reference(small, name):
    small.config["datasets"][1]["importer"] = name
    text = small.text()
    assert f"The data set theirs {importer_class(name).source} and served for external testing" in text
    assert f"for theirs, {importer_class(name).reference}" in text
    phantom = {"layout": "oulu", "patients": 2, "seed": 1, "rows": 64, "columns": 64}
    small.config["datasets"][1] |= {"phantom": phantom, "root": "results/phantoms/theirs"}
    assert f"consisted of synthetic phantoms in the format of {importer_class(name).layout}" in small.text()


def test_every_file_is_accounted_for_once(small):
    assert LEFT_OUT == build_index.LEFT_OUT
    counts = count_study(
        {"ours": [i for i, _ in small.rows["ours"]]},
        {"ours": [*EXCLUDED, {"reason": "left_out", "explanation": "x"}]},
        {"ours": [r for _, r in small.rows["ours"]]},
        [{"dataset": "ours", "patient_id": f"patient-{p}", "role": r, "fold": f} for p, (r, f) in PLACES.items()],
        small.waiting,
    )
    release = counts.releases["ours"]
    aside = sum(r.files for r in (*release.excluded, *release.unusable))
    assert release.files == 16 == aside + release.left_out + release.withdrawn.images + release.usable.images
    assert release.usable.images == 9 == sum(g.images for g in counts.parts.values()) + release.later.images


def test_windowing_and_what_is_injected(small):
    text = "\n".join(section(small.text(), "Data"))
    assert (
        "was applied to 7 images, all of ours (a VOI LUT in 6 and a window in 1); where a file had several, a VOI LUT counted"
        in text
    )
    assert "Files without windowing (4 images: 2 of ours and 2 of theirs) were first given a sigmoid VOI LUT" in text
    assert "with c = 1,450 and w = 1,600 stored values, as a table of 4,096 entries" in text
    small.config["image"]["voi_lut"] |= {"kind": "mode"}
    assert "from 500 below the most frequent grey value of the breast to 800 above it" in small.text()
    small.config["image"]["voi_lut"] |= {"kind": "percentiles"}
    assert "a linear window between percentiles 1 and 99 of" in small.text()
    small.config["image"]["voi_lut"] |= {"kind": "window"}
    assert "a linear window of centre 1,450 and width 1,600 stored values" in small.text()
    small.config["image"]["voi_lut"] |= {"kind": "file", "file": "/secret/other.dcm"}
    assert "one and the same windowing, read from a file" in small.text()
    small.config["image"]["windowing"] = {"prefer": "window", "item": "HARDER"}
    assert "a window counted before a VOI LUT, and the one named “HARDER”, or else the first, was taken" in small.text()
    small.config["image"]["voi_lut"] |= {"kind": "none"}
    small.rows = {
        "ours": [image("a1", windowing="none"), image("b1", windowing="image"), image("c1", windowing="image")],
    }
    small.config["datasets"].pop()
    text = small.text()
    assert "Without windowing, the whole range of the stored bits was shown (1 image)." in text
    assert "Grey values of picture files (PNG, JPEG or TIFF; 2 images) were taken as they are." in text
    assert "Files without windowing" not in text
    is_sound(text)


def test_geometry_and_orientation(small):
    assert "resized to 512 × 512 pixels by area averaging" in small.text()
    assert "mass where at least 50% of its area was" in small.text()
    assert "left facing as they were stored" in small.text()
    small.config["image"] |= {"orient": "right", "side": 96, "mask_share": 0.125}
    text = small.text()
    assert "Breasts with the chest wall on the right were mirrored (1 image), so that all faced one way." in text
    assert "mass where at least 12.5% of its area was" in text
    assert "those for images of 512 × 512; they were scaled to 96 × 96" in text
    assert (
        "they were scaled"
        not in Small(
            copy.deepcopy(small.config) | {"image": small.config["image"] | {"side": 512}}, small.schema
        ).text()
    )
