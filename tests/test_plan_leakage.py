"""Copies across the parts of a study are found and stop it; what is no copy does not."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammoseg.images.breast import chest_wall_on_left
from mammoseg.images.letterbox import Letterbox
from mammoseg.images.similarity import signature
from mammoseg.phantom import Site
from mammoseg.plan import leakage
from mammoseg.plan.leakage import ALIKE, CROWD, Copy, Rendered, find_copies, near_pairs, refuse_copies
from mammoseg.plan.stop_sign import StopSign
from mammoseg.rebuild.digests import sha256
from mammoseg.runtime.errors import UserError


@pytest.fixture(scope="module")
def images():
    """Six rendered images of as many patients."""
    site = Site("oulu", 4, 416, 320)
    pixels = [next(iter(site.images(site.patient(n)))).stored(65535) for n in range(1, 7)]
    return [Letterbox(*p.shape, 256, pad_right=chest_wall_on_left(p)).image(p) for p in pixels]


@pytest.fixture
def record(tmp_path):
    """Writes an image and gives its record."""

    def make(image_id, patient, place, image):
        path = tmp_path / f"{image_id}.png"
        cv2.imwrite(str(path), image)
        return Rendered(image_id, patient, place, sha256(path), signature(image), path)

    return make


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def read_nothing(path):
    raise AssertionError(f"{path} was read")


def changed(image):
    """Mirrored, with another windowing, in 8 bit."""
    return np.rint(255 * (image[:, ::-1] / 65535) ** 1.4).astype(np.uint8)


def test_copies_are_found_and_nothing_else(images, record):
    records = [record(f"i{k}", f"p{k}", f"fold {k % 3}", image) for k, image in enumerate(images)]
    assert find_copies(records, read_nothing) == []
    records.append(record("a", "q1", "holdout", images[1]))
    records.append(record("z", "q2", "external inbreast", changed(images[4])))
    exact, near = find_copies(records, read)
    assert exact == Copy("a", "q1", "holdout", "i1", "p1", "fold 1", "exact", 1.0)
    assert near[:7] == ("i4", "p4", "fold 1", "z", "q2", "external inbreast", "near")
    assert 0.9 < near.correlation <= 1
    assert find_copies(reversed(records), read) == [exact, near]


def test_one_patient_or_one_place_is_no_copy(images, record):
    records = [
        record("a", "p1", "fold 0", images[0]),
        record("b", "p1", "fold 0", images[0]),
        record("c", "p1", "fold 1", images[0]),
        record("d", "p2", "fold 0", images[0]),
        record("e", "p3", "fold 0", changed(images[0])),
    ]
    found = [(c.image_a, c.image_b, c.how) for c in find_copies(records, read)]
    assert found == [("c", "d", "exact"), ("c", "e", "near")]
    assert find_copies(records[:2] + records[3:], read_nothing) == []


def test_an_image_on_three_sides_is_three_pairs(images, record):
    records = [record(f"i{k}", f"p{k}", f"fold {k}", images[0]) for k in range(3)]
    assert [(c.image_a, c.image_b) for c in find_copies(records, read_nothing)] == [
        ("i0", "i1"),
        ("i0", "i2"),
        ("i1", "i2"),
    ]


def test_allowed_pairs_are_left_out_unread(images, record):
    records = [record("a", "p1", "fold 0", images[0]), record("b", "p2", "fold 1", changed(images[0]))]
    assert len(find_copies(records, read, {frozenset(("a", "c"))})) == 1
    assert find_copies(records, read_nothing, {frozenset(("b", "a"))}) == []


def test_like_signatures_alone_are_no_copy(images, record):
    a, b = record("a", "p1", "fold 0", images[0]), record("b", "p2", "fold 1", images[1])
    reads = Counter()

    def counted(path):
        reads[path.name] += 1
        return read(path)

    assert find_copies([a, b._replace(likeness=a.likeness)], counted) == []
    assert reads == {"a.png": 1, "b.png": 1}


def test_what_is_empty_is_not_compared():
    records = [Rendered(f"i{k}", f"p{k}", f"fold {k}", "", "", Path("none.png")) for k in range(3)]
    assert find_copies(records, read_nothing) == []
    assert find_copies([], read_nothing) == []


def test_of_a_crowd_each_is_named_but_not_with_every_other():
    number = 4 * CROWD
    records = [Rendered(f"{k:04d}", f"p{k}", f"fold {k % 4}", "same", "", Path("none.png")) for k in range(number)]
    copies = find_copies(records, read_nothing)
    assert {i for c in copies for i in (c.image_a, c.image_b)} == {r.image_id for r in records}
    assert len(copies) == number - 1
    assert all(c.place_a != c.place_b for c in copies)
    assert find_copies([r._replace(place="holdout") for r in records], read_nothing) == []


def test_a_crowd_of_like_signatures_is_compared_by_its_first(monkeypatch, images):
    monkeypatch.setattr(leakage, "CROWD", 5)
    code = signature(images[0])
    other = f"{int(code, 16) ^ 1:064x}"
    records = [
        Rendered(f"{k:04d}", f"p{k}", f"fold {k % 2}", "", (code, other)[k % 2], Path("none.png")) for k in range(40)
    ]
    assert len(find_copies(records, lambda path: images[0])) == 25


def test_refused_in_one_sentence_that_says_what_to_do():
    refuse_copies([])
    copies = [
        Copy("aa", "p1", "fold 0", "bb", "p2", "holdout", "near", 0.934),
        Copy("cc", "p3", "fold 1", "dd", "p4", "external inbreast", "exact", 1.0),
    ]
    with pytest.raises(UserError) as two:
        refuse_copies(copies)
    for part in (
        "2 pairs",
        "image aa of patient p1 (fold 0)",
        "image bb of patient p2 (holdout)",
        "0.93",
        "take one of the two out",
    ):
        assert part in str(two.value)
    assert "add [aa, bb] to leakage.allow" in str(two.value)
    assert "cc" not in str(two.value)
    with pytest.raises(UserError, match="^1 pair of images .* image cc of patient p3"):
        refuse_copies(copies[1:])


def brute(codes, most):
    """All pairs up to `most` bits, by comparing each with each."""
    pairs = set()
    for i in range(len(codes) - 1):
        bits = np.bitwise_count(codes[i] ^ codes[i + 1 :]).sum(axis=1)
        pairs |= {(i, i + 1 + int(k)) for k in np.flatnonzero(bits <= most)}
    return pairs


def flipped(code, positions):
    bits = np.unpackbits(code.view(np.uint8))
    bits[positions] ^= 1
    return np.packbits(bits).view(np.uint64)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_search_finds_what_comparing_all_finds(share):
    """Planted neighbours at 1 to 80 bits; at a share of 0.8 of ones, buckets are full and chance brings neighbours too."""
    rng = np.random.default_rng(1)
    codes = np.packbits(rng.random((2000, 256)) < share, axis=1).view(np.uint64)
    for k in range(800):
        codes[1999 - k] = flipped(codes[k], rng.permutation(256)[: 1 + k % 80])
    found = {(int(i), int(j)) for i, j in near_pairs(codes)}
    possible = brute(codes, ALIKE)
    assert brute(codes, 31) <= found <= possible
    assert len(possible) >= 550
    assert len(found) > 0.97 * len(possible)


def test_31_bits_are_found_in_the_worst_order():
    """Two bits in each band but one: the band with one bit must be enough, wherever it lies."""
    rng = np.random.default_rng(2)
    base = rng.integers(0, 2**64, (16, 4), dtype=np.uint64)
    twins = []
    for band, code in enumerate(base):
        positions = [16 * k + int(p) for k in range(16) for p in rng.permutation(16)[: 1 if k == band else 2]]
        twins.append(flipped(code, positions))
    pairs = near_pairs(np.concatenate([base, twins]))
    assert pairs.tolist() == [[k, 16 + k] for k in range(16)]


def test_a_crowded_band_costs_no_pair_that_another_band_tells(monkeypatch):
    monkeypatch.setattr(leakage, "BUCKET", 5)
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 2**64, (600, 4), dtype=np.uint64)
    codes[:, 0] = codes[0, 0]
    codes[500:] = [flipped(code, 64 + rng.permutation(192)[:10]) for code in codes[:100]]
    assert near_pairs(codes).tolist() == [[k, 500 + k] for k in range(100)]


def test_the_search_works_block_by_block(monkeypatch):
    rng = np.random.default_rng(4)
    codes = np.packbits(rng.random((150, 256)) < 0.9, axis=1).view(np.uint64)
    whole = near_pairs(codes)
    monkeypatch.setattr(leakage, "BLOCK", 7)
    assert len(whole) > 500
    assert np.array_equal(near_pairs(codes), whole)


def test_the_stop_sign_stops_trainings_of_the_same_plan_only(tmp_path):
    work, allow = [{"dataset": "a", "unit": "train-00000", "digest": "d"}], []
    StopSign(tmp_path, work, allow).obey()
    StopSign(tmp_path, work, allow).put_up("one image twice")
    with pytest.raises(UserError, match="one image twice"):
        StopSign(tmp_path, work, allow).obey()
    StopSign(tmp_path, [{**work[0], "digest": "mended"}], allow).obey()
    StopSign(tmp_path, work, [["i1", "i2"]]).obey()
    StopSign(tmp_path, work, allow).remove()
    StopSign(tmp_path, work, allow).obey()
