"""The methods text: every number is that of the input, every sentence fits its study, and no config key is forgotten."""

import copy
import random
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from test_triggers import GIVEN, changed, keys

from mammoseg import indexing
from mammoseg.methods_recipe import methods_recipe
from mammoseg.study import Study
from mammoseg.tables.methods import SECTIONS, MethodsStudy, count_study, methods_text
from mammoseg.tables.methods.counts import LEFT_OUT
from mammoseg.tables.methods.prose import by_model, counted, escaped, listed, number, percent, spread

RAW = "it is raw detector data (FOR PROCESSING), not meant to be shown"
DESCRIBED = ("training", "augmentation", "image", "splits", "statistics", "detection", "ensemble", "normalisation")
NO_DIFFERENCE = {
    "training.accelerator",  # said is what was computed on
    "training.precision",  # said is what was computed in
    "training.workers",
    "training.overlays_every",
    "image.keep_injected",
    "image.voi_lut.file",  # a path
    "image.voi_lut.explanation",  # what viewers call it
    "splits.patients_per_shard",
    "ensemble.batch_size",
}
"""Keys of these sections whose values make no difference to what is said; a new key belongs here, or into the text."""


def image(name, masses="1", view="CC", spacing="0.1", windowing="voi_lut", **rendered):
    """Row of an index and of a manifest of image `name`, whose first letter is its patient."""
    row = {
        "image_id": f"id-{name}",
        "n_masses": masses,
        "view": view,
        "pixel_spacing_mm": spacing,
        "patient_id": f"patient-{name[0]}",
    }
    return row, {
        "image_id": row["image_id"],
        "status": "ok",
        "explanation": "",
        "windowing": windowing,
        "mirrored": "0",
    } | rendered


def ours():
    """A training archive in which everything happens that may."""
    broken = {"status": "undecodable", "explanation": "no installed decoder can read its pixels"}
    return [
        image("a1", "2"), image("a2", "0", "MLO"), image("b1", view="MLO", windowing="window"), image("b2", **broken),
        image("c1", spacing="0.07"), image("c2"), image("d1", windowing="injected", mirrored="1"), image("d2", "0", windowing="injected"),
        image("e1", spacing=""), image("f1", ""), image("w1"), image("w2"),
    ]  # fmt: skip


def theirs():
    return [
        image("x1", view="", spacing="", windowing="injected"),
        image("y1", view="", spacing="", windowing="injected"),
    ]


PLACES = {
    "a": ("train", "0"), "b": ("train", "1"), "c": ("train", "1"), "d": ("holdout", ""), "e": ("new", ""), "f": ("train", "0"),
    "x": ("external", ""), "y": ("external", ""),
}  # fmt: skip
EXCLUDED = [
    {"reason": "for_processing", "explanation": RAW},
    {"reason": "mask_size", "explanation": "a mask has 5 x 6 pixels"},
    {"reason": "mask_size", "explanation": "a mask has 4 x 6 pixels"},
]


