# Figures, and the report that holds everything a reader needs in one file.


rule plot_cases:
    input:
        plan=planned,
        manifests=lambda w: manifests(w.dataset),
        scores=expand(f"{R}/{{{{dataset}}}}/scores/{{model}}.csv", model=MODELS),
    output:
        png=report(f"{R}/figures/cases_{{dataset}}.png", caption="../report/cases.rst", category="Figures"),
        svg=f"{R}/figures/cases_{{dataset}}.svg",
        disputed_png=report(
            f"{R}/figures/disputed_{{dataset}}.png", caption="../report/disputed.rst", category="Figures"
        ),
        disputed_svg=f"{R}/figures/disputed_{{dataset}}.svg",
    log:
        f"{R}/logs/plot_cases/{{dataset}}.log",
    benchmark:
        f"{R}/benchmarks/plot_cases/{{dataset}}.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        recipe=stage("plot_cases", threshold=STUDY.ensemble["threshold"], models=MODELS, folds=len(FOLDS)),
    message:
        "drawing cases of {wildcards.dataset}, best to worst"
    script:
        "../scripts/plot_cases.py"


rule plot_dice:
    input:
        plan=planned,
        scores=expand(f"{R}/{{dataset}}/scores/{{model}}.csv", dataset=SCORED, model=MODELS),
        baseline=f"{R}/tables/baseline.csv",
    output:
        png=report(f"{R}/figures/dice.png", caption="../report/dice.rst", category="Figures"),
        svg=f"{R}/figures/dice.svg",
    log:
        f"{R}/logs/plot_dice.log",
    benchmark:
        f"{R}/benchmarks/plot_dice.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        recipe=stage("plot_dice", models=MODELS),
    message:
        "drawing the Dice of every image"
    script:
        "../scripts/plot_dice.py"


rule plot_training:
    input:
        plan=planned,
        histories=expand(f"{R}/models/{{model}}/fold{{fold}}/history.csv", model=MODELS, fold=FOLDS),
    output:
        png=report(f"{R}/figures/training.png", caption="../report/training.rst", category="Figures"),
        svg=f"{R}/figures/training.svg",
    log:
        f"{R}/logs/plot_training.log",
    benchmark:
        f"{R}/benchmarks/plot_training.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        recipe=stage("plot_training", models=MODELS),
    message:
        "drawing the training curves"
    script:
        "../scripts/plot_training.py"


rule plot_evidence:
    input:
        plan=planned,
        tables=expand(f"{R}/tables/{{table}}.csv", table=DRAWN),
    output:
        png=report(
            expand(f"{R}/figures/{{figure}}.png", figure=EVIDENCE),
            caption="../report/evidence.rst",
            category="Figures",
        ),
        svg=expand(f"{R}/figures/{{figure}}.svg", figure=EVIDENCE),
    log:
        f"{R}/logs/plot_evidence.log",
    benchmark:
        f"{R}/benchmarks/plot_evidence.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        recipe=stage("plot_evidence", threshold=STUDY.ensemble["threshold"]),
    message:
        "drawing the evidence"
    script:
        "../scripts/plot_evidence.py"


rule write_methods:
    input:
        plan=planned,
        checked=f"{R}/leakage/tested.json",
        splits=ancient(f"{R}/splits.csv"),
        indexes=ancient(expand(f"{R}/{{dataset}}/index.csv", dataset=DATASETS)),
        excluded=ancient(expand(f"{R}/{{dataset}}/excluded.csv", dataset=DATASETS)),
        manifests=lambda w: manifests(*DATASETS),
        weights=expand(f"{R}/weights/{{weights}}.json", weights=STUDY.weights_names),
        models=expand(f"{R}/models/{{model}}/fold{{fold}}/model.json", model=MODELS, fold=FOLDS),
    output:
        md=f"{R}/tables/methods.md",
    log:
        f"{R}/logs/write_methods.log",
    benchmark:
        f"{R}/benchmarks/write_methods.tsv"
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        recipe=lambda w: stage(
            "write_methods",
            **methods_recipe(STUDY),
            importers={d.importer: code_digests.of_stage(importer_file(d.importer)) for d in STUDY.datasets.values()},
            indexes={d: source(d, "index") for d in DATASETS},
            roles=roles(*DATASETS),
        ),
    message:
        "writing the Methods section"
    script:
        "../scripts/write_methods.py"


rule write_report:
    input:
        plan=planned,
        splits=ancient(f"{R}/splits.csv"),
        indexes=ancient(expand(f"{R}/{{dataset}}/index.csv", dataset=DATASETS)),
        excluded=ancient(expand(f"{R}/{{dataset}}/excluded.csv", dataset=DATASETS)),
        manifests=lambda w: manifests(*DATASETS),
        models=expand(f"{R}/models/{{model}}/fold{{fold}}/model.json", model=MODELS, fold=FOLDS),
        scores=expand(f"{R}/{{dataset}}/scores/{{model}}.csv", dataset=SCORED, model=MODELS),
        tables=expand(f"{R}/tables/{{table}}.csv", table=REPORTED),
        methods=f"{R}/tables/methods.md",
        figures=figures("png", "svg"),
    output:
        html=report(f"{R}/report.html", caption="../report/report.rst", category="Report"),
    log:
        f"{R}/logs/write_report.log",
    benchmark:
        f"{R}/benchmarks/write_report.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        recipe=lambda w: stage(
            "write_report",
            template=digests.sha256(TEMPLATE),
            published=digests.sha256(PUBLISHED),
            config=STUDY.shown_config(),
            datasets=STUDY.dataset_facts(DATASETS),
            indexes={d: source(d, "index") for d in DATASETS},
            roles=roles(*DATASETS),
        ),
    message:
        "writing the report"
    script:
        "../scripts/write_report.py"
