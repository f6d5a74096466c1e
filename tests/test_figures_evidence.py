"""Figures of the tables: what they show is read back from the drawing."""

import numpy as np
import pytest

from mammoseg.figures import evidence, save

OF = {"dataset": "site", "part": "out_of_fold"}
MODELS = [f"m{k}" for k in range(8)]


def comparison(a, b, difference, verdict, **changes):
    return OF | {
        "model_a": a, "model_b": b, "difference": str(difference), "low": str(difference - 0.1), "high": str(difference + 0.1),
        "margin": "0.05", "n_images": "30", "n_patients": "12", "verdict": verdict,
    } | changes  # fmt: skip


def group(model, by, name, dice, **changes):
    return OF | {
        "model": model, "by": by, "group": name, "n_images": "9", "n_patients": "6", "dice_mean": str(dice),
        "dice_low": str(dice - 0.1), "dice_high": str(dice + 0.1), "ceiling_square_mean": "0.95",
    } | changes  # fmt: skip


COMPARED = [
    comparison("a", "b", 0.2, "a is better"),
    comparison("a", "c", 0.01, "equivalent within 0.05", low="", high=""),
]
SIZES = [group(m, "largest mass", g, d) for m in MODELS[:2] for g, d in (("below 10 mm", 0.2), ("10 mm and more", 0.6))]
GROUPS = [*SIZES, *(group(m, "view", v, 0.5) for m in MODELS[:2] for v in ("CC", "MLO"))]
CURVE = [
    OF | {"model": m, "threshold": "", "false_positives_per_image": str(x), "sensitivity": str(y)}
    for m in MODELS for x, y in ((0, 0), (0.5, 0.4), (1.5, 0.7))
]  # fmt: skip
DETECTION = [OF | {"model": m, "n_images": "30", "n_masses": "21"} for m in MODELS]
BINS = [
    OF | {"model": m, "probability": str(p), "share_of_mass": str(p / 2), "pixels": "100"}
    for m in MODELS[:2]
    for p in (0.1, 0.5, 0.9)
] + [OF | {"model": m, "probability": "0.7", "share_of_mass": "1.0", "pixels": "99"} for m in MODELS[:2]]
TRUST = [OF | {"model": m, "n_images": "30", "n_disagreement": "11"} for m in MODELS]
SWEEP = [
    OF | {"model": "m0", "threshold": f"{t:.2f}", "n_images": "30", "dice_mean": f"{1 - t:.2f}"}
    for t in (0.25, 0.5, 0.75)
]
RISK = [OF | {"model": "m0", "coverage": str(c), "risk": str(c / 3)} for c in (0.5, 1)]

DRAWN = {
    "differences": lambda: evidence.differences(COMPARED),
    "sizes": lambda: evidence.sizes(GROUPS, "largest mass"),
    "groups": lambda: evidence.groups(GROUPS, "largest mass"),
    "froc": lambda: evidence.froc_curves(CURVE, DETECTION),
    "calibration": lambda: evidence.reliability_curves(BINS, TRUST),
    "thresholds": lambda: evidence.threshold_curves(SWEEP, 0.4),
    "disagreement": lambda: evidence.risk_coverage_curves(RISK, TRUST),
}
EMPTY = {
    "differences": lambda: evidence.differences([]),
    "sizes": lambda: evidence.sizes(GROUPS[4:], "largest mass"),
    "groups": lambda: evidence.groups(SIZES, "largest mass"),
    "froc": lambda: evidence.froc_curves([], DETECTION),
    "calibration": lambda: evidence.reliability_curves([], []),
    "thresholds": lambda: evidence.threshold_curves([], 0.5),
    "disagreement": lambda: evidence.risk_coverage_curves([], TRUST),
}


def lines(ax):
    return [np.array(line.get_xydata(), float) for line in ax.lines]


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()]


@pytest.mark.parametrize("name", DRAWN)
def test_saved_twice_is_the_same_bytes_without_date(name, tmp_path):
    for k in range(2):
        save(DRAWN[name](), tmp_path / f"{k}.png", tmp_path / f"{k}.svg")
    for ending in ("png", "svg"):
        assert (tmp_path / f"0.{ending}").read_bytes() == (tmp_path / f"1.{ending}").read_bytes()


@pytest.mark.parametrize("name", EMPTY)
def test_a_figure_of_nothing_says_so(name, tmp_path):
    figure = EMPTY[name]()
    assert not figure.axes
    assert figure.texts[0].get_text()
    save(figure, tmp_path / "a.png")


def test_differences_with_their_intervals():
    figure = DRAWN["differences"]()
    (ax,) = figure.axes
    assert titles(figure) == ["site, out of fold (30 images, 12 patients)"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a − b", "a − c"]
    drawn = [line.tolist() for line in lines(ax)[1:]]  # after the line at 0
    assert drawn == [[[0.1, 0], [pytest.approx(0.3), 0]], [[0.2, 0]], [[0.01, 1]]], "one pair has no interval"
    better, same = ax.lines[2].get_color(), ax.lines[3].get_color()
    assert better != same


def test_sizes_and_the_ceiling():
    figure = DRAWN["sizes"]()
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["below 10 mm\n9 images", "10 mm and more\n9 images"]
    assert lines(ax)[-1].tolist() == [[0, 0.95], [1, 0.95]]
    assert [list(line[:, 1]) for line in lines(ax)[:1]] == [[0.2, 0.6]]


def test_groups_leave_the_sizes_out():
    (ax,) = DRAWN["groups"]().axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["view: CC (9)", "view: MLO (9)"]
    assert len([line for line in lines(ax) if len(line) == 1]) == 4


def test_a_froc_goes_on_to_the_right_and_eight_models_look_different():
    figure = DRAWN["froc"]()
    (ax,) = figure.axes
    assert titles(figure) == ["site, out of fold\n30 images, 21 masses"]
    curves = ax.lines[4:]  # after the four rates
    assert len({(c.get_color(), c.get_linestyle()) for c in curves}) == 8
    assert curves[0].get_xydata().tolist() == [[0, 0], [0.5, 0.4], [1.5, 0.7], [4, 0.7]]
    assert {c.get_drawstyle() for c in curves} == {"steps-post"}


def test_calibration_threshold_and_disagreement():
    ax = DRAWN["calibration"]().axes[0]
    assert lines(ax)[1].tolist() == [[0.1, 0.05], [0.5, 0.25], [0.9, 0.45]]
    ax = DRAWN["thresholds"]().axes[0]
    assert lines(ax)[0][:, 0].tolist() == [0.4, 0.4]
    assert lines(ax)[1].tolist() == [[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]]
    figure = DRAWN["disagreement"]()
    assert titles(figure) == ["site, out of fold\n11 images"]
    assert lines(figure.axes[0])[0].tolist() == [[0.5, pytest.approx(1 / 6)], [1, pytest.approx(1 / 3)]]


def test_four_parts_take_two_rows():
    rows = [row | {"dataset": d} for d in ("a", "b", "c", "d") for row in CURVE]
    figure = evidence.froc_curves(rows, [])
    assert sum(ax.get_visible() for ax in figure.axes) == 4
    assert len({round(ax.get_position().y0, 2) for ax in figure.axes}) >= 1
    assert titles(figure)[0] == "a, out of fold"
