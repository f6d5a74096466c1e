"""One change after another to a tiny study, run for real: exactly what depends on the change is made again, in one run.

The tests of this file belong together and run in their order: each starts from what the one before left.
"""

import json
import os
import re
import shutil

import cv2
import numpy as np
import pydicom
import pytest
from conftest import ROOT
from tiny import TinyStudy

from mammoseg.phantom import make_release
from mammoseg.runtime.files import read_csv


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


def change_pixels(path, change=np.flipud) -> None:
    """Change an image, whatever its transfer syntax; turned upside down twice it has other bytes but the old pixels."""
    ds = pydicom.dcmread(path)
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress(generate_instance_uid=False)
    ds.PixelData = change(ds.pixel_array).tobytes()
    ds.save_as(path)


def remove_windowing(path) -> None:
    """Take VOI LUTs and windows out of a file."""
    ds = pydicom.dcmread(path)
    for name in ("WindowCenter", "WindowWidth", "VOILUTSequence"):
        if name in ds:
            delattr(ds, name)
    ds.save_as(path)


def rename(study, path, name) -> None:
    """Rename an image of site-a together with its masks."""
    for mask in (study.folder / "data/site-a/masks" / path.parent.name).glob(f"{path.stem}_mask_*"):
        mask.rename(mask.with_name(mask.name.replace(path.stem, name)))
    path.rename(path.with_name(f"{name}.dcm"))


def copy_as_another(path, target, patient=None) -> None:
    """Copy an image under another name, number and patient, uncompressed: another file, the same picture, no reference."""
    ds = pydicom.dcmread(path)
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress(generate_instance_uid=False)
    uid = pydicom.uid.generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.PatientID = patient or ds.PatientID
    target.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(target)


def tables(study: TinyStudy) -> dict[str, bytes]:
    """Every table but the costs, which differ from run to run: so does the sentence on them in the methods text."""
    found = {p.name: p.read_bytes() for p in (study.results / "tables").iterdir() if p.name != "costs.csv"}
    found["methods.md"] = re.sub(rb"Training took [^\n]*", b"", found["methods.md"])
    return found


def has_mass(study: TinyStudy, path: str) -> bool:
    """Whether a mask of site-a holds a mass."""
    return bool(cv2.imread(str(study.folder / "data/site-a" / path), cv2.IMREAD_UNCHANGED).any())


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
    assert "the study: 2 of 2 trainings finished, 1 at work, about 0 s of training left" in ran.sentences
    assert len(list((study.results / "tensorboard/tiny").rglob("events.out.tfevents.*"))) == 2
    assert not list(study.results.rglob(".resume")), "the state of a training is removed when its model is written"


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


def test_a_new_image_of_a_known_patient_waits_too(study):
    path, _ = image_of(study, "train")
    copy_as_another(path, path.with_name("follow-up.dcm"))
    masks = list((study.folder / "data/site-a/masks" / path.parent.name).glob(f"{path.stem}_mask_*"))
    for mask in masks:
        shutil.copy(mask, mask.with_name(mask.name.replace(path.stem, "follow-up")))
    ran = study.run()
    assert (ran.converted, ran.trained, ran.predicted) == (1, 0, 1)
    assert any("5 images arrived after the lock" in s for s in ran.sentences), "hers and the new patient's four"
    rows = read_csv(study.results / "site-a/predictions/tiny/manifest.csv")
    assert sum(r["part"] == "new" for r in rows) == 5
    path.with_name("follow-up.dcm").unlink()
    assert study.run().trained == 0


def test_a_renamed_file_costs_a_reading(study):
    path, _ = image_of(study, "holdout")
    rename(study, path, "renamed")
    assert study.run().jobs == {"index_dataset": 1, "assign_folds": 1}
    rename(study, path.with_name("renamed.dcm"), path.stem)
    assert study.run().jobs == {"index_dataset": 1, "assign_folds": 1}


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
    made = {f"{image_id}{ending}.png" for ending in ("", "_mask", "_reference")}
    assert {p.name for p in after if after[p] != before[p]} == made
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


