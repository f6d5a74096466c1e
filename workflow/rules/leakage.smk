# Between rendering and training: no image may stand in two places under two names.


rule check_leakage:
    input:
        plan=planned,
        splits=ancient(f"{R}/splits.csv"),
        manifests=lambda w: manifests(*SCORED, among=TESTED),
    output:
        checked=f"{R}/leakage.json",
    log:
        f"{R}/logs/check_leakage.log",
    benchmark:
        f"{R}/benchmarks/check_leakage.tsv"
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        recipe=lambda w: stage("check_leakage", allow=STUDY.leakage["allow"], roles=roles(*SCORED, among=TESTED)),
    message:
        "comparing the images of folds, holdout and external data sets"
    script:
        "../scripts/check_leakage.py"
