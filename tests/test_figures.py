"""Figures: what they show, looked up in the drawn objects and in the pixels; and the same bytes twice."""

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.contour import QuadContourSet
from PIL import Image

from mammoseg.figures import (
    CaseView,
    DisputedView,
    choose_cases,
    choose_disputed,
    dice_distribution,
    disagreement,
    qualitative,
    save,
    training_curves,
)
from mammoseg.figures.style import BLUE, ORANGE, RED, SKY

SIDE = 64


def row(image_id: str, dice: float | None, n_masses: int = 1) -> dict:
    return {"image_id": image_id, "original_dice": "" if dice is None else str(dice), "n_masses": str(n_masses)}


def case(label="best", dice=0.5, predict=True) -> CaseView:
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[4:60, :30] = 120
    reference = np.zeros((SIDE, SIDE), bool)
    reference[20:30, 10:20] = True
    prediction = np.roll(reference, 3, 0) & predict
    return CaseView(label, image, reference, {"model-a": (prediction, dice), "model-b": (reference, 1.0)})


def history(fold: int, lr=(1e-3, 1e-3, 1e-3, 1e-4, 1e-4), phases=(1, 1, 2, 2, 2)) -> list[dict]:
    return [
        {"epoch": str(e), "phase": str(p), "lr": str(rate)}
        | {"train_loss": str(1 / e), "val_loss": str(1.2 / e + fold)}
        | {"train_dice": str(e / 10), "val_dice": str(e / 10 + 0.1 * fold)}
        for e, (rate, p) in enumerate(zip(lr, phases, strict=True), 1)
    ]


def pixels(figure) -> np.ndarray:
    FigureCanvasAgg(figure).draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def has_colour(figure, colour: str) -> bool:
    wanted = np.array(to_rgb(colour)) * 255
    return bool((np.abs(pixels(figure).astype(float) - wanted).max(axis=2) <= 2).any())


def test_chosen_cases_run_from_best_to_worst_by_the_mean_over_models():
    a = [row(f"i{k}", k / 10) for k in range(9)]
    b = [row(f"i{k}", k / 10 + (0.9 if k == 0 else 0)) for k in range(9)]
    # Mean Dice: i8 0.8, i7, i6, i5, i0 0.45, i4 0.4, i3, i2, i1
    assert choose_cases({"a": a, "b": b}, 5) == [
        ("best", "i8"),
        ("upper quartile", "i6"),
        ("median", "i0"),
        ("lower quartile", "i3"),
        ("worst", "i1"),
    ]


def test_images_without_a_mass_or_a_dice_are_not_chosen():
    assert choose_cases({"a": [row("normal", 0.0, 0), row("x", 0.5), row("undefined", None)]}) == [("median", "x")]
    assert choose_cases({"a": []}) == []


def test_equal_scores_are_ordered_by_name_and_few_cases_are_all_shown():
    chosen = choose_cases({"a": [row("z", 0.5), row("y", 0.5)]})
    assert chosen == [("best", "y"), ("worst", "z")]


def test_qualitative_figure_has_a_row_a_case_and_writes_dice():
    figure = qualitative([case(), case("worst", None, predict=False)])
    grid = np.array(figure.axes).reshape(2, 4)
    assert [ax.get_title() for ax in grid[0]] == ["image", "reference", "model-a", "model-b"]
    assert [ax.get_xlabel() for ax in grid[0]] == ["", "", "Dice 0.50", "Dice 1.00"]
    assert grid[1, 2].get_xlabel() == "no Dice"
    assert grid[1, 0].get_ylabel() == "worst"


def test_contours_lie_where_the_masks_are():
    figure = qualitative([case()])
    contours = {
        k: [c for c in ax.get_children() if isinstance(c, QuadContourSet)] for k, ax in enumerate(figure.axes[:4])
    }
    assert [len(contours[k]) for k in range(4)] == [0, 1, 2, 2]
    (reference,) = contours[1]
    corners = np.concatenate([p.vertices for p in reference.get_paths()])
    assert corners.min(axis=0) == pytest.approx([9.5, 19.5])  # x, y: half a pixel outside columns 10..19, rows 20..29
    assert corners.max(axis=0) == pytest.approx([19.5, 29.5])
    assert has_colour(figure, SKY)
    assert has_colour(figure, ORANGE)


def test_every_mark_is_inside_the_enlarged_frame():
    view = case()
    far = view.reference.copy()
    far[55:58, 25:28] = True
    view = CaseView("x", view.image, view.reference, {"model-a": (far, 0.8)})
    ax = qualitative([view]).axes[2]
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert left <= 9.5
    assert right >= 27.5
    assert top <= 19.5
    assert bottom >= 57.5
    assert right - left == bottom - top  # a square, so that shapes are true


def test_an_empty_picture_can_be_drawn():
    nothing = np.zeros((SIDE, SIDE), bool)
    figure = qualitative([CaseView("x", np.zeros((SIDE, SIDE), np.uint8), nothing, {"m": (nothing, None)})])
    assert pixels(figure).std() > 0


@pytest.mark.parametrize("figure", [qualitative([]), dice_distribution({})])
def test_without_a_case_the_figure_says_so(figure):
    assert [text.get_text() for text in figure.texts] == ["No image with a mass was scored."]
    assert pixels(figure).std() > 0


