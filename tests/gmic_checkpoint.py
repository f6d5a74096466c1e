"""A checkpoint with the names and shapes of GMIC's, and random values: what a test can have of it."""

import io

import torch


def saved(state) -> bytes:
    """What `torch.save` writes."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def gmic_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """All 131 tensors of GMIC's global network (``ds_net.``) and two that belong to its other parts."""
    draw = torch.Generator().manual_seed(seed)
    state = {"ds_net.first_conv.weight": _conv(draw, 16, 1, 7)}
    inputs = 16
    for stage in range(5):
        filters = 16 * 2**stage
        for block in range(2):
            name = f"ds_net.layer_list.{stage}.{block}"
            state |= _norm(draw, f"{name}.bn1", inputs)
            state[f"{name}.conv1.weight"] = _conv(draw, filters, inputs, 3)
            state |= _norm(draw, f"{name}.bn2", filters)
            state[f"{name}.conv2.weight"] = _conv(draw, filters, filters, 3)
            if block == 0:
                state[f"{name}.downsample.0.weight"] = _conv(draw, filters, inputs, 1)
            inputs = filters
    state |= _norm(draw, "ds_net.final_bn", 256)
    state["left_postprocess_net.gn_conv_last.weight"] = _conv(draw, 2, 256, 1)
    state["dn_resnet.conv1.weight"] = _conv(draw, 64, 3, 7)
    return state


def _conv(draw: torch.Generator, outputs: int, inputs: int, kernel: int) -> torch.Tensor:
    return torch.randn(outputs, inputs, kernel, kernel, generator=draw) * (2 / (inputs * kernel**2)) ** 0.5


def _norm(draw: torch.Generator, name: str, channels: int) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": torch.rand(channels, generator=draw) + 0.5,
        f"{name}.bias": torch.randn(channels, generator=draw) * 0.1,
        f"{name}.running_mean": torch.randn(channels, generator=draw) * 0.1,
        f"{name}.running_var": torch.rand(channels, generator=draw) + 0.5,
        f"{name}.num_batches_tracked": torch.tensor(1000),
    }
