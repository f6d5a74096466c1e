"""What would fail later is found before the first job. Roots, weights and GPUs: tests/workflow/test_messages.py."""

import pytest

from mammoseg.errors import UserError
from mammoseg.preflight import preflight
from mammoseg.study import Study


def test_a_windowing_that_cannot_be_copied_is_found_at_once(config, schema, tmp_path):
    for dataset in config["datasets"]:
        dataset["root"] = str(tmp_path)
    (tmp_path / "table.txt").write_text("1 2 3")
    config["image"]["voi_lut"] |= {"kind": "file", "file": str(tmp_path / "table.txt")}
    preflight(Study(config, schema), {"render"}, trains_here=True)
    config["image"]["voi_lut"]["file"] = str(tmp_path / "tabel.txt")
    with pytest.raises(UserError, match=r"config key image\.voi_lut\.file is '.*tabel\.txt': there is no such file"):
        preflight(Study(config, schema), {"render"}, trains_here=True)
