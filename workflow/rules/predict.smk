# One prediction per image and model: a training patient's by the one fold that did not see it, everyone else's by all folds.


rule predict_ensemble:
    input:
        plan=planned,
        splits=ancient(f"{R}/splits.csv"),
        models=expand(f"{R}/models/{{{{model}}}}/fold{{fold}}/model.json", fold=FOLDS),
        manifests=lambda w: manifests(w.dataset),
    output:
        manifest=f"{R}/{{dataset}}/predictions/{{model}}/manifest.csv",
    log:
        f"{R}/logs/predict_ensemble/{{dataset}}/{{model}}.log",
    benchmark:
        f"{R}/benchmarks/predict_ensemble/{{dataset}}/{{model}}.tsv"
    conda:
        "../../envs/networks.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=480,
    params:
        recipe=lambda w: stage("predict_ensemble", average=STUDY.ensemble["average"], roles=roles(w.dataset)),
    message:
        "predicting {wildcards.dataset} with {wildcards.model}"
    script:
        "../scripts/predict_ensemble.py"
