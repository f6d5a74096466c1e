"""Training, in words. What is not the same for all models is said by model."""

from collections.abc import Callable, Mapping, Sequence

from mammoseg.methods.prose import by_model, counted, distinct, listed, number, percent, sentences, spread
from mammoseg.methods.study import MethodsStudy

REFERENCE_SIDE = 512
"""Pixel sizes of the augmentation are for images of this side."""
OPTIMISERS = {"adam": "Adam", "adamw": "AdamW"}
PRECISIONS = {"32-true": "single precision (32 bits)", "bf16-mixed": "mixed precision (bfloat16, losses in 32 bits)"}


def training(study: MethodsStudy) -> list[str]:
    """Augmentation, losses, optimisation, choice of the epoch, ensembling."""
    recipe = study.records[0]["recipe"]  # augmentation and normalisation are the same for all models
    return [
        sentences(
            *_augmentation(recipe["augmentation"], study.recipe["image"]["side"]),
            _normalisation(study, recipe["normalisation"]["augmented"]),
        ),
        sentences(*_losses(study)),
        sentences(*_optimisation(study)),
        sentences(*_choice_of_epoch(study)),
        _ensembling(study),
    ]


def _each(study: MethodsStudy, say: Callable[[Mapping], str]) -> dict[str, str]:
    """Model → what is said of its settings of the training."""
    return {name: say(settings) for name, settings in study.trainings.items()}


def _kernels(settings: Mapping) -> str:
    return f"kernel of {listed(map(number, settings['kernels']), 'or')} pixels"


STEPS: Mapping[str, Callable] = {
    "rotation": lambda x: f"rotation by {spread(x)} degrees",
    "scale": lambda x: f"scaling by a factor of {spread(x)}",
    "translation": lambda x: f"translation by {spread(x)} pixels in either direction",
    "crop": lambda x: f"a random crop to {number(x)} × {number(x)} pixels, padded back to the full frame",
    "flip": lambda x: f"{x} flip",
    "gamma": lambda x: f"gamma correction with γ of {spread(x)} (grey value to the power of 1/γ)",
    "brightness": lambda x: f"{spread(x)} added to the 8-bit grey values",
    "contrast": lambda x: f"grey values multiplied by {spread(x)}",
    "salt_and_pepper": lambda x: f"salt-and-pepper noise in a share of {spread(x)} of the pixels",
    "gaussian_noise": lambda x: f"Gaussian noise blended in with a weight of {spread(x)}",
    "gaussian_blur": lambda x: f"Gaussian blur ({_kernels(x)}, σ of {spread(x['sigma'])} pixels)",
    "median_blur": lambda x: f"median blur ({_kernels(x)})",
    "cutout": lambda x: f"cutout of a square of {percent(x)} of the side, in the image but not in the mask",
}
"""Steps of the augmentation in their order."""
IN_PIXELS = ("translation", "crop", "gaussian_blur", "median_blur")


def _augmentation(settings: Mapping, side: int) -> list[str]:
    steps = [say(settings[name]) for name, say in STEPS.items() if settings[name] is not None]
    probability = settings["probability"]
    if not steps or not probability:
        return ["Training images were not augmented."]
    by = (
        "by SOLT"
        if settings["device"] == "cpu"
        else "drawn by SOLT and carried out by PyTorch on the device of the training"
    )
    if len(steps) > 1:
        how = f"in this order, {f'each with a probability of {number(probability)}' if probability < 1 else 'all of them always'}"
    else:
        how = f"with a probability of {number(probability)}" if probability < 1 else "always"
    scaled = side != REFERENCE_SIDE and any(settings[name] is not None for name in IN_PIXELS)
    return [
        f"In every epoch training images were augmented anew ({by}), {how}: {'; '.join(steps)}.",
        f"Sizes in pixels are those for images of {REFERENCE_SIDE} × {REFERENCE_SIDE}; they were scaled to {side} × {side} "
        "(kernels to the nearest odd size, 1 being no blur)."
        if scaled
        else "",
        "Images were augmented as 8 bits; where they were moved, so was the mask.",
    ]


def _normalisation(study: MethodsStudy, augmented: bool) -> str:
    mean, sd = (spread((r["normalisation"][k] for r in study.records), 3) for k in ("mean", "sd"))
    images = (
        "training images, augmented as above and drawn twice each"
        if augmented
        else "training images without augmentation"
    )
    return (
        "The input of a network was the 8-bit value divided by 255, less the mean and divided by the SD over all pixels of the "
        f"fold's {images} (mean {mean}, SD {sd})."
    )


def _losses(study: MethodsStudy) -> list[str]:
    def of(wanted: str, say: Callable[[Mapping], str]) -> str:
        """What is said of the loss of the models that train with it, for any number of epochs."""
        return by_model({m: say(t["loss"]) for m, t in study.trainings.items() if t["schedule"][wanted]})

    def either(loss: Mapping) -> str:
        return (
            "from sums over the image, averaged over images"
            if loss["reduction"] == "image"
            else "of each pixel, averaged"
        )

    said = [f"Training ran for {by_model(_each(study, _phases))}."]
    if any(t["schedule"]["combined_epochs"] for t in study.trainings.values()):
        omega, sums = of("combined_epochs", lambda x: number(x["omega"])), of("combined_epochs", either)
        said.append(
            "The combined loss was (1 − ω) · BCE − ω · J, where BCE is the binary cross-entropy and J the soft Jaccard index "
            f"{sums}; ω was {omega}."
        )
    if any(t["schedule"]["focal_tversky_epochs"] for t in study.trainings.values()):
        alpha, exponent = (of("focal_tversky_epochs", lambda x, k=k: number(x[k])) for k in ("alpha", "exponent"))
        said.append(
            "The focal Tversky loss was (1 − TI)^κ, where TI is the Tversky index of an image with the weight α on missed and "
            f"1 − α on falsely marked pixels, averaged over images; α was {alpha}, κ was {exponent}."
        )
    return [
        *said,
        f"The fractions were kept defined by ε = {by_model(_each(study, lambda t: number(t['loss']['epsilon'])))}.",
    ]


