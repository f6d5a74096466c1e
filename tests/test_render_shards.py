import json
import os

import cv2
import numpy as np
import pydicom
import pytest
from dicom_files import ramp, write_dicom
from pydicom.pixels import apply_voi_lut

from mammoseg.datasets.registry import importer_for
from mammoseg.dicom.missing_windowing import MissingWindowing
from mammoseg.images.letterbox import Letterbox
from mammoseg.index.build_index import index_release
from mammoseg.index.index_files import SOURCES, load_seen, write_index
from mammoseg.plan.shard_images import Image, images_of_shard, write_shards
from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.render import shards
from mammoseg.render.shards import inject_shard, render_shard
from mammoseg.runtime.errors import Unusable, UserError
from mammoseg.runtime.files import read_csv, write_csv

CODE = Code("1", frozenset({"1"}))
CHANGED = Code("2", frozenset({"2"}))
VOI_LUT = {"kind": "sigmoid", "center": 1450, "width": 1600, "entries": 4096, "explanation": "test"}
RECIPE = {"side": 64, "mask_share": 0.5, "orient": "as_is", "windowing": {"prefer": "lut", "item": 1}}


class Shard:
    """A shard of three DICOMs (two without windowing) and a PNG, through injection and rendering."""

    def __init__(self, folder):
        self.folder, self.root = folder, folder / "release"
        rows = []
        for name, attributes in {"a": {}, "b": {"WindowCenter": 2000, "WindowWidth": 3000}, "c": {}}.items():
            write_dicom(self.root / f"{name}.dcm", ramp(128, 96), **attributes)
            rows.append({"image": f"{name}.dcm", "patient": f"p{name}", "mask": "", "laterality": "L"})
        cv2.imwrite(str(self.root / "d.png"), np.linspace(0, 65535, 80 * 64).astype(np.uint16).reshape(80, 64))
        lesion = np.zeros((80, 64), np.uint8)
        lesion[20:41, 20:41] = 255
        cv2.imwrite(str(self.root / "d_mask.png"), lesion)
        rows.append({"image": "d.png", "patient": "pd", "mask": "d_mask.png", "laterality": "L"})
        write_csv(self.root / "manifest.csv", ("image", "mask", "patient", "laterality"), rows)
        self.importer = importer_for("manifest", self.root)
        self.reindex()

    def reindex(self):
        index = index_release(
            self.importer, dataset="d", site="s", key=b"k" * 32, code=CODE, seen=[], rendered_sha256={}.get
        )
        write_index(index, self.folder, self.folder)
        self.ids = {s["path"].split(".")[0]: s["image_id"] for s in index.sources}
        mine = {r["image_id"]: "train-00000" for r in index.rows}
        write_shards(self.folder / "index.csv", self.folder / "sources.csv", mine, self.folder / "shards")
        self.images = images_of_shard(self.folder / "shards/train-00000.csv")

    def inject(self, recipe=VOI_LUT, code=CODE):
        return inject_shard(self.images, self.importer, self.folder / "dicom", MissingWindowing(recipe), code, 2)

    def render(self, recipe=RECIPE, code=CODE, workers=1, in_cohort=False, missing=None):
        injected = None if missing else self.folder / "dicom"
        folder = self.folder / "png"
        return render_shard(self.images, self.importer, injected, folder, recipe, code, workers, in_cohort, missing)

    def manifest(self, folder="png"):
        by_id = {i: name for name, i in self.ids.items()}
        return {by_id[r["image_id"]]: r for r in read_csv(self.folder / folder / "manifest.csv")}

    def png(self, name, ending=""):
        return cv2.imread(str(self.folder / "png" / f"{self.ids[name]}{ending}.png"), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def shard(tmp_path) -> Shard:
    return Shard(tmp_path)


def test_only_what_has_no_windowing_is_injected(shard):
    assert shard.inject() == (2, 0)
    files = {name: row["file"] for name, row in shard.manifest("dicom").items()}
    assert files == {"a": f"{shard.ids['a']}.dcm", "b": "", "c": f"{shard.ids['c']}.dcm", "d": ""}
    injected = pydicom.dcmread(shard.folder / "dicom" / files["a"])
    assert injected.PixelData == pydicom.dcmread(shard.root / "a.dcm").PixelData
    assert injected.VOILUTSequence[0].LUTDescriptor == [4096, 0, 16]


def test_pixels_are_those_of_pydicom_padded_and_resized(shard):
    shard.inject()
    assert shard.render() == (4, 0)
    injected = pydicom.dcmread(shard.folder / "dicom" / f"{shard.ids['a']}.dcm")
    expected = np.zeros((128, 128))
    left = int(shard.manifest()["a"]["pad_right"]) == 1
    expected[:, slice(0, 96) if left else slice(32, 128)] = apply_voi_lut(injected.pixel_array, injected)
    means = expected.reshape(64, 2, 64, 2).mean(axis=(1, 3))  # area interpolation by a whole factor is a mean
    assert np.abs(shard.png("a").astype(float) - means).max() <= 1
    assert shard.png("a").dtype == np.uint16


def test_the_manifest_says_what_was_made(shard):
    shard.inject()
    shard.render()
    rows = shard.manifest()
    assert {name: r["windowing"] for name, r in rows.items()} == {
        "a": "injected",
        "b": "window",
        "c": "injected",
        "d": "image",
    }
    assert {r["status"] for r in rows.values()} == {"ok"}
    for name, row in rows.items():
        source = shard.root / ("d.png" if name == "d" else f"{name}.dcm")
        assert row["source_sha256"] == digests.sha256(source)
        assert row["png_sha256"] == digests.sha256(shard.folder / "png" / f"{row['image_id']}.png")
    mask = shard.png("d", "_mask")
    assert set(np.unique(mask)) == {0, 255}
    assert int(rows["d"]["mask_pixels"]) == np.count_nonzero(mask)
    assert abs(np.count_nonzero(mask) - (21 * 64 / 80) ** 2) < 2 * 21
    assert not shard.png("a", "_mask").any(), "the manifest has a mask column, so an empty cell says: no mass"


def test_the_reference_in_the_originals_own_pixels_and_its_size(shard):
    rows = read_csv(shard.root / "manifest.csv")
    lesion = cv2.imread(str(shard.root / "d_mask.png"), cv2.IMREAD_UNCHANGED)
    lesion[60:65, 10:15] = 255  # another mass, a smaller one
    cv2.imwrite(str(shard.root / "d_mask.png"), lesion)
    columns = ("image", "mask", "patient", "laterality", "pixel_spacing_mm")
    write_csv(shard.root / "manifest.csv", columns, [r | {"pixel_spacing_mm": "0.1"} for r in rows])
    shard.reindex()
    shard.inject()
    shard.render()
    assert np.array_equal(shard.png("d", "_reference"), lesion)
    row = shard.manifest()["d"]
    assert row["reference_sha256"] == digests.sha256(shard.folder / "png" / f"{row['image_id']}_reference.png")
    assert float(row["largest_mass_mm"]) == pytest.approx(0.1 * 2 * (21 * 21 / np.pi) ** 0.5, abs=0.005)
    assert [shard.manifest()["a"][c] for c in ("reference_sha256", "largest_mass_mm")] == ["", ""]
    assert shard.png("a", "_reference") is None, "an image without a mass needs none"


def test_an_image_that_a_disk_did_not_give_is_tried_again(shard, monkeypatch):
    shard.inject()

    def ill(*_):
        raise Unusable("unreadable", "the file cannot be opened or read")

    monkeypatch.setattr(shards, "render_file", ill)
    assert shard.render() == (4, 3)
    monkeypatch.undo()
    assert shard.render() == (3, 0), "the picture was read and is kept"


def test_what_is_there_is_kept_and_what_changed_is_made_again(shard):
    shard.inject()
    shard.render()
    assert (shard.inject(), shard.render()) == ((0, 2), (0, 0))
    (shard.folder / "png" / f"{shard.ids['b']}.png").unlink()
    assert shard.render() == (1, 0), "a PNG that is gone"
    write_dicom(shard.root / "b.dcm", ramp(128, 96)[::-1], WindowCenter=2000, WindowWidth=3000)
    shard.reindex()
    assert (shard.inject(), shard.render()) == ((0, 2), (1, 0)), "other pixels (and another SOP instance UID)"
    assert shard.inject({**VOI_LUT, "center": 1400}) == (2, 0)
    assert shard.render() == (2, 0), "another table concerns the injected ones alone"
    assert shard.render({**RECIPE, "mask_share": 0.4}) == (4, 0)
    assert shard.render({**RECIPE, "mask_share": 0.4}, code=CHANGED) == (4, 0)


def test_workers_do_not_change_a_byte(shard):
    shard.inject()
    shard.render(workers=1)
    one = {p.name: p.read_bytes() for p in (shard.folder / "png").iterdir()}
    shard.render(code=CHANGED)
    shard.render(workers=2)
    assert {p.name: p.read_bytes() for p in (shard.folder / "png").iterdir()} == one


def test_a_damaged_image_is_a_row_with_a_reason_and_stops_nothing(shard):
    whole = (shard.root / "a.dcm").read_bytes()
    (shard.root / "a.dcm").write_bytes(whole[:-2000])
    constant = pydicom.dcmread(shard.root / "c.dcm")
    constant.PixelData = bytes(len(constant.PixelData))
    constant.save_as(shard.root / "c.dcm")
    shard.inject()
    converted, set_aside = shard.render()
    assert (converted, set_aside) == (4, 2)
    rows = shard.manifest()
    assert rows["a"]["status"] != "ok"
    assert rows["c"]["status"] == "constant_image"
    assert all(rows[n]["explanation"] for n in "ac")
    assert not (shard.folder / "png" / f"{shard.ids['a']}.png").exists()
    assert shard.render() == (0, 2), "and is not tried again as long as it is the same"


def test_an_image_that_left_the_shard_is_tidied_away(shard):
    shard.inject()
    shard.render()
    gone = shard.ids["d"]
    shard.images = [i for i in shard.images if i.id != gone]
    shard.inject()
    shard.render()
    assert not list((shard.folder / "png").glob(f"{gone}*"))


def test_a_render_that_is_killed_leaves_no_wrong_memory(shard, monkeypatch):
    shard.inject()
    shard.render()
    monkeypatch.setattr("mammoseg.render.shards.in_processes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        shard.render({**RECIPE, "side": 32})
    monkeypatch.undo()
    assert shard.render() == (4, 0), "the old recipe must not believe what the killed job may have overwritten"


def test_a_decoder_that_crashes_costs_one_image(shard, monkeypatch):
    shard.inject()
    victim, read = shard.root / "b.dcm", shards.render_file
    monkeypatch.setattr(shards, "render_file", lambda path, *how: os.abort() if path == victim else read(path, *how))
    for workers in (1, 2):
        assert shard.render(workers=workers, code=CHANGED)[1] == 1
        assert {n: r["status"] for n, r in shard.manifest().items()} == {
            "a": "ok",
            "b": "decoder_crashed",
            "c": "ok",
            "d": "ok",
        }
    monkeypatch.undo()
    assert shard.render(code=CHANGED) == (1, 0), "a crash is not remembered: it may have been the memory"


def test_an_image_whose_injection_failed_is_made_once_it_succeeds(shard):
    shard.inject({**VOI_LUT, "kind": "none"})
    shard.render()
    monkey = shard.folder / "dicom/manifest.csv"
    rows = read_csv(monkey)
    failed = [{**r, "status": "unwritable", "explanation": "x"} if r["image_id"] == shard.ids["a"] else r for r in rows]
    write_csv(monkey, rows[0].keys(), failed)
    assert shard.render() == (1, 1), "not the picture of before"
    write_csv(monkey, rows[0].keys(), rows)
    assert shard.render() == (1, 0)


def test_a_shards_rows_are_written_apart_and_only_where_they_change(tmp_path):
    columns = ("image_id", "patient_id", "path")  # a release's own column may have any name
    write_csv(
        tmp_path / "index.csv", columns, [{"image_id": i, "patient_id": f"p{i}", "path": "theirs"} for i in "abcd"]
    )
    sources = [{"image_id": i, "path": f"{i}.dcm", "annotations": "[]", "facts": "{}"} for i in "abcd"]
    write_csv(tmp_path / "sources.csv", SOURCES, sources)
    mine = {"a": "train-00000", "b": "holdout-00000", "c": "train-00000"}
    write_shards(tmp_path / "index.csv", tmp_path / "sources.csv", mine, tmp_path / "shards")
    assert sorted(p.name for p in (tmp_path / "shards").iterdir()) == ["holdout-00000.csv", "train-00000.csv"]
    images = images_of_shard(tmp_path / "shards/train-00000.csv")
    assert [(i.id, i.index["path"], i.source["path"]) for i in images] == [
        ("a", "theirs", "a.dcm"),
        ("c", "theirs", "c.dcm"),
    ]
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "shards").iterdir()}
    write_shards(tmp_path / "index.csv", tmp_path / "sources.csv", {**mine, "d": "holdout-00000"}, tmp_path / "shards")
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "shards").iterdir()}
    assert {n for n in after if after[n] != before[n]} == {"holdout-00000.csv"}
    write_shards(tmp_path / "index.csv", tmp_path / "sources.csv", {"a": "train-00000"}, tmp_path / "shards")
    assert [p.name for p in (tmp_path / "shards").iterdir()] == ["train-00000.csv"]


