"""One change after another to a tiny study, run for real: exactly what depends on the change is made again, in one run.

The tests of this file belong together and run in their order: each starts from what the one before left.
"""

import json
import os

import pydicom
import pytest
from tiny import TinyStudy

from mammoseg.files import read_csv

AFTER_PREDICTION = {"summarise_scores": 1, "plot_dice": 1, "write_report": 1}
"""What follows once any score has changed."""


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> TinyStudy:
    return TinyStudy(tmp_path_factory.mktemp("study"))


def image_of(study: TinyStudy, role: str, dataset: str = "site-a", with_mass: bool = True):
    """Path and id of an image of a patient with that role."""
    splits = {r["patient_id"]: r["role"] for r in read_csv(study.results / "splits.csv")}
    rows = {r["image_id"]: r for r in read_csv(study.results / dataset / "index.csv")}
    for source in read_csv(study.results / "private" / dataset / "sources.csv"):
        row = rows[source["image_id"]]
        if splits[row["patient_id"]] == role and (row["n_masses"] != "0") == with_mass:
            return study.folder / "data" / dataset / source["path"], source["image_id"]
    raise LookupError(role)


def change_pixels(path) -> None:
    """Turn an image upside down, whatever its transfer syntax; twice gives other bytes but the old pixels."""
    ds = pydicom.dcmread(path)
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress(generate_instance_uid=False)
    ds.PixelData = ds.pixel_array[::-1].tobytes()
    ds.save_as(path)


def tables(study: TinyStudy) -> dict[str, bytes]:
    """Every table but the costs, which differ from run to run."""
    return {p.name: p.read_bytes() for p in (study.results / "tables").iterdir() if p.name != "costs.csv"}


def index_jobs(ran):
    """Jobs above the checkpoint, and the rest."""
    above = {k: v for k, v in ran.jobs.items() if k in ("index_dataset", "assign_folds")}
    return above, {k: v for k, v in ran.jobs.items() if k not in above}


def test_the_first_run_makes_everything(study):
    ran = study.run()
    images = len(study.images("site-a")) + len(read_csv(study.results / "site-b/index.csv"))
    assert ran.jobs["train_fold"] == ran.trained == 2
    assert ran.jobs["predict_ensemble"] == 2
    assert ran.converted == ran.predicted == images
    rows = read_csv(study.results / "tables/segmentation.csv")
    assert {r["part"] for r in rows} == {"holdout", "external", "out_of_fold"}
    assert "the cohort is locked: 8 training patients in folds of 4, 4; 2 in the holdout" in ran.sentences
    for needed in ("report.html", "figures/training.svg", "tables/segmentation.tex", "tables/costs.csv"):
        assert (study.results / needed).stat().st_size


def test_again_does_nothing(study):
    ran = study.run()
    assert not ran.jobs


def test_private_is_private(study):
    assert (study.results / "private").stat().st_mode & 0o777 == 0o700
    assert (study.results / "private/key").stat().st_mode & 0o777 == 0o600


def test_a_patient_after_the_lock_is_predicted_and_not_trained_on(study):
    study.add_patient("site-a", 50)
    ran = study.run()
    above, below = index_jobs(ran)
    assert above == {"index_dataset": 1, "assign_folds": 1}
    assert (ran.converted, ran.trained, ran.predicted) == (4, 0, 4)
    assert below["render_png"] == below["predict_ensemble"] == below["score_cases"] == 1
    assert [r["role"] for r in read_csv(study.results / "splits.csv")].count("new") == 1


def test_a_touched_file_costs_a_reading(study):
    path, _ = image_of(study, "train")
    os.utime(path)
    ran = study.run()
    assert ran.jobs == {"index_dataset": 1, "assign_folds": 1}
    assert "1 files were opened" in ran.output


def test_an_external_patient(study):
    study.add_patient("site-b", 60)
    ran = study.run()
    new = len(read_csv(study.results / "site-b/index.csv")) - ran.jobs["index_dataset"] * 0
    assert ran.trained == 0
    assert 0 < ran.converted == ran.predicted <= 4 < new
    assert ran.jobs["predict_ensemble"] == 1


def test_changed_pixels_of_the_training_part_retrain(study):
    path, image_id = image_of(study, "train")
    before = {p: p.stat().st_mtime_ns for p in (study.results / "site-a/png").rglob("*.png")}
    change_pixels(path)
    ran = study.run()
    after = {p: p.stat().st_mtime_ns for p in (study.results / "site-a/png").rglob("*.png")}
    assert {p.name for p in after if after[p] != before[p]} == {f"{image_id}.png", f"{image_id}_mask.png"}
    assert (ran.converted, ran.trained, ran.jobs["pack_training"]) == (1, 2, 1)
    assert ran.jobs["predict_ensemble"] == 2


def test_changed_pixels_of_the_holdout_do_not(study):
    path, _ = image_of(study, "holdout")
    change_pixels(path)
    ran = study.run()
    assert (ran.converted, ran.trained, ran.predicted) == (1, 0, 1)
    assert "pack_training" not in ran.jobs


def test_changed_pixels_without_a_mass_train_nothing(study):
    path, _ = image_of(study, "train", with_mass=False)
    change_pixels(path)
    ran = study.run()
    assert (ran.converted, ran.trained, ran.predicted) == (1, 0, 1)


