"""Weights: read safely, loaded strictly, fetched from files, from a server that misbehaves, and from the hub's cache."""

import hashlib
import io
import json
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import segmentation_models_pytorch as smp
import torch
from gmic_checkpoint import gmic_state

from mammoseg.errors import UserError
from mammoseg.models import build_model
from mammoseg.models.checkpoints import load_encoder, read_state_dict
from mammoseg.models.download import download
from mammoseg.models.encoders import make_encoder
from mammoseg.models.weights import check_available, fetch

GMIC = "resnet22_gmic"


def saved(state) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def settings(missing="error", *, gmic=None, imagenet=None) -> dict:
    nothing = {"file": None, "sha256": None}
    return {
        "missing": missing,
        "gmic": {**nothing, "url": "http://127.0.0.1:9/sample_model_1.p", **(gmic or {})},
        "imagenet": {**nothing, **(imagenet or {})},
    }


# ---- reading and loading


def test_every_tensor_of_a_gmic_checkpoint_is_set(tmp_path):
    state = gmic_state(seed=1)
    torch.save(state, tmp_path / "sample_model_1.p")
    encoder = make_encoder(GMIC)
    load_encoder(encoder, read_state_dict(tmp_path / "sample_model_1.p"), "it")
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, state[f"ds_net.{name}"])


def test_old_torch_files_are_read(tmp_path):
    torch.save(gmic_state(), tmp_path / "old.p", _use_new_zipfile_serialization=False)
    assert read_state_dict(tmp_path / "old.p").keys() == gmic_state().keys()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("ds_net.final_bn.bias"), "ds_net.final_bn.bias is missing"),
        (
            lambda s: s.pop("ds_net.layer_list.3.1.bn2.num_batches_tracked"),
            "ds_net.layer_list.3.1.bn2.num_batches_tracked is missing",
        ),
        (lambda s: s.update({"ds_net.fc.weight": torch.zeros(2)}), "ds_net.fc.weight is not part of it"),
        (
            lambda s: s.update({"ds_net.first_conv.weight": torch.zeros(16, 3, 7, 7)}),
            r"ds_net.first_conv.weight has shape \(16, 3, 7, 7\) instead of \(16, 1, 7, 7\)",
        ),
        (
            lambda s: s.update({"ds_net.final_bn.bias": torch.zeros(256, dtype=torch.long)}),
            "ds_net.final_bn.bias is torch.int64",
        ),
        (lambda s: s["ds_net.final_bn.weight"].fill_(torch.nan), "ds_net.final_bn.weight holds values"),
        (lambda s: [s.pop(k) for k in list(s) if k.startswith("ds_net.")], "final_bn.bias is missing.* 130 more"),
    ],
)
def test_misfits_are_named(change, says):
    state = gmic_state()
    change(state)
    with pytest.raises(UserError, match=says):
        load_encoder(make_encoder(GMIC), state, "sample_model_1.p")


def test_gmic_weights_do_not_fit_resnet34():
    with pytest.raises(UserError, match="sample.p does not fit the encoder: bn1.bias is missing"):
        load_encoder(make_encoder("resnet34"), gmic_state(), "sample.p")


def test_a_classifiers_last_layer_is_dropped(tmp_path):
    donor = make_encoder("resnet18").state_dict()
    without_counters = {k: v for k, v in donor.items() if not k.endswith("num_batches_tracked")}
    torch.save(
        {**without_counters, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, tmp_path / "c.pth"
    )
    model = build_model("resnet18", "fpn", weights=tmp_path / "c.pth")
    for name, tensor in without_counters.items():
        assert torch.equal(model.encoder.state_dict()[name], tensor)
    torch.save({**donor, "head.weight": torch.zeros(3)}, tmp_path / "d.pth")
    with pytest.raises(UserError, match="head.weight is not part of it"):
        build_model("resnet18", "fpn", weights=tmp_path / "d.pth")


class Intruder:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["torch", "torch_old", "pickle"])
def test_a_pickle_with_code_is_refused_and_not_run(how, tmp_path):
    state, file = {"ds_net.first_conv.weight": Intruder(tmp_path / "trace")}, tmp_path / "sample_model_1.p"
    if how == "pickle":
        file.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, file, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(UserError, match="may run code"):
        read_state_dict(file)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.p", b""),
        ("page.p", b"<html>Please sign in</html>"),
        ("pointer.p", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n"),
        ("cut.p", saved({"a": torch.ones(1000)})[:2000]),
        ("list.p", saved([torch.ones(1)])),
        ("nested.p", saved({"state_dict": {"a": torch.ones(1)}})),
        ("page.safetensors", b"<html>Please sign in</html>"),
        ("empty.safetensors", b""),
    ],
)
def test_what_is_no_state_dict_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} cannot be read as weights"):
        read_state_dict(tmp_path / name)


