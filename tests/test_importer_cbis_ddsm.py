"""CBIS-DDSM: a small release with its known traps, in every layout; what is expected is written down by hand."""

import logging
import os
import re

import numpy as np
import pydicom
import pytest
import yaml
from cbis_release import (
    COLUMNS,
    LAYOUTS,
    MASS_TRAIN,
    ROWS,
    VIEW,
    Cbis,
    box,
    cases,
    importer_of,
    index,
    one_mass,
    without_preamble,
    write_release,
)
from conftest import ROOT
from index_dataset import main
from snakemake.utils import update_config

from mammoseg.datasets.cbis_ddsm import CbisDdsmImporter
from mammoseg.datasets.pictures import read_picture
from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.index.build_index import index_release
from mammoseg.index.index_files import write_index
from mammoseg.phantom import Site
from mammoseg.plan.shard_images import Image as ShardImage
from mammoseg.plan.shard_images import candidate_of
from mammoseg.rebuild.code_versions import Code
from mammoseg.render.shards import render_shard
from mammoseg.runtime.files import read_csv
from mammoseg.study import DataSet, Study


@pytest.fixture(params=LAYOUTS)
def release(request, tmp_path) -> Cbis:
    """The release in each of its layouts."""
    return write_release(tmp_path / "CBIS", request.param)


def test_every_case(release):
    described, reasons = cases(release.root)
    got = {
        k: (c.key, c.n_masses, c.patient, c.study, c.laterality, c.view, c.extra["official_split"], c.extra["in_both_splits"])
        for k, (c, _) in described.items()
    }  # fmt: skip
    assert got == {
        k: (k, n_masses, k[:7], k[:7], *k[8:].split("_"), split, both)
        for k, n_masses, split, both in [
            ("P_00001_L_CC", 2, "train", "no"),
            ("P_00001_L_MLO", 1, "train", "no"),
            ("P_00002_R_CC", 0, "train", "no"),
            ("P_00002_R_MLO", 1, "train", "no"),
            ("P_00003_L_CC", 1, "train", "yes"),
            ("P_00003_R_CC", 0, "train", "yes"),  # the tables of masses decide for the whole patient
            ("P_00004_L_CC", 1, "test", "yes"),
            ("P_00004_L_MLO", 0, "test", "yes"),
            ("P_00145_L_CC", 1, "test", "no"),
            ("P_00353_L_MLO", 0, "test", "no"),  # masks of calcifications are not opened
        ]
    }
    assert all(c.pixel_spacing_mm is None for c, _ in described.values())
    second = release.files["Calc-Training_P_00002_RIGHT_MLO", "full"].relative_to(release.root).as_posix()
    assert reasons == {
        "P_00353_L_CC": "mask_size",
        "P_00005_L_CC": "bad_mask",  # the cropped image is no mask
        "P_00005_L_MLO": "missing_mask",
        "P_00006_LEFT_CC": "missing_file",
        second: "same_view",
    }
    assert "same_view" in CbisDdsmImporter.by_design


def test_the_image_is_the_one_of_the_table_of_masses(release):
    found = {
        c.facts["patient"] + c.facts["laterality"] + c.facts["view"]: c for c in importer_of(release).candidates()[0]
    }
    expected = release.files["Mass-Training_P_00002_RIGHT_MLO", "full"]
    assert release.root / found["P_00002RMLO"].image == expected


def test_the_film_of_the_calcifications_does_not_stand_in_for_a_missing_one(tmp_path):
    cbis = Cbis(tmp_path / "CBIS")
    cbis.abnormality("P_00001", "LEFT", "CC", 1, write=("crop", "mask"))
    cbis.abnormality("P_00001", "LEFT", "CC", 1, kind="calc")
    cbis.abnormality("P_00001", "LEFT", "MLO", 1)
    cbis.save()
    described, reasons = cases(cbis.root)
    assert reasons == {"P_00001_LEFT_CC": "missing_file"}
    assert list(described) == ["P_00001_L_MLO"]


def test_files_without_preamble_and_meta_group(tmp_path):
    cbis = one_mass(tmp_path)
    for path in cbis.files.values():
        without_preamble(path)
        assert path.read_bytes()[:4] == b"\x08\x00\x16\x00"  # it begins with SOPClassUID (0008,0016)
    case, (mask,) = cases(cbis.root)[0]["P_00001_L_CC"]
    assert case.n_masses == 1
    assert np.array_equal(mask, box(10, 20, 10, 20) > 0)


