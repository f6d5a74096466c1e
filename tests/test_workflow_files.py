"""The workflow's own conventions: one rule, one script, one name; pinned environments; light imports."""

import ast
import importlib
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

SCRIPTS = sorted(p.stem for p in (ROOT / "workflow/scripts").glob("[!_]*.py"))
RULES = "\n".join(p.read_text() for p in sorted((ROOT / "workflow/rules").glob("*.smk")))


def rule_bodies() -> dict[str, str]:
    return dict(re.findall(r"^(?:rule|checkpoint) (\w+):(.*?)(?=^(?:rule|checkpoint) |\Z)", RULES, re.M | re.S))


def test_every_rule_has_its_script_and_every_script_its_rule():
    scripts = {name: re.findall(r'"\.\./scripts/(\w+)\.py"', body) for name, body in rule_bodies().items()}
    assert {name: found for name, found in scripts.items() if found} == {name: [name] for name in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_imported_and_called(script):
    module = importlib.import_module(script)
    assert callable(module.main)
    assert module.__doc__


@pytest.mark.parametrize("script", SCRIPTS)
def test_only_the_guard_of_a_script_says_snakemake(script):
    tree = ast.parse((ROOT / f"workflow/scripts/{script}.py").read_text())
    guard = next(n for n in tree.body if isinstance(n, ast.If))
    outside = [n for part in tree.body if part is not guard for n in ast.walk(part)]
    assert not [n for n in outside if isinstance(n, ast.Name) and n.id == "snakemake"]


def test_every_rule_that_runs_a_script_has_log_environment_and_message():
    for name, body in rule_bodies().items():
        if "script:" in body:
            needed = (
                {"log", "conda", "message"}
                if name in ("relock", "withdraw", "accept", "verify", "why")
                else {"log", "benchmark", "conda", "threads", "resources", "params", "message"}
            )
            assert needed <= set(re.findall(r"^    (\w+):", body, re.M)), name


def test_environments_are_pinned_to_the_lock():
    lock = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.M))
    for path in (ROOT / "envs").glob("*.yaml"):
        pins = dict(p.split("==") for p in yaml.safe_load(path.read_text())["dependencies"][-1]["pip"])
        assert pins, path
        assert {name: lock[name] for name in pins} == pins, path.name


def test_what_the_snakefile_imports_is_light():
    heavy = "{'torch', 'pandas', 'numpy', 'cv2', 'pydicom', 'matplotlib'}"
    code = f"import sys; sys.path.insert(0, 'src'); import mammoseg.study, mammoseg.methods.recipe, mammoseg.index.release_listing, mammoseg.rebuild.digests, mammoseg.preflight, mammoseg.rebuild.job_records, mammoseg.rebuild.code_versions, mammoseg.rebuild.snakemake_state; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_library_knows_no_snakemake_and_only_study_knows_the_configs_shape():
    for path in (ROOT / "src").rglob("*.py"):
        imported = [
            n
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for n in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        ]
        assert not [n for n in imported if n.split(".")[0] == "snakemake"], path
