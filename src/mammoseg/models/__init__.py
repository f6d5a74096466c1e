"""The networks: an encoder that condenses the picture, a decoder that draws the mask, and the weights to start from."""

from mammoseg.models.build import build_model, check_model, parameter_counts

__all__ = ["build_model", "check_model", "parameter_counts"]
