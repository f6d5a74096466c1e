"""The Methods section that a paper on the study needs."""
