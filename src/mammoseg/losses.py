"""The losses, by the name that the Python API promises."""

from mammoseg.training.losses import CombinedLoss, FocalTverskyLoss

__all__ = ["CombinedLoss", "FocalTverskyLoss"]
