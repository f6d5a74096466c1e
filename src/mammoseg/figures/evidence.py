"""Figures of the tables: differences between models, sizes, groups, FROC, calibration, threshold, disagreement of the folds.

Each takes rows of a table as text and gives a figure with one panel per data set and part, whose title says of how many it is.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mammoseg.figures.style import BLACK, CYCLE, GREY, house_style, message, new_figure
from mammoseg.metrics.lesions import RATES

Rows = Sequence[Mapping[str, str]]

ACROSS = 3
SHADE = "#eceff3"
LOOKS = [(colour, line) for line, colour in product(("-", "--", ":"), CYCLE)]
"""Colour and line of each model, in the config's order."""
MOST_FALSE_POSITIVES = 4.0
"""Per image, to which a FROC is drawn."""
FEWEST_PIXELS = 100
"""In a bin of the reliability curve that is drawn: the share of mass among fewer is chance."""
NOTHING = "Nothing to draw: no image of these data sets says anything about it."


def differences(rows: Rows) -> Figure:
    """Difference of the mean Dice of every pair of models (rows of comparisons.csv), with its interval and the margin."""
    if not rows:
        return message("There is one model only: nothing to compare.")
    panels = _by_part(rows)
    pairs = max(len(of_part) for of_part in panels.values())
    with house_style():
        figure = new_figure(7.2, (0.27 * pairs + 0.75) * len(panels) + 0.5)
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
        for ax, (title, of_part) in zip(axes, panels.items(), strict=True):
            margin = float(of_part[0]["margin"])
            ax.axvspan(-margin, margin, color=SHADE, linewidth=0, zorder=0)
            ax.axvline(0, color=GREY, linewidth=0.8)
            for k, row in enumerate(of_part):
                decided = "better" in row["verdict"]
                _interval(ax, row, "difference", "low", "high", k, CYCLE[1] if decided else CYCLE[0])
            ax.set_yticks(range(len(of_part)), [f"{r['model_a']} − {r['model_b']}" for r in of_part], fontsize=7)
            ax.set_ylim(len(of_part) - 0.5, -0.5)
            ax.set_title(f"{title} ({of_part[0]['n_images']} images, {of_part[0]['n_patients']} patients)", fontsize=9)
            ax.grid(axis="y", visible=False)
        axes[-1].set_xlabel("difference of the mean Dice")
        handles = [
            Line2D([], [], color=CYCLE[1], marker="o", markersize=4, label="one is better"),
            Line2D([], [], color=CYCLE[0], marker="o", markersize=4, label="not shown that one is"),
            Patch(facecolor=SHADE, label=f"within the margin, ±{float(rows[0]['margin']):g}"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def sizes(rows: Rows, kinds: Collection[str]) -> Figure:
    """Mean Dice by size of the mass (rows of breakdowns.csv of these kinds), beside what the square leaves of the reference."""

    def draw(ax: Axes, models: Mapping[str, Rows]) -> None:
        groups = list(dict.fromkeys(r["group"] for of_model in models.values() for r in of_model))
        for k, (model, of_model) in enumerate(models.items()):
            place = np.array([groups.index(r["group"]) for r in of_model]) + 0.06 * (k - (len(models) - 1) / 2)
            mean, low, high = (_numbers(of_model, f"dice_{x}") for x in ("mean", "low", "high"))
            colour, line = _look(model)
            ax.errorbar(
                place,
                mean,
                [mean - low, high - mean],
                color=colour,
                linestyle=line,
                marker="o",
                markersize=3.5,
                linewidth=1.2,
            )
        first = next(iter(models.values()))
        ax.plot(
            [groups.index(r["group"]) for r in first],
            _numbers(first, "ceiling_square_mean"),
            color=BLACK,
            linestyle=":",
            marker="_",
        )
        counts = {r["group"]: r for of_model in models.values() for r in of_model}
        ax.set_xticks(range(len(groups)), [f"{g}\n{counts[g]['n_images']} images" for g in groups], fontsize=6.5)
        ax.set_xlim(-0.5, len(groups) - 0.5)
        ax.set_ylim(0, 1.02)

    rows = [r for r in rows if r["by"] in kinds]
    _look = _looks(rows)
    ceiling = Line2D([], [], color=BLACK, linestyle=":", marker="_", label="the reference through the square")
    nothing = "No size can be shown: no group has five patients."
    return _figure(rows, draw, "", "mean Dice", height=2.7, more=[ceiling], nothing=nothing)


def groups(rows: Rows, without: Collection[str]) -> Figure:
    """Mean Dice by everything else that is known of a case (rows of breakdowns.csv that are not of the kinds `without`)."""
    rows = [r for r in rows if r["by"] not in without]
    if not rows:
        return message("No group has patients enough to be shown.")
    panels = _by_part(rows)
    labels = {title: list(dict.fromkeys((r["by"], r["group"]) for r in of_part)) for title, of_part in panels.items()}
    look = _looks(rows)
    models = list(dict.fromkeys(r["model"] for r in rows))
    step = 0.7 / len(models)
    with house_style():
        heights = [0.3 + 0.1 * max(2.5, len(models)) * len(of_part) for of_part in labels.values()]
        figure = new_figure(7.2, sum(heights) + 0.5 * len(panels) + 0.7)
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for ax, (title, of_part) in zip(axes, panels.items(), strict=True):
            for row in of_part:
                at = labels[title].index((row["by"], row["group"]))
                shift = step * (models.index(row["model"]) - (len(models) - 1) / 2)
                _interval(ax, row, "dice_mean", "dice_low", "dice_high", at + shift, look(row["model"])[0])
            counts = {(r["by"], r["group"]): r for r in of_part}
            names = [f"{by}: {group} ({counts[by, group]['n_images']})" for by, group in labels[title]]
            ax.set_yticks(range(len(names)), names, fontsize=7)
            ax.set_ylim(len(names) - 0.5, -0.5)
            ax.set_title(f"{title} (images in brackets)", fontsize=9)
            for k, (by, _) in enumerate(labels[title][1:], 1):
                if by != labels[title][k - 1][0]:
                    ax.axhline(k - 0.5, color=GREY, linewidth=0.6)
            ax.grid(axis="y", visible=False)
        axes[-1].set_xlim(0, 1)
        axes[-1].set_xlabel("mean Dice")
        figure.legend(handles=_legend(look, models), loc="outside lower center", ncols=2)
    return figure


def froc_curves(rows: Rows, detection: Rows) -> Figure:
    """Sensitivity against false positives per image (rows of froc.csv; counts from detection.csv)."""

    def draw(ax: Axes, models: Mapping[str, Rows]) -> None:
        for rate in RATES:
            ax.axvline(rate, color=GREY, linestyle=":", linewidth=0.8)
        for model, of_model in models.items():
            colour, line = look(model)
            x, y = _numbers(of_model, "false_positives_per_image"), _numbers(of_model, "sensitivity")
            ax.plot([*x, MOST_FALSE_POSITIVES], [*y, y[-1]], color=colour, linestyle=line, drawstyle="steps-post")
        ax.set_xlim(0, MOST_FALSE_POSITIVES)
        ax.set_ylim(0, 1.02)

    look = _looks(rows)
    counts = {
        (r["dataset"], r["part"]): f"{r['n_images']} images, {r['n_masses']} masses" for r in detection if r["n_masses"]
    }
    return _figure(rows, draw, "false positives per image", "sensitivity", counts)


def reliability_curves(rows: Rows, trust: Rows) -> Figure:
    """Share of mass against predicted probability (rows of calibration.csv; counts from trust.csv)."""

    def draw(ax: Axes, models: Mapping[str, Rows]) -> None:
        ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        for model, of_model in models.items():
            colour, line = look(model)
            of_model = [r for r in of_model if int(r["pixels"]) >= FEWEST_PIXELS]
            ax.plot(
                _numbers(of_model, "probability"), _numbers(of_model, "share_of_mass"), color=colour, linestyle=line, marker="o",
                markersize=2.5, linewidth=1.2,
            )  # fmt: skip
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)

    look = _looks(rows)
    counts = {(r["dataset"], r["part"]): f"pixels of {r['n_images']} images" for r in trust}
    return _figure(rows, draw, "probability of mass", "share of pixels that are mass", counts)


def threshold_curves(rows: Rows, threshold: float) -> Figure:
    """Mean Dice against the threshold in the training part (rows of thresholds.csv); `threshold` is the config's."""

    def draw(ax: Axes, models: Mapping[str, Rows]) -> None:
        ax.axvline(threshold, color=GREY, linestyle=":", linewidth=1)
        for model, of_model in models.items():
            colour, line = look(model)
            ax.plot(_numbers(of_model, "threshold"), _numbers(of_model, "dice_mean"), color=colour, linestyle=line)
        ax.set_xlim(0, 1)
        ax.set_ylim(bottom=0)

    look = _looks(rows)
    counts = {(r["dataset"], r["part"]): f"{r['n_images']} images" for r in rows}
    used = Line2D([], [], color=GREY, linestyle=":", label=f"threshold of the config, {threshold:g}")
    return _figure(rows, draw, "threshold", "mean Dice", counts, more=[used])


def risk_coverage_curves(rows: Rows, trust: Rows) -> Figure:
    """Mean risk of the cases that are kept, the least disputed first (rows of risk_coverage.csv; counts from trust.csv)."""

    def draw(ax: Axes, models: Mapping[str, Rows]) -> None:
        for model, of_model in models.items():
            colour, line = look(model)
            ax.plot(_numbers(of_model, "coverage"), _numbers(of_model, "risk"), color=colour, linestyle=line)
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)

    look = _looks(rows)
    counts = {(r["dataset"], r["part"]): f"{r['n_disagreement']} images" for r in trust}
    nothing = "No image with a mass was predicted by several folds: it takes a holdout or an external data set."
    return _figure(rows, draw, "share of images kept", "mean of 1 − Dice", counts, nothing=nothing)


