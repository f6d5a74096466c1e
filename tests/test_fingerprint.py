import hashlib
from pathlib import Path

import pytest

from mammoseg import fingerprint

SOURCE = '''
"""Module docstring."""
import os

def area(r):
    """Docstring."""
    return 3 * r  # comment
'''


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SOURCE)
    return path


def test_order_of_keys_does_not_matter_but_values_and_places_do():
    assert fingerprint.digest({"a": 1, "b": 2}) == fingerprint.digest({"b": 2, "a": 1})
    assert fingerprint.digest({"a": 1, "b": 2}) != fingerprint.digest({"a": 2, "b": 1})
    assert fingerprint.of_parts(["x", "y"]) == fingerprint.of_parts(["y", "x"]) != fingerprint.of_parts(["xy"])


def test_sha256_is_that_of_hashlib(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert fingerprint.sha256(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# comment", "# another comment", True),
        ('"""Docstring."""', '"""Another,\n    longer docstring."""', True),
        ('"""Module docstring."""', '"""Says more."""', True),
        ("return 3 * r", "return (3\n            * r)", True),
        ("return 3 * r", "return 4 * r", False),
        ("def area", "def surface", False),
    ],
)
def test_code_digest_sees_code_and_nothing_else(script, old, new, same):
    before = fingerprint.code(script)
    assert old in SOURCE
    script.write_text(SOURCE.replace(old, new))
    assert (fingerprint.code(script) == before) is same


def test_code_digest_follows_imports_of_this_package_only(script, tmp_path, monkeypatch):
    package = tmp_path / "mammoseg"
    (package / "sub").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "a": "from mammoseg.sub import b",
        "sub/__init__": "",
        "sub/b": "x = 1",
        "c": "y = 1",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(fingerprint, "PACKAGE", package)
    script.write_text("def f():\n    from mammoseg import a\n    import numpy\n")
    before = fingerprint.code(script)
    (package / "c.py").write_text("y = 2")
    assert fingerprint.code(script) == before, "a module that is not reached does not count"
    (package / "sub/b.py").write_text("x = 22")
    assert fingerprint.code(script) != before, "one that is reached through another does"


def test_the_code_digest_is_the_same_in_every_python(script, root):
    """The literal was worked out once with Python 3.11; what `ast.dump` says differs from one minor version to the next."""
    script.write_text(
        'def f(a, *, b=None):\n    """Doc."""\n    x: int = [i for i in a if i]\n    return f"{x!r:>5}" or None, ..., -1.5, b"z"\n'
    )
    assert fingerprint.code(script) == "f584f48aea11666debbd222e"


def test_codecs_count_where_pixels_are_made_and_nowhere_else(root, monkeypatch):
    scripts = root / "workflow/scripts"
    before = {
        rule: fingerprint.of_stage(scripts / f"{rule}.py") for rule in ("render_png", "inject_voi_lut", "train_fold")
    }
    monkeypatch.setattr(fingerprint, "codecs", lambda: {"pydicom": "0"})
    after = {rule: fingerprint.of_stage(scripts / f"{rule}.py") for rule in before}
    assert [rule for rule in before if after[rule] != before[rule]] == ["render_png"]
    monkeypatch.undo()
    assert set(fingerprint.codecs()) == set(fingerprint.CODECS), "all of them are installed"


def test_an_edit_of_what_looks_into_a_release_makes_no_picture_again(root, monkeypatch):
    scripts = root / "workflow/scripts"
    rules = ("index_dataset", "assign_folds", "inject_voi_lut", "render_png")
    before = {rule: fingerprint.of_stage(scripts / f"{rule}.py") for rule in rules}
    file_of = fingerprint._module_file
    monkeypatch.setattr(
        fingerprint, "_module_file", lambda name: None if name == "mammoseg.indexing" else file_of(name)
    )
    changed = [rule for rule in rules if fingerprint.of_stage(scripts / f"{rule}.py") != before[rule]]
    assert changed == ["index_dataset"]
