"""Rows of score tables and records of models, as the tests of tables and statistics need them."""

RECIPE = {"margin": 0.05, "alpha": 0.05, "resamples": 999, "seed": 1}
DATASETS = {"site": {"importer": "manifest", "role": "train", "phantom": False}}


def model(encoder="resnet34", decoder="unet", weights="random", training=None, seed=1):
    """The folds' model.json of one model, as far as comparisons look."""
    spec = {"encoder": encoder, "decoder": decoder, "weights": weights, "stem": "dense"}
    recipe = {"training": training or {"lr": 1}, "seed": seed}
    return [{"model": spec, "weights_used": weights, "recipe": recipe}]


def case(i, patient, dice, masses=1, folds=()):
    """One row of a score table."""
    return {
        "image_id": f"i{i}", "patient_id": patient, "part": "holdout", "n_masses": str(masses), "dice": dice, "iou": "0",
        "original_dice": "", "predicted_regions": "1", "dice_of_folds": ";".join(f"{v:.9f}" for v in folds),
    }  # fmt: skip
