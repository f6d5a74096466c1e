"""Downloads from a server that misbehaves."""

import hashlib
import urllib.request
from pathlib import Path

import pytest
from misbehaving_server import serving

from mammoseg.models.download import download
from mammoseg.runtime.errors import UserError


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


CONTENT = bytes(range(256)) * 40


def got(server, path: Path, sha256=None, **options) -> bytes:
    options = {"pause": 0, "timeout": 5, **options}
    assert download(server.url, path, sha256, **options) == path
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing is left lying beside it
    return path.read_bytes()


def test_download(tmp_path):
    with serving(CONTENT) as server:
        assert got(server, tmp_path / "f", sha256(CONTENT)) == CONTENT
        assert got(server, tmp_path / "f", sha256(CONTENT)) == CONTENT
        assert len(server.asked) == 1
        server.content = b"new"
        assert got(server, tmp_path / "f", sha256(b"new")) == b"new"
        assert len(server.asked) == 2


def test_behind_a_proxy(tmp_path, monkeypatch):
    """As other programs do: by the environment. The server itself is out of reach from here."""
    with serving(CONTENT, {"until": 1000}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.rpartition("/models")[0])
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setattr(urllib.request, "_opener", None)  # made once a process, by the environment of that moment
        download("http://weights.invalid/sample_model_1.p", tmp_path / "f", sha256(CONTENT), pause=0)
        assert (tmp_path / "f").read_bytes() == CONTENT
        assert proxy.addresses == ["http://weights.invalid/sample_model_1.p"] * 2
        assert proxy.asked == [None, "bytes=1000-"]


def test_a_broken_download_is_resumed(tmp_path):
    with serving(CONTENT, {"until": 1000}, {"until": 5000}, {"status": 503}) as server:
        assert got(server, tmp_path / "f") == CONTENT
        assert server.asked == [None, "bytes=1000-", "bytes=5000-", "bytes=5000-"]


def test_a_silent_server_is_left_and_asked_again(tmp_path):
    with serving(CONTENT, {"until": 1000, "hangs": True}) as server:
        assert got(server, tmp_path / "f", timeout=0.3) == CONTENT
        assert server.asked == [None, "bytes=1000-"]


def test_a_broken_answer_of_unknown_length_is_not_taken_for_whole(tmp_path):
    with serving(CONTENT, {"chunked": True}) as server:
        assert got(server, tmp_path / "f") == CONTENT
        assert len(server.asked) == 2


def test_a_later_run_goes_on_where_the_last_one_stopped(tmp_path):
    with serving(CONTENT, {"until": 1000}, *[{"status": 500}] * 2) as server:
        with pytest.raises(UserError, match="cannot be downloaded: the server answers 500"):
            download(server.url, tmp_path / "f", attempts=2, pause=0)
        assert (tmp_path / "f.part").stat().st_size == 1000
        assert not (tmp_path / "f").exists()
        assert got(server, tmp_path / "f") == CONTENT
        assert server.asked[-1] == "bytes=1000-"


def test_another_version_is_not_joined_on(tmp_path):
    with serving(CONTENT[::-1], {"until": 1000, "content": CONTENT, "etag": '"zero"'}) as server:
        assert got(server, tmp_path / "f") == CONTENT[::-1]


@pytest.mark.parametrize("turn", [{"ranges": False}, {"etag": 'W/"one"'}, {"etag": None}])
def test_servers_that_cannot_resume(tmp_path, turn):
    with serving(CONTENT, {"until": 1000, **turn}, turn) as server:
        assert got(server, tmp_path / "f") == CONTENT
        # Under a weak tag or none the bytes may have changed: they are not even asked for.
        assert (server.asked[1] is None) == ("etag" in turn)


def test_a_piece_that_does_not_join_on_is_thrown_away(tmp_path):
    with serving(CONTENT, {"until": 1000}, {"says_start": 990}) as server:
        assert got(server, tmp_path / "f") == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT + b"more")
    (tmp_path / "f.tag").write_text('"one"')
    with serving(CONTENT) as server:
        assert got(server, tmp_path / "f") == CONTENT


def test_a_damaged_part_costs_one_more_download(tmp_path):
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.tag").write_text('"one"')
    with serving(CONTENT) as server:
        assert got(server, tmp_path / "f", sha256(CONTENT)) == CONTENT
        assert server.asked == ["bytes=1000-", None]


def test_a_server_that_promises_more_than_it_has(tmp_path):
    with (
        serving(CONTENT, *[{"lie": 5, "ranges": False}] * 9) as server,
        pytest.raises(UserError, match=f"ended after {len(CONTENT)} of {len(CONTENT) + 5} bytes"),
    ):
        download(server.url, tmp_path / "f", attempts=3, pause=0)
    assert not (tmp_path / "f").exists()


def test_a_server_that_promises_less_than_it_has(tmp_path):
    with (
        serving(CONTENT, *[{"lie": -5}] * 2) as server,
        pytest.raises(UserError, match=f"sha256 {sha256(CONTENT[:-5])} instead of {sha256(CONTENT)}"),
    ):
        download(server.url, tmp_path / "f", sha256(CONTENT), pause=0)
    assert not list(tmp_path.iterdir())


def test_wrong_bytes(tmp_path):
    with serving(b"something else") as server, pytest.raises(UserError, match="serves a file with sha256"):
        download(server.url, tmp_path / "f", sha256(CONTENT), pause=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/f", "sample_model_1.p", ""])
def test_only_http(address, tmp_path):
    with pytest.raises(UserError, match="http"):
        download(address, tmp_path / "f")


def test_a_refusal_is_final(tmp_path):
    with serving(CONTENT, {"status": 404}) as server:
        with pytest.raises(UserError, match="404"):
            download(server.url, tmp_path / "f", pause=0)
        assert len(server.asked) == 1


def test_a_full_disk_is_no_network_trouble(tmp_path, monkeypatch):
    opened = Path.open

    def open_full(path, *arguments, **options):
        return opened(Path("/dev/full") if path.suffix == ".part" else path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_full)
    with serving(CONTENT) as server, pytest.raises(OSError, match="No space left"):
        download(server.url, tmp_path / "f", pause=0)
    assert not (tmp_path / "f").exists()
