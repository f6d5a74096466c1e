"""A run that is killed in any stage, several times, and goes on: the tables are those of the undisturbed run. `make test-kill`."""

import random

import pytest
from test_scenarios import tables
from tiny import TinyStudy

pytestmark = pytest.mark.kill

STAGES = ["index_dataset", "assign_folds", "inject_voi_lut", "render_png", "check_leakage", "pack_training", "train_fold",
          "predict_ensemble", "score_cases", "summarise_scores", "write_report"]  # fmt: skip


def seconds(study: TinyStudy, stage: str) -> float:
    """How long a stage takes at most, by Snakemake's own benchmark."""
    files = (study.results / "benchmarks").glob(f"{stage}*/**/*.tsv")
    files = [*files, *(study.results / "benchmarks").glob(f"{stage}.tsv")]
    return max(float(f.read_text().splitlines()[1].split("\t")[0]) for f in files)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> TinyStudy:
    study = TinyStudy(tmp_path_factory.mktemp("undisturbed"))
    study.run()
    return study


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_run_goes_on_and_ends_with_the_same_tables(stage, undisturbed, tmp_path):
    moments = random.Random(stage)
    study = TinyStudy(tmp_path, patients={}, config=undisturbed.config)
    for dataset in study.config["datasets"]:
        dataset["root"] = str(undisturbed.folder / dataset["root"])
    (study.results / "private").mkdir(parents=True, mode=0o700)
    (study.results / "private/key").write_bytes((undisturbed.results / "private/key").read_bytes())
    killed = 0
    # At once, which never comes too late; then at random moments: one that does lets the run end, and the stage is over.
    for after in (0.0, *(moments.uniform(0, 0.9 * seconds(undisturbed, stage)) for _ in range(3))):
        flag = study.kill(stage, after)
        killed += study.run(check=False).status == -9
        flag.unlink(missing_ok=True)
        study.run("--unlock")
    assert killed, "the stage was over before the moment came"
    study.run()
    assert tables(study) == tables(undisturbed)
    assert not study.run().jobs
    assert study.run("verify").status == 0
    assert not list(study.results.rglob("*.part*")), "no half file is left"
