"""The pictures of ``docs/encodings.md``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from tools.kinds import encoding_maps as data
from tools.plots import COLOURS, GREY, INK, plt


def _image(figure: Any, axes: Any, panel: data.Image) -> None:
    """Blue below zero, red above, white at zero, grey where nothing is seen; of what is counted, a colour for each number.

    The bar has the values that occur and no others.
    """
    # Pixels go into the file as they are, and are not drawn again at the figure's size; few of them would look blurred.
    rows, columns = panel.values.shape
    pixels = np.kron(panel.values, np.ones((max(1, 48 // rows), max(1, 48 // columns))))
    options = {"extent": (-0.5, columns - 0.5, rows - 0.5, -0.5), "interpolation": "none", "aspect": "auto"}
    shown = axes.imshow(pixels, **options)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.down)
    _few_ticks(axes)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = _counted(figure, axes, shown) if panel.counted else _signed(figure, axes, shown, panel.limit)
    bar.solids.set_rasterized(True)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2, labelsize=7)


def _signed(figure: Any, axes: Any, shown: Any, limit: float | None) -> Any:
    values = shown.get_array()
    limit = limit or max(float(np.abs(values).max()), 1e-9)
    shown.set(cmap=plt.get_cmap("RdBu_r").with_extremes(bad=GREY), clim=(-limit, limit))
    bar = figure.colorbar(shown, ax=axes, aspect=25, pad=0.02)
    bar.locator = MaxNLocator(nbins=4)
    bar.formatter.set_powerlimits((-3, 4))
    bar.update_ticks()
    if values.min() < values.max():
        bar.ax.set_ylim(max(values.min(), -limit), min(values.max(), limit))
    return bar


def _counted(figure: Any, axes: Any, shown: Any) -> Any:
    numbers, places = np.unique(shown.get_array(), return_inverse=True)
    shown.set(
        data=places.reshape(shown.get_array().shape),
        cmap=plt.get_cmap("viridis", len(numbers)),
        clim=(-0.5, len(numbers) - 0.5),
    )
    at = np.arange(0, len(numbers), -(-len(numbers) // 8))
    bar = figure.colorbar(shown, ax=axes, aspect=25, pad=0.02, values=np.arange(len(numbers)), ticks=at)
    bar.set_ticklabels([f"{numbers[place]:g}" for place in at])
    return bar


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
    """A map of query and key of each spec, four to a row, each with a bar of its own, for what is shown differs."""
    drawn, panels = plt.subplots(-(-len(specs) // 4), 4, figsize=(9.6, 2.1 * -(-len(specs) // 4)), squeeze=False)
    for axes, spec in zip(panels.flat, specs, strict=True):
        _image(drawn, axes, data.map_of(spec))
    for axes in panels[:-1].flat:
        axes.set_xlabel("")
    for axes in panels[:, 1:].flat:
        axes.set_ylabel("")
    return drawn
