import os
import shutil

import cv2
import numpy as np
import pytest
from dicom_files import write_dicom
from test_render_shards import RECIPE

from mammoseg.datasets.registry import importer_for
from mammoseg.index import build_index
from mammoseg.index.build_index import counts, index_release
from mammoseg.index.columns import COLUMNS
from mammoseg.index.index_files import load_seen, rendered, write_index
from mammoseg.index.release_listing import listing
from mammoseg.phantom import make_release
from mammoseg.plan.shard_images import candidate_of, images_of_shard, write_shards
from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import Code
from mammoseg.render.shards import render_shard
from mammoseg.runtime.errors import Unusable, UserError
from mammoseg.runtime.files import read_csv, write_csv

CODE = Code("1", frozenset({"1"}))
CHANGED = Code("2", frozenset({"2"}))
KEY = b"k" * 32
MANIFEST = ("image", "mask", "patient", "laterality", "view", "birads")


class Release:
    """A small release by manifest, and its index as the rule makes it."""

    def __init__(self, folder):
        self.root, self.public, self.private = folder / "release", folder / "public", folder / "private"
        self.rows = []
        rng = np.random.default_rng(1)
        for p in range(3):
            for view in ("CC", "MLO"):
                image, mask = f"images/patient{p}_{view}.png", f"masks/patient{p}_{view}.png"
                pixels = rng.integers(0, 65535, (40, 30)).astype(np.uint16)
                lesion = np.zeros((40, 30), np.uint8)
                lesion[10:15, 10:15] = 255 * (p < 2)
                for path, array in ((image, pixels), (mask, lesion)):
                    (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(self.root / path), array)
                self.rows.append(
                    {
                        "image": image,
                        "mask": mask,
                        "patient": f"Secret{p}",
                        "laterality": "L",
                        "view": view,
                        "birads": "4a",
                    }
                )
        self.save()

    def save(self):
        write_csv(self.root / "manifest.csv", MANIFEST, self.rows)

    def index(self, code=CODE, sha=None, site="site", key=KEY, **how):
        index = index_release(
            importer_for("manifest", self.root),
            dataset="d",
            site=site,
            key=key,
            code=code,
            seen=load_seen(self.private / "seen.jsonl"),
            rendered_sha256=sha or rendered(self.public / "png"),
            **how,
        )
        write_index(index, self.public, self.private)
        return index

    def rows_by_id(self):
        return {r["image_id"]: r for r in read_csv(self.public / "index.csv")}

    def id_of(self, image):
        return next(s["image_id"] for s in read_csv(self.private / "sources.csv") if s["path"] == image)


@pytest.fixture
def release(tmp_path) -> Release:
    return Release(tmp_path)


def test_the_index_of_a_release(release):
    index = release.index()
    assert index.opened == 6
    rows = release.rows_by_id()
    assert list(next(iter(rows.values())))[: len(COLUMNS)] == list(COLUMNS)
    assert list(rows) == sorted(rows)
    assert {r["n_masses"] for r in rows.values()} == {"0", "1"}
    assert len({r["patient_id"] for r in rows.values()}) == 3
    assert {(r["rows"], r["columns"], r["windowing"], r["birads"]) for r in rows.values()} == {
        ("40", "30", "image", "4a")
    }


def test_what_identifies_stays_in_private(release):
    release.rows.append({**release.rows[0], "image": "images/SecretName.png"})
    release.save()
    release.index()
    public = b"".join(p.read_bytes() for p in release.public.rglob("*") if p.is_file())
    assert b"Secret" not in public
    assert b"patient0" not in public
    assert b"SecretName" in (release.private / "excluded.csv").read_bytes()
    assert [r["reason"] for r in read_csv(release.public / "excluded.csv")] == ["missing_file"]


def test_nothing_changed_nothing_opened_and_the_same_bytes(release):
    release.index()
    before = {p: p.read_bytes() for p in (*release.public.iterdir(), *release.private.iterdir())}
    assert release.index().opened == 0
    assert {p: p.read_bytes() for p in before} == before


