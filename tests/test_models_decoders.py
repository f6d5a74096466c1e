from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mammoseg.models import build_model, decoders
from mammoseg.models.decoders import FPNDecoder, UNetDecoder, fit

RESNET22 = (16, 32, 64, 128, 256)
RESNET34 = (64, 64, 128, 256, 512)
NETWORKS = [("resnet22_gmic", "dense"), ("resnet22_gmic", "gmic"), ("resnet34", "dense")]
AXES = [(*NETWORKS[0], 0), (*NETWORKS[1], 0), (*NETWORKS[1], 1), (*NETWORKS[2], 1)]


@pytest.mark.parametrize(
    ("decoder", "channels", "count"),
    [
        (UNetDecoder, RESNET22, 4_773_025),
        (UNetDecoder, RESNET34, 6_316_705),
        (FPNDecoder, RESNET22, 2_338_049),
        (FPNDecoder, RESNET34, 2_460_929),
    ],
)
def test_parameter_counts_are_the_papers(decoder, channels, count):
    assert sum(p.numel() for p in decoder(channels).parameters() if p.requires_grad) == count


def random_features(channels):
    """A 64 × 128 image and c1..c5 at strides 2..32."""
    draw = torch.Generator().manual_seed(5)
    return [torch.rand(2, c, 64 >> i, 128 >> i, generator=draw) for i, c in enumerate((1, *channels))]


def randomised(decoder: nn.Module) -> nn.Module:
    """Batch norms that do something, so that a forgotten one is seen."""
    draw = torch.Generator().manual_seed(6)
    for module in decoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=draw) + 0.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=draw) * 0.1)
    return decoder.eval()


class Reference:
    """Applies a decoder's layers in the order of SPEC 4, by functions of torch alone."""

    def __init__(self, decoder: nn.Module):
        self.layers = [m for m in decoder.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]

    def conv(self, x, padding):
        layer = self.layers.pop(0)
        return F.conv2d(x, layer.weight, layer.bias, padding=padding)

    def cb(self, x):
        x, n = self.conv(x, padding=1), self.layers.pop(0)
        return F.relu(F.batch_norm(x, n.running_mean, n.running_var, n.weight, n.bias, eps=n.eps))

    def dec(self, x):
        return self.cb(self.cb(twice(x)))


def twice(x):
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_unet_is_the_table_of_the_spec():
    decoder, features = randomised(UNetDecoder(RESNET22)), random_features(RESNET22)
    reference = Reference(decoder)
    _, c1, c2, c3, c4, c5 = features
    with torch.no_grad():
        x = reference.dec(F.max_pool2d(c5, 2))
        for skip in (c5, c4, c3, c2, c1):
            x = reference.dec(torch.cat([x, skip], 1))
        expected = reference.conv(x, padding=0)
        torch.testing.assert_close(decoder(features), expected, rtol=1e-5, atol=1e-5)
    assert not reference.layers


def test_fpn_is_the_text_of_the_spec():
    decoder, features = randomised(FPNDecoder(RESNET22)), random_features(RESNET22)
    reference = Reference(decoder)
    _, _, c2, c3, c4, c5 = features
    with torch.no_grad():
        p5, p4, p3, p2 = (reference.conv(c, padding=0) for c in (c5, c4, c3, c2))
        p4 = p4 + twice(p5)
        p3 = p3 + twice(p4)
        p2 = p2 + twice(p3)
        s5 = twice(reference.cb(twice(reference.cb(twice(reference.cb(p5))))))
        s4 = twice(reference.cb(twice(reference.cb(p4))))
        s3 = twice(reference.cb(p3))
        s2 = reference.cb(p2)
        x = reference.conv(reference.cb(torch.cat([s5, s4, s3, s2], 1)), padding=0)
        expected = nn.UpsamplingBilinear2d(scale_factor=4)(x)  # align_corners=True by definition
        torch.testing.assert_close(decoder(features), expected, rtol=1e-5, atol=1e-5)
    assert not reference.layers


@pytest.mark.parametrize("decoder", [UNetDecoder, FPNDecoder])
def test_spatial_dropout_drops_whole_channels_before_the_head(decoder):
    network, seen = decoder(RESNET22).train(), []
    network.dropout.register_forward_hook(lambda module, inputs, output: seen.extend([inputs[0], output]))
    network.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    torch.manual_seed(0)
    with torch.no_grad():
        network(random_features(RESNET22))
    before, after, at_the_head = (x.flatten(2) for x in seen)
    assert network.dropout.p == 0.2
    assert torch.equal(after, at_the_head)
    dropped = (after == 0).all(2)
    assert 0 < dropped.sum() < dropped.numel() / 2
    torch.testing.assert_close(after, torch.where(dropped[:, :, None], 0, before / 0.8))


def test_fit_crops_and_replicates_at_the_bottom_and_right():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert fit(x, (3, 4)).tolist() == [[[[1, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4]]]]
    assert fit(x, (1, 3)).tolist() == [[[[1, 2, 2]]]]
    assert fit(x, (2, 2)) is not None
    with pytest.raises(ValueError, match="grid of 7 x 2"):
        fit(x, (7, 2))