def test_changed_values_and_a_new_external_image_in_one_run(study):
    """The leakage check, which the external image starts, must neither train anything nor hide a changed value."""
    study.add_patient("site-b", 61)
    study.config["ensemble"] = {"threshold": 0.45}
    ran = study.run()
    assert ran.trained == 0
    assert (ran.jobs["check_leakage"], ran.jobs["score_cases"], ran.jobs["predict_ensemble"]) == (1, 2, 1)
    study.add_patient("site-b", 62)
    study.config["training"]["learning_rate"] = 0.001
    ran = study.run()
    assert (ran.trained, ran.jobs["check_leakage"]) == (2, 1)
    assert not study.run().jobs


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


def test_only_a_shard_with_a_file_without_windowing_has_a_job_that_injects(study):
    path, image_id = image_of(study, "holdout")
    whole, folders = path.read_bytes(), study.results / "private/site-a/dicom"
    assert not folders.exists()
    remove_windowing(path)
    ran = study.run()
    assert (ran.jobs["inject_voi_lut"], ran.jobs["render_png"], ran.converted, ran.trained) == (1, 1, 1, 0)
    assert [p.name for p in folders.glob("*/*.dcm")] == [f"{image_id}.dcm"]
    path.write_bytes(whole)
    ran = study.run()
    assert (ran.jobs["inject_voi_lut"], ran.jobs["render_png"], ran.converted, ran.trained) == (0, 1, 1, 0)
    assert not list(folders.glob("*/*")), "a copy that nobody needs any more"


def test_where_nothing_is_injected_no_job_does_so(study):
    names = [p.name for p in (study.results / "site-b/png").iterdir()]
    shards, images = len(names), len(read_csv(study.results / "site-b/index.csv"))
    before, pictures = study.config["image"]["voi_lut"], tables(study)
    study.config["image"]["voi_lut"] = {"kind": "none"}
    ran = study.run("why", "--config", f"artefact=results/site-b/png/{names[0]}")
    assert "(Snakemake says: set of input files has changed" in ran.output
    ran = study.run()
    assert (ran.jobs["inject_voi_lut"], ran.jobs["render_png"]) == (0, shards)
    assert (ran.converted, ran.trained) == (images, 0)
    assert not list(study.results.glob("private/*/dicom/*/*"))
    assert tables(study) != pictures
    study.config["image"]["voi_lut"] = before
    study.run(*(f"results/private/site-b/dicom/{name}/manifest.csv" for name in names))
    assert len(list(study.results.glob("private/*/dicom/*/*.dcm"))) == images
    study.config["image"]["voi_lut"] = {"kind": "none"}
    ran = study.run("why", "--config", f"artefact=results/private/site-b/dicom/{names[0]}")
    assert "nothing asks for it any more" in ran.output
    ran = study.run()
    assert (ran.jobs["render_png"], ran.converted, ran.trained) == (shards, 0, 0)
    assert not list(study.results.glob("private/*/dicom/*/*")), "what a stopped run injected is removed by the next"
    study.config["image"]["voi_lut"] = before
    ran = study.run()
    assert (ran.jobs["inject_voi_lut"], ran.converted, ran.trained) == (shards, images, 0)
    assert tables(study) == pictures


def test_injected_files_need_not_be_kept_and_the_pictures_are_the_same(study):
    without_windowing = len(read_csv(study.results / "site-b/index.csv"))
    pictures = {p: p.read_bytes() for p in study.results.glob("site-*/png/*/*.png")}
    study.config["image"]["keep_injected"] = False
    ran = study.run()
    assert (ran.converted, ran.trained, ran.jobs["inject_voi_lut"]) == (without_windowing, 0, 0)
    assert not list(study.results.glob("private/*/dicom/*/*"))
    assert {p: p.read_bytes() for p in pictures} == pictures
    del study.config["image"]["keep_injected"]
    ran = study.run()
    assert (ran.converted, ran.trained) == (without_windowing, 0)
    assert {p: p.read_bytes() for p in pictures} == pictures


def test_a_threshold_of_the_ensemble_scores_and_predicts_nothing(study):
    study.config["ensemble"] = {"threshold": 0.4}
    ran = study.run()
    assert (ran.converted, ran.trained, ran.predicted) == (0, 0, 0)
    assert "predict_ensemble" not in ran.jobs
    assert ran.jobs["score_cases"] == 2


