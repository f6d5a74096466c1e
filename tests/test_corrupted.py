"""Damaged files through index, injection and rendering; benchmarks/corrupted.py does the same with thousands."""

from collections import Counter

from corrupted_files import WAYS, damaged_files, outcomes


def test_damaged_files_are_set_aside_or_rendered_like_their_intact_twins(tmp_path):
    files = list(damaged_files(98, seed=1))
    found = outcomes(files, tmp_path)
    assert set(found) == set(WAYS)
    words = Counter(word for became in found.values() for word in became)
    assert sum(words.values()) == len(files)
    assert not words["WRONG"]
    assert not words["LOST"]
    assert words["truncated"]
    assert words["undecodable"]
    assert words["not_dicom"]
    assert set(found["bomb"]) <= {"not_dicom", "decoder_crashed"}
    assert set(found["nested"]) <= {"not_dicom", "no_pixels", "truncated", "undecodable"}
