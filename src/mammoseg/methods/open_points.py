"""What no file of a study tells, and its authors must write themselves."""

from mammoseg.methods.study import MethodsStudy


def to_be_written(study: MethodsStudy) -> list[str]:
    """What no file of the study tells, as a list."""
    about_patients = [
        "ethics approval, and consent or its waiver;",
        "where, when and from whom the images were collected, prospectively or retrospectively; each archive's criteria of "
        "inclusion; age and other characteristics of the patients;",
        "mammography systems and acquisition; de-identification before the images came into this study;",
        "who drew the reference outlines, with which qualification and tool, and how far readers agree;",
    ]
    points = [
        *(["a study of patients: phantoms only show that the method runs;"] if study.only_phantoms else about_patients),
        "intended use, the primary partition and outcome, and the rationale of the sample size;",
        "how settings were chosen, and which others were tried; whether the cohort was extended after it was first drawn (who "
        "joins later is assigned by pseudonym to the holdout, or else to the smallest fold);",
        "registration, and where the protocol can be read;",
        "funding, the funders' role, and competing interests;",
        "where data, code and trained networks can be had.",
    ]
    return ["\n".join(f"- {point}" for point in points)]
