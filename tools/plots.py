"""What the figures of the pages share: one look, files that are the same each time, and the command that draws them."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

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


def draw(make: Callable[[], Any], path: Path, decimals: int | None = None) -> Path:
    """Writes the figure that ``make`` returns; the same versions write the same bytes. Returns the path.

    Coordinates have so many ``decimals``, or as many as matplotlib writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The salt makes the ids in the file the same each time.
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": path.parent.name}):
        figure = make()
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    if decimals is not None:
        shorter = lambda number: f"{float(number[0]):.{decimals}f}".rstrip("0").rstrip(".")
        path.write_text(re.sub(rf"-?\d+\.\d{{{decimals + 1},}}", shorter, path.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def main(doc: str | None, names: Sequence[str], draw: Callable[[str], Path], page: Any) -> None:
    """Draws all figures, or those that ``--only`` names, and refreshes the page of the module ``page``."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names with commas between them; 'families' is one too")
    only = [name for name in parser.parse_args().only.split(",") if name]
    for name in only or names:
        print(draw(name).name)
    page.PAGE.write_text(page.refreshed(page.PAGE.read_text(encoding="utf-8")), encoding="utf-8")
