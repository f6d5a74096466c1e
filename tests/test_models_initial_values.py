"""Initial values, judged by their definition: a normal distribution with mean 0 and variance 2 / fan_out (He et al., ICCV 2015)."""

import math
import statistics

import pytest
import torch
from scipy import stats
from torch import nn

from mammoseg.models import build_model, decoders
from mammoseg.models.initial_values import initialise
from mammoseg.training.losses import FocalTverskyLoss

FOUR = [("resnet34", "unet"), ("resnet22_gmic", "unet"), ("resnet34", "fpn"), ("resnet22_gmic", "fpn")]


@pytest.mark.parametrize(("encoder", "decoder"), FOUR)
def test_every_convolution_is_drawn_with_variance_two_over_fan_out(encoder, decoder):
    """Encoder and decoder, the last convolution included; the two ResNets start alike."""
    torch.manual_seed(5)
    model = build_model(encoder, decoder)
    shares = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            rows, columns = module.kernel_size
            sd = math.sqrt(2 / (module.out_channels * rows * columns))
            scaled = module.weight.detach().double().flatten() / sd
            n = len(scaled)
            assert abs(scaled.mean()) < 5 / math.sqrt(n), name
            assert abs(scaled.std() - 1) < 5 / math.sqrt(2 * n), name
            shares.append(stats.kstest(scaled[:5000], "norm").pvalue)
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all(), name
            assert (module.bias == 0).all(), name
    assert len(shares) > 20
    assert min(shares) > 1e-3 / len(shares), "normal, not uniform"


def test_biases_stay_as_pytorch_sets_them():
    torch.manual_seed(1)
    head = nn.Conv2d(32, 1, 1)
    bias = head.bias.detach().clone()
    initialise(head)
    assert head.bias == bias


def test_a_seed_gives_the_same_network_and_another_one_another():
    def network(seed):
        torch.manual_seed(seed)
        return build_model("resnet22_gmic", "unet").state_dict()

    first, same, other = network(3), network(3), network(4)
    assert all(torch.equal(first[k], same[k]) for k in first)
    assert not torch.equal(first["decoder.head.weight"], other["decoder.head.weight"])


def pull_on_the_encoder(encoder: str, decoder: str, seed: int) -> float:
    """Norm of the encoder's gradient in the first step of the Focal Tversky loss, on a batch whose masses are 1 % of the image."""
    torch.manual_seed(seed)
    model = build_model(encoder, decoder).train()
    torch.manual_seed(100 + seed)
    masks = torch.zeros(4, 1, 96, 96)
    masks[:, :, 40:50, 40:50] = 1
    images = 0.3 * torch.randn(4, 1, 96, 96) + 2 * masks
    FocalTverskyLoss()(model(images), masks).backward()
    return float(torch.cat([p.grad.flatten() for p in model.encoder.parameters()]).norm())


@pytest.mark.parametrize(("encoder", "decoder"), FOUR)
def test_the_first_step_reaches_the_encoder_more_than_from_pytorchs_own_values(encoder, decoder, monkeypatch):
    authors = [pull_on_the_encoder(encoder, decoder, seed) for seed in range(3)]
    monkeypatch.setattr(decoders, "initialise", lambda network: None)
    pytorchs = [pull_on_the_encoder(encoder, decoder, seed) for seed in range(3)]
    assert min(authors) > 0.1
    assert statistics.mean(authors) > 1.2 * statistics.mean(pytorchs)