class Small:
    """A small study: what its files hold, and the text that is made of them.

    Attributes
    ----------
    config : dict
        config/config.yaml with two data sets of our own.
    rows, excluded : dict of data set to rows
    places : dict of patient's letter to (role, fold)
    waiting : set of image ids
    missing : bool
        Whether the weights that the config asks for could not be had.
    cost, hardware, commit, versions, best : what model.json says; `best` by fold
    """

    def __init__(self, config, schema):
        self.config, self.schema = config, schema
        config["datasets"] = [
            {"name": "ours", "importer": "manifest", "root": "/secret/ours", "role": "train"},
            {"name": "theirs", "importer": "inbreast", "root": "/secret/theirs", "role": "external"},
        ]
        config["splits"]["folds"] = 2
        config["training"]["workers"] = 0
        config["weights"]["gmic"]["file"] = "/secret/weights.p"
        self.rows = {"ours": ours(), "theirs": theirs()}
        self.excluded = {"ours": EXCLUDED, "theirs": []}
        self.places = dict(PLACES)
        self.waiting = {"id-c2", "id-e1"}
        self.missing = False
        self.cost = {"seconds": 3000.0, "peak_memory_mb": 1480.0, "device": "cpu", "resumed": 0}
        self.hardware = [
            {"system": "Linux x86_64", "processor": "Some CPU", "cores": 4, "threads": 2, "precision": "32-true"}
        ]
        self.commit = "0123456789abcdef0123"
        self.versions = {"python": "3.11.7", "mammoseg": "0.1.0", "torch": "2.1.0", "solt": "0.2.1"}
        self.best = [7, 9]
        self.shuffle = lambda rows: list(rows)

    def models(self, study):
        people = {"a": ["patient-a"], "b": ["patient-b", "patient-c"]}
        found = {}
        for name, m in study.models.items():
            recipe = study.training_recipe(name)
            found[name] = [
                {
                    "model": m.spec,
                    "weights_used": "random" if self.missing else m.weights,
                    "recipe": recipe,
                    "normalisation": {"mean": 0.25 + fold / 100, "sd": 0.2},
                    "best_epoch": self.best[fold],
                    "parameters": {"encoder": 1_000_000, "decoder": 234_567, "total": 1_234_567},
                    "cost": self.cost,
                    "hardware": self.hardware,
                    "patients": {
                        "training": people["b" if fold == 0 else "a"],
                        "validation": people["a" if fold == 0 else "b"],
                    },
                    "versions": self.versions,
                    "commit": self.commit[str(fold)] if isinstance(self.commit, dict) else self.commit,
                }
                for fold in (0, 1)
            ]
        return found

    def text(self):
        study = Study(self.config, self.schema)
        counts = count_study(
            {d: self.shuffle(i for i, _ in rows) for d, rows in self.rows.items()},
            {d: self.shuffle(rows) for d, rows in self.excluded.items()},
            {d: self.shuffle(r for _, r in rows) for d, rows in self.rows.items()},
            self.shuffle(
                {"dataset": d, "patient_id": p, "role": self.places[p[-1]][0], "fold": self.places[p[-1]][1]}
                for d, rows in self.rows.items()
                for p in sorted({i["patient_id"] for i, _ in rows})
                if p[-1] in self.places
            ),
            self.waiting,
        )
        found = {"status": "random" if self.missing else "found", "source_sha256": "ab" * 32}
        weights = [
            {"weights": w, "encoder": e, "source": s} | found
            for w, e, s in (("gmic", "resnet22_gmic", "weights.p"), ("imagenet", "resnet34", "https://hub/r34"))
        ]
        recipe = methods_recipe(study)
        return methods_text(
            MethodsStudy(
                recipe["datasets"],
                recipe,
                counts,
                self.models(study),
                weights,
                8,
                {"pydicom": "3.0", "mammoseg": "0.1.0"},
            )
        )


@pytest.fixture
def small(config, schema):
    return Small(config, schema)


def section(text, title):
    """The paragraphs of one section."""
    return re.search(rf"^## {title}\n\n(.*?)(?=\n## |\Z)", text, re.M | re.S)[1].strip().split("\n\n")


def is_sound(text):
    """No trace of a value that is missing, of a wrong plural, or of a sentence that was put together badly."""
    assert not re.search(r"\bNone\b|\bnan\b|\binf\b|\bTrue\b|\bFalse\b|[{}]|  | [.,;:]|\.\.|,,|\(\)|\( | \)", text)
    nouns = "image|patient|file|mass|epoch|network|core|pair|training|fold"
    assert not re.search(rf"(?<![\d,.])1 ({nouns.replace('mass', 'masse')})s\b", text)
    assert not re.search(rf"(?<![\d,.])(?!1 )\d[\d,]* ({nouns})\b(?!-)", text)
    for block in text.split("\n\n")[2:]:
        assert block.startswith(("## ", "- ")) or (block[0].isupper() and block[-1] == "."), block


def test_the_sections_stand_in_claims_order(small):
    text = small.text()
    assert re.findall(r"^## (.*)$", text, re.M) == list(SECTIONS)
    assert list(SECTIONS) == [
        "Study design", "Data", "Reference standard", "Data partitions", "Model", "Training", "Evaluation",
        "Software and hardware", "To be written by the authors",
    ]  # fmt: skip
    is_sound(text)


