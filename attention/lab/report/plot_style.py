"""The look of the figures, and how they are saved: on white, as SVG for the page and as PNG."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import ticker
from matplotlib.figure import Figure

from attention.files import write_atomic
from attention.lab.report.numbers import wrapped

INK, GROUND = "#333333", "white"
# Contrast of 3:1 or more against white, and distinct for the colour-blind; the name above a panel or the marker also tells
# variants apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#C06C9B", "#7A5CC8", "#8A8300", "#96633A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with Matplotlib, so that the same numbers give the same file
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
    "figure.facecolor": GROUND,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}
WIDTH = 9.0  # inches; on the page the figure is as wide as the text


@contextlib.contextmanager
def style(name: str) -> Iterator[None]:
    """Draw and save a figure within it. The name seeds the ids in the SVG, so that equal figures have equal bytes."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a name in another script; an SVG has its text
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "svg.hashsalt": name})
        yield


def save(figure: Figure, folder: Path, name: str) -> bytes:
    """Writes ``folder/name.svg`` and ``folder/name.png``, within ``style(name)``. Returns the SVG."""
    drawn, picture = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    figure.set_layout_engine("none")  # laid out already, which takes half of the time
    figure.savefig(picture, format="png", dpi=200, metadata={"Software": None})
    write_atomic(folder / f"{name}.svg", drawn.getvalue())
    write_atomic(folder / f"{name}.png", picture.getvalue())
    return drawn.getvalue()


def panels(count: int, *, height: float, across: int = 3, **shared: Any) -> tuple[Figure, list[Any]]:
    """A figure of ``count`` panels, ``across`` in a row, and its axes."""
    across = min(across, count)
    down = -(-count // across)
    figure = Figure(figsize=(WIDTH, down * height + 0.35))
    axes = figure.subplots(down, across, squeeze=False, **shared).flatten().tolist()
    for one in axes[count:]:
        one.set_axis_off()
    for one in axes[max(0, count - across) : count]:
        one.tick_params(labelbottom=True)  # the lowest panel of a column, also above an empty place
    return figure, axes[:count]


def named(axes: Any, name: str, width: int = 40) -> None:
    """The name of a variant above a panel."""
    axes.set_title(wrapped(name, width))


def grid_lines(axes: Any, which: Any = "both") -> None:
    """Faint lines at the ticks."""
    axes.grid(axis=which, color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)


def thousands(axis: Any) -> None:
    """A few ticks at whole numbers, ``20k`` for 20,000."""
    axis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    axis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}"))


def logarithmic(axes: Any) -> None:
    """A logarithmic x axis with few tick labels, written without exponents."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
