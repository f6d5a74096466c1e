"""What stands above and below each figure of the report; ``{dataset}`` and ``{level}`` (of the intervals) are put in."""

TITLES = {
    "cases": "Cases of {dataset}",
    "disputed": "Where the folds disagree: {dataset}",
    "dice": "Dice of every image",
    "differences": "Differences between the models",
    "sizes": "Dice by size of the mass",
    "groups": "Dice by group",
    "froc": "Masses found",
    "calibration": "Calibration",
    "thresholds": "The threshold, in the training part",
    "disagreement": "Disagreement of the folds as a warning",
    "training": "Training",
}
CAPTIONS = {
    "cases": "Cases from the best to the worst by the mean Dice over the models. Blue: the reference. Orange: the "
    "prediction. Masks and Dice on the original's own pixels; the picture behind them is what the network saw, laid back.",
    "disputed": "The cases on which the folds of the ensembles disagree most, by the mean over the models. Colour: SD over the "
    "folds' masks (mass from a probability of 0.5), none where all agree. Blue: the reference.",
    "dice": "Dice of every image with a mass. Dashed: the best brightness threshold, chosen on the training part.",
    "differences": "Difference of the mean Dice between the models of each pair, on the same images with a mass, with "
    "{level} bootstrap intervals over patients, for the networks as they were trained. Out of fold every image is scored by "
    "the fold that was not trained on it, elsewhere by the ensemble.",
    "sizes": "Mean Dice of the images with a mass, by the diameter of a disc of the largest mass's area, with "
    "{level} bootstrap intervals over patients; groups of fewer than five patients are left out. Without a pixel spacing by the "
    "diameter of all masses in % of the square's side. Dotted: the Dice that the reference keeps through the square.",
    "groups": "Mean Dice of the images with a mass by what is known of them, with {level} bootstrap intervals over "
    "patients; groups of fewer than five patients are left out.",
    "froc": "Share of the masses that are found against false positives per image, over all images, with and "
    "without a mass; a region's score is its mean probability. Dotted: 0.25, 0.5, 1 and 2 false positives"
    " per image.",
    "calibration": "Reliability curve over the pixels of all scored images, padding left out, in 15 bins; those of fewer "
    "than 100 pixels are not drawn. On the diagonal a probability means what it says.",
    "thresholds": "Mean Dice of the images with a mass in the training part, each scored by the fold that was not "
    "trained on it, at thresholds from 0.05 to 0.95. Shown only: the threshold of the config was used throughout.",
    "disagreement": "Mean of 1 − Dice over the images that are kept when those on whose mass the folds disagree most are "
    "put aside. A curve that rises from left to right: disagreement warns of failures.",
    "training": "Loss and Dice by epoch: thin lines are folds, thick ones their mean. The phases' losses are not "
    "comparable.",
}
