"""The look of the figures, and the three forms in which each is saved.

A figure is drawn once. ``NAME.svg`` and ``NAME.png`` have a white ground, for papers; the form for the page has none, and takes
the ink and the ground of the page, so that it can be read in the dark.
"""

import contextlib
import html
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import ticker
from matplotlib.figure import Figure

from attention.files import write_atomic
from attention.lab.report.numbers import wrapped

INK, GROUND = "#333333", "#fefefe"  # stand for the page's own
# 3:1 or more against white and against the dark ground, and apart for those who see red and green alike; a variant is told by
# its name above a panel or by its marker too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#C06C9B", "#7A5CC8", "#8A8300", "#96633A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # on every machine, so that the same numbers give the same file
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
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}
WIDTH = 9.0  # inches; on the page the figure is as wide as the text


@contextlib.contextmanager
def style(name: str) -> Iterator[None]:
    """Within it a figure is made and saved; the name keeps the ids of its files apart from those of other figures."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a name in another script; an SVG has its text
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "svg.hashsalt": name})
        yield


def save(figure: Figure, folder: Path, name: str, description: str) -> str:
    """Writes ``folder/name.svg`` and ``.png``, within ``style(name)``. Returns the SVG for the page, with its description."""
    drawn, picture = io.StringIO(), io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")  # laid out already, which takes half of the time
    figure.savefig(picture, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    text = drawn.getvalue()
    text = re.sub(r"\n *<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'<g id="[A-Za-z0-9_.]+_\d+"', "<g", text)  # two figures have these in common
    head, tag, rest = re.split(r"(<svg [^>]*>)", text, maxsplit=1)
    ground = '\n <rect width="100%" height="100%" fill="white"/>'
    write_atomic(folder / f"{name}.svg", (head + tag + ground + rest).encode())
    write_atomic(folder / f"{name}.png", picture.getvalue())
    return _for_page(tag, rest, description)


def _for_page(tag: str, rest: str, description: str) -> str:
    box = re.search(r'viewBox="[^"]*"', tag)
    rest = re.sub(r"\n *<defs>\n *<style.*?</style>\n *</defs>", "", rest, count=1, flags=re.S)
    rest = re.sub(r" font-family: [^;]*;", "", rest)
    rest = rest.replace(INK, "currentColor").replace(GROUND, "var(--ground)")
    label = html.escape(description)
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {names} {box and box[0]} role="img" aria-label="{label}">{rest}'


def panels(count: int, *, height: float, across: int = 3, **shared: Any) -> tuple[Figure, list[Any]]:
    """A figure of so many panels, ``across`` in a row, and its axes."""
    across = min(across, count)
    down = -(-count // across)
    figure = Figure(figsize=(WIDTH, down * height + 0.35))
    axes = figure.subplots(down, across, squeeze=False, **shared).flatten().tolist()
    for one in axes[count:]:
        one.set_axis_off()
    for one in axes[max(0, count - across) : count]:
        one.tick_params(labelbottom=True)  # the last of each column has the numbers, also above a place that is empty
    return figure, axes[:count]


def named(axes: Any, name: str, width: int = 40) -> None:
    """The name of a variant above a panel."""
    axes.set_title(wrapped(name, width))


def grid_lines(axes: Any, which: Any = "both") -> None:
    """Faint lines at the ticks."""
    axes.grid(axis=which, color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)


def thousands(axis: Any) -> None:
    """Few ticks at whole numbers, ``20k`` for 20,000."""
    axis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    axis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}"))


def logarithmic(axes: Any) -> None:
    """An x axis of powers, with few numbers, plainly written."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
