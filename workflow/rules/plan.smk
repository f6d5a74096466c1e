# The ONE checkpoint: locks the cohort and cuts the work into units. Every rule below it asks for it directly (`planned`);
# why two checkpoints, or one reached only through others, go wrong is told in docs/incremental.md.


checkpoint assign_folds:
    input:
        indexes=expand(f"{R}/{{dataset}}/index.csv", dataset=DATASETS),
        sources=expand(f"{R}/private/{{dataset}}/sources.csv", dataset=DATASETS),
        excluded=expand(f"{R}/{{dataset}}/excluded.csv", dataset=DATASETS),
    output:
        splits=f"{R}/splits.csv",
        shards=f"{R}/shards.csv",
        work=f"{R}/work.csv",
    log:
        f"{R}/logs/assign_folds.log",
    benchmark:
        f"{R}/benchmarks/assign_folds.tsv"
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        recipe=stage("assign_folds", **STUDY.plan_recipe()),
    message:
        "assigning patients to holdout, folds and shards"
    script:
        "../scripts/assign_folds.py"
