import hashlib

from mammoseg.rebuild import digests


def test_order_of_keys_does_not_matter_but_values_and_places_do():
    assert digests.digest({"a": 1, "b": 2}) == digests.digest({"b": 2, "a": 1})
    assert digests.digest({"a": 1, "b": 2}) != digests.digest({"a": 2, "b": 1})
    assert digests.of_parts(["x", "y"]) == digests.of_parts(["y", "x"]) != digests.of_parts(["xy"])


def test_sha256_is_that_of_hashlib(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert digests.sha256(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_all_codecs_are_installed():
    assert set(digests.codecs()) == set(digests.CODECS)
