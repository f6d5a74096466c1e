"""What would fail later is found before the first job. Roots, weights and GPUs: tests/workflow/test_messages.py."""

import pytest
import torch

from mammoseg.models import build_model
from mammoseg.models.build import SMP_DECODERS
from mammoseg.preflight import UNREPEATABLE, check_repeatable, preflight
from mammoseg.runtime.errors import UserError
from mammoseg.study import Study


def test_a_windowing_that_cannot_be_copied_is_found_at_once(config, schema, tmp_path):
    for dataset in config["datasets"]:
        dataset["root"] = str(tmp_path)
    (tmp_path / "table.txt").write_text("1 2 3")
    config["image"]["voi_lut"] |= {"kind": "file", "file": str(tmp_path / "table.txt")}
    preflight(Study(config, schema), {"render"}, trains_here=True)
    config["image"]["voi_lut"]["file"] = str(tmp_path / "tabel.txt")
    with pytest.raises(UserError, match=r"config key image\.voi_lut\.file is '.*tabel\.txt': there is no such file"):
        preflight(Study(config, schema), {"render"}, trains_here=True)


@pytest.mark.parametrize(
    ("accelerator", "visible", "trains_here", "refused"),
    [
        ("gpu", True, True, True), ("auto", True, True, True), ("auto", False, True, False), ("cpu", True, True, False),
        ("auto", False, False, True),  # jobs are submitted: this machine's devices say nothing
    ],
)  # fmt: skip
@pytest.mark.parametrize("decoder", ["smp.PSPNet", "smp.UPerNet"])
def test_what_a_gpu_cannot_repeat_is_found_at_once(
    config, schema, monkeypatch, decoder, accelerator, visible, trains_here, refused
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: visible)
    config["training"]["accelerator"] = accelerator
    config["models"] = [{"name": "it", "encoder": "resnet34", "decoder": decoder, "weights": "random"}]
    if refused:
        with pytest.raises(
            UserError, match=f"model it: decoder {decoder} cannot be .* set training.deterministic to false"
        ):
            check_repeatable(Study(config, schema), trains_here)
    else:
        check_repeatable(Study(config, schema), trains_here)
    config["models"][0]["training"] = {"deterministic": False}
    check_repeatable(Study(config, schema), trains_here)


def test_every_decoder_that_pools_adaptively_is_known():
    """Into one cell it is a mean, whose gradient repeats."""
    pooling = {
        name
        for name in SMP_DECODERS
        for module in build_model("resnet34", name).modules()
        if isinstance(module, torch.nn.AdaptiveAvgPool2d) and module.output_size not in (1, (1, 1))
    }
    assert pooling == UNREPEATABLE


@pytest.mark.parametrize("missing", ["random", "error"])
def test_a_weights_file_that_was_named_must_be_there(config, schema, tmp_path, missing):
    for dataset in config["datasets"]:
        dataset["root"] = str(tmp_path)
    (tmp_path / "a.dcm").touch()
    config["weights"] |= {"missing": missing}
    config["weights"]["imagenet"] |= {"file": str(tmp_path / "nowhere.pth")}
    with pytest.raises(
        UserError, match=r"config key weights\.imagenet\.file is '.*nowhere\.pth': there is no such file"
    ):
        preflight(Study(config, schema), set(), trains_here=False)