def test_changed_code_describes_again_but_keeps_the_content(release):
    release.index()
    before = release.rows_by_id()
    assert release.index(code=CHANGED).opened == 6
    assert release.rows_by_id() == before


def test_a_touched_file_keeps_its_content_if_its_bytes_are_those_that_were_rendered(release):
    release.index()
    before, image = release.rows_by_id(), release.root / "images/patient1_CC.png"
    image_id, sha = release.id_of("images/patient1_CC.png"), digests.sha256(image)
    os.utime(image, (1, 1))
    assert release.index(sha={image_id: sha}.get).opened == 1
    assert release.rows_by_id() == before


def test_changed_pixels_and_a_touched_file_never_rendered_get_a_new_content(release):
    release.index()
    before, image = release.rows_by_id(), release.root / "images/patient1_CC.png"
    image_id, sha = release.id_of("images/patient1_CC.png"), digests.sha256(image)
    cv2.imwrite(str(image), np.full((40, 30), 7, np.uint16))
    release.index(sha={image_id: sha}.get)
    changed = [i for i, r in release.rows_by_id().items() if r != before[i]]
    assert changed == [image_id]
    first = release.rows_by_id()[image_id]["content"]
    os.utime(image, (2, 2))
    release.index(sha={}.get)
    assert release.rows_by_id()[image_id]["content"] != first


def test_a_corrected_mask_changes_the_annotation_of_its_image_alone(release):
    release.index()
    before, mask = release.rows_by_id(), release.root / "masks/patient0_CC.png"
    corrected = np.zeros((40, 30), np.uint8)
    corrected[5:9, 5:9] = corrected[20:25, 20:25] = 255
    cv2.imwrite(str(mask), corrected)
    assert release.index().opened == 1
    after = release.rows_by_id()
    changed = {i: {c for c in r if r[c] != before[i][c]} for i, r in after.items() if r != before[i]}
    assert changed == {release.id_of("images/patient0_CC.png"): {"annotations", "n_masses"}}


def test_a_touched_mask_changes_nothing(release):
    release.index()
    before = release.rows_by_id()
    os.utime(release.root / "masks/patient0_CC.png", (1, 1))
    release.index()
    assert release.rows_by_id() == before


def test_the_archive_moved_as_a_whole_costs_nothing(release, tmp_path):
    release.index()
    before = release.rows_by_id()
    shutil.move(release.root, tmp_path / "elsewhere")
    release.root = tmp_path / "elsewhere"
    assert release.index().opened == 0
    assert release.rows_by_id() == before


def test_a_release_of_which_nothing_is_usable_stops_with_the_reason(release):
    for image in (release.root / "images").iterdir():
        image.write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"no image below .* can be used: .*\(6\)"):
        release.index()


def test_a_source_row_gives_the_candidate_back(release):
    index = release.index()
    candidates, _ = importer_for("manifest", release.root).candidates()
    assert sorted((candidate_of(s) for s in index.sources), key=lambda c: c.image) == sorted(
        candidates, key=lambda c: c.image
    )


def test_another_site_or_key_renames_everybody_though_nothing_is_opened(release):
    release.index()
    before = release.rows_by_id()
    for changed in ({"site": "other"}, {"key": b"x" * 32}):
        assert release.index(**changed).opened == 0
        after = release.rows_by_id()
        assert not set(before) & set(after)
        assert not {r["patient_id"] for r in before.values()} & {r["patient_id"] for r in after.values()}
    release.index()
    assert release.rows_by_id() == before


def test_a_link_that_leads_nowhere_is_set_aside(release):
    image = release.root / "images/patient1_CC.png"
    image.unlink()
    image.symlink_to(release.root / "gone.png")
    assert len(release.index().rows) == 5


def test_a_memory_of_another_version_is_forgotten(release):
    release.index()
    memory = release.private / "seen.jsonl"
    memory.write_text(memory.read_text().replace('"stamp"', '"stamp_of_old"'))
    assert release.index().opened == 6


