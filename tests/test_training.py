"""Training a fold: what is trained, kept, written and said, on a tiny network and on ResNet22-UNet."""

import contextlib
import copy
import csv
import json
import logging
import os
import random
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from torch import nn

from mammoseg import lightning_module, training
from mammoseg.augmentation import build_stream
from mammoseg.datasets.phantom import Site
from mammoseg.errors import UserError
from mammoseg.fold_data import TrainingOrder
from mammoseg.fold_model import FoldModel, load_model
from mammoseg.losses import CombinedLoss, FocalTverskyLoss
from mammoseg.models import build_model
from mammoseg.pack import Pack
from mammoseg.training import save_model, train_fold

CONFIG = yaml.safe_load((Path(__file__).parents[1] / "config" / "config.yaml").read_text())
UNET = {"name": "resnet22-unet-random", "encoder": "resnet22_gmic", "decoder": "unet", "weights": "random"}
SIDE = 64


class Tiny(nn.Module):
    """An encoder with batch norm, a decoder with dropout: enough to see every rule of the training."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 6, 5, 2, 2, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.decoder = nn.Sequential(
            nn.Dropout2d(0.2),
            nn.Conv2d(6, 6, 3, 1, 1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(6, 1, 3, 1, 1),
        )
        self.decoder.cell = 1
        self.batches = []

    def forward(self, x):
        self.batches.append((len(x), self.training))
        return self.decoder(self.encoder(x))


@pytest.fixture
def tiny(monkeypatch):
    """Train `Tiny` instead of what the model's entry says; gives the networks that were built and their first states."""
    built = []

    def build(*_args, **_options):
        network = Tiny()
        built.append((network, copy.deepcopy(network.state_dict())))
        return network

    monkeypatch.setattr(training, "build_model", build)
    monkeypatch.setattr(training, "_seconds_per_image", lambda *_: 0.01)  # tested with the real networks
    return built


def make_pack(n, side=SIDE, seed=0):
    """n images of two patients' views: one bright disc on noise each."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    images = generator.integers(0, 60, (n, side, side))
    masks = np.zeros((n, side, side), np.uint8)
    for i in range(n):
        row, column = generator.integers(side // 4, 3 * side // 4, 2)
        masks[i] = (y - row) ** 2 + (x - column) ** 2 <= generator.integers(side // 10, side // 5) ** 2
    cases = tuple({"image_id": f"i{i:02d}", "patient_id": f"p{i // 2}", "dataset": "a"} for i in range(n))
    return Pack((images + 100 * masks).astype(np.uint8), masks, cases)


PACK = make_pack(14)


def recipe(combined=1, tversky=1, freeze=0, milestones=(), **changes):
    """The config's recipe with a short schedule; `changes` of training, loss and schedule by name."""
    settings = copy.deepcopy(CONFIG["training"]) | {"batch_size": 4, "learning_rate": 0.01, "workers": 0}
    settings["schedule"] |= {
        "combined_epochs": combined,
        "focal_tversky_epochs": tversky,
        "freeze_encoder_epochs": freeze,
        "milestones": list(milestones),
    }
    for name, value in changes.items():
        part = next(p for p in (settings, settings["loss"], settings["schedule"]) if name in p)
        part[name] = value
    return settings


def run(pack=PACK, train=range(10), validate=range(10, 14), model=UNET, augmentation=CONFIG["augmentation"], **options):
    settings = {
        "encoder_weights": None, "training": recipe(), "augmentation": augmentation,
        "normalisation": {"augmented": True}, "seed": 1, "fold": 0, "threads": 1,
    }  # fmt: skip
    return train_fold(pack, train, validate, model=model, **(settings | options))


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


NO_AUGMENTATION = dict.fromkeys(CONFIG["augmentation"]) | {"probability": 0.5}


