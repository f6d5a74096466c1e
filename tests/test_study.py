import copy

import pytest

from mammoseg.runtime.errors import UserError
from mammoseg.study import Study


def put(config: dict, path: list, value) -> dict:
    at = config
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return config


def test_the_papers_study(config, schema):
    study = Study(config, schema)
    assert list(study.models) == [
        "resnet34-unet-imagenet",
        "resnet22-unet-gmic",
        "resnet34-fpn-imagenet",
        "resnet22-fpn-gmic",
    ]
    assert study.weights_names == ["gmic-resnet22_gmic", "imagenet-resnet34"]
    assert (study.with_role("train"), study.with_role("external")) == (["oudsm"], ["inbreast"])
    assert str(study.datasets["oudsm"].root) == "data/OUDSM"
    assert not study.only_phantoms


def test_a_model_overrides_single_values_of_the_training(config, schema):
    own = {"learning_rate": 0.01, "schedule": {"milestones": [5]}}
    put(config, ["models", 0, "training"], own)
    study = Study(config, schema)
    training = study.models["resnet34-unet-imagenet"].training
    assert training["learning_rate"] == 0.01
    assert training["schedule"]["milestones"] == [5]
    assert training["schedule"]["combined_epochs"] == 20
    assert study.models["resnet22-unet-gmic"].training["learning_rate"] == 1e-4


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["training", "learnin_rate"], 1, "config key training.learnin_rate is unknown; did you mean learning_rate?"),
        (["training", "learning_rate"], "1e-4", "config key training.learning_rate is the text '1e-4'; YAML wants a decimal point in a number: write 1.0e-4"),
        (["training", "optimizer"], "sgd", "config key training.optimizer is 'sgd'; it must be one of adam, adamw"),
        (["training", "schedule", "focal_tversky_epochs"], -1, "config key training.schedule.focal_tversky_epochs is -1; it must be at least 0"),
        (["image", "side"], 100, "config key image.side is 100; it must be a multiple of 32"),
        (["models", 0, "encoder"], "resnet22_gmic", "has no weights 'imagenet'; use gmic or random"),
        (["models", 0, "decoder"], "unett", "config key models[0].decoder is 'unett'; it must be unet, fpn or smp.<Name>, such as smp.UnetPlusPlus"),
        (["models", 0, "stem"], "gmic", "stem gmic goes with encoder resnet22_gmic only"),
        (["models", 1, "name"], "resnet34-unet-imagenet", "the name 'resnet34-unet-imagenet' stands there 2 times"),
        (["datasets", 0, "root"], "{dataroot}/x", "the only placeholder is {data_root}"),
        (["datasets", 0, "role"], "external", "no data set has the role train"),
        (["datasets", 0, "name"], "models", "which is a folder of ours"),
        (["datasets", 0, "phantom"], {"layout": "oulu", "patients": 9, "seed": 1, "rows": 99, "columns": 99}, "must lie below results/phantoms"),
        (["datasets", 0, "importer"], "inbrest", "it must be one of inbreast, oulu, cbis_ddsm, cdd_cesm, manifest"),
        (["augmentation", "gaussian_blur", "kernels"], [4], "it must be odd"),
        (["augmentation", "scale"], [1.3, 0.7], "config key augmentation.scale is [1.3, 0.7]; the lower value comes first"),
        (["augmentation", "gaussian_blur", "sigma"], [5, 1], "config key augmentation.gaussian_blur.sigma is [5, 1]"),
        (["image", "voi_lut", "center"], 1_000_000, "show nothing of stored values"),
        (["results_dir"], "results/{x}", "must not hold braces"),
        (["splits", "folds"], 1, "config key splits.folds is 1; it must be at least 2"),
        (["extend_cohort"], "yes", "config key extend_cohort is 'yes'; it must be of type boolean"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_sentence(config, schema, path, value, said):
    with pytest.raises(UserError) as mistake:
        Study(put(config, path, value), schema)
    assert said in str(mistake.value)
    assert "\n" not in str(mistake.value)


@pytest.mark.parametrize(("given", "meant"), [(True, True), ("true", True), ("False", False), (None, False)])
def test_extend_cohort_as_the_command_line_gives_it(config, schema, given, meant):
    if given is not None:
        config["extend_cohort"] = given
    assert Study(config, schema).extend_cohort is meant


def test_a_missing_section_is_named(config, schema):
    del config["splits"]["folds"]
    with pytest.raises(UserError, match="config key splits.folds is missing"):
        Study(config, schema)


def test_recipes_hold_what_their_stage_reads_and_no_more(config, schema):
    def recipes(c):
        s = Study(c, schema)
        training = {m: s.training_recipe(m) for m in s.models}
        return {
            "plan": s.plan_recipe(),
            "render": s.render_recipe(),
            "train": training,
            "voi_lut": s.injection_recipe(),
        }

    before = recipes(config)
    for path, value, touched in [
        (["image", "side"], 256, {"render"}),
        (["image", "voi_lut", "center"], 1400, {"voi_lut"}),
        (["training", "batch_size"], 16, {"train"}),
        (["training", "workers"], 3, set()),
        (["augmentation", "cutout"], None, {"train"}),
        (["seed"], 3, {"plan", "train"}),
        (["splits", "folds"], 4, {"plan"}),
        (["ensemble", "threshold"], 0.4, set()),
    ]:
        after = recipes(put(copy.deepcopy(config), path, value))
        assert {k for k in before if before[k] != after[k]} == touched, path


@pytest.mark.parametrize("folder", ["{}", "~"])
def test_a_weights_file_counts_by_its_bytes(config, schema, tmp_path, monkeypatch, folder):
    monkeypatch.setenv("HOME", str(tmp_path))
    config["weights"]["gmic"]["file"] = f"{folder.format(tmp_path)}/weights.p"

    def recipe(content):
        (tmp_path / "weights.p").write_bytes(content)
        return Study(config, schema).weights_recipe("gmic")

    first = recipe(b"one")
    assert recipe(b"one") == first, "a touched file is the same"
    assert recipe(b"two") != first


@pytest.mark.parametrize(
    ("given", "patients"),
    [
        ("0123456789ab,ba9876543210", ["0123456789ab", "ba9876543210"]),
        (12345678901, ["012345678901"]),
        ("12e456789012,", ["12e456789012"]),
    ],
)
def test_pseudonyms_on_the_command_line(config, schema, given, patients):
    assert Study({**config, "patients": given}, schema).patients == patients


def test_a_pseudonym_that_was_taken_for_a_number_is_asked_for_again(config, schema):
    with pytest.raises(UserError, match="write a comma behind it"):
        Study({**config, "patients": float("12e45")}, schema)


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("sigmoid", {"center", "width", "entries"}),
        ("window", {"center", "width"}),
        ("mode", {"mode"}),
        ("percentiles", {"percentiles"}),
        ("file", {"file", "choice"}),
        ("none", set()),
    ],
)
def test_an_injection_depends_only_on_what_its_kind_reads(config, schema, tmp_path, kind, read):
    config["image"]["voi_lut"] |= {"kind": kind, "file": str(tmp_path / "table.txt")}
    (tmp_path / "table.txt").write_text("1 2 3")
    recipe = Study(config, schema).injection_recipe()
    assert set(recipe) - {"kind", "explanation"} == read
    (tmp_path / "table.txt").write_text("1 2 4")
    assert (Study(config, schema).injection_recipe() != recipe) == (kind == "file")
    (tmp_path / "table.txt").write_text("1 2 3")
    (tmp_path / "table.txt").rename(tmp_path / "moved.txt")
    config["image"]["voi_lut"]["file"] = str(tmp_path / "moved.txt")
    assert Study(config, schema).injection_recipe() == recipe, "a file counts by its bytes"
