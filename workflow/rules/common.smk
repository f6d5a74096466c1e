# The study; and what all below the checkpoint needs: the plan, and the digest of what a unit is made from.
# This runs again in every job: nothing here may import torch or pandas, open an image, or write a file.
import csv
import json
import os
import sys
from functools import lru_cache
from types import SimpleNamespace

import yaml
from snakemake.exceptions import WorkflowError

BASE = Path(workflow.basedir)
SCRIPTS = BASE / "workflow" / "scripts"
TEMPLATE = BASE / "src/mammoseg/report/template.html"
PUBLISHED = BASE / "src/mammoseg/data/published_table2.csv"
sys.path.insert(0, str(BASE / "src"))

from mammoseg.rebuild import digests
from mammoseg.rebuild import code_digests
from mammoseg.rebuild.code_versions import READ_RELEASES, CodeVersions, stage_of, to_accept
from mammoseg.runtime.errors import UserError
from mammoseg.index.release_listing import listing
from mammoseg.methods.recipe import methods_recipe
from mammoseg.rebuild.job_records import read_records, record_of
from mammoseg.study import Study
from mammoseg.datasets.registry import importer_file

try:
    STUDY = Study(config, yaml.safe_load((BASE / "workflow/schemas/config.schema.yaml").read_text()))
except UserError as mistake:
    raise WorkflowError(str(mistake)) from None

if any(c.isspace() for c in sys.executable):
    raise WorkflowError(
        f"Snakemake cannot run scripts with the Python {sys.executable}: move the checkout to a path without spaces"
    )

R = str(STUDY.results)
VERSIONS = CodeVersions(STUDY.results)
DATASETS = list(STUDY.datasets)
SCORED = STUDY.with_role("train") + STUDY.with_role("external")
MODELS = list(STUDY.models)
FOLDS = list(STUDY.folds)
TESTED = ("train", "holdout", "external")  # roles of shards that enter a mean; each case by models that did not see it
ROLES = (*TESTED, "new", "predict")


wildcard_constraints:
    dataset="|".join(DATASETS),
    model="|".join(MODELS),
    fold="|".join(map(str, FOLDS)),
    weights="|".join(STUDY.weights_names) or "none",
    scope="training|tested",
    shard=r"[a-z]+-\d+",


@lru_cache
def code(rule, importer=None):
    """Digest of a rule's code as it is now."""
    script = SCRIPTS / f"{rule}.py"
    return code_digests.of_stage(script, importer_file(importer) if rule in READ_RELEASES else None)


def stage(rule, dataset=None, **recipe):
    """The one value in a rule's params: what it depends on besides its input files, its code included.

    Where a release is read, `dataset` says which: the importer in use belongs to the code. Snakemake compares params as a set of
    texts without names: so one text, with sorted keys.
    """
    importer = STUDY.datasets[dataset].importer if dataset else None
    return digests.canonical(
        {"code": VERSIONS.representative(stage_of(rule, importer), code(rule, importer)), **recipe}
    )


as_planned = False  # True while somebody only wants to know, and nothing is to be planned anew for that


@lru_cache
def read_work(path, mtime_ns):
    with open(path, newline="") as f:
        return {(r["dataset"], r["unit"]): r for r in csv.DictReader(f)}


def work():
    """The units of work by data set and name. Asking makes the asking rule depend on the checkpoint, but for `as_planned`."""
    path = f"{R}/work.csv" if as_planned else str(checkpoints.assign_folds.get().output.work)
    return read_work(path, os.stat(path).st_mtime_ns)


def planned(wildcards):
    """First input of EVERYTHING below the checkpoint. Snakemake then weighs the job afresh once the checkpoint has run."""
    return ancient(checkpoints.assign_folds.get().output.work)


def source(dataset, unit):
    """Digest of what one shard, or one fold (dataset "fold"), is made from."""
    return work()[dataset, unit]["digest"]


def roles(*datasets, among=ROLES):
    """Which units of some data sets have which role, and who is in which fold: as text, for params."""
    folds = {f"fold {k}": source("fold", str(k)) for k in FOLDS}
    units = {f"{d} {u}": r["role"] for (d, u), r in work().items() if d in datasets and r["role"] in among}
    return digests.digest(units | folds)


def shards(*datasets, among=ROLES):
    """Data set and name of the shards of some data sets, of some roles."""
    return [(d, u) for (d, u), r in work().items() if d in datasets and r["role"] in among]


def manifests(*datasets, among=ROLES):
    """Manifests of the rendered shards of some data sets, of some roles."""
    return [f"{R}/{d}/png/{u}/manifest.csv" for d, u in shards(*datasets, among=among)]


def injected_manifest(dataset, shard):
    """Manifest of a shard's injected files; nothing where all its images carry windowing, or none is injected, or kept."""
    if not STUDY.image["keep_injected"] or STUDY.image["voi_lut"]["kind"] == "none":
        return []
    # A plan of an older version does not say: then it is injected.
    counted = work()[dataset, shard].get("without_windowing")
    return [] if counted == "0" else f"{R}/private/{dataset}/dicom/{shard}/manifest.csv"


def made_by_a_rule(wildcards):
    """What makes a release that does not exist by itself."""
    before_planning()
    return f"{R}/phantoms/{wildcards.dataset}.json" if STUDY.datasets[wildcards.dataset].phantom else []


def release(dataset):
    """What tells that a release has changed."""
    d = STUDY.datasets[dataset]
    if d.phantom:
        return dict(d.phantom)
    manifest = d.root.name if d.root != d.folder else ""
    return digests.digest([manifest, listing(d.folder) if d.listing else str(d.root)])  # it goes on record: no path


def weights_record(wildcards):
    """Record of the weights that a model's encoder starts from; nothing for random values."""
    name = STUDY.models[wildcards.model].weights_name
    return f"{R}/weights/{name}.json" if name else []


def codes():
    """Stage → name of its code as it is now."""
    importers = sorted({d.importer for d in STUDY.datasets.values()})
    rules = [script.stem for script in sorted(SCRIPTS.glob("[!_]*.py"))]
    pairs = [(rule, i) for rule in rules for i in (importers if rule in READ_RELEASES else [None])]
    return {stage_of(rule, i): VERSIONS.name(stage_of(rule, i), code(rule, i)) for rule, i in pairs}


def recipe_of(record):
    """What the job of a record would be made from today, its code apart; None where that is not known, or no such job is left."""
    global as_planned
    if record is None or not workflow.is_rule(record["rule"]) or not Path(f"{R}/work.csv").exists():
        return None
    recipe = workflow.get_rule(record["rule"]).params.recipe
    as_planned = True
    try:
        if record["rule"] == "inject_voi_lut" and not injected_manifest(**record["wildcards"]):
            return None  # its shard is still there, but holds nothing that is injected any more
        now = json.loads(recipe(SimpleNamespace(**record["wildcards"])) if callable(recipe) else recipe)
    except KeyError:  # a shard, data set or model that is no more
        return None
    finally:
        as_planned = False
    return {k: v for k, v in now.items() if k != "code"}
