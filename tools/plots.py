"""What the figures of the pages share: one look, and files that are the same each time."""

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba

BLUE, GREY, INK = "#0072B2", "#BDBDBD", "#333333"
COLOURS = (BLUE, "#D55E00", "#009E73", "#CC79A7")
MINUS = "\N{MINUS SIGN}"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",  # legible on a dark page too
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
}


def legible(background: Any) -> str:
    """Black or white, whichever stands out more from a colour: by a contrast (WCAG 2.1) of 4.58 or more, the root of 21."""
    *channels, _ = to_rgba(background)
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    luminance = sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear))
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"


def svg(make: Callable[[], Any], salt: str, decimals: int | None = None) -> str:
    """The figure that ``make`` returns; the same versions write the same text.

    Coordinates have so many ``decimals``, or as many as matplotlib writes; ``salt`` makes ids the same each time.
    """
    file = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure = make()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    if decimals is None:
        return file.getvalue()
    shorter = lambda number: f"{float(number[0]):.{decimals}f}".rstrip("0").rstrip(".")
    return re.sub(rf"-?\d+\.\d{{{decimals + 1},}}", shorter, file.getvalue())
