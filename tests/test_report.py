"""The report: one file, nothing from outside, all numbers in it, every text escaped."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from mammoseg.report import ReportFigure, StudyRecord, build_report
from mammoseg.report.build import tiles
from mammoseg.report.content import cohort_rows, config_text, methods_blocks, new_patients, summary, unused_rows
from mammoseg.report.evidence import _with_intervals, evidence_tables
from mammoseg.tables.segmentation import OF_A_CASE

VOID = {"meta", "br", "img", "link", "input", "hr"}
SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"


class Page(HTMLParser):
    """Collects what a browser would see, and fails on tags that are not closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.words, self.links, self.ids, self.cells = [], [], [], set(), []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.links += [attributes[k] for k in ("src", "href") if k in attributes]
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)
            if self.open[-1] in ("td", "th"):
                self.cells[-1] += data.strip()

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def segmentation_row(part="holdout", dataset="site-a", dice="0.612300", published=""):
    beside = {f"published_{k}": published for k in ("dice_mean", "dice_sd", "iou_mean", "iou_sd")}
    return {
        "dataset": dataset,
        "part": part,
        "model": "m<1>",
        "encoder": "resnet34",
        "decoder": "unet",
        "weights": "random (imagenet missing)",
        "n_images": "4",
        "n_patients": "3",
        "dice_mean": dice,
        "dice_sd": "0.100000",
        "iou_mean": "0.500000",
        "iou_sd": "0.100000",
    } | beside


def fold_record(epoch: int) -> dict:
    return {
        "model": {"name": "m<1>", "encoder": "resnet34", "decoder": "unet", "weights": "imagenet", "stem": "dense"},
        "weights_used": "random",
        "normalisation": {"mean": 0.31234, "sd": 0.2},
        "best_epoch": epoch,
        "patients": {"training": ["p1", "p2"], "validation": ["p3"]},
    }


def image(patient, masses="1", windowing="window"):
    return {"image_id": f"i-{patient}-{masses}", "patient_id": patient, "n_masses": masses, "windowing": windowing}


@pytest.fixture
def study(tmp_path):
    (tmp_path / "cases.png").write_bytes(b"\x89PNG not a real one")
    (tmp_path / "curves.svg").write_text(SVG)
    phantom = {"importer": "oulu", "role": "train", "phantom": True}
    fields = {
        "title": "Study & results",
        "tables": {
            "segmentation": [segmentation_row(), segmentation_row("external", "site-b", "0.412300")],
            "baseline": [
                {
                    "dataset": "site-a",
                    "part": "holdout",
                    "family": "grey_value",
                    "value": "131.0",
                    "n_images": 4,
                    "n_patients": 3,
                }
                | {"dice_mean": "0.3012", "dice_sd": "0.1", "iou_mean": "0.2", "iou_sd": "0.1"}
            ],
            "intervals": [
                {
                    "dataset": "site-a",
                    "part": "holdout",
                    "model": "m<1>",
                    "dice_low": "0.301000",
                    "dice_high": "0.482000",
                },
                {"dataset": "site-b", "part": "external", "model": "m<1>", "dice_low": "", "dice_high": ""},
            ],
            "comparisons": [
                {
                    "dataset": "site-a",
                    "part": "holdout",
                    "model_a": "m<1>",
                    "model_b": "n",
                    "contrast": "decoder",
                    "n_patients": 6,
                    "difference": "0.0412",
                    "low": "-0.01",
                    "high": "0.09",
                    "p_holm": "0.03",
                    "p_equivalence": "",
                    "verdict": "m<1> is better",
                }
            ],
            "normal_images": [
                {"dataset": "site-a", "part": "holdout", "model": "m<1>", "n_images": 2, "n_patients": 2}
                | {"specificity": "0.500000", "false_positives_per_image": "1.250000"}
            ],
            "costs": [
                {
                    "model": "m<1>",
                    "parameters_encoder": "21284672",
                    "parameters_decoder": "6316705",
                    "parameters": "27601377",
                }
                | {"training_seconds": "7322.0", "peak_memory_mb": "912.6", "device": "cpu", "folds": "2"}
            ],
        },
        "notes": ["All phantoms.", "Dice per image."],
        "warnings": ["All phantoms."],
        "models": {"m<1>": [fold_record(7), fold_record(9)]},
        "datasets": {"site-a": phantom, "site-b": phantom | {"role": "external"}},
        "indexes": {
            "site-a": [image("p1"), image("p1", "0"), image("p2", "2", "voi_lut"), image("p3"), image("p4", "")],
            "site-b": [image("q1", "1", "none")],
        },
        "excluded": {"site-a": [{"reason": "for_processing", "explanation": "No <b>look</b> defined."}] * 3},
        "unusable": {"site-a": [{"status": "undecodable", "explanation": "RLE broken."}]},
        "waiting": (),
        "splits": [
            {"patient_id": "p1", "dataset": "site-a", "role": "train", "fold": "0"},
            {"patient_id": "p2", "dataset": "site-a", "role": "train", "fold": "1"},
            {"patient_id": "p3", "dataset": "site-a", "role": "holdout", "fold": ""},
            {"patient_id": "p4", "dataset": "site-a", "role": "new", "fold": ""},
            {"patient_id": "q1", "dataset": "site-b", "role": "external", "fold": ""},
        ],
        "figures": [
            ReportFigure(tmp_path / "cases.png", "Cases", "From best to worst."),
            ReportFigure(tmp_path / "curves.svg", "Curves", "Thin lines: folds."),
        ],
        "config": {
            "data_root": "/secret/place",
            "datasets": [{"name": "site-a", "root": "/secret/place/a"}],
            "weights": {"gmic": {"file": None}, "imagenet": {"file": "/secret/w.pth"}},
            "seed": 2022,
            "statistics": {"alpha": 0.1},
        },
        "versions": {"torch": "2.14.1"},
        "methods": "# Methods\n\n*A draft.*\n\n## Data\n\nOne image was “a\\_b”.\n\n- ethics;\n- funding.\n",
    }

    def record(**changes):
        tables = fields["tables"] | {k: changes.pop(k) for k in list(changes) if k not in fields}
        return StudyRecord(**(fields | {"tables": tables} | changes))

    return record


