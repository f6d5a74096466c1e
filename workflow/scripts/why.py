"""Explain one artefact: what it was made from, what has changed since, and whether it would be made again."""

import _bootstrap

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from mammoseg.rebuild import digests
from mammoseg.rebuild.code_versions import CodeVersions
from mammoseg.runtime.errors import UserError
from mammoseg.rebuild.job_records import changes, record_of

SHOWN = 60
"""Most characters of a value that are shown."""


def main(results: Path, artefact: Path, now: Mapping | None, codes: Mapping[str, str], config: Mapping,
         snakefile: Path) -> None:  # fmt: skip
    """Print the explanation. `now` is what the same rule would be made from today (None: not known), `codes` its code."""
    record = record_of(results, artefact)
    if record is None:
        raise UserError(
            f"config key artefact: nothing below {results} was made as {artefact}; name a file or folder there, such as "
            f"{results}/tables/segmentation.csv or {results}/models/<model>/fold0, or the --configfile of another study"
        )
    name = " ".join([record["rule"], *(f"{k}={v}" for k, v in record["wildcards"].items())])
    print(f"{artefact}\nmade by {name}, {record['made']}, mammoseg {record['version']}, code {record['code']}")
    print("from")
    for key, value, _ in changes(record["recipe"], {}):
        print(f"  {key} = {_short(value)}")
    for path, sha256 in record["inputs"].items():
        print(f"  {path} ({sha256[:12]})")
    if now is None:
        planned = (results / "work.csv").exists()
        print(
            "nothing asks for it any more: no run makes it again"
            if planned
            else "nothing is planned yet: `snakemake plan`"
        )
        return
    changed = list(
        _changes(results, record, now, codes.get(record.get("stage", record["rule"]), "of a stage that is no more"))
    )
    print("changed since" if changed else "nothing of it has changed since")
    for line in changed:
        print(f"  {line}")
    jobs, reasons = _planned(results / next(iter(record["outputs"])), config, snakefile)
    if jobs:
        print("the next run would make it again, by " + ", ".join(f"{n} × {rule}" for rule, n in jobs.items()))
        if reason := reasons.get(record["rule"]):
            print(f"(Snakemake says: {reason})")
        if {"index_dataset", "assign_folds"} & jobs.keys():
            print("(what the index will find is not known yet: after `snakemake plan` this answer is exact)")
    else:
        print("the next run would leave it as it is")


def _changes(results: Path, record: Mapping, now: Mapping, code: str) -> Iterator[str]:
    if record["code"] not in CodeVersions(results).same_as(code):
        yield f"code: {record['code']} → {code} (`snakemake accept` where the results are the same)"
    for key, before, after in changes(record["recipe"], now):
        yield f"{key}: {_short(before)} → {_short(after)}"
    for name, sha256 in record["outputs"].items():
        path = results / name
        if path.is_file() and digests.sha256(path) != sha256:
            yield f"{name}: is itself not as it was made; delete it, so that the next run makes it again"
    for name, sha256 in record["inputs"].items():
        path = results / name
        if not path.is_file():
            yield f"{name}: is gone"
        elif digests.sha256(path) != sha256:
            yield f"{name}: has other content"


def _short(value) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _planned(target: Path, config: Mapping, snakefile: Path) -> tuple[dict[str, int], dict[str, str]]:
    """The jobs by which Snakemake would make `target` again, and why, by rule: only a dry run of the whole graph knows."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({k: v for k, v in json.loads(json.dumps(config, default=str)).items() if k != "artefact"}, file)
        file.flush()
        # The target first: some options take several values.
        command = [sys.executable, "-m", "snakemake", target, "-n", "-s", snakefile, "--configfile", file.name]
        ran = subprocess.run(list(map(str, command)), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ran.returncode:
        said = ran.stdout.strip().splitlines()[-1].removeprefix("mammoseg: ")
        raise UserError(f"whether the next run would make it again is not known, for a dry run ends with: {said}")
    counts = re.findall(r"^(\w+) +(\d+)$", ran.stdout.split("\n\n[", 1)[0], re.M)
    given = re.findall(r"^    (\S.*):\n        (.*)$", ran.stdout.partition("\nReasons:\n")[2], re.M)
    reasons = {rule: reason for reason, rules in given for rule in rules.split(", ")}
    return {rule: int(n) for rule, n in counts if rule != "total"}, reasons


if __name__ == "__main__":
    with _bootstrap.job(snakemake) as study:
        if not study.artefact:
            raise UserError("nothing is named: write `snakemake why --config artefact=results/…` with a file or folder")
        now, codes = snakemake.params.now, snakemake.params.codes
        main(
            results=study.results,
            artefact=Path(study.artefact),
            now=now,
            codes=codes,
            config=snakemake.config,
            snakefile=_bootstrap.WORKFLOW.parent / "Snakefile",
        )
