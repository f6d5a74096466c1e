"""The Methods section that a paper on this study needs, made from its config, its counts and its models' records.

In the order of CLAIM, the Checklist for Artificial Intelligence in Medical Imaging (2024 update: Tejani et al., Radiology:
Artificial Intelligence 6, 2024). What no file tells is named at the end, so that nothing is invented.
"""

from mammoseg.methods.counts import INDEXED, RENDERED, count_study
from mammoseg.methods.data import data, reference
from mammoseg.methods.design import design
from mammoseg.methods.evaluation import evaluation
from mammoseg.methods.model import model
from mammoseg.methods.open_points import to_be_written
from mammoseg.methods.partitions import partitions
from mammoseg.methods.software import software
from mammoseg.methods.study import MethodsStudy
from mammoseg.methods.training import training

__all__ = ["INDEXED", "RENDERED", "MethodsStudy", "count_study", "methods_text"]

LEAD = (
    "A draft in the order of CLAIM (Checklist for Artificial Intelligence in Medical Imaging, 2024 update), made by mammoseg "
    "from the configuration, the counts and the models of this study. What these do not tell stands at the end, for the "
    "authors to write."
)
SECTIONS = {
    "Study design": design,
    "Data": data,
    "Reference standard": reference,
    "Data partitions": partitions,
    "Model": model,
    "Training": training,
    "Evaluation": evaluation,
    "Software and hardware": software,
    "To be written by the authors": to_be_written,
}
"""In CLAIM's order."""


def methods_text(study: MethodsStudy) -> str:
    """The section in Markdown: a heading for each part, paragraphs, and lists. The same study gives the same text."""
    parts = ["# Methods", f"*{LEAD}*"]
    for title, write in SECTIONS.items():
        parts += [f"## {title}", *write(study)]
    return "\n\n".join(parts) + "\n"
