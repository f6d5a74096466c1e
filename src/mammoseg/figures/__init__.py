"""Figures in one house style: cases, training curves, Dice distributions, and one per table of evidence."""

from mammoseg.figures.cases import CaseView, choose_cases, qualitative
from mammoseg.figures.distribution import dice_distribution
from mammoseg.figures.style import save
from mammoseg.figures.training import training_curves

__all__ = ["CaseView", "choose_cases", "dice_distribution", "qualitative", "save", "training_curves"]