def phantom_cases(side):
    """Four phantoms' masses and what is around them, a sixth of the breast's height, as (4, side, side) images and masks."""
    rows, columns = 3 * side, 9 * side // 4
    images, masks = [], []
    site = Site("oulu", 3, rows, columns)
    for shown in (m for number in range(1, 30) for m in site.images(site.patient(number))):
        if shown.mass_mask.sum() > side * side / 10:
            row, column = np.argwhere(shown.mass_mask).mean(0).astype(int) - side // 2
            row, column = np.clip(row, 0, rows - side), np.clip(column, 0, columns - side)
            part = slice(row, row + side), slice(column, column + side)
            images.append((255 * shown.brightness[part]).astype(np.uint8))
            masks.append(shown.mass_mask[part].astype(np.uint8))
    return np.stack(images[:4]), np.stack(masks[:4])


@pytest.mark.parametrize(
    ("encoder", "decoder", "side", "epochs"),
    [
        ("resnet34", "unet", 64, 60), ("resnet22_gmic", "unet", 64, 60),
        ("resnet34", "fpn", 128, 80), ("resnet22_gmic", "fpn", 128, 80),  # it answers in cells of 4 pixels
    ],
)  # fmt: skip
def test_every_model_learns_four_phantoms_by_heart(encoder, decoder, side, epochs, tmp_path):
    """Dice above 0.98, and what is written predicts them, as scikit-learn counts."""
    images, masks = phantom_cases(side)
    cases = tuple({"image_id": f"i{i}", "patient_id": f"p{i}", "dataset": "a"} for i in range(8))
    pack = Pack(np.concatenate([images, images]), np.concatenate([masks, masks]), cases)
    result = run(
        pack, range(4), range(4, 8), augmentation=NO_AUGMENTATION,
        model={"name": "x", "encoder": encoder, "decoder": decoder, "weights": "random"},
        training=recipe(epochs // 2, epochs // 2, policy="one_cycle", learning_rate=0.006, weight_decay=0),
    )  # fmt: skip
    best = result.history[result.best_epoch - 1]
    assert best["val_dice"] > 0.98

    save_model(tmp_path, result, recipe={}, fingerprint="")
    model, _ = load_model(tmp_path)
    answer = model(torch.from_numpy(images)[:, None])[:, 0].sigmoid().numpy() >= 0.5
    dice = [f1_score(m.ravel(), a.ravel()) for m, a in zip(masks, answer, strict=True)]
    assert np.mean(dice) == pytest.approx(best["val_dice"], abs=1e-6)


def test_same_seed_same_bits_whatever_the_workers(tiny):
    first = run(training=recipe(2, 1, learning_rate=0.003))
    again = run(training=recipe(2, 1, learning_rate=0.003))
    others = run(training=recipe(2, 1, learning_rate=0.003, workers=2))
    assert equal(first.state, again.state)
    assert equal(first.state, others.state)
    timing = {"data_wait_share", "seconds"}
    for a, b in zip(first.history, others.history, strict=True):
        assert {k: v for k, v in a.items() if k not in timing} == {k: v for k, v in b.items() if k not in timing}
    assert first.normalisation == others.normalisation
    for changed in (run(seed=2, training=recipe(2, 1)), run(fold=1, training=recipe(2, 1))):
        assert not equal(first.state, changed.state)


def test_same_seed_same_bits_with_a_real_network():
    results = [run(training=recipe(1, 1)) for _ in range(2)]
    assert equal(results[0].state, results[1].state)


def test_order_of_pack_and_rows_does_not_matter(tiny):
    order = np.random.default_rng(3).permutation(14)
    shuffled = Pack(PACK.images[order], PACK.masks[order], tuple(PACK.cases[i] for i in order))
    train = [row for row, i in enumerate(order) if i < 10]
    validate = [row for row, i in enumerate(order) if i >= 10]
    assert equal(run().state, run(shuffled, train[::-1], validate).state)


def test_global_state_is_given_back(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def state():
        return (
            random.getstate(), np.random.get_state()[1].tobytes(), torch.random.get_rng_state().numpy().tobytes(),
            torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
            torch.utils.deterministic.fill_uninitialized_memory, logging.getLogger("lightning.pytorch").level,
        )  # fmt: skip

    before = state()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(threads=2)
    assert state() == before
    assert [str(w.message) for w in caught] == []
    assert list(tmp_path.iterdir()) == []


def test_cuda_is_initialised_before_its_statistics_are_reset(monkeypatch):
    """A pretended GPU that, as the real one, knows no device before."""
    calls = []
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "init", lambda: calls.append("init"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: calls.append(f"reset {device}"))
    with training._own_state(torch.device("cuda", 1), threads=1):
        assert calls == ["init", "reset cuda:1"]
    calls.clear()
    with training._own_state(torch.device("cpu"), threads=1):
        assert not calls


def test_the_estimate_does_not_change_the_result(monkeypatch):
    results = []
    for seconds in (training._seconds_per_image, lambda *_: 1.0):
        monkeypatch.setattr(training, "_seconds_per_image", seconds)
        results.append(run(training=recipe(1, 0)))
    assert equal(results[0].state, results[1].state)


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


def test_a_last_batch_of_one_image_is_dropped(tiny):
    run(train=range(9), training=recipe(2, 0))
    assert [n for n, trains in tiny[0][0].batches if trains] == [4, 4, 4, 4]

    order = TrainingOrder(range(9), "abcdefghi", 4, seed=0)
    dropped = []
    for epoch in range(20):
        order.set_epoch(epoch)
        rows = [row for row, _ in order]
        assert len(order) == len(rows) == len(set(rows)) == 8
        dropped.extend(set(range(9)) - set(rows))
    assert len(set(dropped)) > 4
    for batch_size, images in ((4, 10), (1, 9), (16, 9)):
        assert len(list(TrainingOrder(range(images), "abcdefghij"[:images], batch_size, seed=0))) == images


def test_every_image_has_its_own_draw_every_epoch():
    order = TrainingOrder(range(8), "abcdefgh", 4, seed=0)
    seeds, orders = [], []
    for epoch in range(5):
        order.set_epoch(epoch)
        orders.append([row for row, _ in order])
        seeds += [seed for _, seed in order]
    assert len(set(seeds)) == 40
    assert len(set(map(tuple, orders))) == 5
    fewer = TrainingOrder(range(4), "abcd", 4, seed=0)
    fewer.set_epoch(2)
    order.set_epoch(2)
    assert dict(fewer).items() <= dict(order).items()  # a draw does not depend on the other images


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 5}, {"optimizer": "adamw"}, {"learning_rate": 0.02}, {"weight_decay": 0.1}, {"combined": 2},
        {"tversky": 2}, {"freeze": 1}, {"milestones": [1]}, {"milestones": [1], "factor": 0.5}, {"policy": "one_cycle"},
        {"omega": 0.9}, {"alpha": 0.3}, {"exponent": 1.5}, {"epsilon": 1.0}, {"reduction": "pixel"},
        {"precision": "bf16-mixed"}, {"accumulate": 2},
    ],
    ids=str,
)  # fmt: skip
def test_every_training_value_has_its_effect(tiny, change):
    assert not equal(
        run(training=recipe(learning_rate=0.003)).state,
        run(training=recipe(**{"learning_rate": 0.003, **change})).state,
    )