@pytest.fixture
def page(tmp_path):
    def make(record):
        build_report(record, tmp_path / "report.html")
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return make


def test_means_and_comparisons_are_told_with_interval_and_verdict(study, page):
    text = page(study()).text
    assert text.count("0.301 to 0.482") == 2, "in a tile and in the table"
    assert "90 % interval: 0.301 to 0.482" in text
    assert "with its 90 % bootstrap interval over patients" in text
    assert "+0.041" in text
    assert "-0.010 to +0.090" in text
    assert "m<1> is better" in text
    assert "Do the models differ?" not in page(study(comparisons=[])).text


def test_tables_of_evidence_leave_out_what_no_row_has_and_join_the_specificitys_interval():
    of = {"dataset": "d", "part": "holdout", "model": "m"}
    components = [
        {"dataset": "d", "part": "holdout", "models": "m", "component": c, "sd": "0.1"}
        for c in ("patient", "fold", "residual")
    ]
    normal = [of | {"n_images": "9", "n_patients": "8", "specificity": "0.3", "false_positives_per_image": "1.5"}]
    found = [of | {"specificity_low": "0.1", "specificity_high": "0.6"}, of | {"part": "external"}]
    shown = {
        t.id: t for t in evidence_tables({"variance_components": components, "normal_images": normal}, {"alpha": 0.05})
    }
    assert shown["variance_components"].headings[2:] == ["Models", "Between patients", "Between folds", "Residual"]
    assert "Interval" not in shown["normal_images"].headings
    (table,) = evidence_tables(
        {"normal_images": [*normal, normal[0] | {"dataset": "other"}], "detection": found[:0]}, {"alpha": 0.05}
    )
    assert "Interval" not in table.headings
    rows = _with_intervals([*normal, normal[0] | {"dataset": "other"}], found)
    assert [(r["specificity_low"], r["specificity_high"]) for r in rows] == [("0.1", "0.6"), ("", "")]


