# No image may stand in two places under two names. Two comparisons, each an input of what would suffer and of nothing else:
# within the training part before any training; with holdout and external sets, which train nothing, before any table.
COMPARED = {"training": ["train"], "tested": TESTED}


rule check_leakage:
    input:
        plan=planned,
        splits=ancient(f"{R}/splits.csv"),
        manifests=lambda w: manifests(*SCORED, among=COMPARED[w.scope]),
    output:
        checked=f"{R}/leakage/{{scope}}.json",
    log:
        f"{R}/logs/check_leakage/{{scope}}.log",
    benchmark:
        f"{R}/benchmarks/check_leakage/{{scope}}.tsv"
    priority: 10  # when it finds something, no training that has not begun will begin
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        recipe=lambda w: stage(
            "check_leakage",
            allow=STUDY.leakage["allow"],
            roles=roles(*SCORED, among=COMPARED[w.scope]),
        ),
    message:
        "comparing the images of patients in different parts ({wildcards.scope})"
    script:
        "../scripts/check_leakage.py"
