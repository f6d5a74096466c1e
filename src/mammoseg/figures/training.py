"""Training curves: loss and Dice per epoch of every fold, and their mean."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mammoseg.figures.style import BLUE, GREY, RED, house_style, new_figure

COLUMNS = 4
SHADE = "#eceff3"
CURVES = (("train", BLUE), ("val", RED))
PHASES = {"1": "BCE + soft Jaccard", "2": "Focal Tversky"}

History = Sequence[Mapping]
"""Rows of a fold's history.csv."""


def training_curves(histories: Mapping[str, Sequence[History]]) -> Figure:
    """Draw loss (top) and Dice (bottom) of each model's folds: thin lines, and their mean as a thick one.

    Parameters
    ----------
    histories : mapping of str to sequence of History
        Model → its folds' history.csv.

    Returns
    -------
    Figure
        The phases of the loss are shaded and their lines are not joined, since the losses of two phases are not comparable;
        dotted lines mark the epochs after which the learning rate drops. The loss axis ends at twice the largest training loss:
        one epoch of a young batch norm can have a validation loss a hundred times that; its label then names the largest.
    """
    blocks, across = math.ceil(len(histories) / COLUMNS), min(COLUMNS, len(histories))
    rows = [row for folds in histories.values() for history in folds for row in history]
    training, validation = ([float(r[which]) for r in rows if r[which]] for which in ("train_loss", "val_loss"))
    top, largest = 2 * max(training, default=0.5), max(validation, default=0)
    bottom = min([0, *training, *validation]) - top / 40
    with house_style():
        figure = new_figure(2.9 * across + 0.5, 4.1 * blocks + 0.4)
        grid = figure.subplots(2 * blocks, across, squeeze=False, sharey="row")
        for ax in grid.flat:
            ax.set_visible(False)
        for k, (model, folds) in enumerate(histories.items()):
            row, column = 2 * (k // COLUMNS), k % COLUMNS
            loss, dice = grid[row, column], grid[row + 1, column]
            _panel(loss, folds, "loss")
            _panel(dice, folds, "dice")
            loss.set_ylim(bottom, top)
            dice.set_ylim(0, 1)
            dice.set_xlabel("epoch")
            loss.set_title(model, fontsize=9)
            if column == 0:
                loss.set_ylabel(f"loss (cut off; largest {largest:.3g})" if largest > top else "loss")
                dice.set_ylabel("Dice")
        handles = [
            Line2D([], [], color=colour, label=name) for name, colour in (("training", BLUE), ("validation", RED))
        ]
        handles.append(Line2D([], [], color=GREY, linestyle=":", linewidth=1, label="learning rate drops"))
        longest = max((fold for folds in histories.values() for fold in folds), key=len)
        for k, (phase, _, _) in enumerate(_phases(longest)):
            colour = SHADE if k % 2 else "white"
            handles.append(
                Patch(facecolor=colour, edgecolor=GREY, linewidth=0.5, label=f"loss: {PHASES.get(phase, phase)}")
            )
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * across))
    return figure


def _panel(ax: Axes, folds: Sequence[History], quantity: str) -> None:
    ax.set_visible(True)
    longest = max(folds, key=len)
    phases = _phases(longest)
    for _, first, last in phases[1::2]:
        ax.axvspan(first - 0.5, last + 0.5, color=SHADE, linewidth=0, zorder=0)
    for epoch in _drops(longest):
        ax.axvline(epoch + 0.5, color=GREY, linestyle=":", linewidth=1)
    pieces = phases if quantity == "loss" else [("", phases[0][1], phases[-1][2])]
    for which, colour in CURVES:
        for _, first, last in pieces:
            epochs = np.arange(first, last + 1)
            lines = np.array([_values(fold, f"{which}_{quantity}", epochs) for fold in folds])
            for line in lines:
                ax.plot(epochs, line, color=colour, linewidth=0.6, alpha=0.4, marker="." if len(epochs) == 1 else None)
            whole = np.isfinite(lines).all(axis=0)  # the mean is drawn where every fold has a value
            ax.plot(epochs[whole], lines[:, whole].mean(axis=0), color=colour, marker="." if whole.sum() == 1 else None)
    ax.set_xlim(phases[0][1] - 0.5, phases[-1][2] + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _phases(history: History) -> list[tuple[str, int, int]]:
    """Name, first and last epoch of each phase of the loss, in order."""
    phases: list[tuple[str, int, int]] = []
    for row in history:
        name, epoch = row["phase"], int(row["epoch"])
        if phases and phases[-1][0] == name:
            phases[-1] = (name, phases[-1][1], epoch)
        else:
            phases.append((name, epoch, epoch))
    return phases


def _drops(history: History) -> list[int]:
    """The epochs after which the learning rate falls to less than a half; none where it changes all the time (a cycle)."""
    rates = [float(row["lr"]) for row in history]
    if len(set(rates)) > len(rates) / 2:
        return []
    return [
        int(row["epoch"])
        for row, rate, following in zip(history, rates, rates[1:], strict=False)
        if following < rate / 2
    ]


def _values(history: History, column: str, epochs: np.ndarray) -> list[float]:
    """The column's value at each epoch, NaN where there is none."""
    known = {int(row["epoch"]): float(row[column]) for row in history if row[column] != ""}
    return [known.get(int(epoch), math.nan) for epoch in epochs]
