"""A tiny study in a scratch folder, run for real, and what each run did."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mammoseg.phantom import add_patient, make_release

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = {"site-a": "oulu", "site-b": "inbreast"}
SIZE = {"rows": 128, "columns": 104}
SEEDS = {"site-a": 5, "site-b": 6}

CONFIG = {
    "results_dir": "results",
    "datasets": [
        {"name": "site-a", "importer": "oulu", "root": "data/site-a", "role": "train"},
        {"name": "site-b", "importer": "inbreast", "root": "data/site-b", "role": "external"},
    ],
    "splits": {"folds": 2, "patients_per_shard": 4},
    "image": {"side": 64},
    "models": [{"name": "tiny", "encoder": "resnet22_gmic", "decoder": "unet", "weights": "random"}],
    "training": {
        "batch_size": 8,
        "workers": 0,
        "schedule": {"combined_epochs": 1, "focal_tversky_epochs": 1, "freeze_encoder_epochs": 0, "milestones": [2]},
    },
}


@dataclass
class Ran:
    """One run of Snakemake: its exit status, what it printed, and how often each rule's script ran to its end."""

    status: int
    output: str
    jobs: Counter = field(default_factory=Counter)
    converted: int = 0
    trained: int = 0
    predicted: int = 0

    @property
    def sentences(self) -> list[str]:
        """What mammoseg itself said."""
        return [line.removeprefix("mammoseg: ") for line in self.output.splitlines() if line.startswith("mammoseg: ")]


class TinyStudy:
    """A study of a dozen small phantoms in `folder`.

    Parameters
    ----------
    folder : Path
        Scratch folder, the working directory of the runs.
    patients : mapping of data set to number of patients
    checkout : Path
        Whose Snakefile is run.
    """

    def __init__(self, folder: Path, patients=None, config=CONFIG, checkout: Path = ROOT):
        self.folder = folder
        self.checkout = checkout
        self.results = folder / "results"
        self.config = yaml.safe_load(yaml.safe_dump(config))
        for name, number in ({"site-a": 10, "site-b": 2} if patients is None else patients).items():
            make_release(folder / "data" / name, LAYOUTS[name], patients=number, seed=SEEDS[name], **SIZE)

    def add_patient(self, dataset: str, number: int) -> None:
        add_patient(self.folder / "data" / dataset, LAYOUTS[dataset], number, seed=SEEDS[dataset], **SIZE)

    def images(self, dataset: str) -> list[Path]:
        return sorted((self.folder / "data" / dataset).rglob("*.dcm"))

    def run(self, *arguments: str, check: bool = True, cores: int = 2) -> Ran:
        """Run Snakemake in the folder; fail the test where it fails and `check` is true."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        command = [
            sys.executable, "-m", "snakemake", "--snakefile", str(self.checkout / "Snakefile"), "--directory", str(self.folder),
            "--configfile", str(self.folder / "config.yaml"), "--cores", str(cores), *arguments, "-q", "rules",
        ]  # fmt: skip
        before = time.time()
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent / "failing"), "OMP_NUM_THREADS": "1"}
        process = subprocess.run(
            command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        ran = Ran(process.returncode, process.stdout)
        for log in self.results.glob("logs/**/*.log"):
            text = log.read_text()
            if log.stat().st_mtime >= before and " finished, mammoseg " in text:
                ran.jobs[log.relative_to(self.results / "logs").with_suffix("").parts[0]] += 1
                ran.converted += sum(int(n) for n in re.findall(r"(\d+) of \d+ images converted", text))
                ran.predicted += sum(int(n) for n in re.findall(r"(\d+) of \d+ images predicted", text))
                ran.trained += "train_fold" in log.parts and " is kept" not in text
        if check:
            assert ran.status == 0, ran.output[-6000:]
        return ran

    def fail(self, rule: str) -> Path:
        """Make a rule fail until the returned file is removed."""
        flag = self.folder / f"fail_{rule}"
        flag.touch()
        return flag

    def kill(self, rule: str, after: float) -> Path:
        """Kill the next run `after` seconds into a rule; the returned file is gone when that has happened."""
        flag = self.folder / f"kill_{rule}"
        flag.write_text(str(after))
        return flag
