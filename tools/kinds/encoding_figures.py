"""The pictures of ``docs/encodings.md``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from tools.kinds import encoding_maps as data
from tools.plots import COLOURS, GREY, INK, plt


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
    for number, (label, values) in enumerate(panel.curves.items()):
        colour, width = (GREY, 3.0) if panel.beside and number == 0 else (next(colours), 1.3)
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


def of(panels: Sequence[data.Panel]) -> Any:
    """The panels of an encoding side by side."""
    drawn, found = plt.subplots(1, len(panels), figsize=(7.9, 2.4), squeeze=False)
    for axes, panel in zip(found[0], panels, strict=True):
        if isinstance(panel, data.Image):
            _image(drawn, axes, panel)
        else:
            _lines(axes, panel)
    return drawn


def maps(specs: Sequence[str]) -> Any:
    """A map of query and key of each spec, four to a row, each with colours of its own."""
    drawn, panels = plt.subplots(-(-len(specs) // 4), 4, figsize=(7.9, 2.1 * -(-len(specs) // 4)), squeeze=False)
    for axes, spec in zip(panels.flat, specs, strict=True):
        _image(drawn, axes, data.map_of(spec), bar=False)
    for axes in panels[:-1].flat:
        axes.set_xlabel("")
    for axes in panels[:, 1:].flat:
        axes.set_ylabel("")
    return drawn
