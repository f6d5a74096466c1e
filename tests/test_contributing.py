"""The worked example of CONTRIBUTING.md is code that runs."""

import re

import numpy as np
from conftest import ROOT
from PIL import Image

from mammoseg.index.build_index import index_release
from mammoseg.rebuild.code_versions import Code


def test_the_importer_of_the_example(tmp_path):
    source = re.search(r"```python\n(class PlainImporter.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)[1]
    names: dict = {}
    exec(
        "from pathlib import Path\n"
        "from mammoseg.datasets.importer import Candidate, Case, Importer, SetAside\n"
        "from mammoseg.datasets.masks import components, read_mask\n"
        "from mammoseg.datasets.pictures import picture_size\n"
        "from mammoseg.datasets.walk import check_folder, files_below\n" + source,
        names,
    )
    image, mask = np.arange(1200, dtype=np.uint8).reshape(40, 30), np.zeros((40, 30), np.uint8)
    mask[3:6, 4:9] = mask[20:22, 4:9] = 255
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("A_L_CC", "A_L_MLO", "B_R_CC", "notes"):
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.png")
    Image.fromarray(mask).save(tmp_path / "masks/A_L_CC.png")
    index = index_release(
        names["PlainImporter"](tmp_path), dataset="d", site="s", key=b"k" * 32, code=Code("1", frozenset("1")), seen=[],
        rendered_sha256={}.get,
    )  # fmt: skip
    assert sorted((r["laterality"], r["view"], r["n_masses"]) for r in index.rows) == [
        ("L", "CC", 2),
        ("L", "MLO", 0),
        ("R", "CC", 0),
    ]
    assert [x.reason for x in index.excluded] == ["unknown_name"]
