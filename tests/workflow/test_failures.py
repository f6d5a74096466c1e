"""Every rule made to fail: it fails again until it is mended; then exactly the rest is made, and nothing from old inputs.

Rules of which none is below another fail in one run, since what does not depend on a failed job is still made.
"""

import numpy as np
import pytest
from test_scenarios import change_pixels, image_of, tables
from tiny import TinyStudy

from mammoseg.runtime.files import read_csv

BY_EXTERNAL_PIXELS = [
    ["index_dataset"],
    ["assign_folds"],
    ["inject_voi_lut"],
    ["render_png"],
    ["check_leakage", "predict_ensemble", "score_threshold"],
    ["score_cases"],
    ["summarise_scores", "compare_models", "summarise_evidence", "plot_cases", "plot_dice", "write_methods"],
    ["plot_evidence"],
    ["write_report"],
]
BY_TRAINING_PIXELS = [["render_png"], ["pack_training"], ["train_fold"], ["plot_training"]]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> TinyStudy:
    study = TinyStudy(tmp_path_factory.mktemp("study"))
    flag = study.fail("fetch_weights")
    study.config["models"][0]["weights"] = "gmic"
    study.config["weights"] = {"missing": "random"}
    for _ in range(2):
        ran = study.run(check=False)
        assert ran.status != 0
        assert not ran.trained, "weights that cannot be had stop before anything is trained"
    flag.unlink()
    study.run()
    return study


def test_every_rule_is_made_to_fail(study):
    made_to = {rule for rules in BY_EXTERNAL_PIXELS + BY_TRAINING_PIXELS for rule in rules}
    assert made_to == {log.stem for log in (study.results / "logs").iterdir()} - {"fetch_weights"}


@pytest.mark.parametrize(
    ("rules", "role"),
    [(r, "external") for r in BY_EXTERNAL_PIXELS] + [(r, "train") for r in BY_TRAINING_PIXELS],
    ids=lambda v: v if isinstance(v, str) else "-".join(v),
)
def test_a_rule_that_fails_fails_until_it_is_mended(study, rules, role):
    dataset = "site-b" if role == "external" else "site-a"
    path, image_id = image_of(study, role, dataset)
    shard = next((study.results / dataset / "png").glob(f"*/{image_id}.png")).parent
    before, old = tables(study), {r["image_id"]: r for r in read_csv(shard / "manifest.csv")}[image_id]
    change_pixels(path, lambda pixels: np.roll(pixels, 1, axis=0))  # never back to what a kept model was trained on
    flags = [study.fail(rule) for rule in rules]
    converted = trained = 0
    for _ in range(2):
        ran = study.run(check=False)
        assert ran.status != 0, "nobody noticed"
        assert {rule for rule in rules if f"{rule} is made to fail" not in ran.output} == set(), "not tried again"
        converted += ran.converted
        trained += ran.trained
        assert "pack_training" not in ran.jobs or rules != ["render_png"], "packed old pixels"
        assert not ran.trained or rules == ["plot_training"], "trained on old pixels"
    for flag in flags:
        flag.unlink()
    ran = study.run()
    converted += ran.converted
    trained += ran.trained
    new = {r["image_id"]: r for r in read_csv(shard / "manifest.csv")}[image_id]
    assert new["png_sha256"] != old["png_sha256"]
    assert converted == 1
    assert trained == (2 if role == "train" else 0)
    assert tables(study) != before
    assert not study.run().jobs, "and then there is nothing to do"
