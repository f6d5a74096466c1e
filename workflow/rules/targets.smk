# What a user asks for by name. Each target names every artefact before it: an intermediate that is missing is remade only
# where somebody asks for it.

import json
from types import SimpleNamespace

from mammoseg.acceptance import to_accept
from mammoseg.records import read_records, record_of


localrules:
    all,
    index,
    plan,
    render,
    train,
    predict,
    tables,
    report,
    relock,
    withdraw,
    accept,
    verify,
    why,


rule index:
    input:
        indexed(),


rule plan:
    input:
        indexed(),
        planned,


rule render:
    input:
        lambda w: rendered(),


rule train:
    input:
        lambda w: trained(),


rule predict:
    input:
        lambda w: predicted(),


rule tables:
    input:
        lambda w: tabulated(),


rule report:
    input:
        everything,


rule relock:
    log:
        f"{R}/logs/relock.log",
    conda:
        "../../envs/images.yaml"
    message:
        "forgetting the locked cohort"
    script:
        "../scripts/relock.py"


def codes():
    """Rule → digest of its code as it is now."""
    return {script.stem: code(script.stem) for script in sorted(SCRIPTS.glob("[!_]*.py"))}


def recipe_of(record):
    """What the job of a record would be made from today, its code apart; None where that is not known, or no such job is left."""
    global as_planned
    if record is None or not Path(f"{R}/work.csv").exists():
        return None
    recipe = workflow.get_rule(record["rule"]).params.recipe
    as_planned = True
    try:
        now = json.loads(recipe(SimpleNamespace(**record["wildcards"])) if callable(recipe) else recipe)
    except KeyError:  # a shard, data set or model that is no more
        return None
    finally:
        as_planned = False
    return {k: v for k, v in now.items() if k != "code"}


rule withdraw:
    log:
        f"{R}/logs/withdraw.log",
    conda:
        "../../envs/images.yaml"
    message:
        "taking patients out of the study"
    script:
        "../scripts/withdraw.py"


rule accept:
    log:
        f"{R}/logs/accept.log",
    conda:
        "../../envs/images.yaml"
    params:
        found=lambda w: to_accept(read_records(STUDY.results), codes(), recipe_of, ACCEPTED),
        present=lambda w: codes(),
    message:
        "accepting what other code has made"
    script:
        "../scripts/accept.py"


rule verify:
    log:
        f"{R}/logs/verify.log",
    conda:
        "../../envs/images.yaml"
    message:
        "recomputing every digest"
    script:
        "../scripts/verify.py"


rule why:
    log:
        f"{R}/logs/why.log",
    conda:
        "../../envs/images.yaml"
    params:
        now=lambda w: recipe_of(record_of(STUDY.results, Path(STUDY.artefact))),
        codes=lambda w: codes(),
    message:
        "explaining {STUDY.artefact}"
    script:
        "../scripts/why.py"