# ---- fetching from a file


def test_fetch_from_a_file(tmp_path):
    file = tmp_path / "sample_model_1.p"
    file.write_bytes(saved(gmic_state(seed=2)))
    asked = settings(gmic={"file": str(file), "sha256": sha256(file.read_bytes()).upper()})
    check_available("gmic", GMIC, asked, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()

    record = fetch("gmic", GMIC, asked, tmp_path / "weights")
    tensors = tmp_path / "weights/gmic-resnet22_gmic.safetensors"
    assert record == {
        "weights": "gmic",
        "encoder": GMIC,
        "status": "found",
        "sha256": sha256(tensors.read_bytes()),
        "file": "gmic-resnet22_gmic.safetensors",
        "source": "sample_model_1.p",
        "source_sha256": sha256(file.read_bytes()),
    }
    assert json.loads((tmp_path / "weights/gmic-resnet22_gmic.json").read_text()) == record
    assert {p.name for p in tensors.parent.glob("[!.]*")} == {
        "gmic-resnet22_gmic.safetensors",
        "gmic-resnet22_gmic.json",
    }

    model = build_model(GMIC, "unet", weights=tensors)
    expected = {k.removeprefix("ds_net."): v for k, v in gmic_state(seed=2).items() if k.startswith("ds_net.")}
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_fetch_again_keeps_until_the_file_changes(tmp_path):
    file, target = tmp_path / "a.p", tmp_path / "weights"
    file.write_bytes(saved(gmic_state(seed=2)))
    asked = settings(gmic={"file": str(file)})
    first = fetch("gmic", GMIC, asked, target)
    written = (target / first["file"]).stat().st_mtime_ns
    assert fetch("gmic", GMIC, asked, target) == first
    assert (target / first["file"]).stat().st_mtime_ns == written

    file.write_bytes(saved(gmic_state(seed=3)))
    second = fetch("gmic", GMIC, asked, target)
    assert second["sha256"] != first["sha256"]
    (target / second["file"]).write_bytes(b"damaged")
    assert fetch("gmic", GMIC, asked, target) == second
    assert sha256((target / second["file"]).read_bytes()) == second["sha256"]


def test_the_same_weights_give_the_same_bytes(tmp_path):
    torch.save(gmic_state(), tmp_path / "a.p")
    torch.save(dict(reversed(gmic_state().items())), tmp_path / "b.p")
    both = [
        fetch("gmic", GMIC, settings(gmic={"file": str(tmp_path / f"{k}.p")}), tmp_path / f"weights-{k}") for k in "ab"
    ]
    assert both[0]["sha256"] == both[1]["sha256"]


@pytest.mark.parametrize("function", [fetch, check_available])
def test_files_that_are_not_what_is_asked_for(function, tmp_path):
    file = tmp_path / "a.p"
    with pytest.raises(UserError, match=r"no file .*a.p, which weights.gmic.file names"):
        function("gmic", GMIC, settings(gmic={"file": str(file)}), tmp_path)
    file.write_bytes(saved(gmic_state()))
    for missing in ("error", "random"):
        with pytest.raises(UserError, match=r"sha256 .* but weights.gmic.sha256 says 00"):
            function("gmic", GMIC, settings(missing, gmic={"file": str(file), "sha256": "00" * 32}), tmp_path)
        with pytest.raises(UserError, match="does not fit"):
            function("imagenet", "resnet34", settings(missing, imagenet={"file": str(file)}), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.p"]


@pytest.mark.parametrize("function", [fetch, check_available])
@pytest.mark.parametrize(
    ("weights", "encoder", "says"),
    [
        ("gmic", "resnet34", "gmic do not exist for the encoder resnet34"),
        ("imagenet", GMIC, "imagenet do not exist for the encoder resnet22_gmic"),
        ("places365", "resnet34", "imagenet, gmic or random"),
    ],
)
def test_pairs_that_do_not_exist(function, weights, encoder, says, tmp_path):
    for missing in ("error", "random"):
        with pytest.raises(UserError, match=says):
            function(weights, encoder, settings(missing), tmp_path)


# ---- missing: random


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("the network or a cache was asked")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("mammoseg.models.weights.imagenet_encoder", refuse)
    monkeypatch.setattr("mammoseg.models.weights.hf_hub_download", refuse)


@pytest.mark.parametrize(("weights", "encoder"), [("gmic", GMIC), ("imagenet", "resnet34")])
def test_random_downloads_nothing_and_says_so(weights, encoder, tmp_path, no_network):
    asked = settings("random", gmic={"file": str(tmp_path / "not there.p")})
    check_available(weights, encoder, asked, tmp_path)
    assert not list(tmp_path.iterdir())
    record = fetch(weights, encoder, asked, tmp_path)
    assert record["status"] == "random"
    assert record["sha256"] is record["file"] is None
    assert [p.name for p in tmp_path.glob("[!.]*")] == [f"{weights}-{encoder}.json"]
    assert json.loads((tmp_path / f"{weights}-{encoder}.json").read_text()) == record


def test_random_takes_a_file_and_keeps_what_was_fetched(tmp_path, no_network):
    (tmp_path / "a.p").write_bytes(saved(gmic_state()))
    found = fetch("gmic", GMIC, settings("random", gmic={"file": str(tmp_path / "a.p")}), tmp_path)
    assert found["status"] == "found"
    assert fetch("gmic", GMIC, settings("random"), tmp_path) == found
    other = settings("random", gmic={"sha256": "11" * 32})
    assert fetch("gmic", GMIC, other, tmp_path)["status"] == "random"
    assert not (tmp_path / "gmic-resnet22_gmic.safetensors").exists()


def test_of_random_weights_nothing_is_asked(tmp_path, no_network):
    check_available("random", GMIC, settings(), tmp_path)


# ---- fetching from a server


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        turn = server.turns.pop(0) if server.turns else {}
        content, etag = turn.get("content", server.content), turn.get("etag", '"one"')
        if "status" in turn:
            return self.send_error(turn["status"])
        start = 0
        if asked and turn.get("ranges", True) and self.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            piece = turn.get("says_start", start)
            self.send_header("Content-Range", f"bytes {piece}-{len(content) - 1}/{len(content)}")
        if etag:
            self.send_header("ETag", etag)
        if turn.get("chunked"):  # of unknown length, and broken off before the last chunk
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % 1000 + content[:1000] + b"\r\n%x\r\n" % 1000 + content[1000:1500])
            self.close_connection = True
            return None
        self.send_header("Content-Length", str(len(content) - start + turn.get("lie", 0)))
        self.end_headers()
        self.wfile.write(content[start : turn.get("until")])
        self.wfile.flush()
        self.close_connection = True
        if turn.get("hangs"):
            server.released.wait(20)

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(content: bytes, *turns: dict) -> Iterator[ThreadingHTTPServer]:
    """A server of `content`; each turn says what goes wrong in one request, after them all is well."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.turns, server.asked, server.released = content, list(turns), [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_address[1]}/models/sample_model_1.p"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


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


def test_fetch_gmic_from_its_address(tmp_path):
    content = saved(gmic_state(seed=4))
    with serving(content, {"until": 5000}) as server:
        asked = settings(gmic={"url": server.url, "sha256": sha256(content)})
        check_available("gmic", GMIC, asked, tmp_path)
        assert not (tmp_path / "gmic-resnet22_gmic.json").exists()
        assert len(server.asked) == 2
    # The server is gone: what was downloaded for the check is used.
    record = fetch("gmic", GMIC, asked, tmp_path)
    assert (record["status"], record["source"], record["source_sha256"]) == ("found", server.url, sha256(content))
    encoder = build_model(GMIC, weights=tmp_path / record["file"]).encoder
    assert torch.equal(encoder.first_conv.weight, gmic_state(seed=4)["ds_net.first_conv.weight"])
    for file in (tmp_path / "downloads").rglob("*.p"):
        file.unlink()
    assert fetch("gmic", GMIC, asked, tmp_path) == record  # and what was fetched stays good


def test_another_address_is_another_file(tmp_path):
    with serving(saved(gmic_state(seed=4))) as one, serving(saved(gmic_state(seed=5))) as two:
        first = fetch("gmic", GMIC, settings(gmic={"url": one.url}), tmp_path)
        second = fetch("gmic", GMIC, settings(gmic={"url": two.url}), tmp_path)
        assert first["sha256"] != second["sha256"]


def test_a_useless_answer_is_not_kept(tmp_path):
    with serving(saved(gmic_state()), {"content": b"<html>Please sign in</html>"}) as server:
        asked = settings(gmic={"url": server.url})
        with pytest.raises(UserError, match=r"of no use.*weights\.gmic\.file"):
            fetch("gmic", GMIC, asked, tmp_path)
        assert fetch("gmic", GMIC, asked, tmp_path)["status"] == "found"


def test_no_server_names_the_address_and_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with serving(b"") as server:
        url = server.url
    for function in (fetch, check_available):
        with pytest.raises(UserError, match=rf"{url} cannot be downloaded: .*refused.*weights\.gmic\.file"):
            function("gmic", GMIC, settings(gmic={"url": url}), tmp_path)


# ---- ImageNet through the hub's own cache


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """An empty cache of the Hugging Face hub, off line; the file where resnet18's weights would lie in it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    address = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
    repository = tmp_path / "hub" / f"models--{address['repo_id'].replace('/', '--')}"
    return repository / "snapshots" / address["revision"] / "model.safetensors"


def put_into(hub: Path) -> dict:
    hub.parent.mkdir(parents=True)
    (hub.parent / "config.json").write_text("{}")
    state = smp.encoders.get_encoder("resnet18").state_dict()
    safetensors.torch.save_file({**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, hub)
    return state


def test_imagenet_from_the_hubs_cache(hub, tmp_path):
    state = put_into(hub)
    asked = settings(imagenet={"sha256": sha256(hub.read_bytes())})
    check_available("imagenet", "resnet18", asked, tmp_path / "weights")
    record = fetch("imagenet", "resnet18", asked, tmp_path / "weights")
    assert record["source_sha256"] == sha256(hub.read_bytes())
    assert record["source"].startswith("https://huggingface.co/smp-hub/resnet18.imagenet/resolve/")
    fetched = safetensors.torch.load_file(tmp_path / "weights" / record["file"])
    assert fetched.keys() == state.keys()
    for model in (
        build_model("resnet18", "unet", weights=tmp_path / "weights" / record["file"]),
        build_model("resnet18", "unet", weights="imagenet"),
    ):
        for name, tensor in model.encoder.state_dict().items():
            assert torch.equal(tensor, state[name])
    with pytest.raises(UserError, match=r"weights\.imagenet\.sha256 says 22"):
        fetch("imagenet", "resnet18", settings(imagenet={"sha256": "22" * 32}), tmp_path / "weights")


def test_imagenet_off_line_names_the_file_and_the_way_out(hub, tmp_path):
    says = (
        r"ImageNet weights of resnet18 cannot be had .*"
        r"https://huggingface\.co/smp-hub/resnet18\.imagenet/resolve/\w+/model\.safetensors .*weights\.imagenet\.file"
    )
    for function in (fetch, check_available):
        with pytest.raises(UserError, match=says):
            function("imagenet", "resnet18", settings(), tmp_path / "weights")
    with pytest.raises(UserError, match=says):
        build_model("resnet18", "unet", weights="imagenet")


def test_imagenet_from_the_file_that_the_message_asks_for(hub, tmp_path):
    state = put_into(hub)
    hub.rename(tmp_path / "model.safetensors")
    record = fetch("imagenet", "resnet18", settings(imagenet={"file": str(tmp_path / "model.safetensors")}), tmp_path)
    fetched = safetensors.torch.load_file(tmp_path / record["file"])
    assert all(torch.equal(fetched[name], tensor) for name, tensor in state.items())


def test_what_was_fetched_is_kept_though_snakemake_removed_the_record(tmp_path, no_network):
    file = tmp_path / "sample_model_1.p"
    file.write_bytes(saved(gmic_state(seed=2)))
    record = fetch("gmic", GMIC, settings(gmic={"file": str(file)}), tmp_path / "weights")
    (tmp_path / "weights/gmic-resnet22_gmic.json").unlink()
    again = fetch("gmic", GMIC, settings("random"), tmp_path / "weights")
    assert again == record
    assert json.loads((tmp_path / "weights/gmic-resnet22_gmic.json").read_text()) == record
