"""The tables for people: Markdown, LaTeX, terminal."""

import re

import pytest

from mammoseg.tables import typeset


def row(model="m_1", part="holdout", dice="0.712345", published="", dataset="a_b"):
    values = {
        "n_images": "12",
        "n_patients": "5",
        "dice_mean": dice,
        "dice_sd": "0.200000",
        "iou_mean": "0.6",
        "iou_sd": "",
    }
    beside = {f"published_{k}": published for k in ("dice_mean", "dice_sd", "iou_mean", "iou_sd")}
    return (
        {"dataset": dataset, "part": part, "model": model, "encoder": "e", "decoder": "d", "weights": "gmic"}
        | values
        | beside
    )


def threshold(part="holdout", dice="0.300000", family="brightest_share", value="0.012500", dataset="a_b"):
    return {"dataset": dataset, "part": part, "family": family, "value": value, "dice_mean": dice, "dice_sd": "0.1"}


def test_markdown_shows_mean_and_sd_and_escapes_names():
    text = typeset.markdown([row(published="0.7677")], ["a_note | with *signs*"])
    line = next(line for line in text.splitlines() if "12" in line)
    cells = ["a\\_b", "holdout", "m\\_1", "gmic", "12", "5", "0.7123 ± 0.2000", "0.6000"] + 2 * ["0.7677 ± 0.7677"]
    assert [cell.strip() for cell in line.strip("|").split("|")] == cells
    assert "- a\\_note \\| with \\*signs\\*" in text
    assert "Isosalo" not in text


def test_published_table_is_shown_apart_where_nothing_stands_beside():
    for text in (typeset.markdown([row()], []), typeset.latex([row()], [])):
        assert "for orientation only" in text
        assert "0.8430" in text


def test_every_markdown_row_has_as_many_cells_as_its_head():
    lines = [line for line in typeset.markdown([row(), row()], []).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {len(typeset.HEAD) - 2 + 1, len(typeset.PUBLISHED_HEAD) + 1}
    beside = [line for line in typeset.markdown([row(published="0.7")], []).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in beside} == {len(typeset.HEAD) + 1}


def test_latex_is_escaped_balanced_and_booktabs():
    text = typeset.latex([row(model="50%_{x}&~^\\#$")], ["a ± b"])
    assert r"50\%\_\{x\}\&\textasciitilde{}\textasciicircum{}\textbackslash{}\#\$" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 2
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    bare = re.sub(r"\\[{}\\&%$#_]", "", text)
    assert bare.count("{") == bare.count("}")
    table = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert len(re.findall(r"(?<!\\)&", table)) == len(typeset.HEAD) - 2 - 1  # nothing stands beside: two columns less
    assert r"a $\pm$ b" in text


def test_a_study_without_a_scored_mass_still_has_tables():
    assert typeset.markdown([], ["none"]).startswith("| Data set | Part |")
    assert "\\midrule\n\\bottomrule" in typeset.latex([], [])
    assert typeset.summary_text([], [], [], "report.html").startswith("Data set")


def test_terminal_table_is_aligned_and_leaves_empty_columns_out():
    lines = typeset.aligned(["one", "two", "three"], [["a", "", "bbb"], ["aaaaa", "", "c"]]).splitlines()
    assert lines == ["one    three", "-----  -----", "a      bbb", "aaaaa  c"]


def test_summary_names_the_best_ensemble_the_threshold_the_difference_and_the_report():
    segmentation = [row("weak", dice="0.4"), row("strong", dice="0.55"), row("lucky", "out_of_fold", dice="0.9")]
    text = typeset.summary_text(
        segmentation, [threshold(), threshold("out_of_fold", "0.8")], ["All phantoms."], "r/report.html"
    )
    assert text.startswith("All phantoms.")
    assert "Best ensemble (a_b, holdout, 12 images): strong, Dice 0.5500" in text
    assert "chosen on the training part: brightest 1.25 % of the breast, Dice 0.3000" in text
    assert "Difference: +0.2500" in text
    assert text.endswith("Report: r/report.html")


def test_contest_is_out_of_fold_where_there_is_no_holdout():
    lines = typeset.contest(
        [row("x", "out_of_fold")], [threshold("out_of_fold", family="grey_value", value="131.000000")]
    )
    assert lines[0].startswith("Best model (a_b, out_of_fold")
    assert "8-bit value ≥ 131" in lines[1]


def test_contest_keeps_data_sets_apart():
    segmentation = [row("x", dataset="s1", dice="0.5"), row("y", dataset="s2", dice="0.6")]
    lines = typeset.contest(segmentation, [threshold(dataset="s1"), threshold(dataset="s2", dice="0.7")])
    assert [line for line in lines if line.startswith("Difference")] == ["Difference: +0.2000", "Difference: -0.1000"]


@pytest.mark.parametrize(
    ("mean", "sd", "text"), [("0.71235", "0.1", "0.7124 ± 0.1000"), ("0.5", "", "0.5000"), ("", "", "")]
)
def test_plus_minus(mean, sd, text):
    assert typeset.plus_minus(mean, sd) == text
