# What a user asks for by name. Each target names every artefact before it: an intermediate that is missing is remade only
# where somebody asks for it.

from types import SimpleNamespace

from mammoseg.records import record_of


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
        present=lambda w: {script.stem: code(script.stem) for script in sorted(SCRIPTS.glob("[!_]*.py"))},
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


def recipe_now(wildcards):
    """What the artefact in question would be made from today; nothing where that is not known."""
    record = record_of(STUDY.results, Path(STUDY.artefact)) if STUDY.artefact else None
    if record is None or not Path(f"{R}/work.csv").exists():
        return ""
    recipe = workflow.get_rule(record["rule"]).params.recipe
    try:
        return recipe(SimpleNamespace(**record["wildcards"])) if callable(recipe) else recipe
    except KeyError:  # a shard, data set or model that is no more
        return ""


rule why:
    log:
        f"{R}/logs/why.log",
    conda:
        "../../envs/images.yaml"
    params:
        now=recipe_now,
    message:
        "explaining {STUDY.artefact}"
    script:
        "../scripts/why.py"
