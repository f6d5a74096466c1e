"""Training one fold: data, augmentation, losses, the fit itself, and how it goes on after a stop."""
