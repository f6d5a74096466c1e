"""Where torch computes, and which GPU is whose: jobs side by side on one machine each get a device of their own."""

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from mammoseg.runtime.errors import UserError

LOG = logging.getLogger(__name__)
PAUSE = 1.0
"""Seconds between two looks for a free device."""


def gpu_visible() -> bool:
    """Whether this process sees a CUDA device."""
    return torch.cuda.is_available()


@contextmanager
def own_device(accelerator: str, log: logging.Logger = LOG) -> Iterator[torch.device]:
    """The device for ``"auto"``, ``"cpu"`` or ``"gpu"``; of the GPUs one that no other job of this user holds.

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
    if accelerator == "cpu" or not gpu_visible():
        yield torch.device("cpu")
        return
    with claimed(visible_devices(), log) as index:
        yield torch.device("cuda", index)


def visible_devices() -> list[str]:
    """Names of the devices that this process may use, in CUDA's order: as CUDA_VISIBLE_DEVICES lists them, or all.

    CUDA takes the list up to the first entry that names no device.
    """
    count = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(i) for i in range(count)]
    return [name.strip() for name in listed.split(",") if name.strip()][:count]


@contextmanager
def claimed(devices: Sequence[str], log: logging.Logger = LOG, folder: Path | None = None) -> Iterator[int]:
    """Hold one of the devices that no other process holds; wait where all are held.

    A claim is a file lock, which the system takes back when the process ends, however it ends. Where CUDA_VISIBLE_DEVICES
    lists one device there is nothing to choose and nothing is locked: a scheduler has chosen, and in two of its jobs the
    same name may stand for two devices. A machine's only device is locked where nobody has chosen it.

    Parameters
    ----------
    devices : sequence of str
        From `visible_devices`.
    log : logging.Logger
        Told, once, that the process waits.
    folder : Path, optional
        Where the locks lie; by default one folder per user and machine.

    Yields
    ------
    int
        Position in `devices`: the number that torch knows the device by.
    """
    if len(devices) == 1 and "CUDA_VISIBLE_DEVICES" in os.environ:
        yield 0
        return
    folder = folder or Path(tempfile.gettempdir()) / f"mammoseg-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    waiting = False
    while True:
        for index, name in enumerate(devices):
            lock = FileLock(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', name)}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield index
            finally:
                lock.release()
            return
        if not waiting:
            log.info(
                "%s held by other jobs of yours; this one waits. `--resources gpu=%d` starts no more jobs than there are GPUs.",
                "The GPU is" if len(devices) == 1 else f"All {len(devices)} GPUs are", len(devices),
            )  # fmt: skip
            waiting = True
        time.sleep(PAUSE)
