import math

import pytest
import torch

from mammoseg.training.losses import CombinedLoss, FocalTverskyLoss

EPSILON = 1e-6


def logits_of(*probabilities):
    """(B, 1, 1, N) logits in float64 of rows of probabilities."""
    p = torch.tensor(probabilities, dtype=torch.float64)[:, None, None]
    return torch.log(p / (1 - p))


def target_of(*rows):
    return torch.tensor(rows, dtype=torch.float64)[:, None, None]


# Two images of four pixels. First: p·g = 0.9 + 0.6 = 1.5, p = 2.0, g = 2. Second: p·g = 0.8, p = 1.6, g = 1.
LOGITS = logits_of([0.9, 0.6, 0.3, 0.2], [0.1, 0.8, 0.5, 0.2])
TARGET = target_of([1, 1, 0, 0], [0, 1, 0, 0])
BCE = -(math.log(0.9) + math.log(0.6) + math.log(0.7) + math.log(0.8)) / 8
BCE -= (math.log(0.9) + math.log(0.8) + math.log(0.5) + math.log(0.8)) / 8


@pytest.mark.parametrize("omega", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_combined_by_hand(omega, dtype):
    jaccard = ((1.5 + EPSILON) / (2.5 + EPSILON) + (0.8 + EPSILON) / (1.8 + EPSILON)) / 2
    loss = CombinedLoss(omega=omega)(LOGITS.to(dtype), TARGET)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx((1 - omega) * BCE - omega * jaccard, abs=1e-6)


def test_combined_per_pixel_by_hand():
    # Where g = 1 the fraction is p + ε over 1 + ε, where g = 0 it is ε over p + ε.
    e = 0.01
    mass = sum((p + e) / (1 + e) for p in (0.9, 0.6, 0.8))
    rest = sum(e / (p + e) for p in (0.3, 0.2, 0.1, 0.5, 0.2))
    loss = CombinedLoss(omega=0.4, epsilon=e, reduction="pixel")(LOGITS, TARGET)
    assert loss.item() == pytest.approx(0.6 * BCE - 0.4 * (mass + rest) / 8, abs=1e-9)


@pytest.mark.parametrize(
    ("alpha", "exponent"), [(0.7, 0.75), (0.7, 4 / 3), (0.25, 0.5), (0.5, 1.0), (0.0, 2.0), (1.0, 0.75)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_focal_tversky_by_hand(alpha, exponent, dtype):
    def term(hits, misses, false_alarms):
        index = (hits + EPSILON) / (hits + alpha * misses + (1 - alpha) * false_alarms + EPSILON)
        return (1 - index) ** exponent

    expected = (term(1.5, 0.1 + 0.4, 0.3 + 0.2) + term(0.8, 0.2, 0.1 + 0.5 + 0.2)) / 2
    loss = FocalTverskyLoss(alpha=alpha, exponent=exponent)(LOGITS.to(dtype), TARGET)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_a_batch_is_the_mean_of_its_images():
    for loss in (CombinedLoss(omega=0.8), FocalTverskyLoss(alpha=0.6)):
        alone = [loss(LOGITS[i : i + 1], TARGET[i : i + 1]).item() for i in (0, 1)]
        assert alone[0] != pytest.approx(alone[1], abs=0.01)
        assert loss(LOGITS, TARGET).item() == pytest.approx(sum(alone) / 2, abs=1e-12)


def test_a_perfect_answer():
    logits, target = torch.where(TARGET > 0, 60.0, -60.0), TARGET
    assert CombinedLoss(omega=0.5)(logits, target).item() == pytest.approx(-0.5, abs=1e-6)
    assert FocalTverskyLoss()(logits, target).item() == pytest.approx(0, abs=1e-6)


def test_nothing_where_nothing_is():
    logits, target = torch.full((1, 1, 4, 4), -60.0), torch.zeros(1, 1, 4, 4)
    assert CombinedLoss(omega=1.0)(logits, target).item() == pytest.approx(-1, abs=1e-6)
    assert FocalTverskyLoss()(logits, target).item() == pytest.approx(0, abs=1e-6)


LOSSES = [
    CombinedLoss(),
    CombinedLoss(omega=0.2, reduction="pixel"),
    FocalTverskyLoss(),
    FocalTverskyLoss(alpha=0.3, exponent=4 / 3),
]


@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck(loss):
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 1, 3, 4, dtype=torch.float64, generator=draw, requires_grad=True)
    target = (torch.rand(2, 1, 3, 4, generator=draw) > 0.5).double()
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mass", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("size", [200.0, -200.0, 17.0, -17.0, 0.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_extremes_have_finite_loss_and_gradient(loss, mass, size, dtype):
    logits = torch.full((2, 1, 16, 16), size, dtype=dtype, requires_grad=True)
    target = torch.full((2, 1, 16, 16), mass)
    if mass == 0.5:
        target[:, :, :8], target[:, :, 8:] = 1, 0
    value = loss(logits, target)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_wrong_answer_is_pulled_the_right_way(loss):
    logits = torch.zeros_like(TARGET, requires_grad=True)
    loss(logits, TARGET).backward()
    assert (logits.grad[TARGET > 0] < 0).all()
    assert (logits.grad[TARGET == 0] > 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_bf16_autocast_is_close_to_float32(loss, share):
    draw = torch.Generator().manual_seed(2)
    features = torch.randn(2, 8, 32, 32, generator=draw)
    target = (torch.rand(2, 1, 32, 32, generator=draw) < share).float()
    head = torch.nn.Conv2d(8, 1, 1)
    torch.nn.init.normal_(head.weight, generator=draw)
    torch.nn.init.zeros_(head.bias)
    exact = loss(head(features), target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(features)
        rough = loss(logits, target)
    assert logits.dtype == torch.bfloat16
    assert rough.dtype == torch.float32
    assert abs(exact.item() - rough.item()) < 1e-2


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16])
def test_masks_of_any_type(loss, dtype):
    assert loss(LOGITS, TARGET.to(dtype)).item() == loss(LOGITS, TARGET).item()


@pytest.mark.parametrize("loss", LOSSES)
def test_shapes_must_agree(loss):
    with pytest.raises(ValueError, match="shape"):
        loss(LOGITS, TARGET[:, 0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: CombinedLoss(omega=1.5), "omega"),
        (lambda: CombinedLoss(epsilon=0), "epsilon"),
        (lambda: CombinedLoss(reduction="batch"), "image or pixel"),
        (lambda: FocalTverskyLoss(alpha=-0.1), "alpha"),
        (lambda: FocalTverskyLoss(exponent=0), "exponent"),
    ],
)
def test_impossible_settings(make, says):
    with pytest.raises(ValueError, match=says):
        make()
