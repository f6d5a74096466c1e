"""Models, in words: architecture, parameters, initialisation."""

from mammoseg.methods.prose import distinct, listed, sentences, was
from mammoseg.methods.study import DECODERS, WEIGHTS, MethodsStudy, decoder, encoder

STEMS = {
    "dense": "without the max-pooling behind its first convolution, so that its features lay at strides 2 to 32",
    "gmic": "with the max-pooling behind its first convolution, as it was published",
}
IN_FULL = {
    "unet": "The U-Net decoder began at the deepest features, max-pooled 2 × 2, and had 6 steps, each a twofold "
    "enlargement (nearest neighbour) and 2 convolutions (3 × 3, batch normalisation, ReLU), and took in the encoder's "
    "features of all 5 levels; a spatial dropout of 0.2 and a 1 × 1 convolution followed.",
    "fpn": "The FPN decoder turned 4 levels of the encoder's features into a pyramid of 256 channels, from which branches of 128 "
    "channels each were enlarged to the finest of these levels and concatenated; a 3 × 3 convolution, a spatial dropout of "
    "0.2, a 1 × 1 convolution and bilinear enlargement followed.",
}
"""Decoders that are ours."""


def model(study: MethodsStudy) -> list[str]:
    """Architecture and initialisation."""
    return [_architecture(study), _list_of_models(study), _initialisation(study)]


def _architecture(study: MethodsStudy) -> str:
    specs, side = list(study.specs.values()), study.recipe["image"]["side"]
    decoders = distinct(s["decoder"] for s in specs)
    others = [decoder({"decoder": d}) for d in decoders if d not in DECODERS]
    replicated = distinct(encoder(s) for s in specs if s["encoder"] != "resnet22_gmic")
    stems = sorted({s["stem"] for s in specs if s["encoder"] == "resnet22_gmic"})
    return sentences(
        f"Each network consisted of an encoder and a decoder, which turned an image of {side} × {side} pixels and one channel "
        "into one logit per pixel; its logistic function was taken as the probability of mass.",
        f"For {listed(replicated)} the channel was replicated three times." if replicated else "",
        "ResNet-22 is the single-channel encoder, with pre-activation, of GMIC, a classifier of breast cancer (Shen et al., "
        "Medical Image Analysis 68, 2021); it was "
        f"used {listed(STEMS[s] + (f' ({s} stem)' if len(stems) > 1 else '') for s in stems)}."
        if stems
        else "",
        *(IN_FULL[d] for d in decoders if d in IN_FULL),
        f"The decoder{'s' * (len(others) > 1)} {listed(others)} {was(len(others))} taken from segmentation-models-pytorch with "
        "default settings."
        if others
        else "",
    )


def _list_of_models(study: MethodsStudy) -> str:
    lines = []
    for name, spec in study.specs.items():
        of = study.models[name][0]["parameters"]
        stems = {s["stem"] for s in study.specs.values() if s["encoder"] == spec["encoder"]}
        stem = f", {spec['stem']} stem" if len(stems) > 1 else ""
        lines.append(
            f"- {name}: {encoder(spec)}{stem} ({of['encoder']:,} trainable parameters) with {decoder(spec)} "
            f"({of['decoder']:,}), together {of['total']:,}; the encoder started from {study.started_from(name)}."
        )
    return "\n".join(lines)


def _initialisation(study: MethodsStudy) -> str:
    said = []
    for record in study.weights:
        asked_for = record["weights"], record["encoder"]
        if record["status"] == "found" and asked_for in {(s["weights"], s["encoder"]) for s in study.specs.values()}:
            source = record["source"] if str(record["source"]).startswith("http") else "a local file"
            digest = f" (SHA-256 {record['source_sha256'][:12]}…)" if record["source_sha256"] else ""
            of = encoder({"encoder": record["encoder"]})
            said.append(f"The {WEIGHTS[record['weights']]} of {of} came from {source}{digest}.")
    if missing := study.missing:
        asked = [
            f"{WEIGHTS[w]} for {listed(m for m in missing if missing[m] == w)}" for w in distinct(missing.values())
        ]
        said.append(
            f"The weights asked for were not available ({'; '.join(asked)}): there the encoder started from random values, so "
            "that nothing can be said about these initialisations."
        )
    return sentences("Decoders started from random values.", *said)
