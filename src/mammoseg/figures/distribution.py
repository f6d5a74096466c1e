"""How Dice is spread over the images: one panel per data set and part, one box and its points per model."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mammoseg.figures.style import BLUE, GREY, RED, house_style, message, new_figure

GOLDEN = (5**0.5 - 1) / 2


def dice_distribution(
    values: Mapping[tuple[str, str], Mapping[str, Sequence[float]]],
    baseline: Mapping[tuple[str, str], float] | None = None,
) -> Figure:
    """Draw Dice per image as box and points.

    Parameters
    ----------
    values : mapping of (str, str) to mapping of str to sequence of float
        (data set, part) → model → Dice of its images, undefined ones left out.
    baseline : mapping of (str, str) to float, optional
        Mean Dice of the best brightness threshold, drawn as a dashed line.

    Returns
    -------
    Figure
        Box: quartiles and median; whiskers: to the farthest image within 1.5 interquartile ranges; diamond: mean.
    """
    if not values:
        return message("No image with a mass was scored.")
    models = list(dict.fromkeys(model for panel in values.values() for model in panel))
    height = 0.42 * len(models) + 0.6
    with house_style():
        figure = new_figure(7.2, height * len(values) + 0.7)
        panels = figure.subplots(len(values), 1, squeeze=False, sharex=True)[:, 0]
        for ax, ((dataset, part), panel) in zip(panels, values.items(), strict=True):
            for k, model in enumerate(models):
                dice = np.asarray(panel.get(model, ()), float)
                if dice.size:
                    _box(ax, dice, k)
            if baseline and (dataset, part) in baseline:
                ax.axvline(baseline[dataset, part], color=RED, linestyle="--", linewidth=1.2)
            count = max(len(dice) for dice in panel.values())
            ax.set_title(f"{dataset}, {part} ({count} images)", fontsize=9)
            ax.set_yticks(range(len(models)), models)
            ax.set_ylim(len(models) - 0.5, -0.5)
            ax.grid(axis="y", visible=False)
        panels[-1].set_xlim(-0.02, 1.02)
        panels[-1].set_xlabel("Dice per image")
        handles = [Line2D([], [], color=BLUE, marker="D", linestyle="", markersize=5, label="mean")]
        if baseline:
            handles.append(Line2D([], [], color=RED, linestyle="--", label="best brightness threshold, mean"))
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _box(ax, dice: np.ndarray, row: int) -> None:
    # Points are spread by the golden ratio: evenly, and the same every time.
    spread = (np.arange(dice.size) * GOLDEN % 1 - 0.5) * 0.5
    ax.scatter(np.sort(dice), row + spread, s=7, color=GREY, alpha=0.45, linewidths=0)
    ax.boxplot(
        [dice],
        positions=[row],
        orientation="horizontal",
        widths=0.5,
        showfliers=False,
        manage_ticks=False,
        medianprops={"color": BLUE, "linewidth": 2},
        boxprops={"color": BLUE, "linewidth": 1},
        whiskerprops={"color": BLUE, "linewidth": 1},
        capprops={"color": BLUE, "linewidth": 1},
    )
    ax.plot(dice.mean(), row, marker="D", color=BLUE, markersize=5, markeredgecolor="white", markeredgewidth=0.8)
