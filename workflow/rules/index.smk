# From a release on disk to an index: the only rules that look at the release itself.


rule make_phantom:
    output:
        made=f"{R}/phantoms/{{dataset}}.json",
    log:
        f"{R}/logs/make_phantom/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/make_phantom/{{dataset}}.tsv"
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        recipe=lambda w: stage("make_phantom", phantom=dict(STUDY.datasets[w.dataset].phantom)),
    message:
        "making the phantom release {wildcards.dataset}"
    script:
        "../scripts/make_phantom.py"


rule index_dataset:
    input:
        made=made_by_a_rule,
    output:
        index=f"{R}/{{dataset}}/index.csv",
        excluded=f"{R}/{{dataset}}/excluded.csv",
        sources=f"{R}/private/{{dataset}}/sources.csv",
        excluded_paths=f"{R}/private/{{dataset}}/excluded.csv",
    log:
        f"{R}/logs/index_dataset/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/index_dataset/{{dataset}}.tsv"
    conda:
        "../../envs/images.yaml"
    threads: 4
    resources:
        mem_mb=8000,  # 3 GB for a million images
        runtime=240,
    params:
        recipe=lambda w: stage(
            "index_dataset",
            w.dataset,
            importer=STUDY.datasets[w.dataset].importer,
            site=STUDY.datasets[w.dataset].site,
            carry=STUDY.datasets[w.dataset].carry,
            max_excluded=STUDY.datasets[w.dataset].max_excluded,
            where=dict(STUDY.datasets[w.dataset].where),
            only_phantoms=STUDY.only_phantoms,
            release=release(w.dataset),
        ),
    message:
        "indexing {wildcards.dataset}"
    script:
        "../scripts/index_dataset.py"
