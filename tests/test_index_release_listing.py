import os

from test_importer_inbreast import no_entry

from mammoseg.index.release_listing import listing


def test_listing_sees_what_a_release_can_do(tmp_path):
    root = tmp_path / "release"
    (root / "a").mkdir(parents=True)
    (root / "a/1.dcm").write_bytes(b"one")
    (root / "2.dcm").write_bytes(b"two")
    seen = [listing(root)]
    assert listing(root) == seen[0]
    os.utime(root / "2.dcm", (1, 1))
    seen.append(listing(root))
    (root / "2.dcm").rename(root / "a/2.dcm")
    seen.append(listing(root))
    (root / "a/1.dcm").unlink()
    seen.append(listing(root))
    assert len(set(seen)) == 4
    root.rename(tmp_path / "moved")
    assert listing(tmp_path / "moved") == seen[-1], "a release that was moved as a whole is the same"
    assert listing(root) == "absent"


def test_repaired_rights_are_a_reason_to_look_again(tmp_path):
    (tmp_path / "1.dcm").write_bytes(b"one")
    (tmp_path / "1.dcm").chmod(0o000)
    before = listing(tmp_path)
    (tmp_path / "1.dcm").chmod(0o644)
    assert listing(tmp_path) != before


def test_a_linked_file_counts_as_the_file_behind_it(tmp_path):
    root, far = tmp_path / "release", tmp_path / "far.dcm"
    root.mkdir()
    far.write_bytes(b"one")
    (root / "1.dcm").symlink_to(far)
    before = listing(root)
    far.write_bytes(b"other")
    assert listing(root) != before
    far.unlink()
    assert listing(root) not in (before, "absent")


def test_a_folder_that_cannot_be_read_is_listed_and_readable_again_it_is_another_listing(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.dcm").write_bytes(b"one")
    before = listing(tmp_path)
    with monkeypatch.context() as m:
        no_entry(m, tmp_path / "a")
        assert listing(tmp_path) != before
    assert listing(tmp_path) == before
