"""Data and reference standard, in words: sources, exclusions with their reasons, pre-processing."""

from collections import Counter
from collections.abc import Mapping, Sequence

from mammoseg.datasets.registry import importer_class
from mammoseg.methods.counts import Group, Reason, Release
from mammoseg.methods.prose import (
    capitalised,
    counted,
    escaped,
    listed,
    number,
    percent,
    quoted,
    sentences,
    spread,
    was,
)
from mammoseg.methods.study import MethodsStudy, images_of

ROLES = {
    "train": "served to develop the networks",
    "external": "served for external testing only",
    "predict": "was predicted only, so that it entered no score",
}


def data(study: MethodsStudy) -> list[str]:
    """Sources, eligibility and exclusions, pre-processing, de-identification, missing data."""
    named = "Identifiers of patients, examinations and images were replaced by keyed pseudonyms (HMAC-SHA-256, 48 bits)"
    return [
        *(_source(d, study.counts.releases[d["name"]]) for d in study.datasets),
        sentences(*_rendering(study), *_geometry(study)),
        f"{named}, although phantoms identify no one."
        if study.only_phantoms
        else f"{named}, and the pixels were taken out of the files, whose headers hold further identifiers. The key and the "
        "original identifiers were kept apart from the results.",
        _missing(study),
    ]


def _source(dataset: Mapping, release: Release) -> str:
    importer = importer_class(dataset["importer"])
    source = importer.source
    if dataset["phantom"]:
        source = f"consisted of synthetic phantoms in the format of {importer.layout}"
    wanted = [f"{escaped(k)} was {quoted(v)}" for k, v in dataset["where"].items()]
    left_out = release.left_out
    return sentences(
        f"The data set {dataset['name']} {source} and {ROLES[dataset['role']]}. It held {counted(release.files, 'file')}.",
        f"Only images whose {listed(wanted)} were eligible; {counted(left_out, 'file')} {was(left_out)} not."
        if wanted
        else "",
        _set_aside("Excluded", "file", release.excluded),
        f"Withdrawn from the study {was(release.withdrawn.images)} {images_of(release.withdrawn)}."
        if release.withdrawn.images
        else "",
        _set_aside("Excluded because it could not be rendered", "image", release.unusable),
        _used(release),
        _masses(release.usable),
        _spacing(release),
    )


def _set_aside(how: str, noun: str, reasons: Sequence[Reason]) -> str:
    if not reasons:
        return ""
    files = sum(r.files for r in reasons)
    how = how.replace("it could", "they could") if files > 1 else how
    texts = [quoted(r.explanation) + ("" if r.alike else " or alike") for r in reasons]
    if len(reasons) == 1:
        return f"{how} {was(files)} {counted(files, noun)}; the recorded reason was {texts[0]}."
    texts = [f"{text} ({counted(r.files, noun)})" for text, r in zip(texts, reasons, strict=True)]
    return f"{how} {was(files)} {counted(files, noun)}; the recorded reasons were {listed(texts)}."


def _used(release: Release) -> str:
    usable = release.usable
    if not usable.images:
        return "This left no image."
    views = [f"{n:,} in {view} view" if view else f"{n:,} of unknown view" for view, n in sorted(release.views.items())]
    shown = "" if set(release.views) == {""} else f" ({listed(views)})"
    whole = usable.images == release.files
    lead = ("It was used:" if usable.images == 1 else "All were used:") if whole else "This left"
    return f"{lead} {images_of(usable)}{shown}."


def _masses(group: Group) -> str:
    if not group.images:
        return ""
    masses, rest = counted(group.masses, "mass", "masses"), group.images_without_mass
    if group.without_reference == group.images:
        return "There was no reference for any of them." if group.images > 1 else "There was no reference for it."
    if group.images_with_mass == group.images:
        return f"Each showed at least one annotated mass ({masses} in all)."
    found = []
    if group.images_with_mass:
        where = f"{counted(group.images_with_mass, 'image')} of {counted(group.patients_with_mass, 'patient')}"
        found.append(f"annotated masses were present in {where} ({masses} in all)")
    if rest:
        found.append(f"no mass was annotated in {counted(rest, 'image')}")
    if group.without_reference:
        found.append(f"there was no reference for {counted(group.without_reference, 'image')}")
    return f"{capitalised(listed(found, 'and') if len(found) < 3 else '; '.join(found))}."


def _spacing(release: Release) -> str:
    known, images = len(release.spacings), release.usable.images
    if not images:
        return ""
    if not known:
        return "The pixel spacing was not recorded."
    size = f"{spread(release.spacings)} mm"
    return (
        f"The pixel spacing was {size}."
        if known == images
        else f"Pixel spacings were known for {known:,} of them ({size})."
    )


