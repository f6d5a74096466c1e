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
