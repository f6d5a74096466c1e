"""Digests of data, recipe and code: what decides whether something is made again.

A digest is 24 hex digits of BLAKE2b, so that it can stand in a table and in a file name.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def digest(value) -> str:
    """Digest of any JSON-like value; mappings are compared without regard to the order of their keys."""
    text = value if isinstance(value, str) else canonical(value)
    # A file name that is no UTF-8 is text with escaped bytes.
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=12).hexdigest()


def canonical(value) -> str:
    """`value` as JSON with sorted keys: Snakemake compares params by text, so their order must not matter."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def of_parts(parts: Iterable[str]) -> str:
    """Digest of a set of strings, whatever their order."""
    return digest("\n".join(sorted(parts)))


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


CODECS = (
    "highdicom", "imagecodecs", "opencv-python-headless", "pillow", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle",
    "pyjpegls", "python-gdcm",
)  # fmt: skip
"""Libraries that turn stored bytes into pixels and resize them: another version may give other pixels."""


def codecs() -> dict[str, str]:
    """Installed versions of `CODECS`."""
    return {name: d.version for name in CODECS for d in metadata.Distribution.discover(name=name)}


def of_stage(script: Path) -> str:
    """Digest of the code of one stage: its script, what that reaches, and the codecs' versions where pixels are made."""
    return code(script, also=codecs() if script.stem == "render_png" else None)


def code(*starts: Path, also=None) -> str:
    """Digest of the syntax trees of some source files and of every module of this package they reach by import.

    Comments, docstrings and layout do not count. Imports inside functions do. `also` is any JSON-like value that counts as
    code, such as the versions of the codecs.
    """
    reached: dict[str, str] = {}
    todo = [Path(s).resolve() for s in starts]
    while todo:
        path = todo.pop()
        name = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name
        if name in reached:
            continue
        stat = path.stat()
        reached[name], imported = _tree(str(path), stat.st_mtime_ns, stat.st_size)
        todo += [p for p in map(_module_file, imported) if p is not None]
    return digest([reached, also] if also else reached)


@cache
def _tree(path: str, mtime_ns: int, size: int) -> tuple[str, tuple[str, ...]]:
    """Digest of one file's syntax tree, and the dotted names of this package that it imports."""
    tree = ast.parse(Path(path).read_bytes())
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            imported += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        body = getattr(node, "body", None)
        documented = isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if documented and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            del body[0]
    words: list[str] = []
    _spell(tree, words)
    return digest("\n".join(words)), tuple(n for n in imported if n.split(".")[0] == PACKAGE.name)


def _spell(node, words: list[str]) -> None:
    """Append a syntax tree to `words`. Unlike `ast.dump` the same in every Python: what is empty or absent is left out.

    Flat, for nested lists of all modules would take twice as long, at every start.
    """
    if isinstance(node, ast.AST):
        words.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != []:
                words.append(name)
                _spell(value, words)
        words.append(")")
    elif isinstance(node, list):
        words.append("[")
        for n in node:
            _spell(n, words)
        words.append("]")
    else:
        words += (type(node).__name__, repr(node))


def _module_file(name: str) -> Path | None:
    """Source file of a dotted name of this package; None where the name is a function or class, not a module."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    if path.is_dir():
        return path / "__init__.py"
    path = path.with_suffix(".py")
    return path if path.is_file() else None