def test_one_file_needs_nothing_else(study, page):
    made = page(study())
    assert all(link.startswith(("data:image/", "#")) for link in made.links)
    assert {link[1:] for link in made.links if link.startswith("#")} <= made.ids
    png, svg = [link for link in made.links if link.startswith("data:")]
    assert base64.b64decode(png.removeprefix("data:image/png;base64,")) == b"\x89PNG not a real one"
    assert base64.b64decode(svg.removeprefix("data:image/svg+xml;base64,")).decode() == SVG


def test_the_first_line_is_the_warning(study, page):
    assert page(study()).text.split("Study & results")[1].strip().startswith("All phantoms.")  # [0] is the page's title
    assert page(study(warnings=[], notes=[])).text.count("phantoms") == 0


def test_numbers_of_every_table_are_in_it(study, page):
    cells = page(study()).cells
    for cell in (
        "0.6123 ± 0.1000",
        "0.4123 ± 0.1000",
        "8-bit value ≥ 131",
        "0.3012 ± 0.1000",
        "0.500",
        "1.25",
        "21,284,672",
        "27,601,377",
        "2 h 2 min",
        "913 MB",
        "0.3123",
        "2.14.1",
        "random (imagenet missing)",
    ):
        assert cell in cells


def test_published_values_stand_beside_or_apart(study, page):
    apart = page(study())
    assert "for orientation only" in apart.text
    assert "0.8430 ± 0.1091" in apart.cells
    assert "Published Dice" not in apart.cells
    beside = page(study(segmentation=[segmentation_row(published="0.7677")]))
    assert "0.7677 ± 0.7677" in beside.cells
    assert "Published Dice" in beside.cells
    assert "for orientation only" not in beside.text


def test_texts_are_escaped(study, page):
    made = page(study())
    assert "m<1>" in made.cells
    assert "No <b>look</b> defined." in made.cells


def test_no_path_of_this_machine_is_shown(study, page):
    made = page(study())
    assert "/secret" not in made.text
    assert "seed: 2022" in made.text
    assert "file: null" in config_text(study().config)


def test_cohort_is_counted_by_role_and_fold(study):
    rows = [
        (r["dataset"], r["role"], r["fold"], r["patients"], r["images"], r["images_with_mass"])
        for r in cohort_rows(study())
    ]
    assert rows == [
        ("site-a", "train", "0", 1, 2, 1),
        ("site-a", "train", "1", 1, 1, 1),
        ("site-a", "holdout", "", 1, 1, 1),
        ("site-a", "new", "", 1, 1, 0),
        ("site-b", "external", "", 1, 1, 1),
    ]
    assert cohort_rows(study())[1]["windowing"] == "voi_lut 1"


def test_summary_says_what_was_trained_on_what(study):
    said = summary(study())
    assert said[0] == "1 model, each trained on 2 folds: m<1>."
    assert "Trained and cross-validated on site-a (2 patients, 3 images, 2 with a mass)." in said
    assert "Held out, never trained on: site-a (1 patient, 1 image, 1 with a mass)." in said
    assert "External test: site-b (1 patient, 1 image, 1 with a mass)." in said


def test_patients_after_the_lock_are_named(study, page):
    assert new_patients(study()) == {"site-a": ["p4"]}
    assert "p4" in page(study()).text


def test_files_not_used_are_counted_by_reason(study, page):
    rows = [(r["dataset"], r["stage"], r["reason"], r["count"]) for r in unused_rows(study())]
    assert rows == [("site-a", "index", "for_processing", 3), ("site-a", "rendering", "undecodable", 1)]
    assert "Every file was used." in page(study(excluded={}, unusable={})).text


def test_the_methods_text_is_shown_with_its_headings_and_lists(study, page):
    blocks = [("paragraph", ["A draft."]), ("heading", ["Data"]), ("paragraph", ["One image was “a_b”."])]
    assert methods_blocks(study().methods) == [*blocks, ("list", ["ethics;", "funding."])]
    text = page(study()).text
    assert "Methods A draft. Data One image was “a_b”. ethics; funding. Configuration and versions" in text


def test_a_study_without_holdout_normals_or_figures_is_still_a_page(study, page):
    nothing = {key: [] for key in ("baseline", "comparisons", "normal_images", "figures")}
    made = page(study(segmentation=[segmentation_row("out_of_fold")], **nothing))
    assert {"results", "cohort", "unused", "costs", "methods", "config"} == made.ids
    assert page(study(segmentation=[])).text.count("No image with a mass was scored.") == 1