def test_a_training_value_retrains_and_converts_nothing(study):
    study.config["training"]["learning_rate"] = 0.002
    ran = study.run()
    assert (ran.converted, ran.trained) == (0, 2)
    assert index_jobs(ran)[0] == {}
    assert ran.predicted > 0


def test_the_image_recipe_makes_everything_below_again(study):
    study.config["image"]["mask_share"] = 0.45
    ran = study.run()
    assert index_jobs(ran)[0] == {}
    assert ran.converted == sum(len(read_csv(study.results / d / "index.csv")) for d in ("site-a", "site-b"))
    assert ran.trained in (0, 2), "masks may come out the same; then the models stay"


def test_the_voi_lut_concerns_the_files_without_windowing(study):
    study.config["image"]["voi_lut"] = {"center": 1400}
    ran = study.run()
    assert ran.converted == len(read_csv(study.results / "site-b/index.csv"))
    assert ran.trained == 0


def test_a_threshold_of_the_ensemble_scores_and_predicts_nothing(study):
    study.config["ensemble"] = {"threshold": 0.4}
    ran = study.run()
    assert (ran.converted, ran.trained, ran.predicted) == (0, 0, 0)
    assert "predict_ensemble" not in ran.jobs
    assert ran.jobs["score_cases"] == 2


def test_extending_the_cohort_takes_the_newcomer_in(study):
    before = {r["patient_id"]: (r["role"], r["fold"]) for r in read_csv(study.results / "splits.csv")}
    newcomer = next(p for p, (role, _) in before.items() if role == "new")
    ran = study.run("--config", "extend_cohort=true")
    after = {r["patient_id"]: (r["role"], r["fold"]) for r in read_csv(study.results / "splits.csv")}
    assert {p: x for p, x in after.items() if p != newcomer} == {p: x for p, x in before.items() if p != newcomer}
    assert after[newcomer][0] in ("train", "holdout")
    assert ran.trained == (2 if after[newcomer][0] == "train" else 0)
    assert ran.converted == 0
    again = study.run()
    assert set(again.jobs) <= {"assign_folds"}, "without the option the plan is the same"


def test_a_patient_of_no_cohort_who_leaves_is_tidied_away(study):
    study.add_patient("site-a", 51)
    study.run()
    unit = next(w for w in read_csv(study.results / "work.csv") if w["role"] == "new")
    folder = study.results / "site-a/png" / unit["unit"]
    images = {p.name for p in folder.glob("*.png")}
    assert images
    sources = {s["image_id"]: s["path"] for s in read_csv(study.results / "private/site-a/sources.csv")}
    for row in read_csv(folder / "manifest.csv"):
        (study.folder / "data/site-a" / sources[row["image_id"]]).unlink()
    ran = study.run()
    assert (ran.converted, ran.trained, ran.predicted) == (0, 0, 0)
    assert not folder.exists()
    predictions = {p.name for p in (study.results / "site-a/predictions/tiny").glob("*.png")}
    assert not predictions & images


def test_a_vanished_patient_of_the_cohort_stops_the_run_and_restoring_her_heals(study):
    path, _ = image_of(study, "train")
    patient = path.parent
    hidden = study.folder / "hidden"
    patient.rename(hidden)
    ran = study.run(check=False)
    assert ran.status != 0
    assert "of the locked cohort" in ran.output
    assert "snakemake relock" in ran.output
    assert "Traceback" not in ran.output
    hidden.rename(patient)
    assert study.run().trained == 0


def test_losing_all_bookkeeping_costs_a_pass_without_work(study):
    before = tables(study)
    ran = study.run("--forceall")
    assert (ran.converted, ran.trained, ran.predicted) == (0, 0, 0)
    assert ran.jobs["train_fold"] == 2
    assert tables(study) == before


def test_snakemakes_own_report_opens_offline_with_our_captions(study):
    study.run("--report", "snakemake-report.html")
    page = (study.folder / "snakemake-report.html").read_text()
    assert "tables/segmentation.csv" in page
    assert "figures/cases_site-a.png" in page
    assert "brightness threshold" in page


def test_same_seed_same_tables_bit_for_bit(study, tmp_path):
    twin = TinyStudy(tmp_path / "twin", patients={"site-a": 1, "site-b": 1}, config=study.config)
    for dataset in study.config["datasets"]:
        dataset = dict(dataset)
        next(d for d in twin.config["datasets"] if d["name"] == dataset["name"])["root"] = str(
            study.folder / dataset["root"]
        )
    (twin.results / "private").mkdir(parents=True, mode=0o700)
    (twin.results / "private/key").write_bytes((study.results / "private/key").read_bytes())
    (twin.results / "private/key").chmod(0o600)
    lock = json.loads((study.results / "cohort.lock.json").read_text())
    (twin.results / "cohort.lock.json").write_text(json.dumps(lock))
    twin.run()
    assert tables(twin) == tables(study)


def test_another_seed_asks_for_a_new_cohort(study):
    study.config["seed"] = 7
    ran = study.run("index", check=False)
    assert ran.status == 0, "the index alone locks and asks nothing"
    ran = study.run(check=False)
    assert ran.status != 0
    assert "the cohort is locked and the config now changes seed from 2022 to 7" in ran.output
    study.run("relock")
    ran = study.run("plan")
    assert any("the cohort is locked" in s for s in ran.sentences)