def test_a_corrected_mask_of_the_training_part_retrains(study):
    _, image_id = image_of(study, "train")
    source = next(s for s in read_csv(study.results / "private/site-a/sources.csv") if s["image_id"] == image_id)
    path = next(study.folder / "data/site-a" / a for a in json.loads(source["annotations"]) if has_mass(study, a))
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), cv2.dilate(mask, np.ones((9, 9), np.uint8)))
    ran = study.run()
    assert (ran.converted, ran.trained) == (1, 2)
    assert any(f"1 images of the locked cohort have changed and are made again: {image_id}" in s for s in ran.sentences)


def test_a_model_more_and_a_model_less(study):
    study.config["models"].append({"name": "second", "encoder": "resnet22_gmic", "decoder": "fpn", "weights": "random"})
    ran = study.run()
    assert (ran.converted, ran.trained) == (0, 2)
    assert ran.jobs["predict_ensemble"] == ran.jobs["score_cases"] == 2
    assert {r["model"] for r in read_csv(study.results / "tables/segmentation.csv")} == {"tiny", "second"}
    study.config["models"].pop()
    ran = study.run()
    assert (ran.converted, ran.trained, ran.predicted) == (0, 0, 0)
    assert {r["model"] for r in read_csv(study.results / "tables/segmentation.csv")} == {"tiny"}


def test_a_whole_new_data_set_that_is_only_predicted(study):
    make_release(study.folder / "data/later", "oulu", patients=1, seed=99, rows=128, columns=104)
    study.config["datasets"].append({"name": "later", "importer": "oulu", "root": "data/later", "role": "predict"})
    ran = study.run()
    images = len(study.images("later"))
    assert (ran.converted, ran.trained, ran.predicted) == (images, 0, images)
    study.config["datasets"].pop()
    assert study.run().trained == 0


def test_keys_in_another_order_and_a_touched_script_are_no_change(study):
    study.config = dict(reversed(study.config.items()))
    study.config["training"] = dict(reversed(study.config["training"].items()))
    for script in (ROOT / "workflow/scripts").glob("*.py"):
        os.utime(script)
    assert not study.run().jobs


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


def test_a_copied_image_under_another_patients_name_stops_before_any_training(study):
    """Copies from three places, so that the forged patient, wherever she falls, stands in another place than two of them."""
    place = {r["patient_id"]: (r["role"], r["fold"]) for r in read_csv(study.results / "splits.csv")}
    patient = {r["image_id"]: r["patient_id"] for r in read_csv(study.results / "site-a/index.csv")}
    sources = {place[patient[s["image_id"]]]: s["path"] for s in read_csv(study.results / "private/site-a/sources.csv")}
    forged = study.folder / "data/site-a/images/forged"
    for n, (_, path) in enumerate(sorted(sources.items())):
        copy_as_another(study.folder / "data/site-a" / path, forged / f"{n}.dcm", patient="forged")
    study.config["training"]["learning_rate"] = 0.003
    for arguments in (["--config", "extend_cohort=true"], []):
        ran = study.run(*arguments, check=False)
        assert ran.status != 0
        assert ran.trained == 0
        assert "images of different patients in different parts of the study show the same exposure" in ran.output
        assert "Traceback" not in ran.output
    shutil.rmtree(forged)
    people = {r["patient"]: r["patient_id"] for r in read_csv(study.results / "private/site-a/patients.csv")}
    ran = study.run(check=False)
    assert f"images of patient {people['forged']} of the locked cohort" in ran.output
    study.run("withdraw", "--config", f"patients={people['forged']},")
    assert study.run().trained == 2, "by the other learning rate"


