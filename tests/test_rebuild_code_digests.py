from pathlib import Path

import pytest

from mammoseg.datasets.registry import IMPORTERS, importer_file
from mammoseg.rebuild import code_digests
from mammoseg.rebuild.code_digests import of_stage, reach

SOURCE = '''
"""Module docstring."""
import os

def area(r):
    """Docstring."""
    if r < 0:
        raise UserError(f"the radius is {r}; it must not be negative")
    if r > 9:
        raise Unusable("too_large", "its radius is above 9")
    log.info("area of %s", r)
    return 3 * r  # comment

if __name__ == "__main__":
    print(area(1))
'''
MOST = {"train_fold": (24, 3200), "render_png": (28, 3600), "index_dataset": (20, 2600), "predict_ensemble": (16, 1500),
        "pack_training": (9, 800), "score_cases": (12, 1600)}  # fmt: skip
"""Stage → most modules, and most lines of them, that its results may depend on."""


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def scripts(root) -> Path:
    return root / "workflow/scripts"


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# comment", "# another comment", True),
        ('"""Docstring."""', '"""Another,\n    longer docstring."""', True),
        ('"""Module docstring."""', '"""Says more."""', True),
        ("return 3 * r", "return (3\n            * r)", True),
        ('f"the radius is {r}; it must not be negative"', '"the radius is negative: correct it"', True),
        ("its radius is above 9", "its radius is too large", True),
        ('log.info("area of %s", r)', 'log.warning("the area of %s is worked out", r)', True),
        ('    log.info("area of %s", r)\n', "", True),
        ("print(area(1))", "print(area(r=1))", True),
        ("too_large", "out_of_range", False),
        ("raise UserError", "raise ValueError", False),
        ("r < 0", "r <= 0", False),
        ("return 3 * r", "return 4 * r", False),
        ("def area", "def surface", False),
    ],
)
def test_what_decides_a_value_counts_and_what_only_tells_of_it_does_not(script, old, new, same):
    before = of_stage(script)
    assert old in SOURCE
    script.write_text(SOURCE.replace(old, new))
    assert (of_stage(script) == before) is same


def test_imports_of_this_package_are_followed(script, tmp_path, monkeypatch):
    package = tmp_path / "mammoseg"
    (package / "sub").mkdir(parents=True)
    (package / "runtime").mkdir()
    for name, text in {
        "__init__": "",
        "a": "from mammoseg.sub import b",
        "sub/__init__": "",
        "sub/b": "x = 1",
        "c": "y = 1",
        "runtime/__init__": "",
        "runtime/progress": "from mammoseg import c",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(code_digests, "PACKAGE", package)
    script.write_text(
        "def f():\n    from mammoseg import a\n    from mammoseg.runtime import progress\n    import numpy\n"
    )
    before = of_stage(script)
    (package / "c.py").write_text("y = 2")
    assert of_stage(script) == before, "only a module that decides no value leads there"
    (package / "sub/b.py").write_text("x = 22")
    assert of_stage(script) != before, "one that is reached through another counts"


def test_the_digest_is_the_same_in_every_python(script):
    """The literal was worked out once with Python 3.11; what `ast.dump` says differs from one minor version to the next."""
    script.write_text(
        'def f(a, *, b=None):\n    """Doc."""\n    x: int = [i for i in a if i]\n    return f"{x!r:>5}" or None, ..., -1.5, b"z"\n'
    )
    assert of_stage(script) == "f584f48aea11666debbd222e"


def test_a_stage_holds_the_importer_in_use_and_no_other(scripts):
    held = {name for name in reach(scripts / "render_png.py", importer_file("oulu")) if name.startswith("datasets/")}
    assert "datasets/oulu.py" in held
    assert not held & {f"datasets/{other}.py" for other in set(IMPORTERS) - {"oulu"}}
    assert len({of_stage(scripts / "render_png.py", importer_file(name)) for name in IMPORTERS}) == len(IMPORTERS)


def test_the_modules_that_decide_no_value_exist():
    assert all((code_digests.PACKAGE / name).is_file() for name in code_digests.DECIDE_NO_VALUE)


@pytest.mark.parametrize("rule", MOST)
def test_the_reach_of_a_stage_is_bounded(rule, scripts):
    files = reach(scripts / f"{rule}.py", importer_file("oulu") if rule in ("render_png", "index_dataset") else None)
    most_files, most_lines = MOST[rule]
    assert len(files) <= most_files, sorted(files)
    assert sum(len(path.read_text().splitlines()) for path in files.values()) <= most_lines


def test_training_depends_on_no_figure_no_leakage_check_and_no_split(scripts):
    reached = {name.split("/")[0] for name in reach(scripts / "train_fold.py")}
    assert not reached & {"figures", "plan", "index", "report", "tables", "methods", "datasets", "study.py"}


def test_an_edit_of_what_looks_into_a_release_makes_no_picture_again(scripts):
    reached = {
        rule: set(reach(scripts / f"{rule}.py", importer_file("oulu"))) for rule in ("index_dataset", "render_png")
    }
    assert "index/build_index.py" in reached["index_dataset"] - reached["render_png"]
