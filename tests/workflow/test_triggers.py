"""Every key of the config and every module of the library, changed once: a dry run then lists what depends on it, and no more."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from dry_runner import DryRunner, planned_jobs
from test_scenarios import remove_windowing
from tiny import CONFIG, TinyStudy

from mammoseg.datasets.registry import importer_file
from mammoseg.rebuild.code_digests import DECIDE_NO_VALUE
from mammoseg.rebuild.code_versions import READ_RELEASES
from mammoseg.runtime.files import read_csv, write_csv

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
BELOW = {
    "inject_voi_lut": ["render_png"],
    "render_png": [
        "check_leakage",
        "pack_training",
        "predict_ensemble",
        "score_cases",
        "score_threshold",
        "plot_cases",
        "write_methods",
        "write_report",
    ],
    "pack_training": ["train_fold"],
    "check_leakage": ["train_fold", "summarise_scores", "compare_models", "summarise_evidence", "write_methods"],
    "fetch_weights": ["train_fold", "write_methods"],
    "train_fold": [
        "predict_ensemble",
        "score_cases",
        "summarise_scores",
        "compare_models",
        "summarise_evidence",
        "plot_training",
        "write_methods",
        "write_report",
    ],
    "predict_ensemble": ["score_cases"],
    "score_cases": [
        "summarise_scores",
        "compare_models",
        "summarise_evidence",
        "plot_cases",
        "plot_dice",
        "write_report",
    ],
    "score_threshold": ["summarise_scores", "plot_dice", "write_report"],
    "summarise_scores": ["write_report"],
    "compare_models": ["plot_evidence", "write_report"],
    "summarise_evidence": ["plot_evidence", "write_report"],
    "plot_evidence": ["write_report"],
    "plot_cases": ["write_report"],
    "plot_dice": ["write_report"],
    "plot_training": ["write_report"],
    "write_methods": ["write_report"],
}
"""Which rules an artefact of a rule goes into, by an edge that is not ancient."""
EVERYTHING = {"index_dataset", "assign_folds", *BELOW, *(r for below in BELOW.values() for r in below)}
OTHER = {
    "splits.patients_per_shard": 5, "image.side": 64, "image.voi_lut.kind": "window", "weights.gmic.url": "http://localhost/x",
    "weights.gmic.sha256": "0" * 64, "weights.imagenet.sha256": "0" * 64, "leakage.allow": [["a" * 12, "b" * 12]],
    "augmentation.gaussian_blur.kernels": [3, 5], "augmentation.median_blur.kernels": [3, 5],
    "training.schedule.milestones": [1], "training.precision": "bf16-mixed", "training.schedule.policy": "one_cycle",
    "models[].encoder": "resnet18", "models[].decoder": "fpn", "models[].stem": "gmic", "models[].weights": "random", "models[].seed": 7,
    "datasets[].carry": ["x"], "datasets[].where": {"birads": "1"}, "datasets[].max_excluded": 0.5, "datasets[].root": "data/elsewhere", "datasets[].role": "predict", "datasets[].importer": "manifest", "datasets[].listing": False,
}  # fmt: skip
"""Values for the keys to which the general rule of `another` does not apply."""
GIVEN = {
    "image.voi_lut.mode.below": "mode", "image.voi_lut.mode.above": "mode", "image.voi_lut.percentiles": "percentiles",
    "image.voi_lut.file": "file",
}  # fmt: skip
"""Keys that are read by one kind of image.voi_lut alone: that kind."""
CLI = {"extend_cohort", "rebuild", "artefact", "patients"}


def below(rules) -> set[str]:
    """`rules` and all that is made from what they make."""
    found, todo = set(), list(rules)
    while todo:
        rule = todo.pop()
        if rule not in found:
            found.add(rule)
            todo += BELOW.get(rule, [])
    return found


def keys(schema=SCHEMA, lead="", remakes=None):
    """(dotted key, rules that it remakes) of every leaf of the schema."""
    remakes = schema.get("remakes", remakes)
    inner = schema.get("items", {}) if lead in ("datasets", "models") else schema
    while "$ref" in inner:
        inner = {**SCHEMA["$defs"][inner["$ref"].rsplit("/", 1)[-1]], **{k: v for k, v in inner.items() if k != "$ref"}}
    if "properties" not in inner:
        assert remakes is not None, f"{lead} does not say what it remakes"
        yield lead, remakes
        return
    dot = f"{lead}{'[]' if lead in ('datasets', 'models') else ''}." if lead else ""
    for name, value in inner["properties"].items():
        if not (lead == "models" and name == "training"):  # the same keys as in training, for one model
            yield from keys(value, f"{dot}{name}", remakes)


def another(key, value):
    """Another valid value of a key."""
    if key in OTHER:
        return OTHER[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value * 0.9
    if isinstance(value, list):
        return [value[0] * 0.9, value[1] * 0.9]
    choices = _schema_of(key).get("enum")
    return next(c for c in choices if c != value) if choices else f"{value or 'x'}2"


def _schema_of(key):
    found = SCHEMA
    for part in key.split("."):
        name = part.removesuffix("[]")
        found = found["properties"][name]
        found = found["items"] if part.endswith("[]") else found
    return found


def changed(config, key):
    """A copy of `config` in which one key has another value; of a list, its last entry's."""
    new = copy.deepcopy(config)
    if key in GIVEN:
        new["image"]["voi_lut"]["kind"] = GIVEN[key]
    section = new
    *path, last = key.split(".")
    for part in path:
        section = section[part.removesuffix("[]")]
        section = section[-1] if part.endswith("[]") else section
    section[last] = another(key, section.get(last))
    if key == "models[].encoder":
        section["weights"] = "random"  # those of GMIC fit no other encoder
    return new


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this checkout, whose code may be changed."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("src", "workflow", "config", "profiles", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    return folder


