"""The letterbox, by the name that the Python API promises."""

from mammoseg.images.letterbox import Letterbox

__all__ = ["Letterbox"]
