"""Digests of code: the syntax trees of what a stage computes with.

What decides no value does not count:

- comments, docstrings, layout, the text of errors and of log lines;
- the guard of a script, which only unpacks what Snakemake gives it;
- modules that only report, claim or keep (`DECIDE_NO_VALUE`);
- importers that the stage does not use.
"""

import ast
from functools import cache
from pathlib import Path

from mammoseg.rebuild.digests import digest

PACKAGE = Path(__file__).resolve().parents[1]
DECIDE_NO_VALUE = frozenset(
    {
        "datasets/registry.py", "plan/overlap.py", "plan/stop_sign.py", "rebuild/code_digests.py", "rebuild/code_versions.py",
        "rebuild/digests.py", "rebuild/job_records.py", "rebuild/kept_outputs.py", "runtime/errors.py", "runtime/gpu.py",
        "runtime/progress.py", "runtime/provenance.py", "runtime/worker_pool.py", "study.py", "training/events.py",
        "training/time_left.py",
    }
)  # fmt: skip
"""Modules that refuse, report, keep or schedule. What they import counts only where something else imports it too."""
LOGGING = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
"""Methods of a logger: a statement that only calls one of them does not count."""


def of_stage(script: Path, importer: Path | None = None) -> str:
    """Return the digest of one stage's code: its script, all that this reaches, and the importer in use.

    Parameters
    ----------
    script : Path
        Script of the stage's rule.
    importer : Path, optional
        Source file of the importer (`datasets.registry.importer_file`), for a stage that reads a release.
    """
    return digest({name: _tree(path)[0] for name, path in reach(script, importer).items()})


def reach(*starts: Path | None) -> dict[str, Path]:
    """Return the source files that count, by name: `starts`, and every module of this package that they reach by import.

    Imports inside functions count too. None among `starts` is left out.
    """
    reached: dict[str, Path] = {}
    todo = [Path(s).resolve() for s in starts if s]
    while todo:
        path = todo.pop()
        name = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name
        if name in reached or name in DECIDE_NO_VALUE:
            continue
        reached[name] = path
        todo += [p for p in map(_module_file, _tree(path)[1]) if p is not None]
    return dict(sorted(reached.items()))


def _tree(path: Path) -> tuple[str, tuple[str, ...]]:
    """Digest of one file's syntax tree, and the dotted names of this package that it imports."""
    stat = path.stat()
    return _parsed(str(path), stat.st_mtime_ns, stat.st_size)


@cache
def _parsed(path: str, _mtime_ns: int, _size: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(Path(path).read_bytes())
    tree.body = [s for s in tree.body if not _is_guard(s)]
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            imported += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Raise):
            _strip_message(node)
        for block in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, block, None), list):
                statements[:] = [s for s in statements if not _only_says(s)]
    words: list[str] = []
    _spell(tree, words)
    return digest("\n".join(words)), tuple(n for n in imported if n.split(".")[0] == PACKAGE.name)


def _is_guard(statement: ast.stmt) -> bool:
    """Whether a statement is ``if __name__ == "__main__"``."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'"


def _only_says(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring or another bare text, or does nothing but write a log line."""
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    called = isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in LOGGING
    return called or (isinstance(value, ast.Constant) and isinstance(value.value, str))


def _strip_message(node: ast.Raise) -> None:
    """Leave of an error its class, and the reason code of a file that is set aside."""
    call = node.exc
    if isinstance(call, ast.Call):
        reason = call.args[:1] if getattr(call.func, "id", "") == "Unusable" else []
        call.args, call.keywords = [a for a in reason if isinstance(a, ast.Constant)], []


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