def test_whose_files_are_gone_can_still_be_looked_up(release):
    release.index()
    gone = release.rows.pop(0)["patient"]
    release.rows = [r for r in release.rows if r["patient"] != gone]
    release.save()
    release.index()
    assert gone in {r["patient"] for r in read_csv(release.private / "patients.csv")}
    assert gone not in {r["patient"] for r in read_csv(release.private / "sources.csv")}


def test_only_columns_that_identify_no_one_are_carried_along(release):
    for row in release.rows:
        row |= {"density": "b", "referring_doctor": "Secret^Doctor", "lesion_site": "upper"}
    write_csv(release.root / "manifest.csv", (*MANIFEST, "density", "referring_doctor", "lesion_site"), release.rows)
    release.index()
    assert {"birads", "density"} <= set(release.rows_by_id().popitem()[1])
    assert "Secret^Doctor" not in (release.public / "index.csv").read_text()
    assert "upper" not in (release.public / "index.csv").read_text()
    release.index(carry=["lesion_site"])
    assert release.rows_by_id().popitem()[1]["lesion_site"] == "upper"


@pytest.mark.parametrize(
    "cell",
    ["4a, seen by Dr Secret on the second reading, see her letter", "seen 1914-07-31", "31.07.1914", "id 2718281"],
)
def test_a_known_column_that_holds_free_text_is_not_published_unless_it_is_asked_for(release, caplog, cell):
    release.rows[0]["birads"] = cell
    release.save()
    release.index()
    assert "birads" not in release.rows_by_id().popitem()[1]
    assert "column birads stays in results/private" in caplog.text
    assert cell not in caplog.text
    assert cell in (release.private / "sources.csv").read_text()
    release.index(carry=["birads"])
    assert cell in {r["birads"] for r in release.rows_by_id().values()}


def test_a_known_column_of_very_many_values_is_not_published(release, monkeypatch):
    for k, row in enumerate(release.rows):
        row["birads"] = f"Miller {k}"
    release.save()
    monkeypatch.setattr("mammoseg.index.build_index.MAX_WORDS", 6)
    release.index()
    assert "birads" in release.rows_by_id().popitem()[1]
    monkeypatch.setattr("mammoseg.index.build_index.MAX_WORDS", 5)
    release.index()
    assert "birads" not in release.rows_by_id().popitem()[1]


def test_no_cell_is_a_formula(release):
    cells = ["=HYPERLINK(A1)", "+1", "-0.5", "@SUM(A1)", "-2+3", "4a"]
    for row, cell in zip(release.rows, cells, strict=True):
        row["birads"] = cell
    release.save()
    release.index()
    got = sorted(r["birads"] for r in release.rows_by_id().values())
    assert got == sorted(["'=HYPERLINK(A1)", "+1", "-0.5", "'@SUM(A1)", "'-2+3", "4a"])


def test_too_many_files_set_aside_stop_the_run(release):
    (release.root / "images/patient0_CC.png").unlink()
    (release.root / "images/patient1_CC.png").write_bytes(b"no picture")
    assert len(release.index(max_excluded=2 / 6).rows) == 4
    with pytest.raises(
        UserError, match=r"2 of 6 files of data set d cannot be used: .*missing_file \(1\).*max_excluded of 0.3"
    ):
        release.index(max_excluded=0.3)


def test_files_that_no_copy_of_a_release_uses_do_not_count(release, monkeypatch):
    from mammoseg.datasets.manifest import ManifestImporter

    (release.root / "images/patient0_CC.png").unlink()
    monkeypatch.setattr(ManifestImporter, "by_design", frozenset({"missing_file"}))
    assert len(release.index(max_excluded=0).rows) == 5


def test_what_is_counted_of_a_release(release):
    # Three patients, two images each; those of patients 0 and 1 have one mass each.
    assert counts(release.index()) == {"files": 6, "patients": 3, "images with a mass": 4, "masses": 4}


