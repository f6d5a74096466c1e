"""One probability map per image and model."""
