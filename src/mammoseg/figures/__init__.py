"""Figures in one house style: cases, training curves, Dice distributions, and one per table of evidence."""

from mammoseg.figures.cases import CaseView, DisputedView, choose_cases, choose_disputed, disagreement, qualitative
from mammoseg.figures.distribution import dice_distribution
from mammoseg.figures.style import save
from mammoseg.figures.training import training_curves

__all__ = [
    "CaseView", "DisputedView", "choose_cases", "choose_disputed", "dice_distribution", "disagreement", "qualitative", "save",
    "training_curves",
]  # fmt: skip
