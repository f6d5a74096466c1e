import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from gmic_checkpoint import gmic_state

from mammoseg.models.encoders import RESNET22, ResNet22Encoder, make_encoder
from mammoseg.runtime.errors import UserError


def reference_features(state: dict, x: torch.Tensor, max_pool: bool) -> list[torch.Tensor]:
    """The five features from SPEC 3, with torch's functions and GMIC's names alone; shares no code with the library."""

    def normed(x, name):
        mean, var, weight, bias = (
            state[f"ds_net.{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
        )
        shape = (1, -1, 1, 1)
        scaled = (x - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()
        return torch.clamp(scaled * weight.view(shape) + bias.view(shape), min=0)

    x = F.conv2d(x, state["ds_net.first_conv.weight"], stride=2, padding=3)
    if max_pool:
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=0)
    features = []
    for stage, stride in enumerate((1, 2, 2, 2, 2)):
        for block in (0, 1):
            name = f"layer_list.{stage}.{block}"
            step = stride if block == 0 else 1
            r = normed(x, f"{name}.bn1")
            out = F.conv2d(r, state[f"ds_net.{name}.conv1.weight"], stride=step, padding=1)
            out = F.conv2d(normed(out, f"{name}.bn2"), state[f"ds_net.{name}.conv2.weight"], padding=1)
            if block == 0:
                x = F.conv2d(r, state[f"ds_net.{name}.downsample.0.weight"], stride=step)
            x = out + x
        features.append(x)
    features[-1] = normed(features[-1], "final_bn")
    return features


@pytest.mark.parametrize("stem", ["dense", "gmic"])
def test_resnet22_equals_an_independent_implementation(stem):
    state = gmic_state(seed=3)
    encoder = make_encoder(RESNET22, stem).eval()
    encoder.load_state_dict({k.removeprefix("ds_net."): v for k, v in state.items() if k.startswith("ds_net.")})
    x = torch.rand(2, 1, 161, 130, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        image, *features = encoder(x)
        expected = reference_features(state, x, max_pool=stem == "gmic")
    assert torch.equal(image, x)
    assert len(features) == 5
    for ours, theirs in zip(features, expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_tensors_have_gmics_names_and_shapes():
    ours = {f"ds_net.{k}": (v.shape, v.dtype) for k, v in ResNet22Encoder().state_dict().items()}
    gmics = {k: (v.shape, v.dtype) for k, v in gmic_state().items() if k.startswith("ds_net.")}
    assert len(ours) == 131
    assert ours == gmics


def test_grids():
    with torch.no_grad():
        gmic = make_encoder(RESNET22, "gmic")(torch.zeros(1, 1, 512, 512))
        dense = make_encoder(RESNET22)(torch.zeros(1, 1, 128, 192))
        resnet34 = make_encoder("resnet34")(torch.zeros(1, 1, 128, 192))
    assert [f.shape[1:] for f in gmic] == [
        (1, 512, 512),
        (16, 127, 127),
        (32, 64, 64),
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
    ]
    strided = [(128 // s, 192 // s) for s in (1, 2, 4, 8, 16, 32)]
    assert [f.shape[2:] for f in dense] == strided
    assert [f.shape[2:] for f in resnet34] == strided
    assert [f.shape[1] for f in resnet34[1:]] == [64, 64, 128, 256, 512]


@pytest.mark.parametrize("name", [RESNET22, "resnet34"])
def test_takes_one_or_three_channels(name):
    encoder = make_encoder(name).eval()
    x = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        one, three = encoder(x), encoder(x.repeat(1, 3, 1, 1))
    for a, b in zip(one, three, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_three_different_channels_are_all_seen():
    x = torch.rand(1, 3, 64, 64)
    for name in (RESNET22, "resnet34"):
        encoder = make_encoder(name).eval()
        with torch.no_grad():
            assert not torch.allclose(encoder(x)[1], encoder(x[:, :1])[1], rtol=1e-3)


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 2, 64, 64), torch.zeros(1, 64, 64), torch.zeros(1, 1, 64, 64).byte()]
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match="1 or 3"):
        make_encoder(RESNET22)(images)


def test_registered_with_smp():
    network = smp.Unet(RESNET22, encoder_weights=None, in_channels=1)
    assert sum(p.numel() for p in network.encoder.parameters() if p.requires_grad) == 2_799_536
    assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 1, 64, 96)
    with pytest.raises(KeyError, match="imagenet"):
        smp.Unet(RESNET22, in_channels=1)


def test_smp_may_cut_dilate_and_widen_it():
    x = torch.rand(1, 1, 64, 64)
    short = smp.encoders.get_encoder(RESNET22, in_channels=1, depth=3)
    assert [f.shape[-1] for f in short(x)] == [64, 32, 16, 8]
    assert short.out_channels == [1, 16, 32, 64]
    dilated = smp.encoders.get_encoder(RESNET22, in_channels=1, output_stride=8)
    assert [f.shape[-1] for f in dilated(x)] == [64, 32, 16, 8, 8, 8]

    one, three = ResNet22Encoder(), ResNet22Encoder()
    three.load_state_dict(one.state_dict())
    three.set_in_channels(3)
    assert three.out_channels[0] == 3
    with torch.no_grad():
        same = three.eval()(x.repeat(1, 3, 1, 1))[1:]
        for a, b in zip(same, one.eval()(x)[1:], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "stem", "says"),
    [
        ("resnet35", "dense", "resnet34"),
        ("tu-no_such_network", "dense", "resnet22_gmic"),
        (RESNET22, "sparse", "dense or gmic"),
        ("resnet34", "gmic", "resnet22_gmic alone"),
    ],
)
def test_unknown_names_say_what_is_allowed(name, stem, says):
    with pytest.raises(UserError, match=says):
        make_encoder(name, stem)
