"""The script: what it says of a release, and what it leaves behind where too much of one cannot be used."""

import logging

import pytest
from index_dataset import main

from mammoseg.phantom import make_release
from mammoseg.rebuild.code_versions import Code
from mammoseg.runtime.errors import UserError
from mammoseg.runtime.files import read_csv
from mammoseg.study import DataSet

CODE = Code("1", frozenset("1"))


@pytest.fixture
def release(tmp_path):
    make_release(tmp_path / "release", "inbreast", patients=3, seed=1, rows=128, columns=104)
    return tmp_path


def index(folder, caplog, **changes):
    given = {"role": "external", "site": "s", "listing": True, "phantom": None, **changes}
    data = DataSet("inb", "inbreast", folder / "release", **given)
    with caplog.at_level(logging.INFO):
        main(data, folder / "results/inb", folder / "results/private/inb", False, CODE, 2)
    return caplog.text


def test_a_release_that_is_not_the_whole_one_is_used_with_a_warning(release, caplog):
    said = index(release, caplog)
    files = len(list((release / "release").rglob("*.dcm")))
    assert f"differs from what is known of the whole: 410 files, here {files}, 108 patients, here 3" in said
    assert (release / "results/inb/index.csv").exists()


def test_it_says_how_many_images_have_a_mass(release, caplog):
    said = index(release, caplog)
    masses = [r["n_masses"] for r in read_csv(release / "results/inb/index.csv")]
    assert "0" in masses
    assert f"{len(masses)} images ({sum(n not in ('', '0') for n in masses)} with a mass) of 3 patients" in said


def test_a_phantom_is_not_expected_to_be_whole(release, caplog):
    assert "differs" not in index(release, caplog, phantom={"seed": 1})


def test_too_many_files_set_aside_leave_a_list_of_them_and_no_index(release, caplog):
    victims = sorted((release / "release").rglob("*.dcm"))[:4]
    for path in victims:
        path.write_bytes(b"no DICOM")
    with pytest.raises(UserError, match=r"cannot be used: not_dicom \(4\).*refused\.csv names the files"):
        index(release, caplog)
    private = release / "results/private/inb"
    named = {r["path"].rsplit("/", 1)[-1] for r in read_csv(private / "refused.csv")}
    assert {p.name for p in victims} <= named
    assert "not_dicom" in {r["reason"] for r in read_csv(private / "refused_reasons.csv")}
    assert not (release / "results/inb/index.csv").exists()
    index(release, caplog, max_excluded=0.9)
    assert not (private / "refused.csv").exists()
    assert (release / "results/inb/index.csv").exists()
