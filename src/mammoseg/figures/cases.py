"""The qualitative figure: cases from the best to the worst, image, reference and every model's prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from mammoseg.figures.style import GREY, ORANGE, SKY, YELLOW, house_style, message, new_figure

CELL = 1.5  # inches, a picture
SMALLEST_FRAME = 4  # at most so many times enlarged
SHARPEST = 600  # pixels a side, of a picture: more is not seen, and makes the file large
RANKS = ("best", "upper quartile", "median", "lower quartile", "worst")


@dataclass(frozen=True)
class CaseView:
    """One row of the figure.

    Attributes
    ----------
    label : str
        What stands beside the row, e.g. rank and data set.
    image : (rows, columns) uint8 or uint16
        0 is air.
    reference : (rows, columns) bool
        Reference mask.
    predictions : mapping of str to ((rows, columns) bool, float or None)
        Model → predicted mask and its Dice, in the order of the columns; None where the Dice is undefined.
    """

    label: str
    image: np.ndarray
    reference: np.ndarray
    predictions: Mapping[str, tuple[np.ndarray, float | None]]


def choose_cases(scores: Mapping[str, Sequence[Mapping]], rows: int = 5) -> list[tuple[str, str]]:
    """Pick cases evenly from the best to the worst by the mean over the models of the Dice on the original image.

    Parameters
    ----------
    scores : mapping of str to sequence of mapping
        Model → score rows of one part; images without a mass are not shown.
    rows : int
        How many, at most.

    Returns
    -------
    list of (str, str)
        Rank in words and image_id, the best first. Equal scores are ordered by image_id.
    """
    dice: dict[str, list[float]] = {}
    for cases in scores.values():
        for case in cases:
            if int(case["n_masses"]) > 0 and case["original_dice"] not in ("", None):
                dice.setdefault(case["image_id"], []).append(float(case["original_dice"]))
    ranked = sorted(dice, key=lambda image_id: (-np.mean(dice[image_id]), image_id))
    chosen = sorted({round(k) for k in np.linspace(0, len(ranked) - 1, min(rows, len(ranked)))}) if ranked else []
    return [(_rank(k, len(ranked)), ranked[k]) for k in chosen]


def choose_disputed(scores: Mapping[str, Sequence[Mapping]], rows: int = 4) -> list[str]:
    """image_ids of the cases on which the folds disagree most, by the mean score over the models; the most disputed first."""
    found: dict[str, list[float]] = {}
    for cases in scores.values():
        for case in cases:
            if case["fold_disagreement"]:
                found.setdefault(case["image_id"], []).append(float(case["fold_disagreement"]))
    return sorted(found, key=lambda image_id: (-np.mean(found[image_id]), image_id))[:rows]


@dataclass(frozen=True)
class DisputedView:
    """One row of the figure of disagreement.

    Attributes
    ----------
    label : str
    image : (rows, columns) uint8 or uint16
        0 is air.
    reference : (rows, columns) bool
    maps : mapping of str to ((rows, columns) float32, float)
        Model → `mammoseg.metrics.calibration.fold_spread` and `fold_disagreement` of its folds' masks.
    """

    label: str
    image: np.ndarray
    reference: np.ndarray
    maps: Mapping[str, tuple[np.ndarray, float]]


def disagreement(cases: Sequence[DisputedView]) -> Figure:
    """Draw where the folds disagree, one row a case: the whole breast, and for each model the SD over its folds, where not 0."""
    if not cases:
        return message("No image was predicted by several folds.")
    models = list(cases[0].maps)
    with house_style():
        figure = new_figure((CELL + 0.4) * (len(models) + 1) + 0.4, (CELL + 0.62) * len(cases) + 0.7)
        grid = figure.subplots(len(cases), len(models) + 1, squeeze=False)
        highest = max(float(spread.max()) for case in cases for spread, _ in case.maps.values()) or 1.0
        for axes, case in zip(grid, cases, strict=True):
            marks = np.logical_or.reduce([case.image > 0, case.reference, *(m > 0 for m, _ in case.maps.values())])
            breast = _square(marks, 1.0)
            _show(axes[0], case.image, breast)
            _outline(axes[0], case.reference, SKY, breast)
            axes[0].set_ylabel(case.label, fontsize=8, labelpad=6)
            for ax, (spread, score) in zip(axes[1:], case.maps.values(), strict=True):
                _show(ax, case.image, breast)
                inside, _ = breast.cut(spread)
                step = max(1, breast.side // SHARPEST)
                extent = ax.images[0].get_extent()
                seen = np.ma.masked_less_equal(inside[::step, ::step], 0)
                shown = ax.imshow(
                    seen, cmap="plasma", vmin=0, vmax=highest, interpolation="nearest", extent=extent, alpha=0.8
                )
                _outline(ax, case.reference, SKY, breast)
                ax.set_xlabel(f"disagreement {score:.2f}", fontsize=8, labelpad=2)
        for ax, name in zip(grid[0], ["image", *models], strict=True):
            ax.set_title(name, fontsize=7.5, loc="center")
        figure.colorbar(
            shown, ax=grid[:, 1:], location="bottom", shrink=0.5, aspect=40, label="SD over the folds' masks"
        )
        figure.legend(handles=[Line2D([], [], color=SKY, label="reference")], loc="outside lower center")
    return figure


def qualitative(cases: Sequence[CaseView]) -> Figure:
    """Draw the cases, one row each: the whole breast, then the framed part enlarged: the reference, and each model's prediction.

    The frame holds the reference and every model's prediction, so that no false positive is out of sight.
    """
    if not cases:
        return message("No image with a mass was scored.")
    models = list(cases[0].predictions)
    columns = ["image", "reference", *models]
    with house_style():
        figure = new_figure(CELL * len(columns) + 0.4, (CELL + 0.22) * len(cases) + 0.6)
        grid = figure.subplots(len(cases), len(columns), squeeze=False)
        for axes, case in zip(grid, cases, strict=True):
            marks = np.logical_or.reduce([case.reference, *(mask for mask, _ in case.predictions.values())])
            breast, frame = _square((case.image > 0) | marks, 1.0), _square(marks, 1.3)
            _show(axes[0], case.image, breast)
            axes[0].add_patch(
                Rectangle(
                    (frame.left - 0.5, frame.top - 0.5),
                    frame.width,
                    frame.height,
                    fill=False,
                    color=YELLOW,
                    linewidth=0.8,
                )
            )
            axes[0].set_ylabel(case.label, fontsize=8, labelpad=6)
            _show(axes[1], case.image, frame)
            _outline(axes[1], case.reference, SKY, frame)
            for ax, (mask, dice) in zip(axes[2:], case.predictions.values(), strict=True):
                _show(ax, case.image, frame)
                _fill(ax, mask, ORANGE, frame)
                _outline(ax, mask, ORANGE, frame)
                _outline(ax, case.reference, SKY, frame)
                ax.set_xlabel("no Dice" if dice is None else f"Dice {dice:.2f}", fontsize=8, labelpad=2)
        for ax, name in zip(grid[0], columns, strict=True):
            ax.set_title(name, fontsize=7.5, loc="center")
        handles = [
            Line2D([], [], color=SKY, label="reference"),
            Patch(facecolor=to_rgba(ORANGE, 0.4), edgecolor=ORANGE, label="prediction"),
            Patch(facecolor="none", edgecolor=YELLOW, label="part shown enlarged"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _rank(k: int, n: int) -> str:
    """Rank `k` of `n` in words: of best, quartiles, median, worst the one it stands at, else the share of better cases."""
    share = k / (n - 1) if n > 1 else 0.5
    quarter = 4 * share
    return (
        RANKS[round(quarter)] if n == 1 or abs(quarter - round(quarter)) * (n - 1) <= 2 else f"{share:.0%} are better"
    )


@dataclass(frozen=True)
class _Box:
    """A square in pixels of the picture; it may reach beyond it."""

    top: int
    left: int
    side: int

    @property
    def height(self) -> int:
        return self.side

    @property
    def width(self) -> int:
        return self.side

    def cut(self, array: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """What lies inside, and the row and column at which it begins."""
        top, left = max(self.top, 0), max(self.left, 0)
        return array[top : self.top + self.side, left : self.left + self.side], (top, left)


def _square(mask: np.ndarray, margin: float) -> _Box:
    """A square around the mask, `margin` times its larger extent; all of the picture where the mask is empty."""
    whole = max(mask.shape)
    if not mask.any():
        return _Box(0, 0, whole)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    wanted = round(margin * (max(np.ptp(rows), np.ptp(columns)) + 1))
    side = min(whole, max(wanted, whole // SMALLEST_FRAME))
    start = []
    for first, last, length in ((rows[0], rows[-1], mask.shape[0]), (columns[0], columns[-1], mask.shape[1])):
        middle = (first + last + 1 - side) // 2
        start.append(int(np.clip(middle, 0, length - side)) if side <= length else (length - side) // 2)
    return _Box(*start, side)


def _show(ax: Axes, image: np.ndarray, part: _Box) -> None:
    inside, (top, left) = part.cut(image)
    step = max(1, part.side // SHARPEST)
    extent = (left - 0.5, left + inside.shape[1] - 0.5, top + inside.shape[0] - 0.5, top - 0.5)
    ax.set_facecolor("black")
    ax.imshow(
        inside[::step, ::step],
        cmap="gray",
        vmin=0,
        vmax=np.iinfo(image.dtype).max,
        interpolation="nearest",
        extent=extent,
    )
    ax.set_xlim(part.left - 0.5, part.left + part.width - 0.5)
    ax.set_ylim(part.top + part.height - 0.5, part.top - 0.5)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, color=GREY, linewidth=0.5)


def _outline(ax: Axes, mask: np.ndarray, colour: str, part: _Box) -> None:
    inside, (top, left) = part.cut(mask)
    if inside.any():
        framed = np.pad(inside.astype(float), 1)  # so that a mask at the border is closed
        x, y = np.arange(left - 1, left + inside.shape[1] + 1), np.arange(top - 1, top + inside.shape[0] + 1)
        ax.contour(x, y, framed, levels=[0.5], colors=[colour], linewidths=[1.0])


def _fill(ax: Axes, mask: np.ndarray, colour: str, part: _Box) -> None:
    inside, (top, left) = part.cut(mask)
    layer = np.zeros((*inside.shape, 4))
    layer[inside] = to_rgba(colour, 0.3)
    extent = (left - 0.5, left + inside.shape[1] - 0.5, top + inside.shape[0] - 0.5, top - 0.5)
    ax.imshow(layer, interpolation="nearest", extent=extent)
