"""Draws the figures of ``docs/encodings.md`` and refreshes the parts of the page that are made of numbers.

python -m docs.figures.encodings [--only=NAME,...]

Needs matplotlib. The same versions write the same bytes. Codes, scores and positions are those of the library, costs come from
``docs/figures/encodings.json``, which ``python -m benchmarks.encodings --keep_freed_memory --json=...`` wrote.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

import attention
from docs.figures import _encodings as data
from docs.figures import _encodings_page as page
from docs.figures import _style
from docs.figures._style import COLOURS, GREY, INK, plt

FOLDER = Path(__file__).parent / "encodings"
DASHED = ("rope", "evaluation", "full")  # what the others are beside: grey


def _image(figure: Any, axes: Any, panel: data.Image, bar: bool = True) -> None:
    """Blue below zero, red above, white at zero, grey where nothing is seen."""
    limit = panel.limit or max(float(np.nanmax(np.abs(panel.values))), 1e-9)
    colours = plt.get_cmap("RdBu_r").with_extremes(bad=GREY)
    # Pixels go into the file as they are, and are not drawn again at the figure's size; few of them would look blurred.
    rows, columns = panel.values.shape
    pixels = np.kron(panel.values, np.ones((max(1, 48 // rows), max(1, 48 // columns))))
    options = {"extent": (-0.5, columns - 0.5, rows - 0.5, -0.5), "interpolation": "none", "aspect": "auto"}
    shown = axes.imshow(pixels, cmap=colours, vmin=-limit, vmax=limit, **options)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.down)
    _few_ticks(axes)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if bar:
        drawn = figure.colorbar(shown, ax=axes, aspect=25, pad=0.02)
        drawn.solids.set_rasterized(True)
        drawn.outline.set_visible(False)
        drawn.ax.tick_params(length=2, labelsize=7)
        drawn.locator = MaxNLocator(nbins=4)
        drawn.formatter.set_powerlimits((-3, 4))
        drawn.update_ticks()


def _few_ticks(axes: Any) -> None:
    axes.tick_params(length=2, labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=axes.images != []))


def _lines(axes: Any, panel: data.Lines) -> None:
    colours = iter(COLOURS)
    for label, values in panel.curves.items():
        beside = label in DASHED and len(panel.curves) > 1
        colour, width = (GREY, 3.0) if beside else (next(colours), 1.3)
        steps = "steps-mid" if len(panel.x) < 10 else "default"
        axes.plot(panel.x, values, color=colour, linewidth=width, label=label, drawstyle=steps)
    axes.axhline(0.0, color=INK, linewidth=0.5)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.across)
    axes.margins(x=0.0)
    if panel.lowest is not None:
        highest = max(float(np.nanmax(values)) for values in panel.curves.values())
        axes.set_ylim(panel.lowest, highest - 0.05 * panel.lowest)
    _few_ticks(axes)
    axes.ticklabel_format(axis="y", scilimits=(-3, 4))
    if len(panel.curves) > 1:
        axes.legend(fontsize=7, handlelength=1.2, borderpad=0.2, framealpha=0.8, edgecolor="none")


def figure(name: str) -> Any:
    """Three panels of one encoding."""
    drawn, panels = plt.subplots(1, 3, figsize=(7.9, 2.4))
    for axes, panel in zip(panels, data.PANELS[name](), strict=True):
        if isinstance(panel, data.Image):
            _image(drawn, axes, panel)
        else:
            _lines(axes, panel)
    return drawn


def families_figure() -> Any:
    """Maps of query and key, two of each way in, each with colours of its own."""
    drawn, panels = plt.subplots(2, 4, figsize=(7.9, 4.2))
    for axes, panel in zip(panels.T.flat, data.families(), strict=True):
        _image(drawn, axes, panel, bar=False)
    for axes in panels[0]:
        axes.set_xlabel("")
    for axes in panels[:, 1:].flat:
        axes.set_ylabel("")
    return drawn


def draw(name: str, folder: Path = FOLDER) -> Path:
    """Writes the figure of an encoding, or of ``families``, and returns its path."""
    return _style.draw(families_figure if name == "families" else lambda: figure(name), folder / f"{name}.svg", decimals=3)


if __name__ == "__main__":
    _style.main(__doc__, [*attention.names("encoding"), "families"], draw, page)
