# What a user asks for by name. Each target names every artefact before it: an intermediate that is missing is remade only
# where somebody asks for it.


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
        found=lambda w: to_accept(read_records(STUDY.results), codes(), recipe_of, VERSIONS),
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