def test_training_curves_draw_each_fold_and_the_mean_and_split_the_loss_at_the_phase():
    figure = training_curves({"m": [history(0), history(1)]})
    loss, dice = figure.axes
    thick = [line for line in loss.lines if line.get_linewidth() > 1 and line.get_linestyle() == "-"]
    thin = [line for line in loss.lines if line.get_linewidth() < 1]
    assert len(thick) == 4  # training and validation, two phases
    assert len(thin) == 8  # times two folds
    validation = next(line for line in dice.lines if line.get_linewidth() > 1 and line.get_color() == RED)
    np.testing.assert_allclose(validation.get_ydata(), np.arange(1, 6) / 10 + 0.05)
    train = next(line for line in thick if line.get_color() == BLUE)
    assert train.get_xdata().tolist() == [1, 2]
    drops = [line for line in loss.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in drops] == [3.5]


def test_a_wild_epoch_does_not_flatten_the_loss_curves_and_is_named():
    below = history(0)
    below[4]["val_loss"] = "-0.5"
    calm = training_curves({"m": [below]}).axes[0]
    assert calm.get_ylim() == pytest.approx((-0.55, 2))
    assert calm.get_ylabel() == "loss"
    wild = history(0)
    wild[1]["val_loss"] = "30.5"
    loss = training_curves({"m": [wild]}).axes[0]
    assert loss.get_ylim() == pytest.approx((-0.05, 2))
    assert loss.get_ylabel() == "loss (cut off; largest 30.5)"


def test_a_cycling_learning_rate_has_no_drops_and_a_gap_has_no_mean():
    cycle = history(0, lr=(1e-4, 5e-4, 1e-3, 4e-4, 1e-6))
    short = history(1)[:4]
    figure = training_curves({"m": [cycle, short]})
    dice = figure.axes[1]
    assert not [line for line in dice.lines if line.get_linestyle() == ":"]
    mean = next(line for line in dice.lines if line.get_linewidth() > 1)
    assert mean.get_xdata().tolist() == [1, 2, 3, 4]


def test_five_models_take_two_blocks():
    figure = training_curves({f"m{k}": [history(0)] for k in range(5)})
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in shown if ax.get_title(loc="left")] == [f"m{k}" for k in range(5)]
    assert len(shown) == 10


def test_dice_distribution_shows_every_image_the_mean_and_the_threshold():
    values = {("a", "holdout"): {"m": [0.1, 0.5, 0.9], "n": [0.4]}, ("b", "external"): {"m": [0.3, 0.7]}}
    figure = dice_distribution(values, {("a", "holdout"): 0.25})
    first, second = figure.axes
    assert first.get_title(loc="left") == "a, holdout (3 images)"
    points = np.sort(np.concatenate([c.get_offsets()[:, 0] for c in first.collections]))
    np.testing.assert_allclose(points, [0.1, 0.4, 0.5, 0.9])
    means = [line.get_xdata()[0] for line in first.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(means, [0.5, 0.4])
    assert [line.get_xdata()[0] for line in first.lines if line.get_linestyle() == "--"] == [0.25]
    assert not [line for line in second.lines if line.get_linestyle() == "--"]
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["m", "n"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: qualitative([case()]),
        lambda: training_curves({"m": [history(0)]}),
        lambda: dice_distribution({("a", "holdout"): {"m": [0.1, 0.5, 0.9]}}),
    ],
)
def test_saved_twice_is_the_same_bytes_without_date(draw, tmp_path):
    for name in ("one", "two"):
        save(draw(), tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    for ending in ("png", "svg"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()
    assert "<dc:date>" not in (tmp_path / "one.svg").read_text()
    with Image.open(io.BytesIO((tmp_path / "one.png").read_bytes())) as image:
        assert np.asarray(image.convert("L")).std() > 0
        assert not image.text


def test_the_most_disputed_cases_come_first():
    scores = {
        "a": [{"image_id": i, "fold_disagreement": d} for i, d in (("x", "0.2"), ("y", "0.9"), ("z", ""), ("w", "0.2"))],
        "b": [{"image_id": i, "fold_disagreement": d} for i, d in (("x", "0.4"), ("y", "0.1"), ("w", "0.4"))],
    }  # fmt: skip
    assert choose_disputed(scores) == ["y", "w", "x"]
    assert choose_disputed(scores, rows=1) == ["y"]
    assert choose_disputed({"a": [{"image_id": "x", "fold_disagreement": ""}]}) == []


def test_disagreement_is_drawn_where_it_is_and_nowhere_else(tmp_path):
    image = np.full((90, 60), 200, np.uint8)
    reference, spread = np.zeros((90, 60), bool), np.zeros((90, 60), np.float32)
    reference[10:20, 10:20] = True
    spread[50:60, 30:40] = 0.5
    figure = disagreement([DisputedView("one", image, reference, {"m": (spread, 0.25), "n": (spread * 0, 0.0)})])
    assert [ax.get_xlabel() for ax in figure.axes[1:3]] == ["disagreement 0.25", "disagreement 0.00"]
    drawn = [ax.images[1].get_array() for ax in figure.axes[1:3]]
    assert np.array_equal(~np.ma.getmaskarray(drawn[0]), spread > 0)
    assert drawn[1].mask.all()
    save(figure, tmp_path / "a.png", tmp_path / "a.svg")
    save(disagreement([]), tmp_path / "b.png")