def test_augmentation_and_normalisation_have_their_effect(tiny):
    base = run()
    plain = run(normalisation={"augmented": False})
    assert plain.normalisation.mean == pytest.approx((PACK.images[:10] / 255).mean())
    assert plain.normalisation.sd == pytest.approx((PACK.images[:10] / 255).std())
    assert base.normalisation.mean > plain.normalisation.mean  # the augmentations brighten
    bare = run(augmentation=NO_AUGMENTATION)
    assert not equal(base.state, plain.state)
    assert not equal(base.state, bare.state)


def test_validation_images_are_not_augmented(tiny, monkeypatch):
    """Only the training's images and the normalisation's two passes go through the stream."""
    seen = []

    def spying(settings, side):
        stream = build_stream(settings, side)
        call = stream.__class__.__call__

        class Spy(stream.__class__):
            serializable_name = None

            def __call__(self, data, **options):
                seen.append("mask" in data)
                return call(self, data, **options)

        stream.__class__ = Spy
        return stream

    for module in ("mammoseg.fold_data", "mammoseg.normalisation"):
        monkeypatch.setattr(f"{module}.build_stream", spying)
    run(training=recipe(1, 1))
    assert (seen.count(False), seen.count(True)) == (2 * 10, 2 * 10)


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


def test_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="training.accelerator is gpu, but no GPU is visible"):
        run(training=recipe(accelerator="gpu"))


