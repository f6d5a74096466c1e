# From rendered training shards to trained fold models. Below the checkpoint no edge is ancient but those to what stands above it.
import json

from mammoseg.records import Record


rule pack_training:
    input:
        plan=planned,
        manifests=lambda w: manifests(*STUDY.with_role("train"), among=["train"]),
    output:
        images=f"{R}/pack/images.npy",
        masks=f"{R}/pack/masks.npy",
        cases=f"{R}/pack/cases.csv",
        pack=f"{R}/pack/pack.json",
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


def made_so(wildcards):
    """Whether a fold was trained by the present recipe, and its files are there."""
    record = Record(STUDY.results, Path(f"{R}/logs/train_fold/{wildcards.model}/fold{wildcards.fold}.log")).read()
    recipe = json.loads(training_recipe(wildcards))
    return (
        record is not None
        and {"code": record["code"], **record["recipe"]} == recipe
        and all((STUDY.results / output).exists() for output in record["outputs"])
    )


def checked(wildcards):
    """The leakage check, before a training. Of a model that is made, the same file without an edge.

    An image that is added to an external set starts the check and must train nothing. An ancient edge would not do: it hides
    what has changed behind it, down to the report (docs/incremental.md, rules 2 and 10).
    """
    file = f"{R}/leakage.json"
    return before_update(ancient(file)) if Path(file).exists() and made_so(wildcards) else file


def training_recipe(wildcards):
    return stage("train_fold", **STUDY.training_recipe(wildcards.model), source=source("fold", wildcards.fold))


rule train_fold:
    input:
        plan=planned,
        checked=checked,
        pack=f"{R}/pack/pack.json",
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
        recipe=training_recipe,
    message:
        "training {wildcards.model} fold {wildcards.fold}"
    script:
        "../scripts/train_fold.py"