@pytest.fixture(scope="module")
def study(checkout, tmp_path_factory) -> TinyStudy:
    """A study that was run, with all sections of the config written out; no file carries windowing."""
    study = TinyStudy(tmp_path_factory.mktemp("study"), patients={"site-a": 6, "site-b": 1}, checkout=checkout)
    for path in study.images("site-a"):
        remove_windowing(path)
    full = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for section, value in CONFIG.items():
        full[section] = {**full[section], **value} if isinstance(value, dict) else copy.deepcopy(value)
    full["training"]["schedule"] = {
        **yaml.safe_load((ROOT / "config/config.yaml").read_text())["training"]["schedule"],
        **CONFIG["training"]["schedule"],
    }
    full["image"]["side"] = 96  # stem gmic needs it
    full["weights"]["missing"] = "random"
    full["models"][0]["weights"] = "gmic"
    study.config = full
    study.run()
    shutil.copytree(study.folder / "data/site-b", study.folder / "data/elsewhere", copy_function=shutil.copy2)
    return study


@pytest.fixture(scope="module")
def runner():
    with DryRunner() as runner:
        yield runner


def dry(study, runner, *arguments, config=None):
    """Rules of the jobs that a dry run lists; the second value is what it printed."""
    (study.folder / "dry.yaml").write_text(yaml.safe_dump(config or study.config))
    status, output = runner.run(
        study.folder,
        "-s",
        study.checkout / "Snakefile",
        "--configfile",
        study.folder / "dry.yaml",
        "-c",
        "2",
        "-n",
        *arguments,
    )
    return status, set(planned_jobs(output)), output


def test_nothing_is_to_be_done(study, runner):
    status, jobs, output = dry(study, runner)
    assert (status, jobs) == (0, set()), output[-2000:]


def test_a_plan_of_an_earlier_version_asks_for_the_same(study, runner):
    plan = study.results / "work.csv"
    whole, stat = plan.read_bytes(), plan.stat()
    write_csv(plan, ("dataset", "unit", "role", "digest"), read_csv(plan))
    os.utime(plan, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    status, jobs, output = dry(study, runner)
    plan.write_bytes(whole)
    os.utime(plan, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (status, jobs) == (0, set()), output[-2000:]


@pytest.mark.parametrize(
    ("key", "remakes"), [x for x in keys() if x[0] not in CLI and not x[0].startswith("datasets[].phantom")]
)
def test_a_changed_key_remakes_what_the_schema_says(key, remakes, study, runner):
    config = changed(study.config, key)
    status, jobs, output = dry(study, runner, config=config)
    if key == "results_dir":  # nothing lies there yet
        assert jobs == {"index_dataset", "assign_folds"}
    elif remakes == ["ask"] or remakes == ["plan"] or key == "datasets[].name":
        assert status == 0
        assert "assign_folds" in jobs
    elif remakes == ["index_dataset"]:
        assert jobs >= {"index_dataset", "assign_folds"}
    elif key in ("data_root", "datasets[].root"):
        assert jobs == set(), output[-3000:]
    elif key.startswith(
        "weights.imagenet"
    ):  # no model of this study starts from there, and a file's place is not shown
        assert jobs == (set() if key.endswith("file") else {"write_report"})
    elif key == "models[].weights":
        assert jobs == below(remakes) | {"write_report"}
    else:
        assert jobs == below(remakes) | {"write_report"}, output[-3000:]


def test_every_leaf_of_the_schema_was_found():
    found = dict(keys())
    assert {"seed", "image.voi_lut.center", "training.schedule.factor", "training.loss.alpha", "augmentation.gaussian_blur.sigma",
            "weights.gmic.url", "datasets[].role", "models[].stem", "datasets[].phantom.seed"} <= set(found)  # fmt: skip
    assert all(set(r) <= EVERYTHING | {"ask", "plan", "all", "make_phantom"} for r in found.values())


IN_USE = ("oulu", "inbreast")
MODULES = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "src/mammoseg").rglob("*.py"))