def test_files_exclusions_images_and_patients_are_counted(small):
    first, second, *_ = section(small.text(), "Data")
    assert first == (
        "The data set ours was an archive with a table that names the patient and the masks of each image and served to develop the "
        "networks. It held 15 files. Excluded were 3 files; the recorded reasons were “a mask has 4 x 6 pixels” or alike (2 files) and "
        f"“{RAW}” (1 file). Withdrawn from the study were 2 images of 1 patient. Excluded because it could not be rendered was 1 image; "
        "the recorded reason was “no installed decoder can read its pixels”. This left 9 images of 6 patients (7 in CC view and 2 in "
        "MLO view). Annotated masses were present in 6 images of 5 patients (7 masses in all); no mass was annotated in 2 images; there "
        "was no reference for 1 image. Pixel spacings were known for 8 of them (0.07 to 0.1 mm)."
    )
    assert second == (
        "The data set theirs was the INbreast release (Moreira et al., Academic Radiology 19, 2012) and served for external testing "
        "only. It held 2 files. All were used: 2 images of 2 patients. Each showed at least one annotated mass (2 masses in all). The "
        "pixel spacing was not recorded."
    )


def test_every_file_is_accounted_for_once(small):
    assert LEFT_OUT == indexing.LEFT_OUT
    counts = count_study(
        {"ours": [i for i, _ in small.rows["ours"]]},
        {"ours": [*EXCLUDED, {"reason": "left_out", "explanation": "x"}]},
        {"ours": [r for _, r in small.rows["ours"]]},
        [{"dataset": "ours", "patient_id": f"patient-{p}", "role": r, "fold": f} for p, (r, f) in PLACES.items()],
        small.waiting,
    )
    release = counts.releases["ours"]
    aside = sum(r.files for r in (*release.excluded, *release.unusable))
    assert release.files == 16 == aside + release.left_out + release.withdrawn.images + release.usable.images
    assert release.usable.images == 9 == sum(g.images for g in counts.parts.values()) + release.later.images


def test_windowing_and_what_is_injected(small):
    text = "\n".join(section(small.text(), "Data"))
    assert (
        "was applied to 7 images, all of ours (a VOI LUT in 6 and a window in 1); where a file had several, a VOI LUT counted"
        in text
    )
    assert "Files without windowing (4 images: 2 of ours and 2 of theirs) were first given a sigmoid VOI LUT" in text
    assert "with c = 1,450 and w = 1,600 stored values, as a table of 4,096 entries" in text
    small.config["image"]["voi_lut"] |= {"kind": "mode"}
    assert "from 500 below the most frequent grey value of the breast to 800 above it" in small.text()
    small.config["image"]["voi_lut"] |= {"kind": "percentiles"}
    assert "a linear window between percentiles 1 and 99 of" in small.text()
    small.config["image"]["voi_lut"] |= {"kind": "window"}
    assert "a linear window of centre 1,450 and width 1,600 stored values" in small.text()
    small.config["image"]["voi_lut"] |= {"kind": "file", "file": "/secret/other.dcm"}
    assert "one and the same windowing, read from a file" in small.text()
    small.config["image"]["windowing"] = {"prefer": "window", "item": "HARDER"}
    assert "a window counted before a VOI LUT, and the one named “HARDER”, or else the first, was taken" in small.text()
    small.config["image"]["voi_lut"] |= {"kind": "none"}
    small.rows = {
        "ours": [image("a1", windowing="none"), image("b1", windowing="image"), image("c1", windowing="image")],
    }
    small.config["datasets"].pop()
    text = small.text()
    assert "Without windowing, the whole range of the stored bits was shown (1 image)." in text
    assert "Grey values of picture files (PNG, JPEG or TIFF; 2 images) were taken as they are." in text
    assert "Files without windowing" not in text
    is_sound(text)


def test_geometry_and_orientation(small):
    assert "resized to 512 × 512 pixels by area averaging" in small.text()
    assert "mass where at least 50% of its area was" in small.text()
    assert "left facing as they were stored" in small.text()
    small.config["image"] |= {"orient": "right", "side": 96, "mask_share": 0.125}
    text = small.text()
    assert "Breasts with the chest wall on the right were mirrored (1 image), so that all faced one way." in text
    assert "mass where at least 12.5% of its area was" in text
    assert "those for images of 512 × 512; they were scaled to 96 × 96" in text
    assert (
        "they were scaled"
        not in Small(
            copy.deepcopy(small.config) | {"image": small.config["image"] | {"side": 512}}, small.schema
        ).text()
    )