def test_another_outline_in_a_table_is_another_reference(tmp_path):
    """CDD-CESM's contours stand in one table: a changed one must redo the mask of its image, and of no other."""
    import json

    from test_importer_cdd_cesm import CIRCLE, LOW, write_image

    root = tmp_path / "CDD-CESM"
    for name in ("P1_L_DM_CC", "P2_L_DM_CC"):
        write_image(root / LOW / f"{name}.jpg")
    (root / "annotations.csv").write_text("Image_name,Findings\nP1_L_DM_CC,mass\nP2_L_DM_CC,mass\n")

    def index(radius):
        regions = {"P1_L_DM_CC": {**CIRCLE, "r": radius}, "P2_L_DM_CC": CIRCLE}
        rows = [f'{n}.jpg,"{json.dumps(r).replace(chr(34), chr(34) * 2)}"' for n, r in regions.items()]
        (root / "segmentations.csv").write_text("#filename,region_shape_attributes\n" + "\n".join(rows) + "\n")
        found = index_release(
            importer_for("cdd_cesm", root), dataset="d", site="s", key=KEY, code=CODE, seen=[], rendered_sha256={}.get
        )
        return {s["path"]: r["annotations"] for s, r in zip(found.sources, found.rows, strict=True)}

    before, after = index(35), index(30)
    assert [path for path in before if before[path] != after[path]] == [f"{LOW}/P1_L_DM_CC.jpg"]


def test_only_images_of_a_subset(release):
    for k, row in enumerate(release.rows):
        row["birads"] = "5" if k == 2 else "4a"
    release.save()
    index = release.index(where={"birads": "4a"}, max_excluded=0)
    assert len(index.rows) == 5
    assert [x.reason for x in index.excluded] == ["left_out"]


def test_faults_are_compared_with_the_whole_release_also_where_a_part_of_it_is_wanted(release):
    for k, row in enumerate(release.rows):
        row["birads"] = "5" if k == 2 else "4a"
    release.save()
    (release.root / "images/patient0_CC.png").unlink()  # whether it would have been wanted, nobody can tell
    assert len(release.index(where={"birads": "5"}, max_excluded=1 / 6).rows) == 1
    with pytest.raises(UserError, match="1 of 6 files of data set d cannot be used"):
        release.index(where={"birads": "5"}, max_excluded=0.16)


@pytest.mark.parametrize(
    ("where", "why"),
    [({"bi_rads": "4a"}, "the release has no column 'bi_rads'"), ({"birads": "6"}, "none has these values")],
)
def test_a_where_that_leaves_nothing_is_named(release, where, why):
    (release.root / "images/patient0_CC.png").unlink()
    with pytest.raises(
        UserError, match=f"`where` of data set d leaves out all its 5 images: {why}; correct it in the config"
    ):
        release.index(where=where)


def test_one_image_in_files_of_two_patients_is_nobodys(release):
    for name in "abc":
        write_dicom(release.root / f"{name}.dcm", SOPInstanceUID="1.2.3" if name != "c" else "1.2.4")
    shutil.copy(release.root / "c.dcm", release.root / "d.dcm")
    release.rows += [
        {"image": f"{n}.dcm", "patient": f"Secret{p}"} for n, p in {"a": 7, "b": 8, "c": 9, "d": 9}.items()
    ]
    release.save()
    for opened in (10, 0):  # also where all is remembered
        index = release.index()
        assert index.opened == opened
        assert [(x.path, x.reason) for x in index.excluded] == [
            ("a.dcm", "two_patients"),
            ("b.dcm", "two_patients"),
            ("d.dcm", "duplicate"),
        ]
        assert not any("Secret" in x.explanation for x in index.excluded)


