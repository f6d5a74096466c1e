"""List the code of every stage: under its present version where its results are the same, as a new version where they differ.

    make stages                     compare results and list what has changed
    make stages RAISE=train_fold    raise the version of a stage without a comparison

A small golden study is run by the last listed code, in a git worktree, and then, stage by stage, by the present code on the same
inputs. Run it after an edit of the library or of a script, and commit `stage_versions.json` with the edit.
"""

import csv
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import cbis_release
import test_importer_cdd_cesm as cdd_cesm
from tiny import CONFIG, TinyStudy

from mammoseg.datasets.registry import IMPORTERS, importer_file
from mammoseg.rebuild.code_digests import of_stage
from mammoseg.rebuild.code_versions import READ_RELEASES, SHIPPED, CodeVersions, shipped_versions, stage_of
from mammoseg.rebuild.job_records import read_records

ROOT = Path(__file__).resolve().parents[1]
NOT_A_STAGE = {"accept", "relock", "verify", "why", "withdraw"}
VOLATILE = {"code", "fingerprint", "seconds", "data_wait_share", "cost", "versions", "commit", "hardware", "made"}
"""Columns and keys that differ from run to run, or tell of the code."""
SHOWN = 5


def present_digests() -> dict[str, str]:
    """Stage → digest of its code in this checkout."""
    rules = sorted({p.stem for p in (ROOT / "workflow/scripts").glob("[!_]*.py")} - NOT_A_STAGE)
    pairs = [(rule, i) for rule in rules for i in (IMPORTERS if rule in READ_RELEASES else [None])]
    return {
        stage_of(rule, i): of_stage(ROOT / f"workflow/scripts/{rule}.py", importer_file(i) if i else None)
        for rule, i in pairs
    }


def golden_study(folder: Path, checkout: Path) -> TinyStudy:
    """A tiny study with a release of every importer."""
    study = TinyStudy(folder, patients={"site-a": 6, "site-b": 2}, config=CONFIG, checkout=checkout)
    data = folder / "data"
    cbis_release.write_release(data / "cbis")
    cdd_cesm.write_release(data / "cdd")
    _write_manifest(data / "site-a", data / "own")
    study.config["datasets"] += [
        {"name": "cbis", "importer": "cbis_ddsm", "root": "data/cbis", "role": "external", "max_excluded": 1.0},
        {"name": "cdd", "importer": "cdd_cesm", "root": "data/cdd", "role": "external", "max_excluded": 1.0},
        {"name": "own", "importer": "manifest", "root": "data/own", "role": "predict"},
    ]
    return study


def _write_manifest(oulu: Path, target: Path) -> None:
    """An archive by manifest: the DICOM files of a release in Oulu's layout."""
    target.mkdir()
    rows = [["image", "patient"]]
    for k, path in enumerate(sorted(oulu.rglob("*.dcm"))):
        shutil.copy(path, target / f"{k}.dcm")
        rows.append([f"{k}.dcm", path.parent.name])
    with open(target / "manifest.csv", "w", newline="") as f:
        csv.writer(f).writerows(rows)


def outputs(results: Path, stage: str) -> list[str]:
    """What the jobs of a stage declared, below the results."""
    return sorted(name for r in read_records(results) if r["stage"] == stage for name in r["outputs"])


def facts(path: Path) -> object:
    """A file's content without what differs from run to run."""
    if path.suffix == ".csv":
        with open(path, newline="") as f:
            return [{k: v for k, v in row.items() if k not in VOLATILE} for row in csv.DictReader(f)]
    if path.suffix == ".json":
        return _bare(json.loads(path.read_text()))
    return path.read_bytes()


def _bare(value: object) -> object:
    if isinstance(value, Mapping):
        return {k: _bare(v) for k, v in value.items() if k not in VOLATILE}
    return [_bare(v) for v in value] if isinstance(value, list) else value


def compared(before: Path, after: Path, names: list[str]) -> Iterator[str]:
    """Names of the files that differ: declared outputs, and the pictures beside a manifest."""
    for name in names:
        places = [Path(name)]
        if places[0].name == "manifest.csv":
            beside = {p.name for folder in (before, after) for p in (folder / name).parent.glob("[!.]*.png")}
            places += [Path(name).with_name(picture) for picture in sorted(beside)]
        for place in places:
            one, other = before / place, after / place
            if not (one.is_file() and other.is_file()) or facts(one) != facts(other):
                yield str(place)


def settle(
    stage: str, study: TinyStudy, snapshot: Path, unlisted: Mapping[str, str], listed: CodeVersions
) -> list[str]:
    """Make a stage's outputs by the present code from what the listed code made; what differs."""
    shutil.rmtree(study.folder)
    shutil.copytree(snapshot, study.folder, copy_function=shutil.copy2, symlinks=True)
    versions = CodeVersions(study.results)
    for other, digest in unlisted.items():
        if other != stage and (known := listed.shipped.get(other)):
            versions.accept(digest, [f"{other} {len(known)}"])
    versions.save()
    names = outputs(snapshot / "results", stage)
    study.checkout = ROOT
    study.run(*(f"results/{name}" for name in names))
    return list(compared(snapshot / "results", study.results, names))


def main() -> None:
    shipped, present = dict(shipped_versions()), present_digests()
    unlisted = {s: d for s, d in present.items() if not any(d in digests for digests in shipped.get(s, ()))}
    shipped = {s: shipped[s] for s in sorted(shipped) if s in present}
    raised = os.environ.get("RAISE", "").split()
    for stage in list(unlisted):
        if stage in raised or stage not in shipped:
            shipped.setdefault(stage, []).append([unlisted[stage]])
            print(f"{stage}: version {len(shipped[stage])}, not compared")
    to_compare = [s for s in unlisted if s not in raised and unlisted[s] not in shipped[s][-1]]
    if to_compare:
        _compare(to_compare, unlisted, shipped)
    SHIPPED.write_text(json.dumps(dict(sorted(shipped.items())), indent=1) + "\n")
    print("the code of all stages is listed")


def _compare(stages: list[str], unlisted: Mapping[str, str], shipped: dict[str, list[list[str]]]) -> None:
    last = subprocess.check_output(["git", "log", "-1", "--format=%H", "--", SHIPPED], cwd=ROOT, text=True).strip()
    with tempfile.TemporaryDirectory() as scratch:
        worktree, snapshot = Path(scratch) / "listed", Path(scratch) / "made"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", worktree, last], cwd=ROOT, check=True)
        try:
            study = golden_study(Path(scratch) / "study", worktree)
            print(f"the golden study is run by the last listed code, {last[:10]}", flush=True)
            study.run()
            study.folder.rename(snapshot)
            study.folder.mkdir()
            listed = CodeVersions(study.results, json.loads(json.dumps(shipped)))
            for stage in stages:
                differs = settle(stage, study, snapshot, unlisted, listed)
                if differs:
                    shipped[stage].append([unlisted[stage]])
                    named = ", ".join(differs[:SHOWN]) + (", …" if len(differs) > SHOWN else "")
                    print(
                        f"{stage}: version {len(shipped[stage])}, for {len(differs)} files differ: {named}", flush=True
                    )
                else:
                    shipped[stage][-1].append(unlisted[stage])
                    print(f"{stage}: still version {len(shipped[stage])}, the results are the same", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", worktree], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