def test_partitions_are_counted_by_patient(small):
    first, second, third, fourth = section(small.text(), "Data partitions")
    assert first == (
        "Partitions were disjoint at the level of the patient: all images of one patient were in one of them. Of the 5 patients (7 "
        "images) of ours, a share of 20% was held out for testing: 2 images of 1 patient (1 image with a mass). The other 4 patients (5 "
        "images) were divided into 2 folds of 2 and 2 patients (3 and 2 images). Holdout and folds were drawn at random (seed 2022), "
        "patients with and without a mass spread evenly."
    )
    assert second == (
        "Only images with a mass were trained and validated on: 3 images of 3 patients. Each network was trained 2 times, each time on "
        "all folds but one (1 to 2 patients) and validated on that one (1 to 2 patients)."
    )
    assert third == (
        "For external testing there was theirs, 2 images of 2 patients (all with a mass). After the cohort had been fixed there arrived "
        "1 image of 1 patient who was not in it and 1 image of patients who were; they were predicted, but not trained on, and entered "
        "no mean."
    )
    assert "all 8 images of the scored partitions" in fourth
    assert (
        "hash of 256 bits (at most 56 of them different), confirmed by a correlation of at least 0.65. No such pair was found."
        in fourth
    )
    small.config["leakage"]["allow"] = [["a" * 12, "b" * 12]]
    assert "No such pair was found, apart from 1 pair known to be different images." in small.text()


def test_images_without_a_mass_may_be_trained_on(small):
    small.config["splits"]["require_mass"] = False
    text = small.text()
    assert "were trained and validated on too, with an empty mask: 4 images in all." in text
    assert "mean ± sample SD over the images, by data set" in text
    assert "specificity" not in text
    is_sound(text)


def test_without_holdout_and_external_set_nothing_was_tested(small):
    small.config["splits"]["holdout"] = 0
    small.places["d"] = ("train", "0")
    text = small.text()
    assert "There was no holdout. The folds were drawn at random" in text
    assert "The 5 patients (7 images) of ours were divided into 2 folds of 3 and 2 patients (5 and 2 images)." in text
    assert "tested on theirs, on which nothing was trained." in text
    is_sound(text)
    small.config["datasets"].pop()
    del small.rows["theirs"]
    text = small.text()
    assert "No patient was set aside for testing: all results are those of the cross-validation." in text
    assert "ensemble" not in text.lower()
    assert "Patients outside the folds" not in text
    is_sound(text)
    small.config["splits"]["holdout"] = 0.01
    assert "A holdout of 1% came to no patient." in small.text()


def test_several_training_sets_that_share_patients_and_one_that_is_only_predicted(small):
    small.config["datasets"] += [
        {
            "name": "more",
            "importer": "cbis_ddsm",
            "root": "/secret/more",
            "role": "train",
            "where": {"official_split": "train"},
        },
        {"name": "unread", "importer": "manifest", "root": "/secret/unread", "role": "predict"},
    ]
    small.config["datasets"][0]["site"] = small.config["datasets"][2]["site"] = "here"
    small.rows |= {"more": [image("a3"), image("b3")], "unread": [image("z1", "")]}
    small.places["z"] = ("predict", "")
    small.excluded |= {"more": [{"reason": "left_out", "explanation": "x"}] * 2, "unread": []}
    text = small.text()
    assert "Of the 5 patients (9 images) of ours and more, a share" in text, "who is in both counts once"
    assert "Equal patient numbers in ours and more meant the same person." in text
    assert "Only images whose official\\_split was “train” were eligible; 2 files were not." in text
    assert "For prediction alone there was unread, 1 image of 1 patient." in text
    assert "It was used: 1 image of 1 patient (1 in CC view). There was no reference for it." in text
    assert "for more, the masks that the release's tables of masses name" in text
    assert "for unread" not in text, "it has no reference"
    is_sound(text)


def test_networks_are_described_with_their_parameters_and_weights(small):
    text = small.text()
    assert (
        "- resnet22-unet-gmic: GMIC's ResNet-22 (1,000,000 trainable parameters) with U-Net (234,567), together 1,234,567; the encoder "
        "started from GMIC weights."
    ) in text
    assert (
        "They differed in encoder (ResNet-34 or GMIC's ResNet-22), decoder (U-Net or FPN) and what the encoder started from"
        in text
    )
    assert "The ImageNet weights of ResNet-34 came from https://hub/r34 (SHA-256 abababababab…)." in text
    assert "The GMIC weights of GMIC's ResNet-22 came from a local file (SHA-256 abababababab…)." in text
    assert "not available" not in text