def test_a_withdrawn_patient_leaves_every_part_and_the_models_that_saw_her_are_trained_again(study):
    path, image_id = image_of(study, "train")
    rows = read_csv(study.results / "site-a/index.csv")
    patient = next(r["patient_id"] for r in rows if r["image_id"] == image_id)
    gone = {r["image_id"] for r in rows if r["patient_id"] == patient}
    ran = study.run("withdraw", "--config", "patients=000000000000,", check=False)
    assert "patient 000000000000 is not in this study" in ran.output
    picture = next(study.results.glob(f"site-a/png/*/{image_id}.png"))
    picture.with_name(f".{image_id}_mask.part.png").touch()  # as a process that was killed leaves it
    ran = study.run("withdraw", "--config", f"patients={patient},")
    assert any(s.startswith(f"patient {patient} is withdrawn: {len(gone)} images, train fold") for s in ran.sentences)
    left = [p for p in study.results.rglob("*") if any(p.name.removeprefix(".").startswith(i) for i in gone)]
    assert not left, "nothing that is named for her images is left, whatever its ending"
    assert sum("tiny/fold" in s for s in ran.sentences) == 2, "one fold trained on her, one was validated on her"
    assert not list((study.results / "tensorboard").rglob("*.tfevents.*")), "they may show her images"
    ran = study.run()
    assert (ran.converted, ran.trained) == (0, 2)
    left = {p.stem.removesuffix("_mask") for p in study.results.rglob("*.png")}
    assert not gone & left, "no picture, no mask, no prediction of hers"
    assert patient not in (study.results / "splits.csv").read_text()
    for model in study.results.glob("models/tiny/fold*/model.json"):
        assert patient not in model.read_text()
    assert path.exists(), "the release is the user's"
    assert not study.run().jobs


def test_why_tells_what_an_artefact_was_made_from_and_whether_it_stays(study):
    ran = study.run("why", "--config", "artefact=results/models/tiny/fold1")
    assert "made by train_fold fold=1 model=tiny" in ran.output
    assert "training.learning_rate = 0.003" in ran.output
    assert "nothing of it has changed since" in ran.output
    assert "the next run would leave it as it is" in ran.output
    study.config["training"]["learning_rate"] = 0.004
    ran = study.run("why", "--config", "artefact=results/models/tiny/fold1")
    assert "  training.learning_rate: 0.003 → 0.004" in ran.output
    assert "the next run would make it again, by " in ran.output
    assert "1 × train_fold" in ran.output
    study.config["training"]["learning_rate"] = 0.003
    table = study.results / "tables/answers.csv"
    whole = table.read_bytes()
    table.write_bytes(whole + b"\n")
    ran = study.run("why", "--config", "artefact=results/tables/answers.csv")
    assert "  tables/answers.csv: is itself not as it was made; delete it" in ran.output
    table.write_bytes(whole)
    ran = study.run("why", "--config", "artefact=results/nothing", check=False)
    assert ran.status != 0
    assert "was made as results/nothing" in ran.output
    ran = study.run("--config", "artefact=results/report.html", check=False)
    assert "artefact belongs to the target why" in ran.output


def test_damage_lost_bookkeeping_and_a_move_are_noticed_and_one_pass_mends_them(study):
    before = tables(study)
    assert "are as they were made" in study.run("verify").output
    png = next(p for p in (study.results / "site-a/png").rglob("*.png") if not p.stem.endswith("_mask"))
    png.write_bytes(png.read_bytes()[:-20])
    ran = study.run("verify", check=False)
    assert ran.status != 0
    assert f"changed: {png.relative_to(study.results)}" in ran.output
    png.unlink()

    kept = (study.folder / ".snakemake").rename(study.folder / "away")
    for arguments in ([], ["-n"], ["index"]):
        ran = study.run(*arguments, check=False)
        assert ran.status != 0
        assert "run once with --forceall" in ran.output
        assert "Traceback" not in ran.output
    shutil.rmtree(study.folder / ".snakemake")
    kept.rename(study.folder / ".snakemake")
    assert not study.run("-n").jobs

    study.results.rename(study.folder / "moved")
    study.config["results_dir"] = "moved"
    study.results = study.folder / "moved"
    assert "run once with --forceall" in study.run(check=False).output
    ran = study.run("--forceall")
    assert (ran.converted, ran.trained, ran.predicted) == (1, 0, 0)
    assert ran.jobs["train_fold"] == 2
    assert any("tiny fold 0 is kept: data, recipe, weights and code are the same" in s for s in ran.sentences)
    after = tables(study)
    assert {t for t in after if after[t] != before[t]} == {"summary.txt"}, "which says where the report lies"
    assert study.run("verify").status == 0
    assert not study.run().jobs


def test_rebuild_really_makes_everything_anew(study):
    ran = study.run("render", "--config", "rebuild=true")
    assert ran.converted == sum(len(read_csv(m)) for m in study.results.glob("site-*/png/*/manifest.csv"))
    assert not study.run("render").jobs


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
    twin.results = twin.folder / study.config["results_dir"]
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
