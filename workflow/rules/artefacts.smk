# The names of everything the study makes, stage by stage; each list holds the ones before it.

TABLES = [
    "segmentation.csv",
    "segmentation.md",
    "segmentation.tex",
    "normal_images.csv",
    "comparisons.csv",
    "comparisons.md",
    "intervals.csv",
    "answers.csv",
    "answers.md",
    "ensembles.csv",
    "variance_components.csv",
    "original_geometry.csv",
    "breakdowns.csv",
    "detection.csv",
    "froc.csv",
    "trust.csv",
    "calibration.csv",
    "thresholds.csv",
    "risk_coverage.csv",
    "costs.csv",
    "baseline.csv",
    "methods.md",
    "summary.txt",
]
REPORTED = [
    "segmentation",
    "intervals",
    "answers",
    "comparisons",
    "ensembles",
    "variance_components",
    "original_geometry",
    "detection",
    "normal_images",
    "trust",
    "baseline",
    "costs",
]
"""Tables that the report shows."""
EVIDENCE = ["differences", "sizes", "groups", "froc", "calibration", "thresholds", "disagreement"]
"""Figures of tables."""
DRAWN = ["comparisons", "breakdowns", "froc", "detection", "calibration", "trust", "thresholds", "risk_coverage"]
"""The tables that they show."""


def figures(pictures, drawings):
    """All figures in the report's order: those that hold images in the first format, the others in the second."""
    of_cases = expand(f"{R}/figures/{{kind}}_{{dataset}}.{pictures}", dataset=SCORED, kind=("cases", "disputed"))
    return of_cases + [f"{R}/figures/{name}.{drawings}" for name in ("dice", *EVIDENCE, "training")]


def indexed():
    return expand(f"{R}/{{dataset}}/{{file}}", dataset=DATASETS, file=("index.csv", "excluded.csv"))


def rendered():
    kept = [manifest for shard in shards(*DATASETS) if (manifest := injected_manifest(*shard))]
    return indexed() + kept + manifests(*DATASETS)


def trained():
    fetched = expand(f"{R}/weights/{{weights}}.json", weights=STUDY.weights_names)
    files = ("model.safetensors", "model.json", "history.csv")
    models = expand(f"{R}/models/{{model}}/fold{{fold}}/{{file}}", model=MODELS, fold=FOLDS, file=files)
    packed = expand(f"{R}/pack/{{file}}", file=("images.npy", "masks.npy", "cases.csv", "pack.json"))
    packed.append(f"{R}/private/draw_ids.csv")
    compared = expand(f"{R}/leakage/{{scope}}.json", scope=COMPARED)
    return [*rendered(), *compared, *packed, *fetched, *models]


def predicted():
    return trained() + expand(f"{R}/{{dataset}}/predictions/{{model}}/manifest.csv", dataset=DATASETS, model=MODELS)


def tabulated():
    of_cases = ("scores/{model}.csv", "lesions/{model}.csv", "trust/{model}.json")
    scores = expand([f"{R}/{{dataset}}/{file}" for file in of_cases], dataset=SCORED, model=MODELS)
    return predicted() + scores + expand(f"{R}/tables/{{table}}", table=TABLES)


def everything(wildcards):
    return tabulated() + figures("png", "png") + figures("svg", "svg") + [f"{R}/report.html"]
