import copy
from functools import cache

import pytest
import safetensors.torch
import torch
from gmic_checkpoint import gmic_state

from mammoseg.models import build_model, check_model, parameter_counts
from mammoseg.models.build import SMP_DECODERS
from mammoseg.runtime.errors import UserError

FOUR = [("resnet34", "unet"), ("resnet22_gmic", "unet"), ("resnet34", "fpn"), ("resnet22_gmic", "fpn")]
NETWORKS = [(*pair, "dense") for pair in FOUR] + [("resnet22_gmic", "unet", "gmic"), ("resnet22_gmic", "fpn", "gmic")]


@cache
def built(encoder, decoder, stem):
    return build_model(encoder, decoder, stem=stem)


def fresh(encoder, decoder, stem="dense"):
    """A copy, since drawing the weights takes longer than the test."""
    return copy.deepcopy(built(encoder, decoder, stem))


@pytest.mark.parametrize(
    ("encoder", "decoder", "counts"),
    [
        ("resnet34", "unet", (21_284_672, 6_316_705)),
        ("resnet34", "fpn", (21_284_672, 2_460_929)),
        ("resnet22_gmic", "unet", (2_799_536, 4_773_025)),
        ("resnet22_gmic", "fpn", (2_799_536, 2_338_049)),
    ],
)
def test_parameter_counts(encoder, decoder, counts):
    model = fresh(encoder, decoder)
    expected = {"encoder": counts[0], "decoder": counts[1], "total": sum(counts)}
    assert parameter_counts(model) == expected
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == sum(counts)
    model.encoder.requires_grad_(False)
    assert parameter_counts(model) == expected


@pytest.mark.parametrize(("encoder", "decoder", "stem"), NETWORKS)
def test_gradients_reach_every_parameter(encoder, decoder, stem):
    torch.manual_seed(1)
    # eval: in training the bias before a batch norm has no gradient by construction
    model = fresh(encoder, decoder, stem).eval()
    model(torch.rand(1, 1, 96, 128)).square().mean().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@pytest.mark.parametrize(("encoder", "decoder", "stem"), NETWORKS)
def test_save_and_load(encoder, decoder, stem, tmp_path):
    model, twin = fresh(encoder, decoder, stem), fresh(encoder, decoder, stem)
    model.train()(torch.rand(2, 1, 96, 96))  # moves the batch-norm statistics
    twin.load_state_dict({k: torch.zeros_like(v) for k, v in twin.state_dict().items()})
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    twin.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    x = torch.rand(1, 1, 96, 96)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), twin.eval()(x))


def test_one_channel_is_replicated_by_the_model():
    model = fresh("resnet34", "fpn").eval()
    x = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(x.repeat(1, 3, 1, 1)))
        features = model.encoder(x)
    assert torch.equal(features[0], x.repeat(1, 3, 1, 1))
    assert [f.shape[1] for f in features] == [3, 64, 64, 128, 256, 512]


@pytest.mark.parametrize("decoder", SMP_DECODERS)
@pytest.mark.parametrize("encoder", ["resnet22_gmic", "mobilenet_v2"])
def test_smp_decoders(encoder, decoder):
    model = build_model(encoder, decoder).eval()
    x = torch.rand(1, 1, 101, 97)  # PAN needs 128 after padding
    with torch.no_grad():
        assert model(x).shape == (1, 1, 101, 97)
    assert [f.shape[0] for f in model.encoder(x[:, :, :96, :96])] == [1] * len(model.encoder.out_channels)
    parts = parameter_counts(model)
    assert parts["total"] == sum(p.numel() for p in model.parameters())
    head = list(model.decoder.head.parameters())
    assert all(any(p is q for q in model.decoder.parameters()) for p in head)
    assert 0 < sum(p.numel() for p in head) < parts["decoder"]


def test_smp_decoder_counts_as_measured_for_the_spec():
    assert parameter_counts(build_model("resnet34", "smp.Unet"))["decoder"] == 3_151_697
    assert parameter_counts(build_model("resnet34", "smp.FPN"))["decoder"] == 1_870_721


