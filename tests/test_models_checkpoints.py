"""Checkpoints are read safely and loaded strictly."""

import pickle

import pytest
import torch
from gmic_checkpoint import gmic_state, saved

from mammoseg.models import build_model
from mammoseg.models.checkpoints import load_encoder, read_state_dict
from mammoseg.models.encoders import make_encoder
from mammoseg.runtime.errors import UserError

GMIC = "resnet22_gmic"


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
        ("limit.p", b"Rate limit exceeded"),  # torch.load raises IndexError
        ("gone.p", b"Gone"),  # struct.error
        ("list.p", saved([torch.ones(1)])),
        ("numbered.p", saved({0: torch.ones(1)})),
        ("nested.p", saved({"state_dict": {"a": torch.ones(1)}})),
        ("page.safetensors", b"<html>Please sign in</html>"),
        ("empty.safetensors", b""),
    ],
)
def test_what_is_no_state_dict_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} cannot be read as weights"):
        read_state_dict(tmp_path / name)
