"""The two synthetic sites: how large their detectors are, how bright they store, who is imaged how."""

from collections.abc import Iterator
from dataclasses import dataclass

from mammoseg.phantom.image import Mammogram, acquire
from mammoseg.phantom.patient import Exposure, Patient, make_patient, standard_exposures

LARGE, SMALL = (4084, 3328), (3328, 2560)  # rows and columns of INbreast's two formats
TRUE_PIXEL_MM = 0.07


@dataclass(frozen=True)
class Site:
    """A synthetic site at some resolution.

    Attributes
    ----------
    layout : str
        ``"oulu"`` or ``"inbreast"``.
    seed : int
        All its patients follow from it.
    rows, columns : int
        Of its images; of the larger of its two formats for ``"inbreast"``.
    """

    layout: str
    seed: int
    rows: int
    columns: int

    @property
    def white(self) -> int:
        """Stored value of brightness 1; air is 0."""
        return 4000 if self.layout == "oulu" else 2970

    @property
    def spacing_mm(self) -> float:
        """Side of a pixel such that the image covers a detector of true size, whatever its number of pixels."""
        rows, columns = SMALL if self.layout == "oulu" else LARGE
        return TRUE_PIXEL_MM * max(rows / self.rows, columns / self.columns)

    def format_of(self, number: int) -> tuple[int, int]:
        """(rows, columns) of a patient's images; every second patient of ``"inbreast"`` is on the small detector."""
        if self.layout == "oulu" or number % 2:
            return self.rows, self.columns
        return tuple(
            round(n * small / large) for n, small, large in zip((self.rows, self.columns), SMALL, LARGE, strict=True)
        )

    def patient(self, number: int) -> Patient:
        """The patient with this running number, from 1; large detectors are for large breasts."""
        small = self.layout == "oulu" or number % 2 == 0
        return make_patient(self.seed, number, 1.0 if small else 1.15)

    def exposures(self, patient: Patient) -> list[Exposure]:
        """What is taken of a patient: four images an exam; at ``"inbreast"`` patient 2 has a view from below more,
        patient 4 a repeated exposure.
        """
        taken = standard_exposures(patient)
        if self.layout == "inbreast" and patient.number == 2:
            taken.append(Exposure(1, "R", "FB"))
        if self.layout == "inbreast" and patient.number == 4:
            taken.append(Exposure(1, "L", "CC", repeat=1))
        return taken

    def images(self, patient: Patient) -> Iterator[Mammogram]:
        """Take the patient's images one after the other: pixels and truth as arrays, no file."""
        for exposure in self.exposures(patient):
            yield acquire(patient, exposure, *self.format_of(patient.number), self.spacing_mm)