def reached(path, found=None):
    """Files of the library that a file's import statements name, by their text; an outside judge of `code_digests.reach`."""
    found = set() if found is None else found
    for line in re.sub(r"\(\s*([^)]*?)\)", lambda m: " ".join(m[1].split()), path.read_text()).splitlines():
        names = []
        if m := re.match(r"\s*from (mammoseg[\w.]*) import (.+)", line):
            names = [m[1], *(f"{m[1]}.{n.split(' as ')[0].strip()}" for n in m[2].split("#")[0].split(","))]
        elif m := re.match(r"\s*import (mammoseg[\w.]*)", line):
            names = [m[1]]
        for name in names:
            base = ROOT / "src" / name.replace(".", "/")
            for file in (base.with_suffix(".py"), base / "__init__.py"):
                deciding = file.is_file() and file.relative_to(ROOT / "src/mammoseg").as_posix() not in DECIDE_NO_VALUE
                if deciding and file not in found:
                    found.add(file)
                    reached(file, found)
    return found


def test_comments_docstrings_and_layout_are_no_change(study, runner):
    texts = {
        p: p.read_text()
        for p in (*(study.checkout / "src").rglob("*.py"), *(study.checkout / "workflow/scripts").glob("*.py"))
    }
    try:
        for path, text in texts.items():
            path.write_text(re.sub(r'^("""|r""")', r"\1Said otherwise. ", text, count=1) + "\n\n# a comment\n")
        status, jobs, output = dry(study, runner)
        assert (status, jobs) == (0, set()), output[-3000:]
    finally:
        for path, text in texts.items():
            path.write_text(text)


@pytest.mark.parametrize("module", MODULES)
def test_a_changed_module_remakes_the_stages_that_reach_it(module, study, runner):
    users = {s.stem for s in (ROOT / "workflow/scripts").glob("[!_]*.py") if ROOT / module in reached(s)}
    if any(ROOT / module in {file, *reached(file)} for file in map(importer_file, IN_USE)):
        users |= READ_RELEASES
    path = study.checkout / module
    text = path.read_text()
    try:
        path.write_text(text + "\n\ndef _added():\n    return 1\n")
        status, jobs, output = dry(study, runner)
    finally:
        path.write_text(text)
    assert status == 0, output[-3000:]
    if users & {"index_dataset", "assign_folds"}:
        assert jobs >= {"assign_folds"}
    else:
        assert jobs == below(users & EVERYTHING), output[-3000:]


def test_a_changed_script_remakes_its_stage(study, runner):
    path = study.checkout / "workflow/scripts/plot_dice.py"
    text = path.read_text()
    try:
        path.write_text(
            text.replace('"""Draw', '"""Paint').replace("def main(", "def _added():\n    pass\n\n\ndef main(")
        )
        _, jobs, _ = dry(study, runner)
        assert jobs == {"plot_dice", "write_report"}
    finally:
        path.write_text(text)


EDITS = {
    "an error message": ("training/losses.py", "must be above 0", "must be larger than 0", set()),
    "a log line": ("training/lightning_module.py", "%s goes on after epoch %d", "%s: resumed after epoch %d", set()),
    "a time estimate": ("training/time_left.py", "SILENT = 3", "SILENT = 4", set()),
    "a progress bar": ("runtime/progress.py", "class Progress", "BAR = 40\n\n\nclass Progress", set()),
    "the colour of the overlays": ("training/events.py", "(86, 180, 233)", "(80, 180, 233)", set()),
    "a figure's colour": ("figures/style.py", "#0072B2", "#0072B3", {"plot_cases", "plot_dice", "plot_evidence", "plot_training"}),
    "a loss": ("training/losses.py", "LOWEST_SHORTFALL = 1e-9", "LOWEST_SHORTFALL = 1e-8", {"train_fold"}),
    "an augmentation": ("training/augmentation.py", "REFERENCE_SIDE = 512", "REFERENCE_SIDE = 500", {"train_fold"}),
    "resampling": ("images/letterbox.py", "INTER_AREA", "INTER_LINEAR", {"render_png", "inject_voi_lut", "score_cases", "plot_cases"}),
    "a decoder": ("models/decoders.py", "width: int = 32", "width: int = 16", {"train_fold", "predict_ensemble"}),
}  # fmt: skip
"""What is edited → file, text, other text, and the rules that it concerns."""


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_remakes_the_stages_that_it_concerns(what, study, runner):
    module, old, new, rules = EDITS[what]
    path = study.checkout / "src/mammoseg" / module
    text = path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new))
        status, jobs, output = dry(study, runner)
    finally:
        path.write_text(text)
    assert status == 0, output[-3000:]
    assert jobs == below(rules & EVERYTHING), output[-3000:]


