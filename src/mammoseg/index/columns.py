"""The columns of index.csv: those that every data set has, before those that a release carries along."""

COLUMNS = (
    "image_id", "patient_id", "study_id", "laterality", "view", "rows", "columns", "pixel_spacing_mm", "n_masses",
    "windowing", "content", "annotations",
)  # fmt: skip
