"""What is learnt, judged and kept in each epoch: freezing, learning rates, the best epoch, means, accumulated batches."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from tiny_training import NO_AUGMENTATION, PACK, Tiny, recipe, run
from torch import nn

from mammoseg.models.fold_model import FoldModel
from mammoseg.runtime.errors import UserError
from mammoseg.training import fit, lightning_module
from mammoseg.training.losses import CombinedLoss, FocalTverskyLoss
from mammoseg.training.pack import Pack


@pytest.mark.parametrize("frozen", [0, 2])
def test_freezing_keeps_weights_and_statistics_of_the_encoder(tiny, frozen):
    run(training=recipe(2, 0, freeze=frozen))
    network, first = tiny[0]
    now = network.state_dict()
    for name in first:
        moved = not torch.equal(first[name], now[name])
        assert moved == (frozen == 0 or name.startswith("decoder.")), name


def test_after_the_freeze_the_encoder_learns(tiny):
    run(training=recipe(3, 0, freeze=2))
    network, first = tiny[0]
    now = network.state_dict()
    assert not torch.equal(first["encoder.0.weight"], now["encoder.0.weight"])
    assert now["encoder.1.num_batches_tracked"] == 3  # batches of the third epoch alone
    assert all(p.requires_grad for p in network.parameters())


def test_learning_rate_drops_after_its_milestones(tiny):
    history = run(training=recipe(2, 3, milestones=[1, 3], factor=0.1)).history
    assert [row["lr"] for row in history] == pytest.approx([1e-2, 1e-3, 1e-3, 1e-4, 1e-4])
    assert [row["phase"] for row in history] == [1, 1, 2, 2, 2]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]


def test_one_cycle_rises_to_the_rate_and_falls(tiny):
    """torch's defaults: starts at a 25th, peaks after 30 % of the steps (here 3 of 10 epochs), ends near 0."""
    rates = [row["lr"] for row in run(training=recipe(5, 5, policy="one_cycle")).history]
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates.index(max(rates)) == 3
    assert 0.0099 < max(rates) <= 0.01
    assert rates[-1] < 0.001


def test_the_best_epoch_of_the_last_phase_is_kept(tiny):
    """The first phase has the lower losses; of the second the lowest counts, and its state is what is handed back."""
    result = run(training=recipe(2, 6, learning_rate=0.05))
    losses = [row["val_loss"] for row in result.history]
    assert min(losses) == min(losses[:2])
    assert result.best_epoch == 3 + int(np.argmin(losses[2:]))
    assert result.best_epoch < 8  # else the last state would do

    network = Tiny().eval()
    network.load_state_dict(result.state)
    model = FoldModel(network, *result.normalisation)
    images, masks = PACK.images[10:], PACK.masks[10:]
    with torch.no_grad():
        logits = model(torch.from_numpy(images)[:, None])
    loss = FocalTverskyLoss(0.7, 0.75, 1e-6)(logits, torch.from_numpy(masks)[:, None].float()).item()
    best = result.history[result.best_epoch - 1]
    assert loss == pytest.approx(best["val_loss"], abs=1e-6)
    dice = [f1_score(m.ravel(), (p >= 0).ravel()) for m, p in zip(masks, logits.numpy(), strict=True)]
    assert np.mean(dice) == pytest.approx(best["val_dice"], abs=1e-6)


def test_with_one_phase_its_best_epoch_is_kept(tiny):
    result = run(training=recipe(3, 0))
    losses = [row["val_loss"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(losses))
    assert {row["phase"] for row in result.history} == {1}
    assert {row["phase"] for row in run(training=recipe(0, 2)).history} == {2}


def test_means_weigh_every_image_alike():
    """Batches of three images and of one; an image without any mass has a loss, but no Dice."""
    batches = [(torch.tensor(1.0), torch.tensor([0.5, 0.7, float("nan")])), (torch.tensor(2.0), torch.tensor([0.0]))]
    loss, dice = lightning_module._means(batches)
    assert loss == pytest.approx((3 * 1.0 + 2.0) / 4)
    assert dice == pytest.approx((0.5 + 0.7 + 0.0) / 3)


def test_dice_is_left_empty_where_there_is_no_mass_at_all(tiny):
    empty = Pack(PACK.images, np.zeros_like(PACK.masks), PACK.cases)
    history = run(empty, training=recipe(8, 0, learning_rate=0.1)).history
    assert history[-1]["val_dice"] is None  # the network has learnt to mark nothing


def test_a_loss_that_is_no_number_stops_by_name(tiny, monkeypatch):
    class Breaking(CombinedLoss):
        calls = 0

        def forward(self, logits, target):
            Breaking.calls += 1
            return super().forward(logits, target) * (float("nan") if Breaking.calls == 6 else 1)

    monkeypatch.setattr(lightning_module, "CombinedLoss", Breaking)
    with pytest.raises(
        UserError, match="^resnet22-unet-random fold 3.*epoch 2, batch 2; lower training.learning_rate"
    ) as error:
        run(training=recipe(3, 0), fold=3)  # 3 training batches and 1 of validation an epoch
    assert "\n" not in str(error.value)


def test_a_validation_loss_that_is_no_number_stops_too(tiny, monkeypatch):
    class Breaking(CombinedLoss):
        def forward(self, logits, target):
            return super().forward(logits, target) * (1 if torch.is_grad_enabled() else float("inf"))

    monkeypatch.setattr(lightning_module, "CombinedLoss", Breaking)
    with pytest.raises(UserError, match="epoch 1, validation batch 1"):
        run(training=recipe(3, 0))


class Plain(Tiny):
    """Neither batch norm nor dropout: an image's gradient does not depend on its batch."""

    def __init__(self):
        super().__init__()
        self.encoder[1], self.decoder[0] = nn.Identity(), nn.Identity()


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ({"batch_size": 5, "accumulate": 2}, {"batch_size": 10}),
        ({"batch_size": 4, "accumulate": 2}, {"batch_size": 8}),  # of 10 images the last step has one batch of 2
        ({"batch_size": 4, "accumulate": 3}, {"batch_size": 10}),  # batches of 4, 4 and 2
        ({"batch_size": 10, "accumulate": 4}, {"batch_size": 10}),  # never as many batches as asked for
    ],
)
def test_accumulated_batches_make_one_step(monkeypatch, parts, whole):
    """Without batch norm and dropout they have the gradient of one batch of all their images, the epoch's last ones too."""

    def gradients(settings):
        found = []
        monkeypatch.setattr(fit, "build_model", lambda *_, **__: torch.manual_seed(0) and Plain())
        monkeypatch.setattr(
            lightning_module.FoldTraining,
            "on_before_optimizer_step",
            lambda self, _: found.append(torch.cat([p.grad.flatten().clone() for p in self.parameters()])),
        )
        # So low a rate that both see the same weights: what a step is scaled by, Adam hides, and its gradient shows.
        run(training=recipe(1, 1, learning_rate=1e-9, **settings), augmentation=NO_AUGMENTATION)
        return torch.stack(found)

    in_parts, at_once = gradients(parts), gradients(whole)
    assert in_parts.shape == at_once.shape
    assert torch.allclose(in_parts, at_once, rtol=1e-3, atol=1e-6)


def test_one_cycle_counts_steps_not_batches(tiny):
    """With accumulation the rate still ends at the bottom of its cycle."""
    history = run(training=recipe(4, 4, policy="one_cycle", batch_size=3, accumulate=2)).history
    rates = [row["lr"] for row in history]
    assert max(rates) == pytest.approx(0.01, rel=0.1)
    assert rates[-1] < rates[0]