@cache
def network(encoder: str, decoder: str, stem: str) -> nn.Module:
    return build_model(encoder, decoder, stem=stem).eval()


# A network that lets its shallowest used feature through and nothing else: where does a landmark come out?
# With trained weights every path would tell the same place; this is the one whose grid the sizes rule moves.


@cache
def pass_through(encoder: str, decoder: str, stem: str) -> nn.Module:
    model = build_model(encoder, decoder, stem=stem).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.zero_()
            if module.bias is not None:
                module.bias.data.zero_()
    if encoder == "resnet34":
        model.encoder.conv1.weight.data[0, 0, 3, 3] = 1
    else:
        model.encoder.first_conv.weight.data[0, 0, 3, 3] = 1
        for stage in model.encoder.layer_list:
            stage[0].downsample[0].weight.data[0, 0] = 1
    head = model.decoder
    if decoder == "unet":  # d1 sees 64 channels of d2, then c1
        head.rises[4].blocks[0][0].weight.data[0, 64, 1, 1] = 1
        head.rises[4].blocks[1][0].weight.data[0, 0, 1, 1] = 1
    else:  # c2's own branch, the last of four
        head.laterals[3].weight.data[0, 0] = 1
        head.branches[3].blocks[0][0].weight.data[0, 0, 1, 1] = 1
        head.merge[0].weight.data[0, 3 * 128, 1, 1] = 1
    head.head.weight.data[0, 0] = 1
    return model


def answered_at(model: nn.Module, places: list[int], axis: int) -> list[float]:
    """Where along the long axis of a 512 × 96 (axis 0) or 96 × 512 (axis 1) image the network sees a blob at `places`."""
    along = torch.arange(512.0)
    across = torch.exp(-((torch.arange(96.0) - 48) ** 2) / (2 * 8**2))
    blobs = torch.stack([torch.exp(-((along - p) ** 2) / (2 * 8**2))[:, None] * across for p in places])[:, None]
    with torch.no_grad():
        answer = model(blobs if axis == 0 else blobs.transpose(2, 3)).clamp(min=0)
    profile = answer.sum(dim=(1, 3 - axis))
    assert (profile.sum(1) > 1).all()
    return ((profile * along).sum(1) / profile.sum(1)).tolist()


@pytest.mark.parametrize(("encoder", "stem", "axis"), AXES)
def test_unet_answers_where_the_landmark_is(encoder, stem, axis):
    places = [40, 256, 470]
    found = answered_at(pass_through(encoder, "unet", stem), places, axis)
    assert found == pytest.approx(places, abs=1.5)


def test_stretching_would_move_the_landmark(monkeypatch):
    def stretch(x, size, most=4):
        return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)

    monkeypatch.setattr(decoders, "fit", stretch)
    (found,) = answered_at(pass_through("resnet22_gmic", "unet", "gmic"), [470], axis=0)
    assert found - 470 > 2.5


@pytest.mark.parametrize(("encoder", "stem", "axis"), AXES)
def test_fpn_answers_within_four_pixels_of_the_landmark(encoder, stem, axis):
    places = [40, 256, 420 if stem == "gmic" else 470]
    found = answered_at(pass_through(encoder, "fpn", stem), places, axis)
    assert found == pytest.approx(places, abs=4)


@pytest.mark.parametrize(("encoder", "stem"), NETWORKS)
def test_fpn_moves_the_landmark_as_derived(encoder, stem):
    """c2's cell j lies over pixel 4j (8j + 2 on GMIC's grid); align_corners puts it on pixel j · 511 / (cells - 1)."""
    stride, offset = (8, 2) if stem == "gmic" else (4, 0)
    places = [40, 256, 470]
    derived = [(p - offset) / stride * 511 / (512 / stride - 1) for p in places]
    assert answered_at(pass_through(encoder, "fpn", stem), places, axis=0) == pytest.approx(derived, abs=0.75)


@pytest.mark.parametrize(("encoder", "stem"), NETWORKS)
@pytest.mark.parametrize("decoder", ["unet", "fpn"])
def test_logits_have_the_inputs_size(encoder, stem, decoder):
    smallest = 96 if stem == "gmic" else 64
    with torch.no_grad():
        for extra in [(0, 0), (1, 35), (2, 30), (3, 4), (5, 31), (31, 7), (32, 64)]:
            size = (smallest + extra[0], smallest + extra[1])
            logits = network(encoder, decoder, stem)(torch.rand(1, 1, *size))
            assert logits.shape == (1, 1, *size)
            assert torch.isfinite(logits).all()


def test_a_too_small_image_is_refused_with_the_smallest_side():
    with pytest.raises(ValueError, match="stem gmic 96"), torch.no_grad():
        network("resnet22_gmic", "unet", "gmic")(torch.zeros(1, 1, 64, 64))