def test_what_is_carried_along(tmp_path):
    described, _ = cases(write_release(tmp_path / "CBIS").root)

    def extra(view):
        return {k: v for k, v in described[view][0].extra.items() if k != "mask_files"}

    assert extra("P_00001_L_CC") == {
        "official_split": "train", "in_both_splits": "no", "lesion_type": "mass", "pathology": "malignant", "birads": "5",
        "density": "3", "subtlety": "0;5", "mass_shape": "ROUND;IRREGULAR-ARCHITECTURAL_DISTORTION",
        "mass_margins": "N/A;SPICULATED",  # N/A is a word of the tables
        "calc_type": "", "calc_distribution": "", "n_calcifications": "0", "n_masks_resized": "0",
    }  # fmt: skip
    assert extra("P_00002_R_CC") == {
        "official_split": "train", "in_both_splits": "no", "lesion_type": "calcification",
        "pathology": "benign_without_callback", "birads": "2", "density": "2",  # of the second row: the first has 0, unknown
        "subtlety": "", "mass_shape": "", "mass_margins": "", "calc_type": "PLEOMORPHIC;N/A",
        "calc_distribution": "CLUSTERED;LINEAR", "n_calcifications": "2", "n_masks_resized": "0",
    }  # fmt: skip
    assert extra("P_00002_R_MLO") == {
        "official_split": "train", "in_both_splits": "no", "lesion_type": "both", "pathology": "malignant", "birads": "5",
        "density": "3", "subtlety": "5", "mass_shape": "OVAL", "mass_margins": "N/A", "calc_type": "AMORPHOUS",
        "calc_distribution": "REGIONAL", "n_calcifications": "1", "n_masks_resized": "0",
    }  # fmt: skip


def test_counts_of_the_tables(tmp_path, caplog):
    importer = importer_of(write_release(tmp_path / "CBIS"))
    with caplog.at_level(logging.INFO):
        importer.candidates()
    # Patients 1 to 6, 145 and 353. Masses: 2 + 1 of P_00001, P_00002, 3, 4, 145, 353, two views of 5, 6.
    assert importer.expected == {"patients": 8, "images with a mass": 10, "masses": 11}
    # Views: 2 each of 1, 2, 3, 4, 353, 5; 145 and 6. Without an image 6 (and its mass), without a mask one of 5.
    assert "name 14 views and 11 masses; files are here of 13 and 9" in caplog.text
    assert "2 patients are in a training and in a test table" in caplog.text
    assert not re.search(r"P_\d|\d\.\d+\.|LEFT", caplog.text)  # numbers, and nobody


def test_no_image_is_opened_to_find_the_images(release, monkeypatch):
    before = importer_of(release).candidates()
    for path in release.files.values():
        path.write_bytes(b"")
    monkeypatch.setattr(pydicom, "dcmread", None)
    assert importer_of(release).candidates() == before


def test_headers_are_read_once_and_only_of_files_in_unknown_folders(tmp_path, monkeypatch):
    cbis = write_release(tmp_path / "CBIS")
    before, _ = cases(cbis.root)
    moved = [p for (view, _), p in cbis.files.items() if "P_00001" in view]
    for k, path in enumerate(moved):
        (cbis.root / "flat").mkdir(exist_ok=True)
        path.rename(cbis.root / "flat" / f"{k}.dcm")
    read = []
    dcmread = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda path, **how: (read.append(path), dcmread(path, **how))[1])
    after, reasons = cases(cbis.root)
    assert sorted(read) == sorted((cbis.root / "flat").iterdir())
    assert after.keys() == before.keys()
    assert all(np.array_equal(a, b) for k in after for a, b in zip(after[k][1], before[k][1], strict=True))
    assert len(reasons) == 5


@pytest.mark.parametrize("series", [True, False])
def test_headers_name_the_series_or_the_patient(tmp_path, series):
    cbis = one_mass(tmp_path)
    for k, path in enumerate(cbis.files.values()):
        ds = pydicom.dcmread(path)
        if series:
            ds.PatientID = "removed"
        else:
            ds.SeriesInstanceUID = f"1.2.{k}"
        ds.save_as(cbis.root / f"{k}.dcm")
        without_preamble(cbis.root / f"{k}.dcm")
        path.unlink()
    (cbis.root / "report.dcm").write_bytes(b"no DICOM at all")
    assert list(cases(cbis.root)[0]) == ["P_00001_L_CC"]


def test_folders_of_other_uids_are_found_by_the_patient(tmp_path):
    cbis = write_release(tmp_path / "CBIS")
    before, _ = cases(cbis.root)
    for folder in (cbis.root / "CBIS-DDSM").glob("*/*/*"):
        folder.rename(folder.with_name("1.2." + folder.name.rsplit(".", 1)[-1]))
    after, _ = cases(cbis.root)
    assert {k: c.n_masses for k, (c, _) in after.items()} == {k: c.n_masses for k, (c, _) in before.items()}


def test_a_table_that_lies_at_two_places_counts_once(tmp_path, caplog):
    cbis = write_release(tmp_path / "CBIS")
    before = importer_of(cbis).candidates()
    again = (cbis.root / MASS_TRAIN).read_text()
    (cbis.root / "tables").mkdir()
    (cbis.root / "tables" / MASS_TRAIN).write_text(again.replace("SPICULATED", "OBSCURED"))
    assert importer_of(cbis).candidates() == before
    assert "8 rows of the tables repeat an abnormality" in caplog.text  # 3 of P_00001, 1 each of 2, 3, 6, 2 of 5