def test_an_image_of_the_cohort_that_cannot_be_rendered_any_more_stops_the_run_until_it_is_mended(shard):
    shard.inject()
    assert shard.render(in_cohort=True) == (4, 0)
    whole = (shard.root / "d.png").read_bytes()
    (shard.root / "d.png").write_bytes(whole[: len(whole) // 2])
    shard.reindex()
    shard.inject()
    for _ in range(2):
        with pytest.raises(
            UserError,
            match=f"1 images of the cohort could be rendered before .* {shard.ids['d']} of patient .*withdraw",
        ):
            shard.render(in_cohort=True)
    (shard.root / "d.png").write_bytes(whole)
    shard.reindex()
    assert shard.render(in_cohort=True)[1] == 0


def test_a_file_that_is_gone_since_it_was_indexed_stops_the_shard(shard):
    shard.inject()
    (shard.root / "b.dcm").unlink()
    with pytest.raises(UserError, match=f"image {shard.ids['b']} can no longer be opened"):
        shard.render()


def test_another_reading_of_the_same_annotation_is_rendered_again(shard):
    shard.inject()
    shard.render()
    image = next(i for i in shard.images if i.id == shard.ids["d"])
    image.index["n_masses"] = ""
    assert shard.render() == (1, 0), "from a mask to none"
    image.index["laterality"] = "R"
    assert shard.render() == (1, 0)


def test_pictures_are_the_same_whether_injected_files_are_kept_or_not(shard):
    shard.inject()
    shard.render()
    kept = {p.name: p.read_bytes() for p in (shard.folder / "png").glob("*.png")}
    rows = shard.manifest()
    missing = MissingWindowing(VOI_LUT)
    assert shard.render(missing=missing) == (2, 0), "those without windowing"
    assert {p.name: p.read_bytes() for p in (shard.folder / "png").glob("*.png")} == kept
    assert {n: r["windowing"] for n, r in shard.manifest().items()} == {n: r["windowing"] for n, r in rows.items()}
    assert shard.render(missing=missing) == (0, 0)
    assert shard.render(missing=MissingWindowing({**VOI_LUT, "center": 1400})) == (2, 0)


def test_a_shard_that_gets_its_first_file_without_windowing_keeps_the_other_pictures(shard):
    for name in "ac":
        write_dicom(shard.root / f"{name}.dcm", ramp(128, 96), WindowCenter=2000, WindowWidth=3000)
    shard.reindex()
    render_shard(
        shard.images, shard.importer, None, shard.folder / "png", RECIPE, CODE, 1
    )  # as nothing is to be injected
    write_dicom(shard.root / "a.dcm", ramp(128, 96))
    shard.reindex()
    shard.inject()
    assert shard.render() == (1, 0)
    assert {n: r["windowing"] for n, r in shard.manifest().items()} == {
        "a": "injected",
        "b": "window",
        "c": "window",
        "d": "image",
    }


def test_every_breast_is_mirrored_to_one_side_and_the_mirror_is_in_the_manifest(shard):
    right = ramp(128, 96).reshape(128, 96)
    breast = np.zeros((128, 96), np.uint16)
    yy, xx = np.mgrid[:128, :96]
    inside = ((95 - xx) / 60) ** 2 + ((yy - 64) / 50) ** 2 < 1  # hangs from the right edge
    breast[inside] = 1000 + right[inside] // 4
    write_dicom(shard.root / "a.dcm", breast)
    shard.reindex()
    shard.inject()
    shard.render()
    as_is = shard.png("a")
    row = shard.manifest()["a"]
    assert (row["mirrored"], row["pad_right"], row["facing"]) == ("0", "0", "differs")  # the manifest's laterality is L
    shard.render({**RECIPE, "orient": "right"})
    row = shard.manifest()["a"]
    assert (row["mirrored"], row["pad_right"], row["facing"]) == ("1", "1", "differs")
    assert np.array_equal(shard.png("a"), as_is[:, ::-1])
    assert np.array_equal(
        Letterbox(128, 96, 64, True, True).inverse(shard.png("a")), Letterbox(128, 96, 64, False).inverse(as_is)
    )


def test_the_headers_orientation_counts_before_the_side_it_is_hung_on(shard, caplog):
    write_dicom(shard.root / "c.dcm", ramp(128, 96), PatientOrientation=["P", "F"])
    shard.reindex()
    shard.inject()
    with caplog.at_level("WARNING"):
        shard.render()
    row = shard.manifest()["c"]
    assert row["facing"] == ("differs" if row["pad_right"] == "1" else "agrees")
    assert ("face the other way" in caplog.text) == any(r["facing"] == "differs" for r in shard.manifest().values())


@pytest.mark.parametrize(("kind", "white"), [("sigmoid", True), ("percentiles", False)])
def test_a_breast_that_is_shown_all_white_is_warned_of(shard, caplog, kind, white):
    breast = np.zeros((128, 96), np.uint16)
    breast[20:100, :60] = np.linspace(20_000, 50_000, 80 * 60).reshape(80, 60)  # 16 bits, as scanned film has them
    write_dicom(shard.root / "a.dcm", breast, bits=16)
    shard.reindex()
    recipe = {**VOI_LUT, "kind": kind, "percentiles": [1, 99]}
    for _ in range(2):  # also where all is kept from the last time
        caplog.clear()
        shard.inject(recipe)
        with caplog.at_level("WARNING"):
            shard.render()
        assert (f"does not fit the values of 1 images, the first is {shard.ids['a']}" in caplog.text) == white
        assert (float(shard.manifest()["a"]["white_share"]) > 0.5) == white


def test_a_corrected_finding_redoes_the_mask_of_its_contour(tmp_path):
    """In CDD-CESM a contour is a mass where the table of findings says so: that table too decides what is drawn."""
    from test_importer_cdd_cesm import CIRCLE, LOW, write_image

    root = tmp_path / "CDD-CESM"
    write_image(root / LOW / "P1_L_DM_CC.jpg")
    contour = json.dumps(CIRCLE).replace('"', '""')
    (root / "segmentations.csv").write_text(f'#filename,region_shape_attributes\nP1_L_DM_CC.jpg,"{contour}"\n')
    importer = importer_for("cdd_cesm", root)

    def render(finding):
        (root / "annotations.csv").write_text(f"Image_name,Findings\nP1_L_DM_CC,{finding}\n")
        how = {"dataset": "d", "site": "s", "key": b"k" * 32, "code": CODE, "rendered_sha256": {}.get}
        index = index_release(importer, **how, seen=load_seen(tmp_path / "seen.jsonl"))
        write_index(index, tmp_path, tmp_path)
        images = [Image(*rows) for rows in zip(read_csv(tmp_path / "index.csv"), index.sources, strict=True)]
        made, _ = render_shard(images, importer, None, tmp_path / "png", RECIPE, CODE, 1)
        return made, images[0].index["n_masses"], int(read_csv(tmp_path / "png/manifest.csv")[0]["mask_pixels"]) > 0

    assert render("Asymmetry") == (1, "0", False)
    assert render("Dense mass") == (1, "1", True)
    assert render("Round mass") == (0, "1", True)
    assert render("Asymmetry") == (1, "0", False)
