"""Models: architecture, parameters, weights, what they differ in."""

from described_study import is_sound


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
