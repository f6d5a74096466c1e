"""Synthetic releases on disk: the same seed the same bytes, growth, damage, senseless arguments."""

import os

import pytest
from phantom_releases import INBREAST, OULU, times, tree

from mammoseg.phantom import add_patient, make_release
from mammoseg.runtime.errors import UserError


@pytest.mark.parametrize("options", [OULU, INBREAST], ids=["oulu", "inbreast"])
def test_same_seed_same_bytes_and_a_release_grows_without_touching_what_it_holds(options, tmp_path):
    one, other, grown = tmp_path / "one", tmp_path / "other", tmp_path / "grown"
    make_release(one, patients=4, **options)
    make_release(other, patients=4, **options)
    assert tree(one) == tree(other)

    make_release(grown, patients=2, **options)
    before, stamps = tree(grown), times(grown)
    make_release(grown, patients=2, **options)
    assert times(grown) == stamps
    add_patient(grown, number=3, **options)
    make_release(grown, patients=4, **options)
    assert tree(grown) == tree(one)
    tables = {"study_info.csv", "INbreast.csv"}
    assert {p: t for p, t in times(grown).items() if p in before and p not in tables} == {
        p: t for p, t in stamps.items() if p not in tables
    }


def test_another_seed_is_another_site(tmp_path):
    make_release(tmp_path / "a", patients=1, **OULU)
    make_release(tmp_path / "b", patients=1, **OULU | {"seed": 7})
    a, b = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert not {p for p in a if p.endswith(".dcm")} & {p for p in b if p.endswith(".dcm")}


def test_a_damaged_file_is_mended(tmp_path):
    make_release(tmp_path, patients=1, **OULU)
    whole = tree(tmp_path)
    victim = next(tmp_path.rglob("*.dcm"))
    os.truncate(victim, 1000)
    make_release(tmp_path, patients=1, **OULU)
    assert tree(tmp_path) == whole


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"layout": "vindr"}, "unknown phantom layout 'vindr'"),
        ({"patients": 0}, "at least one patient"),
        ({"seed": -1}, "must not be negative"),
        ({"rows": 32}, "64 x 64 pixels or more, not 32 x 160"),
    ],
)
def test_senseless_arguments_are_a_users_mistake(tmp_path, change, text):
    with pytest.raises(UserError, match=text):
        make_release(tmp_path, **{"patients": 1, **OULU, **change})
    assert not list(tmp_path.iterdir())


def test_no_patient_number_zero(tmp_path):
    with pytest.raises(UserError, match="numbered from 1"):
        add_patient(tmp_path, number=0, **OULU)
