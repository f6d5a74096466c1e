"""Where torch computes."""

import torch

from mammoseg.errors import UserError


def gpu_visible() -> bool:
    """Whether this process sees a CUDA device."""
    return torch.cuda.is_available()


def choose_device(accelerator: str) -> torch.device:
    """The device for ``"auto"``, ``"cpu"`` or ``"gpu"``; on several GPUs the current one.

    Raises
    ------
    UserError
        ``"gpu"``, and none is visible.
    """
    if accelerator == "gpu" and not gpu_visible():
        raise UserError(
            "training.accelerator is gpu, but no GPU is visible here: "
            "look at the driver and CUDA_VISIBLE_DEVICES, or set it to auto or cpu."
        )
    return (
        torch.device("cuda", torch.cuda.current_device())
        if gpu_visible() and accelerator != "cpu"
        else torch.device("cpu")
    )
