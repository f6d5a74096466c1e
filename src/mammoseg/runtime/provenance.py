"""What made an artefact besides its recipe: the packages, the commit, the machine."""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from mammoseg import __version__

if TYPE_CHECKING:
    import torch

PACKAGES = (
    "torch", "lightning", "segmentation-models-pytorch", "solt", "pydicom", "opencv-python-headless", "numpy", "scipy",
    "scikit-learn", "pandas", "matplotlib", "snakemake",
)  # fmt: skip


def installed_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python, of this checkout, and of each package that is installed here."""
    found = {"python": platform.python_version(), "mammoseg": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of this checkout, with ``-dirty`` where files were changed since; None where it is none."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def hardware(device: "torch.device", threads: int) -> dict[str, str | int | None]:
    """Processor, cores and threads used; of a GPU its name, memory (MB), compute capability, CUDA and cuDNN."""
    facts: dict[str, str | int | None] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
    }
    if device.type == "cuda":
        import torch

        gpu = torch.cuda.get_device_properties(device)
        facts |= {
            "gpu": gpu.name,
            "gpu_memory_mb": round(gpu.total_memory / 1e6),
            "compute_capability": f"{gpu.major}.{gpu.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return facts


def differences(before: Mapping, now: Mapping) -> list[str]:
    """What differs between two machines (`hardware`, with any further facts) and may change the last digits of a training.

    On a GPU the processor and its threads only feed it.
    """
    beside = {"system", "cores", "gpu_memory_mb", "from_epoch"}
    if "gpu" in before and "gpu" in now:
        beside |= {"processor", "threads"}
    names = [name for name in {**before, **now} if name not in beside and before.get(name) != now.get(name)]
    return [f"{name} {now.get(name, 'none')} instead of {before.get(name, 'none')}" for name in names]


def _processor() -> str:
    """The name in /proc/cpuinfo where there is one: elsewhere platform knows it, on Linux it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
