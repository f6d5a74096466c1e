# What a user asks for by name. Each target names every artefact before it: an intermediate that is missing is remade only
# where somebody asks for it.


localrules:
    all,
    index,
    plan,
    render,
    train,
    predict,
    tables,
    report,
    relock,


TABLES = ("segmentation.csv", "segmentation.md", "segmentation.tex", "normal_images.csv", "costs.csv", "baseline.csv")
FIGURES = ("cases", "dice", *(f"training_{model}" for model in MODELS))


def indexed():
    return expand(f"{R}/{{dataset}}/{{file}}", dataset=DATASETS, file=("index.csv", "excluded.csv"))


def rendered():
    units = [(d, u) for (d, u), r in work().items() if d != "fold"]
    return indexed() + manifests(*DATASETS) + [f"{R}/private/{d}/dicom/{u}/manifest.csv" for d, u in units]


def trained():
    fetched = expand(f"{R}/weights/{{weights}}.json", weights=STUDY.weights_names)
    files = ("model.safetensors", "model.json", "history.csv")
    models = expand(f"{R}/models/{{model}}/fold{{fold}}/{{file}}", model=MODELS, fold=FOLDS, file=files)
    return rendered() + expand(f"{R}/pack/{{file}}", file=("images.npy", "masks.npy", "cases.csv", "pack.json")) + fetched + models


def predicted():
    return trained() + expand(f"{R}/{{dataset}}/predictions/{{model}}/manifest.csv", dataset=DATASETS, model=MODELS)


def tabulated():
    scores = expand(f"{R}/{{dataset}}/scores/{{model}}.csv", dataset=SCORED, model=MODELS)
    return predicted() + scores + expand(f"{R}/tables/{{table}}", table=TABLES)


def everything(wildcards):
    figures = expand(f"{R}/figures/{{figure}}.{{format}}", figure=FIGURES, format=("png", "svg"))
    return tabulated() + figures + [f"{R}/report.html"]


rule index:
    input:
        indexed(),


rule plan:
    input:
        indexed(),
        planned,


rule render:
    input:
        lambda w: rendered(),


rule train:
    input:
        lambda w: trained(),


rule predict:
    input:
        lambda w: predicted(),


rule tables:
    input:
        lambda w: tabulated(),


rule report:
    input:
        everything,


rule relock:
    log:
        f"{R}/logs/relock.log",
    script:
        "../scripts/relock.py"
