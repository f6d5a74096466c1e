"""What the withdrawal of a patient removes."""

import json

import withdraw

from mammoseg.rebuild.kept_outputs import KEPT


def test_no_kept_set_of_a_model_that_saw_the_patient_stays(tmp_path):
    """Also one of an earlier cohort, which the present model.json does not tell of."""
    sets = {"trained": (["p", "q"], ["r"]), "validated": (["q"], ["p"]), "neither": (["q"], ["r"])}
    for name, (training, validation) in sets.items():
        place = tmp_path / "models/m/fold0" / KEPT / name
        place.mkdir(parents=True)
        (place / "model.json").write_text(json.dumps({"patients": {"training": training, "validation": validation}}))
        (place / "model.safetensors").write_text("tensors")
    withdraw.forget_kept_models(tmp_path, "p")
    assert [place.name for place in (tmp_path / "models/m/fold0" / KEPT).iterdir()] == ["neither"]