def test_tables_of_masses_alone(tmp_path, caplog):
    cbis = write_release(tmp_path / "CBIS")
    for split in ("train", "test"):
        (cbis.root / f"calc_case_description_{split}_set.csv").unlink()
    described, reasons = cases(cbis.root)
    assert sorted(described) == ["P_00001_L_CC", "P_00001_L_MLO", "P_00002_R_MLO", "P_00003_L_CC", "P_00004_L_CC", "P_00145_L_CC"]  # fmt: skip
    assert "same_view" not in reasons.values()
    assert described["P_00003_L_CC"][0].extra["in_both_splits"] == "no"
    for split in ("train", "test"):
        assert f"there is no table calc_case_description_{split}_set.csv" in caplog.text


def test_same_order_whatever_the_disk_says(tmp_path, monkeypatch):
    cbis = write_release(tmp_path / "CBIS")
    first = importer_of(cbis).candidates()
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda top, **how: ((f, d, n[::-1]) for f, d, n in list(walk(top, **how))[::-1]))
    assert importer_of(cbis).candidates() == first


def test_same_order_whatever_the_tables_say(tmp_path):
    cbis = write_release(tmp_path / "CBIS")
    first = importer_of(cbis).candidates()
    for rows in cbis.tables.values():
        rows.reverse()
    cbis.save()
    assert importer_of(cbis).candidates() == first


def test_the_index(release, tmp_path):
    made = index(release.root)
    assert sorted(x.reason for x in made.excluded) == [
        "bad_mask",
        "mask_size",
        "missing_file",
        "missing_mask",
        "same_view",
    ]
    write_index(made, tmp_path / "public", tmp_path / "private")
    rows = read_csv(tmp_path / "public/index.csv")
    assert sorted((r["official_split"], r["in_both_splits"], r["n_masses"], r["mass_margins"]) for r in rows) == [
        ("test", "no", "0", ""), ("test", "no", "1", "N/A"), ("test", "yes", "0", ""), ("test", "yes", "1", "N/A"),
        ("train", "no", "0", ""), ("train", "no", "1", "N/A"), ("train", "no", "1", "N/A"), ("train", "no", "2", "N/A;SPICULATED"),
        ("train", "yes", "0", ""), ("train", "yes", "1", "N/A"),
    ]  # fmt: skip
    assert "n_masks_resized" in rows[0]
    public = b"".join(p.read_bytes() for p in (tmp_path / "public").iterdir())
    assert not re.search(rb"P_0|1\.3\.6|\.dcm|jpg", public)  # neither patients nor files
    assert b"mask_files" in (tmp_path / "private/seen.jsonl").read_bytes()
    # The masks that are rendered later, from what the index left, are the same.
    importer = CbisDdsmImporter(release.root)
    masses = [
        list(importer.mass_masks(candidate_of(s), ROWS, COLUMNS)) for s in read_csv(tmp_path / "private/sources.csv")
    ]
    assert [str(len(m)) for m in masses] == [r["n_masses"] for r in rows]


@pytest.mark.parametrize("where", [{}, {"official_split": "train"}])
def test_a_chosen_part_of_the_release_is_not_compared_with_the_whole(tmp_path, caplog, where):
    root = write_release(tmp_path / "CBIS").root
    dataset = DataSet("cbis", "cbis_ddsm", root, "train", "cbis", True, None, max_excluded=1, where=where)
    main(dataset, tmp_path / "public", tmp_path / "private" / "cbis", False, Code("1", frozenset({"1"})), 1)
    # Usable are 10 views of patients 1 to 4, 145 and 353, 6 of them with 7 masses.
    whole = "8 patients, here 6, 10 images with a mass, here 6, 11 masses, here 7"
    assert (f"differs from what is known of the whole: {whole}" in caplog.text) == (not where)
    assert ("differs" in caplog.text) == (not where)


@pytest.mark.parametrize("example", ["cbis_ddsm", "cbis_to_inbreast"])
def test_the_ready_studies_show_films_of_16_bits_with_their_tissue(tmp_path, config, schema, example):
    cbis = one_mass(tmp_path)
    path = cbis.files[VIEW, "full"]
    ds = pydicom.dcmread(path)
    site = Site("oulu", 3, ROWS, COLUMNS)
    ds.PixelData = next(iter(site.images(site.patient(1)))).stored(65535).tobytes()
    ds.save_as(path)
    update_config(config, yaml.safe_load((ROOT / f"config/examples/{example}.yaml").read_text()))
    study = Study(config, schema)
    importer = importer_for("cbis_ddsm", cbis.root)
    how = {"dataset": "d", "site": "s", "key": b"k" * 32, "code": Code("1", frozenset({"1"})), "seen": []}
    index = index_release(importer, **how, rendered_sha256={}.get)
    row = {k: str(v) for k, v in index.rows[0].items()}
    missing = MissingWindowing(study.injection_recipe())
    recipe = {**study.render_recipe(), "side": 128}
    render_shard(
        [ShardImage(row, index.sources[0])], importer, None, tmp_path / "png", recipe, how["code"], 1, missing=missing
    )
    shown = read_picture(tmp_path / "png" / f"{row['image_id']}.png")
    breast = shown[shown > 0]
    assert (breast == 65535).mean() < 0.1
    assert len(np.unique(breast)) > 1000
