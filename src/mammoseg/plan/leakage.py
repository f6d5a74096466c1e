"""Whether one image stands on both sides of a split under two names: compared by content, not by patient ids.

Copies are exact (the same PNG) or near (other windowing, compression, size or orientation). Near ones are searched by
`likeness.signature` and confirmed by `likeness.correlation`: two PNGs are read only where their signatures are alike.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mammoseg.images.similarity import correlation
from mammoseg.runtime.errors import UserError

# Signatures are alike up to this many different bits of 256. Measured by benchmarks/leakage.py on 165 real mammograms: those of
# two patients differ in 124 ± 9 bits, at least 83 in 13 467 pairs (phantoms: 120 ± 12, at least 63); those of a copy in up to
# 32 bits in 95 % of the images, whatever was done to it (gamma 0.5 to 2, JPEG 50, mirrored, resized, framed, shifted by
# 5 pixels). By a normal distribution, chance brings less than one pair of two patients in a million images.
ALIKE = 56
# The correlation that confirms a copy. On the same images: of two patients at most 0.28 (phantoms, among the pairs whose
# signatures are closest: 0.54, at side 64 0.61); of a copy above 0.77 in 95 % of the images, whatever was done to it.
SAME = 0.65
# Of more images than this that are all one (a test pattern, say) each is named, but not with every other.
CROWD = 50

# For the search, see `near_pairs` and `_equal_keys`.
BAND = 16
WORD_ALIKE = ALIKE // 4 + 2
BUCKET = 2000
BLOCK = 1 << 16


class Rendered(NamedTuple):
    """One rendered image: whose it is, and where it stands in the study, such as ``"fold 0"`` or ``"holdout"``."""

    image_id: str
    patient_id: str
    place: str
    png_sha256: str
    likeness: str
    png: Path


class Copy(NamedTuple):
    """Two images of different patients in different places that are one; `image_a` comes before `image_b`."""

    image_a: str
    patient_a: str
    place_a: str
    image_b: str
    patient_b: str
    place_b: str
    how: str
    correlation: float


def find_copies(
    records: Iterable[Rendered],
    read: Callable[[Path], np.ndarray],
    allowed: Collection[frozenset[str]] = (),
) -> list[Copy]:
    """Find the images that stand in two places under two patients.

    Two images of one patient, or of one place, are no concern of this check.

    Parameters
    ----------
    records : iterable of Rendered
        Each patient in one place. Where a digest or a likeness is empty, the image is not compared by it.
    read : callable
        Reads a PNG as (rows, columns) uint8 or uint16. Called for candidates only; its errors are passed on.
    allowed : collection of frozenset of two image ids
        Pairs that are known to be different images.

    Returns
    -------
    list of Copy
        Sorted. `how` is ``"exact"``, with correlation 1, or ``"near"``.
    """
    records = list(records)
    exact = set(_pairs(records, _groups(r.png_sha256 for r in records)))
    likes = _groups(r.likeness for r in records)
    words = np.frombuffer(bytes.fromhex("".join(records[group[0]].likeness for group in likes)), np.uint64)
    near = set(_pairs(records, likes, near_pairs(words.reshape(-1, 4)))) - exact

    read = lru_cache(maxsize=32)(read)  # pairs that share an image follow each other
    copies = []
    for i, j in sorted(exact | near):
        a, b = sorted((records[i], records[j]))
        if frozenset((a.image_id, b.image_id)) in allowed:
            continue
        how, alike = ("exact", 1.0) if (i, j) in exact else ("near", correlation(read(a.png), read(b.png)))
        if alike >= SAME:
            copies.append(Copy(*a[:3], *b[:3], how, alike))
    return sorted(copies)


def refuse_copies(copies: Sequence[Copy]) -> None:
    """Stop the run where there are copies.

    Raises
    ------
    UserError
        How many pairs there are, which is the first, and what to do.
    """
    if not copies:
        return
    first, n = copies[0], len(copies)
    raise UserError(
        f"{n} {'pair' if n == 1 else 'pairs'} of images of different patients in different parts of the study show the same "
        f"exposure; the first is image {first.image_a} of patient {first.patient_a} ({first.place_a}) and image "
        f"{first.image_b} of patient {first.patient_b} ({first.place_b}), correlation {first.correlation:.2f}: take one of the "
        f"two out of its release, or, if they truly are different images, add [{first.image_a}, {first.image_b}] to "
        "leakage.allow in the config."
    )


def near_pairs(codes: np.ndarray) -> np.ndarray:
    """Pairs of signatures that differ in at most `ALIKE` bits.

    Multi-index hashing (Norouzi, Punjani and Fleet, Fast Search in Hamming Space with Multi-Index Hashing, CVPR 2012), with
    bands of 16 bits, four in a word. Two signatures that differ in at most 31 bits have a word that differs in at most 7,
    and in it a band that differs in at most 1. So each signature is compared with those that agree with it in all bits of a
    band but one, first by the band's word, which is quick. Thus all pairs up to 31 bits are found, and nearly all beyond: a
    pair is missed only where the close bands lie in distant words (3 % of random pairs of 32 to 56 bits).

    Parameters
    ----------
    codes : (N, 4) array of uint64
        All different.

    Returns
    -------
    (M, 2) array of int64
        Rows of `codes`, the smaller first, sorted.
    """
    found = np.empty((0, 2), np.int64)
    for word in np.ascontiguousarray(codes.T):
        for band in range(0, 64, BAND):
            keys = (word >> np.uint64(band)).astype(np.uint16)
            close = [found]
            for bit in range(BAND):
                for pairs in _equal_keys(keys & ~np.uint16(1 << bit), word):
                    differ = np.bitwise_count(codes[pairs[:, 0]] ^ codes[pairs[:, 1]]).sum(axis=1)
                    close.append(np.sort(pairs[differ <= ALIKE], axis=1))
            found = np.unique(np.concatenate(close), axis=0)
    return found


def _equal_keys(keys: np.ndarray, word: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of rows with equal keys, (n, 2) int64 each, whose words differ in at most `WORD_ALIKE` bits.

    Rows with equal keys become neighbours by sorting; each is compared with the first after it, the second, and so on, all
    rows of a block (as many as the processor's cache holds) at once. Where more than `BUCKET` share a key, a row is compared
    with the next `BUCKET` only, so that such a crowd costs time by its number, not its square; another band may still tell.
    """
    order = np.argsort(keys, kind="stable")  # of 16-bit keys: a radix sort
    word = word[order]
    ends = np.cumsum(np.bincount(keys, minlength=1 << BAND))[keys[order]]
    following = np.minimum(ends - np.arange(len(keys)) - 1, BUCKET)
    for start in range(0, len(keys), BLOCK):
        rows = start + np.flatnonzero(following[start : start + BLOCK])
        step = 1
        while rows.size:
            close = rows[np.bitwise_count(word[rows] ^ word[rows + step]) <= WORD_ALIKE]
            yield np.stack([order[close], order[close + step]], axis=1)
            step += 1
            rows = rows[following[rows] >= step]


def _groups(texts: Iterable[str]) -> list[list[int]]:
    """Rows that share a text, group by group; rows without one are left out."""
    groups = defaultdict(list)
    for row, text in enumerate(texts):
        if text:
            groups[text].append(row)
    return list(groups.values())


def _pairs(
    records: Sequence[Rendered], groups: Sequence[Sequence[int]], alike: Iterable[tuple[int, int]] = ()
) -> Iterator[tuple[int, int]]:
    """Rows of different patients in different places, within each group and between the groups of each alike pair."""

    def apart(i: int, j: int) -> bool:
        return records[i].patient_id != records[j].patient_id and records[i].place != records[j].place

    def candidates() -> Iterator[tuple[int, int]]:
        for group in groups:
            if len(group) <= CROWD:
                yield from combinations(group, 2)
            elif (other := next((j for j in group if apart(group[0], j)), None)) is not None:
                # Each with the first one, or, where that stands in its own place, with one that does not.
                yield from ((j, group[0] if apart(j, group[0]) else other) for j in group)
        for u, v in alike:
            yield from product(groups[u][:CROWD], groups[v][:CROWD])

    for i, j in candidates():
        if apart(i, j):
            yield min(i, j), max(i, j)