def _rendering(study: MethodsStudy) -> list[str]:
    """How grey values were made, by what the files carry."""
    kinds = {d: r.windowing for d, r in study.counts.releases.items()}
    found = sum(kinds.values(), Counter())
    said = []
    if found.total() > found["image"]:
        said.append(
            "DICOM images were rendered as the standard prescribes (PS3.3, C.11): modality transformation, one windowing (VOI "
            "LUT or window), and inversion where the lowest value means white."
        )
    if found["voi_lut"] or found["window"]:
        both = [f"{w} in {found[k]:,}" for k, w in (("voi_lut", "a VOI LUT"), ("window", "a window")) if found[k]]
        said.append(
            f"The windowing of the file itself was applied to {_of_which(kinds, 'voi_lut', 'window')} ({listed(both)}); "
            f"{_choice_of_windowing(study.recipe['image']['windowing'])}."
        )
    if found["injected"]:
        said.append(
            f"Files without windowing ({_of_which(kinds, 'injected')}) were first given {_injected(study.recipe['voi_lut'])}."
        )
    if found["none"]:
        said.append(f"Without windowing, the whole range of the stored bits was shown ({_of_which(kinds, 'none')}).")
    if found["image"]:
        said.append(
            f"Grey values of picture files (PNG, JPEG or TIFF; {_of_which(kinds, 'image')}) were taken as they are."
        )
    return said


def _choice_of_windowing(windowing: Mapping) -> str:
    first, second = ("VOI LUT", "window") if windowing["prefer"] == "lut" else ("window", "VOI LUT")
    item = windowing["item"]
    which = "the first of them"
    if item != 1:
        which = f"{f'number {item}' if isinstance(item, int) else f'the one named {quoted(item)}'}, or else the first,"
    return f"where a file had several, a {first} counted before a {second}, and {which} was taken"


def _of_which(kinds: Mapping[str, Counter], *wanted: str) -> str:
    """``45 images, all of site-b``."""
    counts = {d: n for d, found in kinds.items() if (n := sum(found[k] for k in wanted))}
    images = counted(sum(counts.values()), "image")
    if len(kinds) == 1:
        return images
    if len(counts) == 1:
        return f"{images}{', all' if sum(counts.values()) > 1 else ''} of {next(iter(counts))}"
    return f"{images}: {listed(f'{n:,} of {d}' for d, n in counts.items())}"


def _injected(voi: Mapping) -> str:
    match voi["kind"]:
        case "sigmoid":
            return (
                f"a sigmoid VOI LUT, y = 1 / (1 + exp(−4 (x − c) / w)) with c = {number(voi['center'])} and w = "
                f"{number(voi['width'])} stored values, as a table of {number(voi['entries'])} entries that runs from 0 to 65,535"
            )
        case "window":
            return f"a linear window of centre {number(voi['center'])} and width {number(voi['width'])} stored values"
        case "mode":
            below, above = number(voi["mode"]["below"]), number(voi["mode"]["above"])
            return f"a linear window from {below} below the most frequent grey value of the breast to {above} above it"
        case "percentiles":
            low, high = map(number, voi["percentiles"])
            return f"a linear window between percentiles {low} and {high} of the grey values of the breast"
        case "file":
            return "one and the same windowing, read from a file"
    raise ValueError(f"nothing is injected by voi_lut.kind {voi['kind']!r}")


def _geometry(study: MethodsStudy) -> list[str]:
    image, mirrored = study.recipe["image"], sum(r.mirrored for r in study.counts.releases.values())
    return [
        "The 16-bit pictures were padded to a square with their darkest value, at the bottom and on the side away from the "
        f"chest wall, and resized to {image['side']} × {image['side']} pixels by area averaging (linear interpolation where "
        "they were smaller), so that the aspect ratio was kept.",
        "Breasts were left facing as they were stored."
        if image["orient"] == "as_is"
        else f"Breasts with the chest wall on the right were mirrored ({counted(mirrored, 'image')}), so that all faced one way.",
        f"Masks went the same way: a pixel was mass where at least {percent(image['mask_share'])} of its area was, and a mass "
        "of which no pixel was left kept the one that it covered most.",
        "For the networks the values were rounded to 8 bits.",
    ]


def _missing(study: MethodsStudy) -> str:
    scored = [study.counts.releases[d["name"]] for d in study.datasets if d["role"] != "predict"]
    without = sum(r.usable.without_reference for r in scored)
    return sentences(
        "No value was imputed.",
        f"Images without a reference ({without:,}) were predicted, but neither trained on nor scored."
        if without
        else "",
        "Scores in millimetres leave out the images whose pixel spacing is unknown."
        if any(len(r.spacings) < r.usable.images for r in scored)
        else "",
        "Where neither reference nor prediction held a pixel, overlap is undefined, and the image entered no mean of it.",
    )


def reference(study: MethodsStudy) -> list[str]:
    """Where the reference standard comes from."""
    scored = [d for d in study.datasets if d["role"] != "predict"]
    sources = [f"for {d['name']}, {importer_class(d['importer']).reference}" for d in scored if not d["phantom"]]
    if drawn := [d["name"] for d in scored if d["phantom"]]:
        sources.append(f"for {listed(drawn)}, the masses as they were drawn into the phantoms, hence known exactly")
    return [
        f"The reference standard was: {'; '.join(sources)}. All masses of an image were merged into one binary mask; benign and "
        "malignant masses were not told apart. Training, validation and testing used the same reference."
    ]
