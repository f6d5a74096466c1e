"""What is measured of masks: overlap and distances, lesions found, calibration."""

from mammoseg.metrics.overlap import dice, iou

__all__ = ["dice", "iou"]
