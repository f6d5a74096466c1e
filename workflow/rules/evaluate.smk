# From predictions and references to per-case scores and tables.


rule score_cases:
    input:
        plan=planned,
        predictions=f"{R}/{{dataset}}/predictions/{{model}}/manifest.csv",
        models=expand(f"{R}/models/{{{{model}}}}/fold{{fold}}/model.json", fold=FOLDS),
        manifests=lambda w: manifests(w.dataset),
    output:
        scores=f"{R}/{{dataset}}/scores/{{model}}.csv",
        lesions=f"{R}/{{dataset}}/lesions/{{model}}.csv",
        trust=f"{R}/{{dataset}}/trust/{{model}}.json",
    log:
        f"{R}/logs/score_cases/{{dataset}}/{{model}}.log",
    benchmark:
        f"{R}/benchmarks/score_cases/{{dataset}}/{{model}}.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,  # 0.5 GB for a million images
        runtime=60,
    params:
        recipe=stage("score_cases", threshold=STUDY.ensemble["threshold"], **STUDY.detection),
    message:
        "scoring {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/score_cases.py"


rule score_threshold:
    input:
        plan=planned,
        splits=ancient(f"{R}/splits.csv"),
        manifests=lambda w: manifests(*SCORED, among=TESTED),
    output:
        baseline=report(f"{R}/tables/baseline.csv", caption="../report/baseline.rst", category="Tables"),
    log:
        f"{R}/logs/score_threshold.log",
    benchmark:
        f"{R}/benchmarks/score_threshold.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        recipe=lambda w: stage("score_threshold", datasets=SCORED, roles=roles(*SCORED, among=TESTED)),
    message:
        "scoring the best brightness threshold, for comparison"
    script:
        "../scripts/score_threshold.py"


rule summarise_scores:
    input:
        plan=planned,
        checked=f"{R}/leakage/tested.json",
        scores=expand(f"{R}/{{dataset}}/scores/{{model}}.csv", dataset=SCORED, model=MODELS),
        models=expand(f"{R}/models/{{model}}/fold{{fold}}/model.json", model=MODELS, fold=FOLDS),
        baseline=f"{R}/tables/baseline.csv",
    output:
        csv=report(f"{R}/tables/segmentation.csv", caption="../report/segmentation.rst", category="Tables"),
        md=f"{R}/tables/segmentation.md",
        tex=f"{R}/tables/segmentation.tex",
        normal_images=report(f"{R}/tables/normal_images.csv", caption="../report/normal_images.rst", category="Tables"),
        original=report(
            f"{R}/tables/original_geometry.csv", caption="../report/original_geometry.rst", category="Tables"
        ),
        costs=report(f"{R}/tables/costs.csv", caption="../report/costs.rst", category="Tables"),
        summary=f"{R}/tables/summary.txt",
    log:
        f"{R}/logs/summarise_scores.log",
    benchmark:
        f"{R}/benchmarks/summarise_scores.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        recipe=stage(
            "summarise_scores",
            published=digests.sha256(PUBLISHED),
            require_mass=STUDY.splits["require_mass"],
            datasets=STUDY.dataset_facts(SCORED),
            models=MODELS,
        ),
    message:
        "writing the tables"
    script:
        "../scripts/summarise_scores.py"


rule compare_models:
    input:
        plan=planned,
        checked=f"{R}/leakage/tested.json",
        scores=expand(f"{R}/{{dataset}}/scores/{{model}}.csv", dataset=SCORED, model=MODELS),
        models=expand(f"{R}/models/{{model}}/fold{{fold}}/model.json", model=MODELS, fold=FOLDS),
    output:
        comparisons=report(f"{R}/tables/comparisons.csv", caption="../report/comparisons.rst", category="Tables"),
        md=f"{R}/tables/comparisons.md",
        intervals=f"{R}/tables/intervals.csv",
        answers=report(f"{R}/tables/answers.csv", caption="../report/answers.rst", category="Tables"),
        answers_md=f"{R}/tables/answers.md",
        ensembles=report(f"{R}/tables/ensembles.csv", caption="../report/ensembles.rst", category="Tables"),
        variances=report(
            f"{R}/tables/variance_components.csv", caption="../report/variance_components.rst", category="Tables"
        ),
    log:
        f"{R}/logs/compare_models.log",
    benchmark:
        f"{R}/benchmarks/compare_models.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        recipe=stage(
            "compare_models",
            require_mass=STUDY.splits["require_mass"],
            datasets=STUDY.dataset_facts(SCORED),
            models=MODELS,
            statistics=STUDY.statistics_recipe(),
        ),
    message:
        "comparing the models"
    script:
        "../scripts/compare_models.py"


rule summarise_evidence:
    input:
        plan=planned,
        checked=f"{R}/leakage/tested.json",
        splits=ancient(f"{R}/splits.csv"),
        indexes=ancient(expand(f"{R}/{{dataset}}/index.csv", dataset=SCORED)),
        scores=expand(f"{R}/{{dataset}}/scores/{{model}}.csv", dataset=SCORED, model=MODELS),
        lesions=expand(f"{R}/{{dataset}}/lesions/{{model}}.csv", dataset=SCORED, model=MODELS),
        trust=expand(f"{R}/{{dataset}}/trust/{{model}}.json", dataset=SCORED, model=MODELS),
        models=expand(f"{R}/models/{{model}}/fold{{fold}}/model.json", model=MODELS, fold=FOLDS),
    output:
        breakdowns=report(f"{R}/tables/breakdowns.csv", caption="../report/breakdowns.rst", category="Tables"),
        detection=report(f"{R}/tables/detection.csv", caption="../report/detection.rst", category="Tables"),
        trust=report(f"{R}/tables/trust.csv", caption="../report/trust.rst", category="Tables"),
        curves=expand(f"{R}/tables/{{curve}}.csv", curve=("froc", "calibration", "thresholds", "risk_coverage")),
    log:
        f"{R}/logs/summarise_evidence.log",
    benchmark:
        f"{R}/benchmarks/summarise_evidence.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=8000,  # 4.5 GB for a million cases of four models
        runtime=60,
    params:
        recipe=lambda w: stage(
            "summarise_evidence",
            side=STUDY.image["side"],
            datasets=STUDY.dataset_facts(SCORED),
            models=MODELS,
            indexes={d: source(d, "index") for d in SCORED},
            statistics=STUDY.statistics_recipe(),
        ),
    message:
        "breaking the scores down, counting masses found, seeing how far probabilities can be trusted"
    script:
        "../scripts/summarise_evidence.py"
