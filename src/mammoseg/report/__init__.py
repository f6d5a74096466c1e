"""The report: one HTML file that opens anywhere, without a network."""

from mammoseg.report.build import build_report
from mammoseg.report.content import OF_AN_IMAGE, ReportFigure, StudyRecord

__all__ = ["OF_AN_IMAGE", "ReportFigure", "StudyRecord", "build_report"]
