"""Software and hardware, in words."""

import math
from collections.abc import Mapping

from mammoseg.methods.prose import by_model, counted, distinct, escaped, listed, number, sentences, spread, was
from mammoseg.methods.study import MethodsStudy
from mammoseg.runtime.progress import duration

PACKAGES = {
    "python": "Python",
    "torch": "PyTorch",
    "lightning": "Lightning",
    "segmentation-models-pytorch": "segmentation-models-pytorch",
    "solt": "SOLT",
    "pydicom": "pydicom",
    "opencv-python-headless": "OpenCV",
    "numpy": "NumPy",
    "scipy": "SciPy",
    "scikit-learn": "scikit-learn",
    "snakemake": "Snakemake",
}
"""In the order in which they are named."""


def software(study: MethodsStudy) -> list[str]:
    """Versions, hardware, time."""
    return [_versions(study), sentences(*_hardware(study))]


def _versions(study: MethodsStudy) -> str:
    of_all = (study.versions, *(r["versions"] for r in study.records))
    used = {package: distinct(v[package] for v in of_all if package in v) for package in ("mammoseg", *PACKAGES)}
    commits = distinct(r["commit"] for r in study.records if r["commit"])
    made = [f"{c.removesuffix('-dirty')[:12]}{' with local changes' if c.endswith('-dirty') else ''}" for c in commits]
    trained = f" (networks trained at commit{'s' * (len(made) > 1)} {listed(made)})" if made else ""
    others = listed(f"{name} {listed(used[package])}" for package, name in PACKAGES.items() if used[package])
    return (
        f"The study was run by mammoseg {listed(used['mammoseg'])}{trained}, whose default settings follow Isosalo et al. (Proc. "
        f"SPIE 12037, 2022, doi 10.1117/12.2628190), on {others}."
    )


def _hardware(study: MethodsStudy) -> list[str]:
    machines = {
        name: listed(distinct(_machine(m) for fold in folds for m in fold["hardware"]))
        for name, folds in study.models.items()
    }
    systems = distinct(m["system"] for r in study.records for m in r["hardware"])
    gpu = " GPU" if any("gpu" in m for r in study.records for m in r["hardware"]) else ""
    resumed = sum(r["cost"]["resumed"] > 0 for r in study.records)
    seconds = math.fsum(r["cost"]["seconds"] for r in study.records)
    peak = spread((r["cost"]["peak_memory_mb"] / 1000 for r in study.records), 1)
    return [
        f"Each network was trained on {by_model(machines)}, under {listed(systems)}.",
        f"Training took {duration(seconds)}, summed over all {len(study.records)} trainings, with a peak of {peak} GB of{gpu} "
        "memory each.",
        f"Of these, {resumed} {was(resumed)} broken off and taken up again after the last finished epoch."
        if resumed
        else "",
    ]


def _machine(machine: Mapping) -> str:
    """One of the machines of a training."""
    if "gpu" in machine:
        memory = f"{number(round(machine['gpu_memory_mb'] / 1000))} GB"
        return f"one {escaped(machine['gpu'])} ({memory}; CUDA {machine['cuda']}, cuDNN {machine['cudnn']})"
    return f"{counted(machine['threads'], 'core')} of a CPU ({escaped(machine['processor'] or 'name unknown')})"
