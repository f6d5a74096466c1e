"""The house style, and how a figure becomes files that are the same bytes every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mammoseg.runtime.files import whole

BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
)
"""Okabe and Ito's palette, told apart with any colour vision; in print the shades differ too."""
CYCLE = (BLUE, RED, GREEN, PURPLE, SKY, ORANGE)
GREY = "#6b7280"

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9ca3af",
    "axes.grid": True,
    "axes.labelcolor": "#1f2937",
    "axes.labelsize": 9,
    "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 9,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    "svg.hashsalt": "mammoseg",  # otherwise the ids inside an SVG are random
    "xtick.color": "#4b5563",
    "xtick.labelsize": 8,
    "ytick.color": "#4b5563",
    "ytick.labelsize": 8,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style, whatever the user's own matplotlib settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of `width` × `height` inches that needs no display; call it inside `house_style`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def message(text: str) -> Figure:
    """A figure that says why there is nothing to show."""
    with house_style():
        figure = new_figure(6, 1)
        figure.text(0.5, 0.5, text, ha="center", va="center", color=GREY)
    return figure


def save(figure: Figure, png: Path, svg: Path | None = None) -> None:
    """Write a figure as PNG and, where asked, as SVG; the same figure gives the same bytes."""
    with house_style():
        with whole(png) as part:
            figure.savefig(part, format="png", metadata={"Software": None})
        if svg is not None:
            with whole(svg) as part:
                figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})
