"""Evaluation: statistics and detection as configured."""

from described_study import is_sound


def test_statistics_and_detection(small):
    small.config["statistics"] = {"margin": 0.03, "alpha": 0.1, "resamples": 1999, "sizes_mm": [15]}
    small.config["detection"] = {"min_iou": 0.3, "centre_inside": False}
    text = small.text()
    assert "Confidence intervals (90%)" in text
    assert "from 1,999 draws of patients" in text
    assert "equivalence within ±0.03 Dice" in text
    assert "The level of significance was 0.1." in text
    assert "(limit at 15 mm;" in text
    assert "their IoU was at least 0.3; a region" in text
    is_sound(text)
