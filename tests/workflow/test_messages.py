"""A user's mistake: one sentence of ours, exit status not 0, no traceback, nothing trained, the same the second time."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml
from conftest import ROOT

from mammoseg.runtime.files import write_csv

MODEL = {"name": "m", "encoder": "resnet22_gmic", "decoder": "unet", "weights": "random"}


def release(root, patients=6, mass=True):
    rng = np.random.default_rng(0)
    rows = []
    root.mkdir(parents=True)
    for p in range(patients):
        cv2.imwrite(str(root / f"{p}.png"), rng.integers(1, 65535, (70, 64)).astype(np.uint16))
        lesion = np.zeros((70, 64), np.uint8)
        lesion[20:40, 20:40] = 255 * mass
        cv2.imwrite(str(root / f"{p}_mask.png"), lesion)
        rows.append({"image": f"{p}.png", "mask": f"{p}_mask.png", "patient": f"p{p}"})
    write_csv(root / "manifest.csv", ("image", "mask", "patient"), rows)


class Case:
    def __init__(self, folder):
        self.folder = folder
        self.config = {
            "results_dir": "results",
            "datasets": [{"name": "own", "importer": "manifest", "root": "data", "role": "train"}],
            "splits": {"folds": 2, "holdout": 0},
            "image": {"side": 64},
            "models": [dict(MODEL)],
            "training": {"batch_size": 4, "schedule": {"combined_epochs": 1, "focal_tversky_epochs": 0}},
        }

    def run(self, *arguments):
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "-d", self.folder, "--configfile", self.folder / "config.yaml",
             "-c", "2", *arguments, "-q", "rules"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "HF_HOME": str(self.folder / "hf")},
        )  # fmt: skip


@pytest.fixture
def case(tmp_path) -> Case:
    return Case(tmp_path)


def missing_root(case):
    return "data set own: its root data does not exist; change datasets or data_root in the config"


def empty_root(case):
    (case.folder / "data").mkdir()
    return "data set own: its root data is empty; change datasets or data_root in the config"


def not_a_release(case):
    (case.folder / "data").mkdir()
    (case.folder / "data/readme.txt").write_text("hello")
    return "manifest.csv"


def no_mass(case):
    release(case.folder / "data", mass=False)
    return "no image of the training data sets has a mass, so there is nothing to learn"


def fewer_patients_than_folds(case):
    release(case.folder / "data", patients=3)
    case.config["splits"]["folds"] = 5
    return "3 patients with a mass, fewer than folds: lower splits.folds (now 5)"


def unknown_encoder(case):
    release(case.folder / "data")
    case.config["models"][0] |= {"encoder": "resnet99"}
    return "model m: "


def unknown_decoder(case):
    release(case.folder / "data")
    case.config["models"][0] |= {"decoder": "smp.Unett"}
    return "model m: "


def slip_in_a_key(case):
    release(case.folder / "data")
    case.config["training"]["bach_size"] = 8
    return "config key training.bach_size is unknown; did you mean batch_size?"


def no_gmic_weights(case):
    release(case.folder / "data")
    case.config["models"][0] |= {"weights": "gmic"}
    case.config["weights"] = {"gmic": {"url": "http://127.0.0.1:9/sample_model_1.p"}}
    return "download it where there is a network and name the file in weights.gmic.file"


def no_imagenet_weights(case):
    release(case.folder / "data")
    case.config["models"][0] |= {"encoder": "resnet34", "weights": "imagenet"}
    return "weights.imagenet.file"


def no_gpu(case):
    release(case.folder / "data")
    case.config["training"]["accelerator"] = "gpu"
    return "config key training.accelerator is gpu (m) and no GPU is visible on this machine"


MISTAKES = [
    missing_root, empty_root, not_a_release, no_mass, fewer_patients_than_folds, unknown_encoder, unknown_decoder,
    slip_in_a_key, no_gmic_weights, no_imagenet_weights, no_gpu,
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.__name__)
def test_a_mistake_is_one_sentence_twice(case, mistake):
    sentence = mistake(case)
    for _ in range(2):
        ran = case.run()
        assert ran.returncode != 0
        said = [line for line in ran.stdout.splitlines() if sentence in line]
        assert len(said) == 1, ran.stdout
        assert "Traceback" not in ran.stdout
        assert not list(case.folder.glob("results/models/**/*.json")), "nothing is trained"


def test_a_dry_run_needs_no_data(case):
    ran = case.run("-n")
    assert ran.returncode == 0, ran.stdout


def test_a_forged_split_is_refused_before_anything_is_trained(case):
    """A lock edited by hand so that a patient stands in two parts."""

    release(case.folder / "data")
    release(case.folder / "other")
    case.config["datasets"].append(
        {"name": "test", "importer": "manifest", "root": "other", "role": "external", "site": "own"}
    )
    ran = case.run()
    assert ran.returncode != 0
    assert "is on both sides: external and train fold" in ran.stdout
    case.config["datasets"].pop()
    assert case.run("plan").returncode == 0
    splits = case.folder / "results/splits.csv"
    forged = next(line for line in splits.read_text().splitlines() if ",train," in line).rsplit(",", 2)[0]
    splits.write_text(f"{splits.read_text()}{forged},holdout,\n")
    for _ in range(2):
        ran = case.run()
        assert ran.returncode != 0
        assert "is on both sides" in ran.stdout
        assert not list(case.folder.glob("results/models/**/*.json"))