def test_a_new_importer_remakes_nothing(study, runner):
    registry = study.checkout / "src/mammoseg/datasets/registry.py"
    text = registry.read_text()
    new = registry.with_name("brand_new.py")
    try:
        shutil.copy(registry.with_name("manifest.py"), new)
        registry.write_text(text.replace("IMPORTERS = {", 'IMPORTERS = {\n    "brand_new": "ManifestImporter",'))
        status, jobs, output = dry(study, runner)
    finally:
        registry.write_text(text)
        new.unlink()
    assert (status, jobs) == (0, set()), output[-3000:]


def test_code_that_is_listed_under_the_same_version_remakes_nothing(study, runner):
    """As after an update: a private function has another name and a module another place, and the digests are listed."""
    library = study.checkout / "src/mammoseg"
    versions = library / "rebuild/stage_versions.json"
    texts = {
        p: p.read_text()
        for p in (*library.rglob("*.py"), *(study.checkout / "workflow/scripts").glob("*.py"), versions)
    }
    moved = library / "training/batch_dice.py"
    try:
        for path, text in texts.items():
            path.write_text(
                text.replace("_prepared(", "_as_float(").replace("training.batch_dice", "metrics.batch_dice")
            )
        moved.rename(library / "metrics/batch_dice.py")
        _, jobs, _ = dry(study, runner)
        assert "train_fold" in jobs, "not listed yet"
        listed = json.loads(versions.read_text())
        listed["train_fold"][-1].append(code_digests_of(study.checkout, "train_fold"))
        versions.write_text(json.dumps(listed))
        status, jobs, output = dry(study, runner)
    finally:
        (library / "metrics/batch_dice.py").unlink(missing_ok=True)
        for path, text in texts.items():
            path.write_text(text)
    assert (status, jobs) == (0, set()), output[-3000:]


def code_digests_of(checkout, rule) -> str:
    """Digest of a rule's code in another checkout, by that checkout's own library."""
    program = "import sys; from pathlib import Path; from mammoseg.rebuild.code_digests import of_stage; print(of_stage(Path(sys.argv[1])))"
    command = [sys.executable, "-c", program, str(checkout / f"workflow/scripts/{rule}.py")]
    return subprocess.check_output(command, text=True, env={**os.environ, "PYTHONPATH": str(checkout / "src")}).strip()


def test_back_and_forth_between_two_versions_trains_once(study, runner):
    path = study.checkout / "src/mammoseg/training/losses.py"
    text = path.read_text()
    try:
        path.write_text(text.replace("LOWEST_SHORTFALL = 1e-9", "LOWEST_SHORTFALL = 1e-8"))
        assert study.run("train").trained == 2
    finally:
        path.write_text(text)
    assert study.run("train").trained == 0, "back"
    path.write_text(text.replace("LOWEST_SHORTFALL = 1e-9", "LOWEST_SHORTFALL = 1e-8"))
    try:
        assert study.run("train").trained == 0, "and forth"
    finally:
        path.write_text(text)
    study.run()
    assert dry(study, runner)[1] == set()


def test_what_is_accepted_after_a_refactoring_is_made_again_by_neither_layer(study, runner):
    path = study.checkout / "src/mammoseg/images/similarity.py"  # rendering reaches it, the index does not
    path.write_text(path.read_text() + "\n\ndef _refactored():\n    return 1\n")
    _, jobs, _ = dry(study, runner)
    assert {"render_png", "train_fold"} <= jobs
    ran = study.run("accept")
    assert any(s.startswith("render_png/oulu: what other code made is accepted as made by") for s in ran.sentences)
    assert dry(study, runner)[1] == set()
    ran = study.run("--forceall")
    assert (ran.converted, ran.trained, ran.predicted) == (0, 0, 0)
    path.write_text(path.read_text() + "\n\ndef _changed():\n    return 2\n")
    assert {"render_png", "train_fold"} <= dry(study, runner)[1], "acceptance holds for that code, not for the next"
    assert "nothing to accept" not in study.run("accept").output
    assert "nothing to accept" in study.run("accept").output
    assert dry(study, runner)[1] == set()
