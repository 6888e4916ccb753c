"""Draws the figures of ``docs/normalizers.md`` and refreshes the parts of the page that are made of numbers.

python -m docs.figures.normalizers [--only=NAME,...]

Needs matplotlib. The same versions write the same bytes. Weights and gradients are computed by the library, costs come from
``docs/figures/normalizers.json``, which ``python -m benchmarks.normalizers --keep_freed_memory --json=...`` wrote.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

import attention
from docs.figures import _normalizers as data
from docs.figures import _normalizers_page as page
from docs.figures import _style
from docs.figures._style import BLUE, COLOURS, GREY, INK, MINUS, plt

FOLDER = Path(__file__).parent / "normalizers"


def _bars(axes: Any, ours: np.ndarray, softmax: np.ndarray, title: str) -> None:
    at = np.arange(len(ours))
    axes.bar(at + 0.2, softmax, 0.38, color=GREY)
    drawn = axes.bar(at - 0.2, ours, 0.38, color=BLUE)
    axes.bar_label(drawn, labels=[_number(value) for value in ours], fontsize=7.5, padding=2, color=INK)
    axes.axhline(0.0, color=INK, linewidth=0.7)
    axes.margins(y=0.18)
    axes.set_title(title)
    axes.set_xticks(at)


def _number(value: float) -> str:
    if value == 0.0:
        return "0"
    return "≈ 0" if abs(value) < 0.005 else f"{value:.2f}".replace("-", MINUS)


def row_figure(name: str) -> Any:
    """Two panels of bars: the weights of five keys, and the gradient of the second one's weight, beside softmax in grey."""
    found, shown = data.numbers(name), data.ROWS[name]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.3))
    _bars(left, found.weights, found.softmax, f"{shown.label.replace('-', MINUS)} (softmax grey)")
    _bars(right, found.gradient, found.softmax_gradient, "gradient of the weight of key 2")
    left.set_xticks(range(5), [f"{score:g}".replace("-", MINUS) for score in data.SCORES])
    left.set_xlabel("score of key 1, 2, 3, 4, 5")
    right.set_xticks(range(5), [str(j) for j in range(1, 6)])
    right.set_xlabel("with respect to the score of key")
    return figure


def _heat(axes: Any, values: np.ndarray, title: str, signed: bool, causal: bool) -> None:
    limit = max(float(np.abs(values).max()), 1e-9) if signed else 1.0
    axes.imshow(values, cmap="RdBu_r" if signed else "Blues", vmin=-limit if signed else 0.0, vmax=limit)
    for (i, j), value in np.ndenumerate(values):
        if causal and j > i:
            continue
        dark = abs(value) > 0.6 * limit
        axes.text(j, i, _number(value), ha="center", va="center", fontsize=7, color="white" if dark else INK)
    axes.set_title(title)
    axes.set_xticks(range(5), [str(j) for j in range(1, 6)])
    axes.set_yticks(range(5), [str(j) for j in range(1, 6)])
    axes.tick_params(length=0)
    axes.set_xlabel("key")
    for spine in axes.spines.values():
        spine.set_visible(False)


def matrix_figure(name: str) -> Any:
    """Three heat maps of five queries and five keys: softmax, this normalizer, and the gradient of one of its weights."""
    found, shown = data.numbers(name), data.MATRICES[name]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(7.4, 2.9))
    _heat(left, found.softmax, "softmax" + (", causal" if shown.causal else ""), False, shown.causal)
    _heat(middle, found.weights, shown.label, False, shown.causal)
    _heat(right, found.gradient, "gradient of the framed weight", True, shown.causal)
    left.set_ylabel("query")
    i, j = data.OF_MATRIX
    middle.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=1.8))
    return figure


def families_figure() -> Any:
    """The weight of one key as its score moves, four families of four, softmax in grey."""
    figure, panels = plt.subplots(2, 2, figsize=(7.4, 5.2), sharex=True)
    scores = np.linspace(-4.0, 4.0, 321)
    for axes, (title, curves) in zip(panels.flat, data.FAMILIES.items(), strict=True):
        axes.plot(scores, data.curve(attention.softmax, scores), color=GREY, linewidth=4, label="softmax")
        for colour, (label, function) in zip(COLOURS, curves.items(), strict=True):
            axes.plot(scores, data.curve(function, scores), color=colour, linewidth=1.5, label=label.replace("-", MINUS))
        axes.axhline(0.0, color=INK, linewidth=0.5)
        axes.set_title(title)
        axes.legend(fontsize=7.5, frameon=False, loc="lower right" if axes is panels[1, 1] else "upper left")
    for axes in panels[:, 0]:
        axes.set_ylabel("weight of the key")
    for axes in panels[1]:
        axes.set_xlabel(f"score of the key; the others have {', '.join(f'{other:g}' for other in data.OTHERS)}")
    return figure


def draw(name: str, folder: Path = FOLDER) -> Path:
    """Writes the figure of a normalizer, or of ``families``, and returns its path."""
    make = families_figure if name == "families" else lambda: (matrix_figure if name in data.MATRICES else row_figure)(name)
    return _style.draw(make, folder / f"{name}.svg")


if __name__ == "__main__":
    _style.main(__doc__, [*attention.names("normalizer"), "families"], draw, page)
