"""Training a fold: what is trained, kept, written and said, on a tiny network and on ResNet22-UNet."""

import contextlib
import logging
import os
import random
import signal
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import f1_score
from tiny_training import NO_AUGMENTATION, PACK, UNET, Tiny, equal, recipe, run

from mammoseg.models import build_model
from mammoseg.models.fold_model import load_model
from mammoseg.phantom import Site
from mammoseg.runtime.errors import UserError
from mammoseg.training import fit
from mammoseg.training.augmentation import build_stream
from mammoseg.training.fit import save_model
from mammoseg.training.fold_data import TrainingOrder
from mammoseg.training.pack import Pack


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
        ("resnet34", "fpn", 128, 120), ("resnet22_gmic", "fpn", 128, 80),  # it answers in cells of 4 pixels
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
    with fit._own_state(torch.device("cuda", 1), threads=1):
        assert calls == ["init", "reset cuda:1"]
    calls.clear()
    with fit._own_state(torch.device("cpu"), threads=1):
        assert not calls


def test_the_estimate_does_not_change_the_result(monkeypatch):
    results = []
    for seconds in (fit._seconds_per_image, lambda *_: 1.0):
        monkeypatch.setattr(fit, "_seconds_per_image", seconds)
        results.append(run(training=recipe(1, 0)))
    assert equal(results[0].state, results[1].state)


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

    for module in ("mammoseg.training.fold_data", "mammoseg.training.normalisation"):
        monkeypatch.setattr(f"{module}.build_stream", spying)
    run(training=recipe(1, 1))
    assert (seen.count(False), seen.count(True)) == (2 * 10, 2 * 10)


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
    monkeypatch.setattr(fit, "_seconds_per_image", lambda *_: 1.0)
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


def test_a_compiled_network_trains_and_is_saved_under_its_own_names(monkeypatch):
    monkeypatch.setattr(fit, "_seconds_per_image", lambda *_: 0.01)
    monkeypatch.setattr(fit, "build_model", lambda *_, **__: torch.manual_seed(0) and Tiny().float())
    monkeypatch.setattr(Tiny, "forward", lambda self, x: self.decoder(self.encoder(x)))
    plain = run(training=recipe(1, 1))
    compiled = run(training=recipe(1, 1, compile=True))
    assert compiled.state.keys() == plain.state.keys()
    for name, tensor in plain.state.items():
        assert torch.allclose(compiled.state[name].float(), tensor.float(), atol=5e-3), name


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
    assert [fit._workers("auto", n, on_gpu=True) for n in (1, 2, 8)] == [0, 1, 7]
    assert fit._workers("auto", 8, on_gpu=False) == 0, "on a CPU the steps want all threads"
    assert fit._workers(3, 1, on_gpu=False) == 3


def test_order_and_draws_follow_from_the_draw_ids_and_not_from_the_pseudonyms(monkeypatch):
    """Other pseudonyms, and so another order of the pack, give the same model bit for bit."""
    order = np.random.default_rng(5).permutation(len(PACK.cases))
    cases = tuple({**PACK.cases[k], "image_id": f"other{n:02d}"} for n, k in enumerate(order))
    renamed = Pack(PACK.images[order], PACK.masks[order], cases)
    draw_ids = [f"draw{k:02d}" for k in range(len(order))]
    place = {int(k): n for n, k in enumerate(order)}
    first = run(draw_ids=draw_ids)
    same = run(
        renamed, [place[k] for k in range(10)], [place[k] for k in range(10, 14)], draw_ids=[draw_ids[k] for k in order]
    )
    assert equal(first.state, same.state)
    assert first.normalisation == same.normalisation
    assert not equal(first.state, run(draw_ids=draw_ids[::-1]).state), "they decide what is drawn"
