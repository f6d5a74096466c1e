"""What is written down about the maker of a model."""

import os
import subprocess
from pathlib import Path

import numpy
import torch

from mammoseg.runtime import provenance
from mammoseg.runtime.provenance import differences, git_commit, hardware, installed_versions

ROOT = Path(__file__).parents[1]


def test_installed_versions_are_real():
    found = installed_versions(("numpy", "no-such-package-anywhere"))
    assert found.pop("python") == ".".join(map(str, os.sys.version_info[:3]))
    assert set(found) == {"mammoseg", "numpy"}
    assert found["numpy"] == numpy.__version__


def test_the_commit_is_this_checkouts(tmp_path, monkeypatch):
    """Seen on a checkout of the test's own: this one may be a tarball."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    (tmp_path / "provenance.py").write_text("one")
    assert git_commit() is None
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert git_commit() == head
    subprocess.run([*git, "tag", "-a", "v1", "-m", "v1"], check=True)
    (tmp_path / "provenance.py").write_text("two")
    assert git_commit() == f"{head}-dirty"


def test_without_git_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None


def test_hardware_of_a_cpu():
    facts = hardware(torch.device("cpu"), 3)
    assert facts["threads"] == 3
    assert facts["cores"] == os.cpu_count()
    assert facts["processor"]
    assert "gpu" not in facts


def test_only_what_may_change_the_digits_is_a_difference():
    cpu = {"system": "Linux", "processor": "a", "cores": 8, "threads": 8, "torch": "2.8.0", "precision": "32-true"}
    gpu = cpu | {"gpu": "H100", "gpu_memory_mb": 80000, "cuda": "12.8"}
    assert differences(cpu, cpu | {"cores": 16}) == []
    assert differences(cpu, cpu | {"threads": 4}) == ["threads 4 instead of 8"]
    assert differences(gpu, gpu | {"threads": 4, "processor": "b"}) == []
    assert differences(gpu, gpu | {"precision": "bf16-mixed"}) == ["precision bf16-mixed instead of 32-true"]
    assert differences(gpu, cpu | {"threads": 4}) == [
        "threads 4 instead of 8", "gpu none instead of H100", "cuda none instead of 12.8",
    ]  # fmt: skip
