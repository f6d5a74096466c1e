"""The methods text: every number is that of the input, every sentence fits its study, and no config key is forgotten."""

import random
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from described_study import is_sound
from test_triggers import GIVEN, changed, keys

from mammoseg.methods.prose import by_model, counted, escaped, listed, number, percent, spread
from mammoseg.methods.text import SECTIONS

DESCRIBED = ("training", "augmentation", "image", "splits", "statistics", "detection", "ensemble", "normalisation")
NO_DIFFERENCE = {
    "training.accelerator",  # said is what was computed on
    "training.precision",  # said is what was computed in
    "training.workers",
    "training.overlays_every",
    "image.keep_injected",
    "image.voi_lut.file",  # a path
    "image.voi_lut.explanation",  # what viewers call it
    "splits.patients_per_shard",
    "ensemble.batch_size",
}
"""Keys of these sections whose values make no difference to what is said; a new key belongs here, or into the text."""


def test_the_sections_stand_in_claims_order(small):
    text = small.text()
    assert re.findall(r"^## (.*)$", text, re.M) == list(SECTIONS)
    assert list(SECTIONS) == [
        "Study design", "Data", "Reference standard", "Data partitions", "Model", "Training", "Evaluation",
        "Software and hardware", "To be written by the authors",
    ]  # fmt: skip
    is_sound(text)


def test_phantoms_are_said_to_be_synthetic(small):
    phantom = {"layout": "oulu", "patients": 2, "seed": 1, "rows": 64, "columns": 64}
    for d in small.config["datasets"]:
        d |= {"phantom": phantom, "importer": "oulu", "root": f"results/phantoms/{d['name']}"}
    text = small.text()
    assert "All data were synthetic: the images were phantoms drawn by mammoseg" in text
    assert "The data set ours consisted of synthetic phantoms in the format of an archive of the Oulu" in text
    assert "for ours and theirs, the masses as they were drawn into the phantoms" in text
    assert "ethics" not in text
    is_sound(text)
    small.config["datasets"][1] = {"name": "theirs", "importer": "cdd_cesm", "root": "/secret/x", "role": "external"}
    text = small.text()
    assert "The images of ours were phantoms drawn by mammoseg, and “patient” there means a simulated one." in text
    assert "for theirs, the contours of the images whose findings name a mass, filled" in text
    assert "ethics approval" in text


def test_nothing_identifies_anyone_or_any_machine(small):
    text = small.text()
    assert not re.search(r"/secret|patient-|id-[a-z]\d|private", text)
    assert "weights.p" not in text


def test_same_study_same_bytes_whatever_the_order_of_the_rows(small):
    first = small.text()
    draw = random.Random(1)
    small.shuffle = lambda rows: draw.sample(rows := list(rows), len(rows))
    assert small.text() == first


def described():
    return [key for key, _ in keys() if key.split(".")[0] in DESCRIBED]


@pytest.mark.parametrize("key", described())
def test_every_key_is_said_or_known_to_make_no_difference(key, small):
    if key in GIVEN:
        small.config["image"]["voi_lut"] |= {"kind": GIVEN[key], "file": "/secret/a"}
    if key in ("image.voi_lut.center", "image.voi_lut.width", "image.voi_lut.entries"):
        assert small.config["image"]["voi_lut"]["kind"] == "sigmoid"
    before = small.text()
    small.config = changed(small.config, key)
    after = small.text()
    assert (after == before) == (key in NO_DIFFERENCE), "put a new key into the text, or into NO_DIFFERENCE"
    is_sound(after)


def test_the_list_of_keys_without_a_difference_names_no_key_that_is_gone():
    assert set(described()) >= NO_DIFFERENCE


def test_words():
    assert [counted(1, "mass", "masses"), counted(2, "mass", "masses"), counted(12345, "image")] == [
        "1 mass",
        "2 masses",
        "12,345 images",
    ]
    assert [listed("a"), listed("ab"), listed("abc", "or")] == ["a", "a and b", "a, b or c"]
    assert [number(x) for x in (0.003, 1e-6, 2.5e-7, -3, 1450, 1450.0, 0.5)] == [
        "0.003", "1 × 10⁻⁶", "2.5 × 10⁻⁷", "−3", "1,450", "1,450", "0.5",
    ]  # fmt: skip
    assert [spread([3, 1, 2]), spread([2, 2]), spread([0.2501, 0.2499], 3)] == ["1 to 3", "2", "0.250"]
    assert [percent(0.2), percent(0.07), percent(1 - 0.05), percent(1 / 3)] == ["20%", "7%", "95%", "33.3333%"]
    assert by_model({"a": "x", "b": "x"}) == "x"
    assert by_model({"a": "y", "b": "x", "c": "z", "d": "x"}) == "x (but y for a, and z for c)"
    assert by_model({"a": "x", "b": "y", "c": "x"}) == "x (but y for b)"
    assert escaped("a_b <i>\nc") == "a\\_b \\<i\\> c"


def test_the_script_is_light():
    code = "import sys; sys.path.insert(0, 'workflow/scripts'); import write_methods; print({'torch', 'pandas', 'pydicom'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "set()"