def test_overlap_and_too_few_images_are_refused():
    with pytest.raises(UserError, match="1 patients stand in training and validation, e.g. p4"):
        run(train=range(9), validate=range(9, 14))
    with pytest.raises(UserError, match="has 1 training"):
        run(train=[0])
    with pytest.raises(UserError, match="and 0 validation images"):
        run(validate=[])
    with pytest.raises(UserError, match="no epoch"):
        run(training=recipe(0, 0))


def test_log_starts_with_the_device_and_has_a_line_an_epoch(caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.INFO):
        run(training=recipe(1, 1))
    lines = [r.getMessage() for r in caplog.records]
    assert lines[0].startswith("No accelerator: training on the CPU, roughly ")
    assert lines[0].endswith("; resnet22-unet-random fold 0: 10 + 4 images of 64 × 64, 2 epochs")
    assert lines[1].startswith("resnet22-unet-random fold 0: normalised by mean 0.")
    assert lines[2].startswith("resnet22-unet-random fold 0, epoch 1 of 2, phase 1: training loss ")
    assert lines[3].startswith("resnet22-unet-random fold 0, epoch 2 of 2, phase 2: training loss ")
    assert lines[3].endswith(" s, 0 s left")
    assert len(lines) == 4


def test_rough_duration_counts_epochs_and_images(tiny, monkeypatch, caplog):
    """1 s an image, 2 epochs of 10 images with gradient and 4 without, which cost a third: 22.7 s."""
    monkeypatch.setattr(training, "_seconds_per_image", lambda *_: 1.0)
    with caplog.at_level(logging.INFO):
        run(training=recipe(1, 1))
    assert "roughly 23 s" in caplog.messages[0]


def test_terminated_with_a_status(tiny, monkeypatch):
    """SIGTERM ends the training at the next batch, and not with status 0."""
    monkeypatch.setattr(
        Tiny, "forward", lambda self, x: os.kill(os.getpid(), signal.SIGTERM) or self.decoder(self.encoder(x))
    )
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 143


def test_too_little_memory_names_the_batch_to_try(tiny, monkeypatch):
    """A pretended one: a CPU's memory has no such limit."""

    def forward(self, x):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Tiny, "forward", forward)
    with pytest.raises(UserError) as said:
        run(training=recipe(batch_size=8))
    assert str(said.value) == (
        "resnet22-unet-random fold 0: the memory is too small for training.batch_size 8; set training.batch_size to 4 and "
        "training.accumulate to 2, so that a step of the optimiser still sees 8 images."
    )
    with pytest.raises(UserError, match="batch_size to 4 and training.accumulate to 6, .* sees 24 images"):
        run(training=recipe(batch_size=8, accumulate=3))
    with pytest.raises(UserError, match="batch_size to 3 and training.accumulate to 2, .* sees 6 images instead of 7"):
        run(training=recipe(batch_size=7))
    with pytest.raises(
        UserError, match="batch_size to 4 and training.accumulate to 6, .* sees 24 images instead of 27"
    ):
        run(training=recipe(batch_size=9, accumulate=3))
    with pytest.raises(
        UserError, match="too small even for training.batch_size 3; use a smaller network or image.side"
    ):
        run(training=recipe(batch_size=3))


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
        monkeypatch.setattr(training, "build_model", lambda *_, **__: torch.manual_seed(0) and Plain())
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


