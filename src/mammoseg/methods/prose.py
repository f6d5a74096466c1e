"""Words for prose: counts with their nouns, lists, numbers, and what is not the same for all models."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 image``, ``2 images``, ``12,345 images``."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def was(count: int) -> str:
    """The verb that goes with a count."""
    return "was" if count == 1 else "were"


def listed(items: Iterable[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, final = items
    return f"{', '.join(first)} {last} {final}" if first else final


def number(value: float) -> str:
    """At most six digits: ``0.003``, ``1,450``, ``1 × 10⁻⁶``, ``−50``."""
    text = f"{value:,}" if isinstance(value, int) else f"{value:,g}"
    mantissa, _, exponent = text.partition("e")
    if exponent:
        text = f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}"
    return f"−{text[1:]}" if text.startswith("-") else text


def spread(values: Iterable[float], places: int | None = None) -> str:
    """``5`` where all are equal, else ``4 to 6``; with `places`, so many decimals."""
    values = list(values)
    ends = (number(v) if places is None else f"{v:.{places}f}" for v in (min(values), max(values)))
    return " to ".join(dict.fromkeys(ends))


def percent(share: float) -> str:
    """``20%`` of 0.2."""
    return f"{number(round(100 * share, 6))}%"


def quoted(text: str) -> str:
    """A text that somebody else chose, in quotation marks; what Markdown would take for marks of its own is escaped."""
    return f"“{escaped(text)}”"


def escaped(text: str) -> str:
    """`text` as Markdown shows it unchanged."""
    return "".join(f"\\{c}" if c in "\\*_`<>[]|#" else c for c in " ".join(text.split()))


def by_model(said: Mapping[str, str]) -> str:
    """What is said of most models, and of the others by name: ``x``, or ``x (but y for b, and z for c and d)``."""
    models: dict[str, list[str]] = defaultdict(list)
    for model, words in said.items():
        models[words].append(model)
    common = max(models, key=lambda words: len(models[words]))
    others = [f"{words} for {listed(names)}" for words, names in models.items() if words != common]
    return common + (f" (but {', and '.join(others)})" if others else "")


def sentences(*said: str) -> str:
    """One paragraph of those that are not empty."""
    return " ".join(s for s in said if s)


def capitalised(text: str) -> str:
    """`text` as the beginning of a sentence."""
    return f"{text[0].upper()}{text[1:]}"


def distinct(values: Iterable[str]) -> Sequence[str]:
    """Each once, in the order of their first appearance."""
    return list(dict.fromkeys(values))
