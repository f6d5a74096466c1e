"""The table in the original geometry, by hand."""

from mammoseg.tables.original_geometry import COLUMNS, READ, original_geometry_rows

MODELS, DATASETS = {"m": [{}]}, {"site": {}}


def case(k, masses="1", **changes):
    values = dict.fromkeys(READ[4:], "0.5") | changes
    return {"image_id": f"i{k}", "patient_id": f"p{k % 2}", "part": "external", "n_masses": masses, **values}


def test_means_leave_out_what_is_undefined_and_medians_bear_what_is_infinite():
    cases = [
        case(0, original_dice="0.2", original_precision="", hd95_mm="inf"), case(1, original_dice="0.4", original_precision="0.3", hd95_mm="4"),
        case(2, hd95_mm="", surface_dice_1mm="", average_surface_distance_mm="", surface_dice_2mm=""), case(3, "0", hd95_mm="1"),
        case(4, original_dice="0.9", hd95_mm="8"),
    ]  # fmt: skip
    (row,) = original_geometry_rows({("site", "m"): cases}, MODELS, DATASETS)
    assert set(row) == set(COLUMNS)
    assert (row["n_images"], row["n_patients"], row["n_images_in_mm"], row["n_without_surface"]) == (4, 2, 3, 1)
    assert (row["original_dice_mean"], row["original_precision_mean"], row["n_images_predicted"]) == (
        "0.500000",
        f"{(0.3 + 0.5 + 0.5) / 3:.6f}",
        3,
    )
    assert (row["hd95_mm_median"], row["surface_dice_1mm_mean"]) == ("8.000000", "0.500000")


def test_an_even_median_is_the_upper_one():
    (row,) = original_geometry_rows(
        {("site", "m"): [case(k, hd95_mm=v) for k, v in enumerate(("1", "inf", "2", "10"))]}, MODELS, DATASETS
    )
    assert row["hd95_mm_median"] == "10.000000"


def test_without_any_spacing():
    unknown = {k: "" for k in READ if "mm" in k}
    (row,) = original_geometry_rows({("site", "m"): [case(0, **unknown), case(1, **unknown)]}, MODELS, DATASETS)
    assert (row["n_images_in_mm"], row["hd95_mm_median"], row["surface_dice_2mm_mean"]) == (0, "", "")
    assert row["original_dice_sd"] == "0.000000"
