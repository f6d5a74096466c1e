# The names of everything the study makes, stage by stage; each list holds the ones before it.

TABLES = [
    "segmentation.csv",
    "segmentation.md",
    "segmentation.tex",
    "normal_images.csv",
    "comparisons.csv",
    "comparisons.md",
    "intervals.csv",
    "costs.csv",
    "baseline.csv",
    "summary.txt",
]
FIGURES = [*(f"cases_{dataset}" for dataset in SCORED), "dice", "training"]


def indexed():
    return expand(f"{R}/{{dataset}}/{{file}}", dataset=DATASETS, file=("index.csv", "excluded.csv"))


def rendered():
    kept = shards(*DATASETS) if STUDY.image["keep_injected"] else []
    injected = [f"{R}/private/{d}/dicom/{u}/manifest.csv" for d, u in kept]
    return indexed() + injected + manifests(*DATASETS)


def trained():
    fetched = expand(f"{R}/weights/{{weights}}.json", weights=STUDY.weights_names)
    files = ("model.safetensors", "model.json", "history.csv")
    models = expand(f"{R}/models/{{model}}/fold{{fold}}/{{file}}", model=MODELS, fold=FOLDS, file=files)
    packed = expand(f"{R}/pack/{{file}}", file=("images.npy", "masks.npy", "cases.csv", "pack.json"))
    compared = expand(f"{R}/leakage/{{scope}}.json", scope=COMPARED)
    return [*rendered(), *compared, *packed, *fetched, *models]


def predicted():
    return trained() + expand(f"{R}/{{dataset}}/predictions/{{model}}/manifest.csv", dataset=DATASETS, model=MODELS)


def tabulated():
    scores = expand(f"{R}/{{dataset}}/scores/{{model}}.csv", dataset=SCORED, model=MODELS)
    return predicted() + scores + expand(f"{R}/tables/{{table}}", table=TABLES)


def everything(wildcards):
    figures = expand(f"{R}/figures/{{figure}}.{{format}}", figure=FIGURES, format=("png", "svg"))
    return tabulated() + figures + [f"{R}/report.html"]
