"""Pseudonyms against the standard library's own HMAC; a key that is made once, for its owner only."""

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest

from mammoseg.index.pseudonyms import load_or_create_key, pseudonym
from mammoseg.runtime.errors import UserError

KEY = bytes(range(32))


def test_pseudonym_is_hmac_sha256():
    message = b'["patient", "oulu", "12345"]'
    assert pseudonym(KEY, "patient", "oulu", "12345") == hmac.new(KEY, message, hashlib.sha256).hexdigest()[:12]


def test_rfc_4231_test_case():
    """The primitive itself, by the RFC's test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac.new(b"Jefe", b"what do ya want for nothing?", hashlib.sha256).hexdigest() == expected


def test_pseudonyms_differ_by_key_kind_site_and_value():
    given = ("patient", "oulu", "1")
    others = [("study", "oulu", "1"), ("patient", "porto", "1"), ("patient", "oulu", "2"), ("patient", "oul", "u1")]
    others += [("patient", 'oulu", "1', ""), ("patient", "oulu\0", "1")]  # texts that look like others when joined
    everyone = {pseudonym(KEY, *g) for g in [given, *others]} | {pseudonym(bytes(32), *given)}
    assert len(everyone) == len(others) + 2
    assert pseudonym(KEY, *given) == pseudonym(KEY, *given)
    assert all(len(p) == 12 and int(p, 16) >= 0 for p in everyone)


def test_key_is_created_once_and_private(tmp_path):
    path = tmp_path / "private" / "key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert key != load_or_create_key(tmp_path / "other" / "key")
    assert load_or_create_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in path.parent.iterdir()) == ["key", "key.check"]


def test_jobs_that_start_together_get_one_key(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(load_or_create_key, [tmp_path / "private" / "key"] * 64))
    assert len(keys) == 1
    assert (tmp_path / "private" / "key").read_bytes() in keys


def test_open_key_is_closed(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o644)
    assert load_or_create_key(path) == KEY
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"short", bytes(33), b"0" * 64])
def test_malformed_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(UserError) as error:
        load_or_create_key(tmp_path / "key")
    assert str(tmp_path / "key") in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "key").read_bytes() == content


def test_key_that_cannot_be_made(tmp_path):
    (tmp_path / "private").write_text("a file where a folder should be")
    with pytest.raises(UserError, match="cannot be read or made"):
        load_or_create_key(tmp_path / "private" / "key")


def test_a_key_that_is_lost_or_exchanged_is_noticed(tmp_path):
    path = tmp_path / "private/key"
    key = load_or_create_key(path)
    path.write_bytes(bytes(32))
    with pytest.raises(UserError, match="is not the key that this study was begun with"):
        load_or_create_key(path)
    path.unlink()
    with pytest.raises(UserError, match="is missing: put your copy of it back"):
        load_or_create_key(path)
    path.write_bytes(key)
    assert load_or_create_key(path) == key