def test_a_file_name_that_is_no_utf_8_keeps_its_bytes(tmp_path):
    """As zipped on Windows: Latin-1. The folder that names a study, an image with its masks, and a file that is misplaced."""
    root, public, private = tmp_path / "OUDSM", tmp_path / "public", tmp_path / "private"
    make_release(root, "oulu", patients=2, seed=1, rows=128, columns=104)
    folder = sorted((root / "images").iterdir())[0].name
    odd = os.fsdecode(b"M\xfcller")
    for kind in ("images", "masks"):
        (root / kind / folder).rename(root / kind / odd)
    image = sorted((root / "images" / odd).iterdir())[0]
    shutil.copy(image, root / "images" / f"{odd}.dcm")
    listed = listing(root)
    image.rename(image.with_name(f"{odd}.dcm"))
    for mask in (root / "masks" / odd).glob(f"{image.stem}_mask_*"):
        mask.rename(mask.with_name(mask.name.replace(image.stem, odd)))
    assert listing(root) != listed
    importer = importer_for("oulu", root)
    how = {"dataset": "d", "site": "s", "key": KEY, "code": CODE, "rendered_sha256": {}.get}
    index = index_release(importer, **how, seen=[])
    write_index(index, public, private)
    assert {r["path"]: r["file"] for r in read_csv(private / "excluded.csv")} == {f"images/{odd}.dcm": "1"}
    again = index_release(importer, **how, seen=load_seen(private / "seen.jsonl"))
    assert (again.opened, again.rows) == (0, index.rows)
    mine = {r["image_id"]: "train-00000" for r in index.rows}
    for _ in range(2):
        write_shards(public / "index.csv", private / "sources.csv", mine, tmp_path / "shards")
    images = images_of_shard(tmp_path / "shards/train-00000.csv")
    assert os.fsencode(root / f"images/{odd}/{odd}.dcm") in {os.fsencode(i.path(importer)) for i in images}
    _, set_aside = render_shard(images, importer, None, tmp_path / "png", RECIPE, CODE, 2)
    assert set_aside == 0


def test_a_link_that_leaves_the_release_is_set_aside(release, tmp_path):
    outside = tmp_path / "outside.png"
    image = release.root / release.rows[0]["image"]
    image.rename(outside)
    image.symlink_to(outside)
    assert [x.reason for x in release.index().excluded] == ["outside_root"]


@pytest.mark.parametrize("importer", ["inbreast", "oulu", "cbis_ddsm", "cdd_cesm"])
def test_no_importer_follows_a_link_out_of_its_release(importer, tmp_path):
    from cbis_release import Cbis
    from test_importer_cdd_cesm import LOW, write_image

    root = tmp_path / "release"
    if importer in ("inbreast", "oulu"):
        make_release(root, importer, patients=2, seed=1, rows=128, columns=104)
    elif importer == "cbis_ddsm":
        cbis = Cbis(root)
        for patient in ("P_00001", "P_00002"):
            cbis.abnormality(patient, "LEFT", "CC", 1)
        cbis.save()
    else:
        for name in ("P1_L_DM_CC", "P2_L_DM_CC"):
            write_image(root / LOW / f"{name}.jpg")
        (root / "annotations.csv").write_text("Image_name,Findings\nP1_L_DM_CC,mass\n")
        (root / "segmentations.csv").write_text("#filename,region_shape_attributes\n")

    def index():
        how = {"dataset": "d", "site": "s", "key": KEY, "code": CODE, "seen": [], "rendered_sha256": {}.get}
        return index_release(importer_for(importer, root), **how)

    before = index()
    victim = root / before.sources[0]["path"]
    victim.rename(tmp_path / "outside")
    victim.symlink_to(tmp_path / "outside")
    after = index()
    assert len(after.rows) == len(before.rows) - 1
    assert "outside_root" in {x.reason for x in after.excluded}


def test_a_file_that_a_disk_did_not_give_is_looked_at_again(release, monkeypatch):
    def ill(path):
        raise Unusable("unreadable", "the file cannot be opened or read")

    monkeypatch.setattr(
        build_index, "picture_size", lambda path: ill(path) if path.name == "patient0_CC.png" else (40, 30)
    )
    assert [x.reason for x in release.index(max_excluded=1.0).excluded] == ["unreadable"]
    monkeypatch.undo()
    again = release.index()
    assert (len(again.rows), len(again.excluded), again.opened) == (6, 0, 1)
