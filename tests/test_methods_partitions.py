"""Partitions: who is in which, by hand."""

from described_study import image, is_sound, section


def test_partitions_are_counted_by_patient(small):
    first, second, third, fourth = section(small.text(), "Data partitions")
    assert first == (
        "Partitions were disjoint at the level of the patient: all images of one patient were in one of them. Of the 5 patients (7 "
        "images) of ours, a share of 20% was held out for testing: 2 images of 1 patient (1 image with a mass). The other 4 patients (5 "
        "images) were divided into 2 folds of 2 and 2 patients (3 and 2 images). Holdout and folds were drawn at random (seed 2022), "
        "patients with and without a mass spread evenly."
    )
    assert second == (
        "Only images with a mass were trained and validated on: 3 images of 3 patients. Each network was trained 2 times, each time on "
        "all folds but one (1 to 2 patients) and validated on that one (1 to 2 patients)."
    )
    assert third == (
        "For external testing there was theirs, 2 images of 2 patients (all with a mass). After the cohort had been fixed there arrived "
        "1 image of 1 patient who was not in it and 1 image of patients who were; they were predicted, but not trained on, and entered "
        "no mean."
    )
    assert "all 8 images of the scored partitions" in fourth
    assert (
        "hash of 256 bits (at most 56 of them different), confirmed by a correlation of at least 0.65. No such pair was found."
        in fourth
    )
    small.config["leakage"]["allow"] = [["a" * 12, "b" * 12]]
    assert "No such pair was found, apart from 1 pair known to be different images." in small.text()


def test_images_without_a_mass_may_be_trained_on(small):
    small.config["splits"]["require_mass"] = False
    text = small.text()
    assert "were trained and validated on too, with an empty mask: 4 images in all." in text
    assert "mean ± sample SD over the images, by data set" in text
    assert "specificity" not in text
    is_sound(text)


def test_without_holdout_and_external_set_nothing_was_tested(small):
    small.config["splits"]["holdout"] = 0
    small.places["d"] = ("train", "0")
    text = small.text()
    assert "There was no holdout. The folds were drawn at random" in text
    assert "The 5 patients (7 images) of ours were divided into 2 folds of 3 and 2 patients (5 and 2 images)." in text
    assert "tested on theirs, on which nothing was trained." in text
    is_sound(text)
    small.config["datasets"].pop()
    del small.rows["theirs"]
    text = small.text()
    assert "No patient was set aside for testing: all results are those of the cross-validation." in text
    assert "ensemble" not in text.lower()
    assert "Patients outside the folds" not in text
    is_sound(text)
    small.config["splits"]["holdout"] = 0.01
    assert "A holdout of 1% came to no patient." in small.text()


def test_several_training_sets_that_share_patients_and_one_that_is_only_predicted(small):
    small.config["datasets"] += [
        {
            "name": "more",
            "importer": "cbis_ddsm",
            "root": "/secret/more",
            "role": "train",
            "where": {"official_split": "train"},
        },
        {"name": "unread", "importer": "manifest", "root": "/secret/unread", "role": "predict"},
    ]
    small.config["datasets"][0]["site"] = small.config["datasets"][2]["site"] = "here"
    small.rows |= {"more": [image("a3"), image("b3")], "unread": [image("z1", "")]}
    small.places["z"] = ("predict", "")
    small.excluded |= {"more": [{"reason": "left_out", "explanation": "x"}] * 2, "unread": []}
    text = small.text()
    assert "Of the 5 patients (9 images) of ours and more, a share" in text, "who is in both counts once"
    assert "Equal patient numbers in ours and more meant the same person." in text
    assert "Only images whose official\\_split was “train” were eligible; 2 files were not." in text
    assert "For prediction alone there was unread, 1 image of 1 patient." in text
    assert "It was used: 1 image of 1 patient (1 in CC view). There was no reference for it." in text
    assert "for more, the masks that the release's tables of masses name" in text
    assert "for unread" not in text, "it has no reference"
    is_sound(text)