def test_tiles_show_the_best_model_and_the_threshold():
    rows = [
        segmentation_row(dice="0.4"),
        segmentation_row(dice="0.7") | {"model": "best"},
        segmentation_row("external"),
    ]
    threshold = {"dataset": "site-a", "part": "holdout", "dice_mean": "0.25"}
    interval = {"dataset": "site-a", "part": "holdout", "model": "best", "dice_low": "0.6512", "dice_high": "0.7498"}
    first, second = tiles(rows, [threshold], [interval])
    assert (first["value"], first["model"], first["threshold"]) == ("0.700", "best", "0.250")
    assert (first["interval"], second["interval"], second["threshold"]) == ("0.651 to 0.750", "", None)


def test_same_study_same_bytes(study, tmp_path):
    for name in ("one.html", "two.html"):
        build_report(study(), tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed (make system-deps)")
def test_in_a_browser_without_a_network_the_page_is_whole(study, tmp_path):
    record = study()
    build_report(record, tmp_path / "report.html")
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
    ]
    offline = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    dom = subprocess.run(
        [*command, *offline, f"file://{tmp_path}/report.html"], check=True, capture_output=True, text=True, timeout=120
    )
    assert "Study &amp; results" in dom.stdout
    assert "ERR_" not in dom.stdout
    assert dom.stdout.count("<img") == len(record.figures)


def test_later_images_of_known_patients_are_counted_apart(study):
    said = " ".join(summary(study(waiting={"i-p2-2", "i-p4-"})))
    assert "1 image of known patients arrived after the cohort was locked" in said
    assert "Trained and cross-validated on site-a (2 patients, 2 images, 1 with a mass)" in said
    assert "known patients" not in " ".join(summary(study()))


def test_the_script_counts_each_data_set_by_its_own_index_whatever_their_order(tmp_path):
    from write_report import main

    from mammoseg.runtime.files import write_csv

    people = {"oudsm": "p1", "inbreast": "q1"}  # in the config's order, which is not that of the alphabet
    for dataset, patient in people.items():
        write_csv(tmp_path / dataset / "index.csv", image("p1"), [image(patient)])
        write_csv(tmp_path / dataset / "excluded.csv", ("file", "reason", "explanation"), [])
        rows = [{"image_id": f"i-{patient}-1", "status": "ok", "explanation": ""}]
        write_csv(tmp_path / dataset / "png/s-0/manifest.csv", rows[0], rows)
        write_csv(tmp_path / dataset / "scores/m.csv", OF_A_CASE, [])
    roles = {"oudsm": "train", "inbreast": "external"}
    splits = [{"patient_id": p, "dataset": d, "role": roles[d], "fold": ""} for d, p in people.items()]
    write_csv(tmp_path / "splits.csv", splits[0], splits)
    write_csv(tmp_path / "work.csv", ("dataset", "unit", "role"), [])
    tables = {name: tmp_path / f"{name}.csv" for name in ("segmentation", "intervals", "baseline", "costs")}
    for path in tables.values():
        write_csv(path, ("dataset",), [])
    model = tmp_path / "models/m/fold0/model.json"
    model.parent.mkdir(parents=True)
    model.write_text(json.dumps(fold_record(1) | {"versions": {"torch": "1"}}))
    (tmp_path / "methods.md").write_text("# Methods\n")
    main(
        {"models": [{"name": "m"}], "splits": {"require_mass": True}, "statistics": {"alpha": 0.05}},
        {"datasets": {d: {"importer": d, "role": roles[d], "phantom": False} for d in sorted(people)}},
        tables,
        tmp_path / "splits.csv",
        tmp_path / "work.csv",
        [tmp_path / d / "index.csv" for d in people],
        [tmp_path / d / "png/s-0/manifest.csv" for d in people],
        [model],
        [tmp_path / d / "scores/m.csv" for d in people],
        tmp_path / "methods.md",
        [],
        tmp_path / "report.html",
    )
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Trained and cross-validated on oudsm (1 patient, 1 image, 1 with a mass)" in text
    assert "External test: inbreast (1 patient, 1 image, 1 with a mass)" in text
