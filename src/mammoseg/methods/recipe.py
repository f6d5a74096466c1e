"""What the methods text says of the config: the recipe of its rule. Light, for the Snakefile reads it.

Beside `study`, where the other recipes are, because trainings depend on the code of that module.
"""

from mammoseg.study import READ_BY, Study


def methods_recipe(study: Study) -> dict:
    """All values that are said; what is said of the training stands in the models' own records."""
    voi = study.image["voi_lut"]
    return {
        "datasets": [
            {"name": d.name, "importer": d.importer, "role": d.role, "phantom": d.phantom is not None, "site": d.site}
            | {"where": dict(d.where)}
            for d in study.datasets.values()
        ],
        "models": list(study.models),
        "splits": {k: study.splits[k] for k in ("folds", "holdout", "require_mass")},
        "seed": study.seed,
        "image": {k: study.image[k] for k in ("side", "mask_share", "orient", "windowing")},
        "voi_lut": {k: voi[k] for k in ("kind", *READ_BY[voi["kind"]])},
        "allowed": len(study.leakage["allow"]),
        "ensemble": {k: study.ensemble[k] for k in ("average", "threshold")},
        "detection": dict(study.detection),
        "statistics": study.statistics_recipe(),
    }