def test_options():
    assert build_model(dropout=0.5).decoder.dropout.p == 0.5
    assert build_model("mobilenet_v2", "smp.Unet", decoder_attention_type="scse").decoder is not None
    with pytest.raises(TypeError):
        build_model(drop_out=0.5)


def test_gmic_checkpoint_by_path(tmp_path):
    torch.save(gmic_state(seed=9), tmp_path / "sample_model_1.p")
    model = build_model("resnet22_gmic", "fpn", weights=tmp_path / "sample_model_1.p", stem="gmic")
    for name, value in gmic_state(seed=9).items():
        if name.startswith("ds_net."):
            assert torch.equal(model.encoder.state_dict()[name.removeprefix("ds_net.")], value)


def test_bf16_autocast():
    torch.manual_seed(2)
    model = fresh("resnet22_gmic", "unet").eval()
    x = torch.rand(1, 1, 64, 65)
    with torch.no_grad():
        exact = model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(x)
    assert (exact - rough.float()).abs().max() < 0.05 * exact.abs().max() + 0.05


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"encoder": "resnet_34"}, "resnet34"),
        ({"decoder": "u-net"}, "unet, fpn, smp.Unet"),
        ({"decoder": "smp.unetplusplus"}, "smp.UnetPlusPlus"),
        ({"decoder": "smp.DPT"}, "no decoder 'smp.DPT'"),
        ({"stem": "wide"}, "dense or gmic"),
        ({"encoder": "resnet34", "stem": "gmic"}, "resnet34"),
        ({"decoder": "smp.Linknet", "stem": "gmic"}, "smp.Linknet cannot be combined with the stem gmic"),
    ],
)
def test_wrong_names_are_the_users_mistake(arguments, says):
    arguments = {"encoder": "resnet22_gmic", "decoder": "unet", **arguments}
    for function in (build_model, check_model):
        with pytest.raises(UserError, match=says):
            function(**arguments)


def test_missing_weights_file_is_the_users_mistake():
    with pytest.raises(UserError, match="no weights file nowhere/model.p"):
        build_model(weights="nowhere/model.p")
    with pytest.raises(UserError, match="no ImageNet weights for the encoder resnet22_gmic"):
        build_model("resnet22_gmic", weights="imagenet")


@pytest.mark.parametrize(("encoder", "decoder", "stem"), NETWORKS)
def test_check_passes_what_works(encoder, decoder, stem):
    check_model(encoder, decoder, stem)


def test_check_finds_what_would_fail_hours_later():
    with pytest.raises(UserError, match="Linknet"):
        check_model("mit_b0", "smp.Linknet", side=64)
    with pytest.raises(UserError, match=r"image\.side is 64"):
        check_model("resnet22_gmic", "fpn", "gmic", side=64)
    with pytest.raises(UserError, match="too small"):
        check_model("resnet34", "unet", side=32)


def test_check_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    check_model("resnet34", "unet", side=64)
    check_model("mit_b0", "unet", side=64)  # not possible on the meta device
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("encoder", "decoder", "stem", "cell"),
    [("resnet34", "unet", "dense", 1), ("resnet22_gmic", "unet", "gmic", 2), ("resnet34", "fpn", "dense", 4),
     ("resnet22_gmic", "fpn", "gmic", 8), ("resnet34", "smp.Unet", "dense", 1), ("resnet34", "smp.FPN", "dense", 4),
     ("resnet34", "smp.PSPNet", "dense", 8)],
)  # fmt: skip
def test_a_cell_is_where_one_logit_is_computed(encoder, decoder, stem, cell):
    model = build_model(encoder, decoder, stem=stem).eval()
    head = model.decoder.head if decoder in ("unet", "fpn") else model.decoder.head[0]
    sides = []
    head.register_forward_hook(lambda _module, _given, logits: sides.append(logits.shape[-1]))
    with torch.no_grad():
        model(torch.zeros(1, 1, 128, 128))
    assert 128 / sides[0] == pytest.approx(cell, rel=0.05)  # GMIC's stem loses a pixel or two at the border
    assert model.decoder.cell == cell
