"""Canaries in every identifying attribute, file name and CSV cell: none is in any byte of what may be shown, nor on the terminal."""

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import write_dicom
from PIL import Image
from tiny import CONFIG, Ran, TinyStudy

from mammoseg.phantom import Site

CANARY = "Xanthippe"
NUMBER = "27182818284"
DATE = "19140731"
SIGNS = tuple(s.encode() for s in (CANARY, CANARY.lower(), CANARY.upper(), NUMBER, DATE))
PATIENTS = 8


def identifying(k: int) -> dict:
    """Attributes that say who it is, each with a canary."""
    return {
        "PatientName": f"{CANARY}^{k}", "PatientID": f"{CANARY}{k}", "OtherPatientIDs": f"{CANARY}{k}", "PatientBirthDate": DATE,
        "PatientAddress": CANARY, "PatientComments": CANARY, "PatientTelephoneNumbers": NUMBER, "AccessionNumber": f"{NUMBER}{k}",
        "StudyID": f"{CANARY}{k}", "StudyDate": DATE, "AcquisitionDateTime": f"{DATE}120000", "InstitutionName": CANARY,
        "ReferringPhysicianName": CANARY, "OperatorsName": CANARY, "StationName": CANARY, "DeviceSerialNumber": NUMBER,
        "StudyDescription": CANARY, "SeriesDescription": CANARY, "ImageComments": CANARY, "ProtocolName": CANARY,
        "StudyInstanceUID": f"1.2.{NUMBER}.{k}", "SeriesInstanceUID": f"1.2.{NUMBER}.{k}.1", "SOPInstanceUID": f"1.2.{NUMBER}.{k}.2",
        "FrameOfReferenceUID": f"1.2.{NUMBER}.{k}.3",
    }  # fmt: skip


def write_archive(root: Path) -> None:
    """A manifest's archive: mammograms with a mass, beside them all kinds of files that cannot be used."""
    site = Site("oulu", 3, 128, 104)
    rows = []
    for k in range(1, PATIENTS + 1):
        images = site.images(site.patient(k))
        for view, image in zip(("CC", "MLO"), images, strict=False):
            name = f"{CANARY}_{k}_{view}"
            write_dicom(root / CANARY / f"{name}.dcm", image.stored(4095), **identifying(10 * k + len(view)))
            mask = image.mass_mask if image.mass_mask.any() else np.eye(*image.mass_mask.shape, dtype=bool)
            (root / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / f"{name}.png")
            rows.append(
                [f"{CANARY}/{name}.dcm", f"{CANARY}{k}", f"masks/{name}.png", "L", view, CANARY, f"={CANARY}", "4a"]
            )
    first = (root / rows[0][0]).read_bytes()
    bad = {
        "truncated": first[: len(first) // 2],
        "text": f"the report of {CANARY}, born {DATE}".encode(),
        "no pixels": first[: first.index(b"\xe0\x7f\x10\x00")],
        "bits": first.replace(b"\x28\x00\x01\x01US\x02\x00\x0c\x00", b"\x28\x00\x01\x01US\x02\x00\x63\x00"),
        "side": first,
        "view": first,
        # An image of its own: of one image under two patients neither file is used.
        "broken date": first.replace(DATE.encode(), CANARY[:8].encode()).replace(b".12.2", b".12.9"),
    }
    for k, (what, data) in enumerate(bad.items()):
        (root / CANARY / f"{CANARY}_{what}.dcm").write_bytes(data)
        side = CANARY if what == "side" else "L"
        view = CANARY if what == "view" else "CC"
        # The picture of the first patient is hers under another number too: else it would be one exposure of two people.
        patient = f"{CANARY}1" if what == "broken date" else f"{CANARY}9{k}"
        rows.append([f"{CANARY}/{CANARY}_{what}.dcm", patient, "", side, view, CANARY, CANARY, ""])
    rows += [
        [f"{CANARY}/gone.dcm", f"{CANARY}99", "", "L", "CC", CANARY, CANARY, ""],
        [f"../{CANARY}.dcm", f"{CANARY}98", "", "L", "CC", CANARY, CANARY, ""],
        [rows[2][0], f"{CANARY}97", "", "L", "CC", CANARY, CANARY, ""],  # one file, two patients
    ]
    with (root / "manifest.csv").open("w", newline="") as f:
        out = csv.writer(f)
        # `finding` is a column that is published where it holds words of the field; here it tells a story.
        out.writerow(
            ["image", "patient", "mask", "laterality", "view", "remarks", f"doctor {CANARY}", "birads", "finding"]
        )
        out.writerows([*row, f"seen by {CANARY}, born {DATE}"] for row in rows)


def no_sign_of_anyone(study: TinyStudy, *runs: Ran) -> None:
    for ran in runs:
        assert not [s for s in SIGNS if s in ran.output.encode()], ran.output[-4000:]
    shown = [p for p in study.folder.rglob("*") if p.is_file() and not p.is_relative_to(study.folder / "data")]
    shown = [p for p in shown if not p.is_relative_to(study.results / "private") and p.name != "config.yaml"]
    assert len(shown) > 50
    for path in shown:
        assert not [s for s in SIGNS if s in str(path.relative_to(study.folder)).encode() + path.read_bytes()], path


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> TinyStudy:
    config = {
        **CONFIG,
        "datasets": [{"name": "archive", "importer": "manifest", "root": "data", "role": "train", "max_excluded": 0.9}],
    }
    study = TinyStudy(tmp_path_factory.mktemp("study"), patients={}, config=config)
    (study.folder / "data").mkdir()
    write_archive(study.folder / "data")
    return study


def test_a_whole_run(study):
    ran = study.run()
    no_sign_of_anyone(study, ran)
    assert (study.results / "report.html").exists()
    reasons = {r["reason"] for r in csv.DictReader((study.results / "archive/excluded.csv").open())}
    assert {"missing_file", "outside_root", "not_dicom", "bad_laterality", "unknown_view"} <= reasons
    private = b"".join(p.read_bytes() for p in (study.results / "private").rglob("*") if p.is_file())
    assert CANARY.encode() in private  # the canaries were there to be found
    assert (study.results / "private/key").stat().st_mode & 0o777 == 0o600
    assert (study.results / "private").stat().st_mode & 0o777 == 0o700


def test_failed_runs(study):
    runs = []
    image = study.folder / "data" / next(csv.DictReader((study.folder / "data/manifest.csv").open()))["image"]
    away = image.rename(study.folder / "data" / f"{CANARY}_moved")
    runs.append(study.run(check=False))  # an image of the cohort is gone
    away.rename(image)
    ds = pydicom.dcmread(image)
    ds.PixelData = ds.PixelData[:-2]
    ds.save_as(image)
    runs.append(study.run(check=False))  # it is damaged
    manifest = study.folder / "data/manifest.csv"
    table = manifest.read_bytes()
    manifest.write_bytes(table + b'"' + CANARY.encode())
    runs.append(study.run(check=False))  # no well-formed table
    manifest.write_bytes(table.replace(b"image,patient", b"picture,patient", 1))
    runs.append(study.run(check=False))  # a column is missing
    manifest.write_bytes(table)
    study.config["datasets"][0]["max_excluded"] = 0.01
    runs.append(study.run(check=False))  # too many files are set aside
    for rule in ("index_dataset", "render_png"):
        flag = study.fail(rule)
        study.config["image"] = {"side": 96}
        runs.append(study.run(check=False))  # a bug
        flag.unlink()
    assert all(ran.status for ran in runs), [ran.status for ran in runs]
    no_sign_of_anyone(study, *runs)
