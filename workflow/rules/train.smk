# From rendered training shards to trained fold models. Below the checkpoint no edge is ancient but those to what stands above it.


rule pack_training:
    input:
        plan=planned,
        manifests=lambda w: manifests(*STUDY.with_role("train"), among=["train"]),
    output:
        images=f"{R}/pack/images.npy",
        masks=f"{R}/pack/masks.npy",
        cases=f"{R}/pack/cases.csv",
        pack=f"{R}/pack/pack.json",
        draw_ids=f"{R}/private/draw_ids.csv",
    log:
        f"{R}/logs/pack_training.log",
    benchmark:
        f"{R}/benchmarks/pack_training.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        recipe=stage("pack_training", require_mass=STUDY.splits["require_mass"]),
    message:
        "packing the training images into arrays"
    script:
        "../scripts/pack_training.py"


rule fetch_weights:
    output:
        record=f"{R}/weights/{{weights}}.json",
    log:
        f"{R}/logs/fetch_weights/{{weights}}.log",
    benchmark:
        f"{R}/benchmarks/fetch_weights/{{weights}}.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        recipe=lambda w: stage("fetch_weights", source=STUDY.weights_recipe(w.weights.partition("-")[0])),
    message:
        "fetching encoder weights {wildcards.weights}"
    script:
        "../scripts/fetch_weights.py"


rule train_fold:
    input:
        plan=planned,
        checked=f"{R}/leakage/training.json",
        pack=f"{R}/pack/pack.json",
        draw_ids=f"{R}/private/draw_ids.csv",
        splits=ancient(f"{R}/splits.csv"),
        weights=weights_record,
    output:
        tensors=f"{R}/models/{{model}}/fold{{fold}}/model.safetensors",
        model=f"{R}/models/{{model}}/fold{{fold}}/model.json",
        history=f"{R}/models/{{model}}/fold{{fold}}/history.csv",
    log:
        f"{R}/logs/train_fold/{{model}}/fold{{fold}}.log",
    benchmark:
        f"{R}/benchmarks/train_fold/{{model}}/fold{{fold}}.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=24000,
        runtime=1440,
    params:
        recipe=lambda w: stage("train_fold", **STUDY.training_recipe(w.model), source=source("fold", w.fold)),
    message:
        "training {wildcards.model} fold {wildcards.fold}"
    script:
        "../scripts/train_fold.py"
