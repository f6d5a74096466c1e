"""The files of a trained fold, written and read back."""

import csv
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_training import UNET, equal, recipe, run

from mammoseg.models.fold_model import load_model
from mammoseg.runtime.errors import UserError
from mammoseg.training.fit import save_model


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
