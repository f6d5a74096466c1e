"""Study design, in words."""

from mammoseg.methods.prose import distinct, listed
from mammoseg.methods.study import MethodsStudy, decoder, encoder


def design(study: MethodsStudy) -> list[str]:
    """What was developed and compared, and on what it was tested."""
    one = len(study.models) == 1
    s = "s" if one else ""
    task = f"segment{s} masses in mammograms, that is mark{s} them pixel by pixel"
    if one:
        (spec,) = study.specs.values()
        parts = f"{encoder(spec)} as encoder and {decoder(spec)} as decoder"
        said = f"This study developed a neural network that {task}, with {parts}."
    else:
        said = (
            f"This study developed and compared {len(study.models)} neural networks that {task}. {_differences(study)}"
        )
    train, external = listed(study.names("train")), study.names("external")
    tested = [f"patients of {train} who had been held out"] if study.counts.together("holdout").images else []
    tested += [f"{listed(external)}, on which nothing was trained"] if external else []
    run = f"{'It was' if one else 'They were'} trained and validated by {study.folds}-fold cross-validation on {train}"
    if tested:
        ensembles = "its ensemble over the folds was" if one else "their ensembles over the folds were"
        run += f", and {ensembles} tested on {listed(tested, 'and on')}."
    else:
        run += ". No patient was set aside for testing: all results are those of the cross-validation."
    return [f"{said} {run}", *_synthetic(study)]


def _differences(study: MethodsStudy) -> str:
    aspects = {
        "encoder": [encoder(s) for s in study.specs.values()],
        "decoder": [decoder(s) for s in study.specs.values()],
        "stem of the encoder": [s["stem"] for s in study.specs.values()],
        "what the encoder started from": [study.started_from(m) for m in study.models],
        "random seed": [study.seed_of(m) for m in study.models],
    }
    found = [f"{a} ({listed(x, 'or')})" for a, values in aspects.items() if len(x := distinct(values)) > 1]
    if len({str(t) for t in study.trainings.values()}) > 1:
        found.append("settings of the training (see below)")
    return f"They differed in {listed(found)}." if found else "They differed in nothing but their names."


def _synthetic(study: MethodsStudy) -> list[str]:
    if not study.phantoms:
        return []
    which, there = ("All data were synthetic: the images", "")
    if not study.only_phantoms:
        which, there = f"The images of {listed(study.phantoms)}", "there "
    return [
        f"{which} were phantoms drawn by mammoseg, and “patient” {there}means a simulated one. Results on phantoms show that "
        "the method runs; they say nothing about patients."
    ]