def _figure(
    rows: Rows,
    draw: Callable[[Axes, Mapping[str, Rows]], None],
    xlabel: str,
    ylabel: str,
    counts: Mapping[tuple[str, str], str] | None = None,
    height: float = 2.5,
    more: Sequence = (),
    nothing: str = NOTHING,
) -> Figure:
    """One panel per data set and part; `draw` gets its rows model by model."""
    if not rows:
        return message(nothing)
    panels = _by_part(rows)
    across = min(ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    look, models = _looks(rows), list(dict.fromkeys(r["model"] for r in rows))
    with house_style():
        legend = _legend(look, models) + list(more)
        columns = min(3, len(legend), across + 1)
        figure = new_figure(max(2.6 * across + 0.4, 4.5), height * down + 0.2 * math.ceil(len(legend) / columns) + 0.3)
        grid = figure.subplots(down, across, squeeze=False, sharey=True)
        for ax in grid.flat[len(panels) :]:
            ax.set_visible(False)
        for ax, (title, of_part) in zip(grid.flat, panels.items(), strict=False):
            draw(ax, {m: [r for r in of_part if r["model"] == m] for m in dict.fromkeys(r["model"] for r in of_part)})
            count = counts.get((of_part[0]["dataset"], of_part[0]["part"])) if counts else None
            ax.set_title(f"{title}\n{count}" if count else title, fontsize=8)
        for ax in grid[:, 0]:
            ax.set_ylabel(ylabel)
        for ax in grid.flat[max(0, len(panels) - across) : len(panels)]:
            ax.set_xlabel(xlabel)
        figure.legend(handles=legend, loc="outside lower center", ncols=columns)
    return figure


def _by_part(rows: Rows) -> dict[str, Rows]:
    """Title of each data set and part → its rows, in the order of the table."""
    panels: dict[str, list] = {}
    for row in rows:
        panels.setdefault(f"{row['dataset']}, {row['part'].replace('_', ' ')}", []).append(row)
    return panels


def _looks(rows: Rows) -> Callable[[str], tuple[str, str]]:
    models = list(dict.fromkeys(r["model"] for r in rows))
    return lambda model: LOOKS[models.index(model) % len(LOOKS)]


def _legend(look: Callable[[str], tuple[str, str]], models: Sequence[str]) -> list[Line2D]:
    return [Line2D([], [], color=look(m)[0], linestyle=look(m)[1], label=m) for m in models]


def _interval(ax: Axes, row: Mapping, estimate: str, low: str, high: str, y: float, colour: str) -> None:
    """A point with its interval, where it has one."""
    if row[low] and row[high]:
        ax.plot([float(row[low]), float(row[high])], [y, y], color=colour, linewidth=1.2)
    ax.plot(float(row[estimate]), y, color=colour, marker="o", markersize=3.5)


def _numbers(rows: Rows, column: str) -> np.ndarray:
    return np.array([float(r[column] or "nan") for r in rows])
