"""The library's layout: imports go one way, from what is made to the tools it is made with."""

import ast

import pytest
from conftest import ROOT

import mammoseg.dicom
import mammoseg.geometry
import mammoseg.losses
import mammoseg.metrics
import mammoseg.models

LAYERS = [
    {"runtime"},
    {"rebuild"},
    {"study", "images", "metrics"},
    {"dicom", "models"},
    {"datasets"},
    {"phantom", "index"},
    {"plan"},
    {"render"},
    {"training", "prediction"},
    {"evaluation"},
    {"tables"},
    {"figures", "methods"},
    {"report"},
    {"preflight", "losses", "geometry"},
]
"""Packages and modules of the library, the lowest first: each imports from those below, and from itself."""
LIBRARY = ROOT / "src/mammoseg"
ROOMS = sorted({p.name.removesuffix(".py") for p in LIBRARY.iterdir()} - {"__init__", "__pycache__", "data"})


def imported_rooms(room: str) -> set[str]:
    """Packages and modules of the library that the files of one import, wherever in the file."""
    place = LIBRARY / room
    found = set()
    for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mammoseg":
                found |= {node.module.split(".")[1]} if "." in node.module else {a.name for a in node.names}
            elif isinstance(node, ast.Import):
                found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("mammoseg.")}
    return found & set(ROOMS)


def test_every_room_has_a_layer():
    assert sorted(room for layer in LAYERS for room in layer) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room):
    level = next(i for i, layer in enumerate(LAYERS) if room in layer)
    allowed = {room}.union(*LAYERS[:level])
    assert imported_rooms(room) <= allowed


def test_the_names_that_the_python_api_promises():
    assert callable(mammoseg.models.build_model)
    assert callable(mammoseg.losses.CombinedLoss)
    assert callable(mammoseg.losses.FocalTverskyLoss)
    assert callable(mammoseg.metrics.dice)
    assert callable(mammoseg.metrics.iou)
    assert callable(mammoseg.dicom.render)
    assert callable(mammoseg.geometry.Letterbox)