def test_weights_that_were_missing_are_confessed(small):
    small.missing = True
    text = small.text()
    assert "the encoder started from random values." in text
    assert "came from" not in text
    assert (
        "The weights asked for were not available (ImageNet weights for resnet34-unet-imagenet and resnet34-fpn-imagenet; GMIC weights for "
        "resnet22-unet-gmic and resnet22-fpn-gmic)"
    ) in text
    assert "what the encoder started from (" not in text
    is_sound(text)


def test_one_network(small):
    small.config["models"] = [
        {"name": "only", "encoder": "efficientnet-b0", "decoder": "smp.UnetPlusPlus", "weights": "random"}
    ]
    small.config["models"][0]["seed"] = 7
    text = small.text()
    assert (
        "a neural network that segments masses in mammograms, that is marks them pixel by pixel, with efficientnet-b0 as encoder"
        in text
    )
    assert (
        "It was trained and validated by 2-fold cross-validation on ours, and its ensemble over the folds was tested on"
        in text
    )
    assert "The decoder UnetPlusPlus was taken from segmentation-models-pytorch with default settings." in text
    assert "from the fold and a fixed seed, 7;" in text
    assert "Every pair" not in text
    assert "ResNet-22" not in text
    is_sound(text)


def test_networks_with_stems_seeds_and_settings_of_their_own(small):
    models = small.config["models"]
    models.append(
        {
            "name": "gmic-stem",
            "encoder": "resnet22_gmic",
            "decoder": "unet",
            "weights": "gmic",
            "stem": "gmic",
            "seed": 5,
        }
    )
    own = {
        "batch_size": 8,
        "accumulate": 4,
        "learning_rate": 1e-3,
        "compile": True,
        "deterministic": False,
        "optimizer": "adamw",
    }
    models[-1]["training"] = own | {"schedule": {"milestones": [99], "freeze_encoder_epochs": 1}}
    text = small.text()
    assert "stem of the encoder (dense or gmic)" in text
    assert "random seed (2022 or 5)" in text
    assert "settings of the training (see below)" in text
    assert "strides 2 to 32 (dense stem) and with the max-pooling" in text
    assert "- gmic-stem: GMIC's ResNet-22, gmic stem (1,000" in text
    assert (
        "A batch held 32 images (but 8 images with gradients accumulated over 4 batches for each step for gmic-stem)."
    ) in text
    assert "multiplied by 0.1 after each of the epochs 40, 50 and 60 (but was 0.001 throughout for gmic-stem)." in text
    assert "They were compiled by torch.compile for gmic-stem." in text
    others = "resnet34-unet-imagenet, resnet22-unet-gmic, resnet34-fpn-imagenet and resnet22-fpn-gmic"
    assert f"only deterministic algorithms were used for {others}." in text
    assert "fixed batch-norm statistics (but frozen in the first epoch, without" in text
    assert "The optimiser was Adam (but AdamW for gmic-stem), with a weight decay of 0.0001." in text
    assert "from the fold and a fixed seed, 2022 (but 5 for gmic-stem);" in text
    is_sound(text)


def test_losses_and_the_choice_of_the_epoch(small):
    text = small.text()
    assert "Training ran for 80 epochs, 20 with a combined loss and then 60 with the focal Tversky loss." in text
    assert "the soft Jaccard index from sums over the image, averaged over images; ω was 0.5." in text
    assert "averaged over images; α was 0.7, κ was 0.75. The fractions were kept defined by ε = 1 × 10⁻⁶." in text
    assert (
        "among the epochs of the last loss, since losses of different kinds cannot be compared: one of the epochs 7 to 9."
        in text
    )
    assert "on whom the network was not trained, but on whom its epoch was chosen" in text
    schedule = small.config["training"]["schedule"]
    schedule |= {"combined_epochs": 0, "focal_tversky_epochs": 1, "freeze_encoder_epochs": 0, "policy": "one_cycle"}
    small.best = [1, 1]
    text = small.text()
    assert "Training ran for 1 epoch with the focal Tversky loss." in text
    assert "BCE" not in text
    assert "was kept: epoch 1 in every training." in text
    assert "The learning rate followed one cycle over all epochs, up to 0.0001 and down again." in text
    assert "The encoder was trained from the first epoch on." in text
    is_sound(text)
    schedule |= {"combined_epochs": 2, "focal_tversky_epochs": 0}
    small.config["training"]["loss"]["reduction"] = "pixel"
    text = small.text()
    assert "Training ran for 2 epochs with a combined loss." in text
    assert "the soft Jaccard index of each pixel, averaged;" in text
    assert "Tversky" not in text


