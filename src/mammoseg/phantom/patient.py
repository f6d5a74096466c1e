"""Who comes to a synthetic site, what she has, and which exposures are taken; everything follows from (seed, number)."""

from dataclasses import dataclass, replace

from mammoseg.phantom import lesions
from mammoseg.phantom.anatomy import Habitus, habitus
from mammoseg.phantom.lesions import LARGEST_MM, Lesion
from mammoseg.phantom.seeds import generator

# Breasts with a mass, by the patient's number modulo 10: about 30 % of the images show none, in a small release too.
AFFECTED = ("LR", "LR", "R", "LR", "", "LR", "L", "LR", "LR", "R")
# Findings that are no masses, by the number modulo 4, in every third breast: all of them among four patients.
OTHERS = ("distortion", "cluster", "cluster", "single")
PLAN, BODY, VIEW, BORDER, TISSUE = range(5)  # purposes of random streams


@dataclass(frozen=True)
class Exposure:
    """One image to be taken.

    Attributes
    ----------
    exam : int
        1, or 2 for the next screening round.
    laterality : str
        ``"L"`` or ``"R"``.
    view : str
        ``"CC"``, ``"MLO"`` or ``"FB"`` (from below).
    repeat : int
        0, or 1 for a second exposure of the same view.
    """

    exam: int
    laterality: str
    view: str
    repeat: int = 0

    @property
    def code(self) -> tuple[int, ...]:
        """Numbers for a random stream of this exposure."""
        return self.exam, "LR".index(self.laterality), ("CC", "MLO", "FB").index(self.view), self.repeat


@dataclass(frozen=True)
class Patient:
    """One synthetic patient.

    Attributes
    ----------
    seed, number : int
        The site's seed and the patient's running number, from 1.
    exams : int
        1; every eighth patient comes a second time.
    body : Habitus
        Size and density of the breasts.
    breasts : mapping of ``"L"`` and ``"R"`` to tuple of Lesion
        All annotated findings at the first exam, masses first.
    """

    seed: int
    number: int
    exams: int
    body: Habitus
    breasts: dict[str, tuple[Lesion, ...]]

    def lesions(self, exposure: Exposure) -> list[tuple[int, Lesion]]:
        """The findings that an exposure shows, with their running number in the breast; masses grow between exams."""
        view = "CC" if exposure.view == "FB" else exposure.view
        growth = 1.2 if exposure.exam == 2 else 1.0
        shown = [(k, lesion) for k, lesion in enumerate(self.breasts[exposure.laterality]) if view in lesion.angle]
        return [
            (
                k,
                replace(lesion, diameter=min(lesion.diameter * growth, LARGEST_MM))
                if lesion.kind == "mass"
                else lesion,
            )
            for k, lesion in shown
        ]


def make_patient(seed: int, number: int, size: float) -> Patient:
    """Draw a patient; `size` scales the breasts to the detector."""
    breasts = {}
    for side, name in enumerate("LR"):
        rng = generator(seed, number, PLAN, side)
        found = []
        if name in AFFECTED[number % len(AFFECTED)]:
            found.append(lesions.mass(rng, posterior=number % 10 == 1 and name == "R"))
            if rng.random() < 0.12:
                found.append(lesions.mass(rng))
        if (number + 2 * side) % 3 == 0:
            found.append(lesions.other_finding(rng, OTHERS[number % len(OTHERS)]))
        breasts[name] = tuple(found)
    exams = 2 if number % 8 == 5 else 1
    return Patient(seed, number, exams, habitus(generator(seed, number, BODY), size), breasts)


def standard_exposures(patient: Patient) -> list[Exposure]:
    """Four images an exam: right and left, CC and MLO."""
    return [
        Exposure(exam, side, view) for exam in range(1, patient.exams + 1) for view in ("CC", "MLO") for side in "RL"
    ]
