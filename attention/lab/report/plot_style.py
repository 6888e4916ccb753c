"""The look of the figures, and how they are saved: on white, as SVG for the page, as PDF for a paper, and as PNG."""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
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
# By night, on the ground of the page: the same hues with contrast of 3:1 or more against it.
_BY_NIGHT = {
    INK: "#d7dce2",
    **dict(zip(COLOURS, ("#56A9E8", "#F0935A", "#2FC79A", "#DE95BC", "#A994EC", "#C9C04A", "#C79468"), strict=True)),
}
NIGHT = "#14171c"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType, which journals ask for
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with Matplotlib, so that the same numbers give the same file
    "font.size": 8,
    "axes.titlesize": 8,
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
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.0,
    "figure.facecolor": GROUND,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.w_pad": 0.04,
}
COLUMN, WIDTH = 3.35, 5.5  # inches: a column of a paper of two, and the text of a paper of one
DPI = 300


_METADATA = {
    "svg": ("Creator", "Date", "Format", "Type"),
    "pdf": ("Creator", "Producer", "CreationDate"),
    "png": ("Software",),
}


@contextlib.contextmanager
def style(name: str) -> Iterator[None]:
    """Draw and save a figure within it. The name seeds the ids in the SVG, so that equal figures have equal bytes."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a name in another script; an SVG has its text
        mpl.rcdefaults()
        mpl.rcParams.update({**STYLE, "svg.hashsalt": name})
        yield


def save(figure: Figure, folder: Path, name: str) -> bytes:
    """Writes ``folder/name.svg``, ``.pdf`` and ``.png``, within ``style(name)``. Returns the SVG.

    None holds a date or the name of a program, so that the same figure has the same bytes.
    """
    written = {}
    for form, fields in _METADATA.items():
        sink = io.BytesIO()
        figure.savefig(sink, format=form, dpi=DPI, metadata=dict.fromkeys(fields))
        figure.set_layout_engine("none")  # laid out already, which takes half of the time
        written[form] = sink.getvalue()
    for form, content in written.items():
        write_atomic(folder / f"{name}.{form}", content)
    return written["svg"]


def by_night(svg: bytes) -> bytes:
    """A saved figure, dark where the reader prefers that, in the same hues; what a scale fills keeps its colours."""
    rules = [f':is(path, use)[style*="fill: #ffffff"] {{ fill: {NIGHT} !important }}']
    for day, night in _BY_NIGHT.items():
        rules += [f'[style*="{what}: {day.lower()}"] {{ {what}: {night} !important }}' for what in ("fill", "stroke")]
    joined = "\n".join(rules)
    style = f"<style>@media screen and (prefers-color-scheme: dark) {{\n{joined}\n}}</style>\n</svg>"
    return svg.replace(b"</svg>", style.encode())


def readable_on(fill: Sequence[float]) -> str:
    """Black or white, whichever has more contrast with a colour: 4.5:1 or more."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in fill[:3]]
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))
    return "#000000" if luminance > 0.179 else "#ffffff"


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


def named(axes: Any, name: str, width: int = 26) -> None:
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
