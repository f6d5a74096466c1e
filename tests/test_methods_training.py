"""Training: losses, augmentation, ensembles."""

from described_study import is_sound


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
