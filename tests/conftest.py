"""What several test files need: the checkout, the config as it ships, and the rule that CI skips nothing."""

import copy
import os
from pathlib import Path

import pytest
import yaml

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors: more threads only wait for each other

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def schema() -> dict:
    return yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


@pytest.fixture
def config() -> dict:
    """A fresh copy of config/config.yaml."""
    return copy.deepcopy(yaml.safe_load((ROOT / "config/config.yaml").read_text()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a skipped test is a failed one: MAMMOSEG_NO_SKIP=1."""
    report = yield
    if report.skipped and os.environ.get("MAMMOSEG_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but MAMMOSEG_NO_SKIP is set: {report.longrepr}"
    return report


@pytest.fixture
def tiny(monkeypatch):
    """Train `Tiny` instead of what the model's entry says; gives the networks that were built and their first states."""
    from tiny_training import Tiny  # here, for not every test needs torch

    from mammoseg.training import fit

    built = []

    def build(*_args, **_options):
        network = Tiny()
        built.append((network, copy.deepcopy(network.state_dict())))
        return network

    monkeypatch.setattr(fit, "build_model", build)
    monkeypatch.setattr(fit, "_seconds_per_image", lambda *_: 0.01)  # tested with the real networks
    return built


@pytest.fixture
def small(config, schema):
    """A small study as the methods text sees it."""
    from described_study import Small

    return Small(config, schema)