def test_augmentation_in_words(small):
    text = small.text()
    assert (
        "In every epoch training images were augmented anew (by SOLT), in this order, each with a probability of 0.5: rotation by −3 to 3 "
        "degrees; scaling by a factor of 0.7 to 1.3; translation by −50 to 50 pixels in either direction; a random crop to 448 × 448 "
        "pixels, padded back to the full frame; horizontal flip; gamma correction with γ of 0.5 to 1.8 (grey value to the power of "
        "1/γ); 30 to 100 added to the 8-bit grey values; grey values multiplied by 0.7 to 1.3; salt-and-pepper noise in a share of 0 to "
        "0.1 of the pixels; Gaussian noise blended in with a weight of 0 to 0.5; Gaussian blur (kernel of 3, 7 or 11 pixels, σ of 1 to "
        "5 pixels); median blur (kernel of 3, 7 or 11 pixels); cutout of a square of 20% of the side, in the image but not in the mask."
    ) in text
    assert "training images, augmented as above and drawn twice each (mean 0.250 to 0.260, SD 0.200)." in text
    settings = small.config["augmentation"]
    settings |= {k: None for k in settings if k not in ("flip", "device", "probability")} | {
        "probability": 1,
        "device": "gpu",
    }
    text = small.text()
    assert "(drawn by SOLT and carried out by PyTorch on the device of the training), always: horizontal flip." in text
    small.config["normalisation"]["augmented"] = False
    assert "training images without augmentation (mean" in small.text()
    settings["flip"] = None
    assert "Training images were not augmented." in small.text()
    settings |= {"flip": "vertical", "probability": 0}
    assert "Training images were not augmented." in small.text()


def test_ensembles_and_thresholds(small):
    assert (
        "by the ensemble of its 2 networks, by the mean of their probabilities. A pixel was called mass where the result was at least 0.5;"
        in small.text()
    )
    small.config["ensemble"] |= {"average": "vote", "threshold": 0.4}
    text = small.text()
    assert "by the share of them whose own probability was at least 0.5." in text
    assert "the result was at least 0.4;" in text


def test_statistics_and_detection(small):
    small.config["statistics"] = {"margin": 0.03, "alpha": 0.1, "resamples": 1999, "sizes_mm": [15]}
    small.config["detection"] = {"min_iou": 0.3, "centre_inside": False}
    text = small.text()
    assert "Confidence intervals (90%)" in text
    assert "from 1,999 draws of patients" in text
    assert "equivalence within ±0.03 Dice" in text
    assert "The level of significance was 0.1." in text
    assert "(limit at 15 mm;" in text
    assert "their IoU was at least 0.3; a region" in text
    is_sound(text)


def test_software_hardware_and_time(small):
    first, second = section(small.text(), "Software and hardware")
    assert "mammoseg 0.1.0 (networks trained at commit 0123456789ab), whose" in first
    assert first.endswith("on Python 3.11.7, PyTorch 2.1.0, SOLT 0.2.1 and pydicom 3.0.")
    assert second == (
        "Each network was trained on 2 cores of a CPU (Some CPU), under Linux x86_64. Training took 6 h 40 min, summed over all 8 "
        "trainings, with a peak of 1.5 GB of memory each."
    )
    small.commit += "-dirty"
    small.cost |= {"resumed": 2}
    gpu = {"gpu": "Some GPU", "gpu_memory_mb": 24_100, "cuda": "12.4", "cudnn": 90100, "precision": "bf16-mixed"}
    small.hardware = [small.hardware[0] | gpu]
    text = small.text()
    assert "commit 0123456789ab with local changes" in text
    assert "trained on one Some GPU (24 GB; CUDA 12.4, cuDNN 90100), under" in text
    assert "1.5 GB of GPU memory each. Of these, 8 were broken off" in text
    assert "computed in mixed precision (bfloat16, losses in 32 bits)" in text
    small.commit = {"0": "0123456789abcdef0123", "1": "fedcba98765432100123"}
    assert "commits 0123456789ab and fedcba987654)" in small.text()
    small.commit = None
    assert "commit" not in small.text()


