"""Encoder weights: from files, from GMIC's address, from the hub's cache, or none at all."""

import hashlib
import json
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import segmentation_models_pytorch as smp
import torch
from gmic_checkpoint import gmic_state, saved
from misbehaving_server import serving

from mammoseg.models import build_model
from mammoseg.models.weights import check_available, fetch
from mammoseg.runtime.errors import UserError

GMIC = "resnet22_gmic"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def settings(missing="error", *, gmic=None, imagenet=None) -> dict:
    nothing = {"file": None, "sha256": None}
    return {
        "missing": missing,
        "gmic": {**nothing, "url": "http://127.0.0.1:9/sample_model_1.p", **(gmic or {})},
        "imagenet": {**nothing, **(imagenet or {})},
    }


# ---- from a file


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


def test_a_file_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.p").write_bytes(saved(gmic_state(seed=2)))
    asked = settings(gmic={"file": "~/a.p"})
    first = fetch("gmic", GMIC, asked, tmp_path / "weights")
    assert (first["status"], first["source"]) == ("found", "a.p")
    assert fetch("gmic", GMIC, asked, tmp_path / "weights") == first
    (tmp_path / "a.p").write_bytes(saved(gmic_state(seed=3)))
    assert fetch("gmic", GMIC, asked, tmp_path / "weights")["source_sha256"] != first["source_sha256"]


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


# ---- GMIC from its address


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


@pytest.mark.parametrize("answer", [b"<html>Please sign in</html>", b"Rate limit exceeded", b"Gone"])
def test_a_useless_answer_is_not_kept(tmp_path, answer):
    with serving(saved(gmic_state()), {"content": answer}) as server:
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
