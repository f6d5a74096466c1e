"""A dry run of every config and every profile, exact once `plan` has run; and the light footprint of planning."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import cv2
import numpy as np
import pytest
from cbis_release import Cbis
from conftest import ROOT
from test_importer_cdd_cesm import CIRCLE, LOW, write_image

from mammoseg.phantom import make_release
from mammoseg.runtime.files import read_csv, write_csv

CONFIGS = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "config").rglob("*.yaml"))
PROFILES = sorted(p.name for p in (ROOT / "profiles").iterdir())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Releases under the names that the configs use."""
    root = tmp_path_factory.mktemp("data")
    make_release(root / "OUDSM", "oulu", patients=12, seed=1, rows=128, columns=104)
    make_release(root / "INbreast Release 1.0", "inbreast", patients=8, seed=2, rows=128, columns=104)
    cbis = Cbis(root / "CBIS-DDSM")
    for p in range(12):
        cbis.abnormality(f"P_{p:05d}", "LEFT", "CC", 1, split="test" if p > 9 else "train")
    cbis.save()
    for p in range(12):
        write_image(root / "CDD-CESM" / LOW / f"P{p}_L_DM_CC.jpg")
    names = [f"P{p}_L_DM_CC" for p in range(12)]
    findings = "".join(f"{n},mass\n" for n in names)
    (root / "CDD-CESM/annotations.csv").write_text(f"Image_name,Findings\n{findings}")
    circle = json.dumps(CIRCLE).replace('"', '""')
    regions = "".join(f'{n}.jpg,"{circle}"\n' for n in names)
    (root / "CDD-CESM/segmentations.csv").write_text(f"#filename,region_shape_attributes\n{regions}")
    rows = []
    for p in range(12):
        cv2.imwrite(str(root / f"{p}.png"), np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
        cv2.imwrite(str(root / f"{p}_mask.png"), np.eye(64, dtype=np.uint8) * 255)
        rows.append({"image": f"{p}.png", "mask": f"{p}_mask.png", "patient": f"p{p}"})
    write_csv(root / "manifest.csv", ("image", "mask", "patient"), rows)
    (root / "ours").mkdir()
    for path in (*root.glob("*.png"), root / "manifest.csv"):
        shutil.copy(path, root / "ours")
    return root


def snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "-d", folder, *arguments]
    ran = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def planned_jobs(output: str) -> Counter:
    """The table of jobs that a dry run prints."""
    return Counter({name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", output, re.M)})


def on(config, data):
    given = [] if config == "config/demo.yaml" else ["--config", f"data_root={data}"]
    return ["--configfile", ROOT / config, *given, "-c", "2"]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_is_planned_exactly(config, data, tmp_path):
    snakemake(tmp_path, *on(config, data), "plan")
    jobs = planned_jobs(snakemake(tmp_path, *on(config, data), "-n"))
    one = config.endswith("cdd_cesm_one.yaml")
    assert jobs["train_fold"] == (3 if one else 20)
    assert jobs["index_dataset"] == jobs["assign_folds"] == 0
    assert jobs["write_report"] == jobs["summarise_scores"] == jobs["pack_training"] == 1
    results = next(tmp_path.glob("results/**/work.csv")).parent
    work = read_csv(results / "work.csv")
    assert jobs["render_png"] == sum(w["dataset"] != "fold" and w["role"] != "index" for w in work) > 0
    without = {p.parent.name for p in results.glob("*/index.csv") if "none" in {r["windowing"] for r in read_csv(p)}}
    injected = {w["dataset"] for w in work if w["without_windowing"] not in ("", "0")}
    assert injected == without
    assert jobs["inject_voi_lut"] >= len(without)
    assert (jobs["inject_voi_lut"] > 0) == bool(without)


def test_every_ready_study_has_a_page():
    pages = {p.stem for p in (ROOT / "docs/studies").glob("*.md")}
    assert {p.stem for p in (ROOT / "config/examples").glob("*.yaml") if not p.stem.startswith("cdd_cesm_")} == pages
    for page in pages:
        text = (ROOT / f"docs/studies/{page}.md").read_text()
        first, second = re.search(r"```bash\n(.*)\n(.*)\n```", text).groups()
        assert first.startswith("snakemake index --cores")
        assert second.startswith("snakemake --cores")
        assert all(f"--configfile config/examples/{page}.yaml" in command for command in (first, second))
        for section in ("What the first command must say", "How long it takes", "What a good result looks like"):
            assert f"\n## {section}\n" in text, (page, section)


@pytest.fixture(scope="module")
def study(data, tmp_path_factory):
    """The paper's study on phantoms, planned."""
    folder = tmp_path_factory.mktemp("study")
    snakemake(folder, *on("config/config.yaml", data), "plan")
    return folder


@pytest.mark.parametrize("target", ["index", "plan", "render", "train", "predict", "tables", "report", "relock"])
def test_every_target_can_be_asked_for(target, data, study):
    snakemake(study, *on("config/config.yaml", data), "-n", target)


def test_the_index_alone_locks_nothing(data, tmp_path):
    snakemake(tmp_path, *on("config/config.yaml", data), "index")
    assert not (tmp_path / "results/cohort.lock.json").exists()
    assert (tmp_path / "results/oudsm/index.csv").exists()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_dry_run_clean(profile, data, study):
    config = ["--configfile", ROOT / "config/config.yaml", "--config", f"data_root={data}"]
    jobs = planned_jobs(snakemake(study, *config, "-n", "--workflow-profile", ROOT / "profiles" / profile))
    assert jobs["train_fold"] == 20
