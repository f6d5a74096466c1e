# From a shard of images to 16-bit PNGs, and from the training shards to the arrays that training reads.


rule inject_voi_lut:
    input:
        plan=planned,
    output:
        manifest=f"{R}/private/{{dataset}}/dicom/{{shard}}/manifest.csv",
    log:
        f"{R}/logs/inject_voi_lut/{{dataset}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/inject_voi_lut/{{dataset}}/{{shard}}.tsv"
    priority: 10  # before any training, so that all images are compared first
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        recipe=lambda w: stage(
            "inject_voi_lut", w.dataset, voi_lut=STUDY.injection_recipe(), source=source(w.dataset, w.shard)
        ),
    message:
        "injecting the VOI LUT where it is missing: {wildcards.dataset} {wildcards.shard}"
    script:
        "../scripts/inject_voi_lut.py"


rule render_png:
    input:
        plan=planned,
        injected=lambda w: injected_manifest(w.dataset, w.shard),
    output:
        manifest=f"{R}/{{dataset}}/png/{{shard}}/manifest.csv",
    log:
        f"{R}/logs/render_png/{{dataset}}/{{shard}}.log",
    benchmark:
        f"{R}/benchmarks/render_png/{{dataset}}/{{shard}}.tsv"
    priority: 10
    conda:
        "../../envs/images.yaml"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        recipe=lambda w: stage(
            "render_png",
            w.dataset,
            image=STUDY.render_recipe(),
            codecs=digests.codecs(),
            source=source(w.dataset, w.shard),
        ),
    message:
        "rendering {wildcards.dataset} {wildcards.shard}"
    script:
        "../scripts/render_png.py"