def test_phantoms_are_said_to_be_synthetic(small):
    phantom = {"layout": "oulu", "patients": 2, "seed": 1, "rows": 64, "columns": 64}
    for d in small.config["datasets"]:
        d |= {"phantom": phantom, "importer": "oulu", "root": f"results/phantoms/{d['name']}"}
    text = small.text()
    assert "All data were synthetic: the images were phantoms drawn by mammoseg" in text
    assert "The data set ours consisted of synthetic phantoms in the format of an archive of the Oulu" in text
    assert "for ours and theirs, the masses as they were drawn into the phantoms" in text
    assert "ethics" not in text
    is_sound(text)
    small.config["datasets"][1] = {"name": "theirs", "importer": "cdd_cesm", "root": "/secret/x", "role": "external"}
    text = small.text()
    assert "The images of ours were phantoms drawn by mammoseg, and “patient” there means a simulated one." in text
    assert "for theirs, the contours of the images whose findings name a mass, filled" in text
    assert "ethics approval" in text


def test_nothing_identifies_anyone_or_any_machine(small):
    text = small.text()
    assert not re.search(r"/secret|patient-|id-[a-z]\d|private", text)
    assert "weights.p" not in text


def test_same_study_same_bytes_whatever_the_order_of_the_rows(small):
    first = small.text()
    draw = random.Random(1)
    small.shuffle = lambda rows: draw.sample(rows := list(rows), len(rows))
    assert small.text() == first


def described():
    return [key for key, _ in keys() if key.split(".")[0] in DESCRIBED]


@pytest.mark.parametrize("key", described())
def test_every_key_is_said_or_known_to_make_no_difference(key, small):
    if key in GIVEN:
        small.config["image"]["voi_lut"] |= {"kind": GIVEN[key], "file": "/secret/a"}
    if key in ("image.voi_lut.center", "image.voi_lut.width", "image.voi_lut.entries"):
        assert small.config["image"]["voi_lut"]["kind"] == "sigmoid"
    before = small.text()
    small.config = changed(small.config, key)
    after = small.text()
    assert (after == before) == (key in NO_DIFFERENCE), "put a new key into the text, or into NO_DIFFERENCE"
    is_sound(after)


def test_the_list_of_keys_without_a_difference_names_no_key_that_is_gone():
    assert set(described()) >= NO_DIFFERENCE


def test_words():
    assert [counted(1, "mass", "masses"), counted(2, "mass", "masses"), counted(12345, "image")] == [
        "1 mass",
        "2 masses",
        "12,345 images",
    ]
    assert [listed("a"), listed("ab"), listed("abc", "or")] == ["a", "a and b", "a, b or c"]
    assert [number(x) for x in (0.003, 1e-6, 2.5e-7, -3, 1450, 1450.0, 0.5)] == [
        "0.003", "1 × 10⁻⁶", "2.5 × 10⁻⁷", "−3", "1,450", "1,450", "0.5",
    ]  # fmt: skip
    assert [spread([3, 1, 2]), spread([2, 2]), spread([0.2501, 0.2499], 3)] == ["1 to 3", "2", "0.250"]
    assert [percent(0.2), percent(0.07), percent(1 - 0.05), percent(1 / 3)] == ["20%", "7%", "95%", "33.3333%"]
    assert by_model({"a": "x", "b": "x"}) == "x"
    assert by_model({"a": "y", "b": "x", "c": "z", "d": "x"}) == "x (but y for a, and z for c)"
    assert by_model({"a": "x", "b": "y", "c": "x"}) == "x (but y for b)"
    assert escaped("a_b <i>\nc") == "a\\_b \\<i\\> c"


def test_the_script_is_light():
    code = "import sys; sys.path.insert(0, 'workflow/scripts'); import write_methods; print({'torch', 'pandas', 'pydicom'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "set()"
