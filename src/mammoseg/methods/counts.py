"""What the methods text counts of a release: files, exclusions with their reasons, images and patients of every part."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

LEFT_OUT = "left_out"
"""As `mammoseg.index.build_index` has it, which needs what reads DICOM."""
INDEXED = ("image_id", "patient_id", "n_masses", "view", "pixel_spacing_mm")
"""Columns of an index that are counted."""
RENDERED = ("image_id", "status", "explanation", "windowing", "mirrored")
"""Columns of a shard's manifest that are counted."""


@dataclass(frozen=True)
class Group:
    """Some images: how many, of how many patients; with a mass, and how many masses; and without a reference."""

    images: int = 0
    patients: int = 0
    images_with_mass: int = 0
    patients_with_mass: int = 0
    masses: int = 0
    without_reference: int = 0

    @classmethod
    def of(cls, images: Sequence[Mapping]) -> "Group":
        """Rows of an index, by `INDEXED`."""
        masses = [int(i["n_masses"] or 0) for i in images]
        with_mass = [i["patient_id"] for i, n in zip(images, masses, strict=True) if n]
        return cls(
            len(images),
            len({i["patient_id"] for i in images}),
            len(with_mass),
            len(set(with_mass)),
            sum(masses),
            sum(i["n_masses"] == "" for i in images),
        )

    @property
    def images_without_mass(self) -> int:
        return self.images - self.images_with_mass - self.without_reference


@dataclass(frozen=True)
class Reason:
    """Why some files were set aside, in the words of the first; `alike` where those of the others are the same."""

    files: int
    explanation: str
    alike: bool


@dataclass(frozen=True)
class Release:
    """The counts of one data set.

    Attributes
    ----------
    files : int
        All that the release holds: left out by the config's `where`, excluded, or indexed.
    left_out : int
    excluded, unusable : sequence of Reason
        Set aside when the release was indexed; indexed, but not to be rendered.
    withdrawn : Group
        Indexed images of patients who were taken out of the study.
    usable : Group
        What is left.
    later : Group
        Usable images of known patients that arrived after the cohort was locked.
    views : mapping of str to int
        Of the usable images.
    spacings : sequence of float
        Pixel spacing, mm, of the usable images where it is known.
    windowing : mapping of str to int
        How the usable images were shown: voi_lut, window, injected, none, or image for a picture.
    mirrored : int
    """

    files: int
    left_out: int
    excluded: Sequence[Reason]
    withdrawn: Group
    unusable: Sequence[Reason]
    usable: Group
    later: Group
    views: Mapping[str, int]
    spacings: Sequence[float]
    windowing: Mapping[str, int]
    mirrored: int


@dataclass(frozen=True)
class Counts:
    """The counts of a study.

    Attributes
    ----------
    releases : mapping of str to Release
        By data set, in the order given.
    parts : mapping of (role, fold) to Group
        The usable images of all data sets together, without those of known patients that arrived after the cohort was locked;
        roles as in splits.csv, and the fold where there is one, else empty text. Whoever is in two data sets counts once.
    """

    releases: Mapping[str, Release]
    parts: Mapping[tuple[str, str], Group]

    def role(self, role: str) -> list[Group]:
        """The groups of one role, by fold."""
        mine = {fold: group for (r, fold), group in self.parts.items() if r == role}
        return [mine[fold] for fold in sorted(mine, key=lambda fold: int(fold or -1))]

    def together(self, *roles: str) -> Group:
        """All images of some roles; nobody is in two of them."""
        groups = [group for role in roles for group in self.role(role)]
        return Group(*(sum(values) for values in zip(*(astuple(g) for g in (Group(), *groups)), strict=True)))


def count_study(
    indexes: Mapping[str, Iterable[Mapping]],
    excluded: Mapping[str, Iterable[Mapping]],
    rendered: Mapping[str, Iterable[Mapping]],
    splits: Iterable[Mapping],
    waiting: Collection[str],
) -> Counts:
    """Count files, images and patients.

    Parameters
    ----------
    indexes, excluded, rendered : mapping of str to rows
        Data set → rows of index.csv (`INDEXED`), of excluded.csv, and of the manifests of all its shards (`RENDERED`).
    splits : rows of splits.csv
        Whoever is not in it was withdrawn.
    waiting : collection of image_id
        Images that arrived after the cohort was locked.
    """
    places = {(r["dataset"], r["patient_id"]): (r["role"], r["fold"]) for r in splits}
    releases = {}
    parts: dict[tuple[str, str], list[Mapping]] = defaultdict(list)
    for dataset, index in indexes.items():
        shown = {r["image_id"]: r for r in rendered[dataset]}
        withdrawn, unusable, usable, later = [], [], [], []
        for image in index:
            place = places.get((dataset, image["patient_id"]))
            if place is None:
                withdrawn.append(image)
            elif shown[image["image_id"]]["status"] != "ok":
                unusable.append(shown[image["image_id"]])
            else:
                usable.append(image)
                (later if image["image_id"] in waiting and place[0] != "new" else parts[place]).append(image)
        aside = list(excluded[dataset])
        faults = [row for row in aside if row["reason"] != LEFT_OUT]
        releases[dataset] = Release(
            files=len(aside) + len(withdrawn) + len(unusable) + len(usable),
            left_out=len(aside) - len(faults),
            excluded=_reasons((row["reason"], row["explanation"]) for row in faults),
            withdrawn=Group.of(withdrawn),
            unusable=_reasons((row["status"], row["explanation"]) for row in unusable),
            usable=Group.of(usable),
            later=Group.of(later),
            views=Counter(i["view"] for i in usable),
            spacings=[float(i["pixel_spacing_mm"]) for i in usable if i["pixel_spacing_mm"]],
            windowing=Counter(shown[i["image_id"]]["windowing"] for i in usable),
            mirrored=sum(shown[i["image_id"]]["mirrored"] == "1" for i in usable),
        )
    return Counts(releases, {place: Group.of(images) for place, images in parts.items()})


def _reasons(found: Iterable[tuple[str, str]]) -> list[Reason]:
    """By reason code, the most frequent first."""
    texts: dict[str, list[str]] = defaultdict(list)
    for reason, explanation in found:
        texts[reason].append(explanation)
    return [
        Reason(len(said), min(said), len(set(said)) == 1)
        for _, said in sorted(texts.items(), key=lambda r: (-len(r[1]), r[0]))
    ]
