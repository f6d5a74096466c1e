"""What the methods text is written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mammoseg.methods.counts import Counts, Group
from mammoseg.methods.prose import counted, distinct, listed
from mammoseg.tables.rows import Models

ENCODERS = {"resnet34": "ResNet-34", "resnet22_gmic": "GMIC's ResNet-22"}
DECODERS = {"unet": "U-Net", "fpn": "FPN"}
WEIGHTS = {"imagenet": "ImageNet weights", "gmic": "GMIC weights", "random": "random values"}
"""What an encoder starts from."""


@dataclass(frozen=True)
class MethodsStudy:
    """The study as the methods text sees it.

    Attributes
    ----------
    datasets : sequence of mapping
        In the config's order: name, importer, role, phantom (bool), site, where.
    recipe : mapping
        ``splits``, ``seed``, ``image``, ``ensemble``, ``detection``, ``statistics`` as in the config, as far as their values are
        said; ``voi_lut``, what is injected where windowing is missing; ``allowed``, the number of pairs of images that count as
        different although they look alike.
    counts : Counts
    models : Models
        Name → its folds' model.json, in the config's order.
    weights : sequence of mapping
        Records of the pre-trained weights (`mammoseg.models.weights.fetch`).
    compared : int
        Images that were compared by content.
    versions : mapping of str to str
        Of the packages that prepared images and computed tables; those of the trainings stand in the models.
    """

    datasets: Sequence[Mapping]
    recipe: Mapping
    counts: Counts
    models: Models
    weights: Sequence[Mapping]
    compared: int
    versions: Mapping[str, str]

    def names(self, role: str) -> list[str]:
        """Data sets of one role: train, external or predict."""
        return [d["name"] for d in self.datasets if d["role"] == role]

    @property
    def phantoms(self) -> list[str]:
        return [d["name"] for d in self.datasets if d["phantom"]]

    @property
    def only_phantoms(self) -> bool:
        return len(self.phantoms) == len(self.datasets)

    @property
    def tested(self) -> bool:
        """Whether any image was tested on, by the ensembles."""
        return bool(self.names("external") or self.counts.together("holdout").images)

    @property
    def folds(self) -> int:
        return self.recipe["splits"]["folds"]

    @property
    def require_mass(self) -> bool:
        return self.recipe["splits"]["require_mass"]

    @cached_property
    def records(self) -> list[Mapping]:
        """model.json of all folds of all models."""
        return [fold for folds in self.models.values() for fold in folds]

    @cached_property
    def specs(self) -> dict[str, Mapping]:
        """Model → its name, encoder, decoder, weights, stem."""
        return {name: folds[0]["model"] for name, folds in self.models.items()}

    @cached_property
    def trainings(self) -> dict[str, Mapping]:
        """Model → the config's section `training`, its own values merged in."""
        return {name: folds[0]["recipe"]["training"] for name, folds in self.models.items()}

    @property
    def missing(self) -> dict[str, str]:
        """Model → the weights that it was to start from and could not."""
        return {
            name: self.specs[name]["weights"]
            for name, folds in self.models.items()
            if any(f["weights_used"] != f["model"]["weights"] for f in folds)
        }

    def seed_of(self, model: str) -> str:
        return str(self.models[model][0]["recipe"]["seed"])

    def started_from(self, model: str) -> str:
        """The weights that were really used, in words."""
        return listed(distinct(WEIGHTS[f["weights_used"]] for f in self.models[model]))


def encoder(spec: Mapping) -> str:
    """A model's encoder in words."""
    return ENCODERS.get(spec["encoder"], spec["encoder"])


def decoder(spec: Mapping) -> str:
    """A model's decoder in words."""
    return DECODERS.get(spec["decoder"], spec["decoder"].removeprefix("smp."))


def images_of(group: Group) -> str:
    """``45 images of 10 patients``."""
    return f"{counted(group.images, 'image')} of {counted(group.patients, 'patient')}"