def test_a_compiled_network_trains_and_is_saved_under_its_own_names(monkeypatch):
    monkeypatch.setattr(training, "_seconds_per_image", lambda *_: 0.01)
    monkeypatch.setattr(training, "build_model", lambda *_, **__: torch.manual_seed(0) and Tiny().float())
    monkeypatch.setattr(Tiny, "forward", lambda self, x: self.decoder(self.encoder(x)))
    plain = run(training=recipe(1, 1))
    compiled = run(training=recipe(1, 1, compile=True))
    assert compiled.state.keys() == plain.state.keys()
    for name, tensor in plain.state.items():
        assert torch.allclose(compiled.state[name].float(), tensor.float(), atol=5e-3), name


def test_files_of_a_fold(tmp_path):
    result = run(training=recipe(1, 1))
    save_model(tmp_path / "m" / "fold0", result, recipe={"seed": 1}, fingerprint="abc", data="def")
    folder = tmp_path / "m" / "fold0"
    assert sorted(p.name for p in folder.iterdir()) == ["history.csv", "model.json", "model.safetensors"]

    with (folder / "history.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert list(rows[0]) == [
        "epoch", "phase", "lr", "train_loss", "val_loss", "train_dice", "val_dice", "data_wait_share", "seconds",
    ]  # fmt: skip
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["data_wait_share"]) <= 1 and float(row["seconds"]) > 0 for row in rows)

    facts = json.loads((folder / "model.json").read_text())
    assert facts["model"] == {**UNET, "stem": "dense"}
    assert facts["weights_used"] == "random"
    assert facts["parameters"] == {"encoder": 2_799_536, "decoder": 4_773_025, "total": 7_572_561}
    assert facts["best_epoch"] == 2
    assert facts["patients"] == {"training": ["p0", "p1", "p2", "p3", "p4"], "validation": ["p5", "p6"]}
    assert (facts["recipe"], facts["fingerprint"]) == ({"seed": 1}, "abc")
    assert (
        facts["versions"]["torch"] == torch.__version__.split("+")[0] or facts["versions"]["torch"] == torch.__version__
    )
    assert facts["data"] == "def"
    (machine,) = facts["hardware"]
    assert (machine["threads"], machine["from_epoch"], machine["precision"]) == (1, 1, "32-true")
    assert "commit" in facts
    assert facts["cost"]["resumed"] == 0
    assert facts["cost"]["device"] == "cpu"
    assert facts["cost"]["seconds"] > 0
    assert facts["cost"]["peak_memory_mb"] > 50

    model, read = load_model(folder)
    assert read == facts
    assert not model.training
    assert (model.mean, model.sd) == tuple(result.normalisation)
    assert equal(model.network.state_dict(), result.state)

    first = (folder / "model.safetensors").read_bytes()
    save_model(folder, result, recipe={}, fingerprint="")
    assert (folder / "model.safetensors").read_bytes() == first


def test_a_model_that_is_not_whole_is_refused(tmp_path, tiny):
    folder = tmp_path / "unet" / "fold0"
    save_model(folder, run(), recipe={}, fingerprint="")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(UserError, match="unet/fold0 is not the file its model.json describes"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"unet/fold0 has no model\.safetensors"):
        load_model(folder)


def test_starts_from_the_given_encoder(tmp_path):
    torch.manual_seed(77)
    encoder = build_model("resnet22_gmic", "fpn").encoder
    save_file(encoder.state_dict(), tmp_path / "gmic-resnet22_gmic.safetensors")
    result = run(
        model={**UNET, "weights": "gmic"},
        encoder_weights=tmp_path / "gmic-resnet22_gmic.safetensors",
        training=recipe(1, 0, freeze=1),
    )
    assert result.weights_used == "gmic"
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(result.state[f"encoder.{name}"], tensor), name


def test_workers_follow_the_threads():
    assert [training._workers("auto", n, on_gpu=True) for n in (1, 2, 8)] == [0, 1, 7]
    assert training._workers("auto", 8, on_gpu=False) == 0, "on a CPU the steps want all threads"
    assert training._workers(3, 1, on_gpu=False) == 3