def _phases(settings: Mapping) -> str:
    first, second = (settings["schedule"][k] for k in ("combined_epochs", "focal_tversky_epochs"))
    epochs = counted(first + second, "epoch")
    if first and second:
        return f"{epochs}, {first} with a combined loss and then {second} with the focal Tversky loss"
    return f"{epochs} with {'a combined' if first else 'the focal Tversky'} loss"


def _optimisation(study: MethodsStudy) -> list[str]:
    decay = by_model(_each(study, lambda t: number(t["weight_decay"])))
    compiled = [name for name, t in study.trainings.items() if t["compile"]]
    exact = [name for name, t in study.trainings.items() if t["deterministic"]]
    precisions = {
        name: listed(PRECISIONS.get(p, p) for p in distinct(m["precision"] for f in folds for m in f["hardware"]))
        for name, folds in study.models.items()
    }
    seeds = by_model({name: study.seed_of(name) for name in study.models})
    return [
        f"The optimiser was {by_model(_each(study, lambda t: OPTIMISERS[t['optimizer']]))}, with a weight decay of {decay}.",
        f"A batch held {by_model(_each(study, _batch))}.",
        f"The learning rate {by_model(_each(study, _learning_rate))}.",
        f"The encoder was {by_model(_each(study, _frozen))}.",
        f"Networks were computed in {by_model(precisions)}.",
        f"They were compiled by torch.compile{_of(study, compiled)}." if compiled else "",
        f"Initial values, the order of the images and all draws followed from the fold and a fixed seed, {seeds}; "
        + (
            f"only deterministic algorithms were used{_of(study, exact)}."
            if exact
            else "algorithms need not repeat bit for bit."
        ),
    ]


def _of(study: MethodsStudy, names: Sequence[str]) -> str:
    return "" if len(names) == len(study.models) else f" for {listed(names)}"


def _batch(settings: Mapping) -> str:
    size, times = counted(settings["batch_size"], "image"), settings["accumulate"]
    return size if times == 1 else f"{size} with gradients accumulated over {times} batches for each step"


def _learning_rate(settings: Mapping) -> str:
    schedule, start = settings["schedule"], number(settings["learning_rate"])
    if schedule["policy"] == "one_cycle":
        return f"followed one cycle over all epochs, up to {start} and down again"
    last = schedule["combined_epochs"] + schedule["focal_tversky_epochs"]
    epochs = [number(e) for e in sorted({*schedule["milestones"]}) if e < last]
    if not epochs or schedule["factor"] == 1:
        return f"was {start} throughout"
    after = f"epoch {epochs[0]}" if len(epochs) == 1 else f"each of the epochs {listed(epochs)}"
    return f"was {start}, multiplied by {number(schedule['factor'])} after {after}"


def _frozen(settings: Mapping) -> str:
    if not (n := settings["schedule"]["freeze_encoder_epochs"]):
        return "trained from the first epoch on"
    epochs = counted(n, "epoch") if n > 1 else "epoch"
    return f"frozen in the first {epochs}, without gradient and with fixed batch-norm statistics"


def _choice_of_epoch(study: MethodsStudy) -> list[str]:
    best = sorted({r["best_epoch"] for r in study.records})
    two = any(
        t["schedule"]["focal_tversky_epochs"] and t["schedule"]["combined_epochs"] for t in study.trainings.values()
    )
    return [
        "After every epoch the loss was computed on the fold's validation images, without augmentation. The network of the epoch "
        "with the lowest such loss was kept"
        + (", among the epochs of the last loss, since losses of different kinds cannot be compared: " if two else ": ")
        + (f"epoch {best[0]} in every training." if len(best) == 1 else f"one of the epochs {spread(best)}."),
        "Out-of-fold predictions are therefore of patients on whom the network was not trained, but on whom its epoch was "
        "chosen; they may be somewhat optimistic.",
        "Patients outside the folds had no part in any choice that the workflow makes." if study.tested else "",
    ]


def _ensembling(study: MethodsStudy) -> str:
    ensemble = study.recipe["ensemble"]
    averages = {
        "probability": "by the mean of their probabilities",
        "logit": "by the logistic function of the mean of their logits",
        "vote": "by the share of them whose own probability was at least 0.5",
    }
    own = "Images of the cross-validation were predicted by the one network of a model that had not been trained on their patient"
    others = f", all other images by the ensemble of its {study.folds} networks, {averages[ensemble['average']]}"
    return (
        f"{own}{others if study.tested or study.names('predict') else ''}. A pixel was called mass where the result was at least "
        f"{number(ensemble['threshold'])}; this threshold is set by the configuration and not tuned by the workflow."
    )
