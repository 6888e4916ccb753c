"""The pictures of ``docs/normalizers.md``."""

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from tools.kinds import normalizer_weights as data
from tools.plots import BLUE, COLOURS, GREY, INK, MINUS, legible, plt


def of(picture: data.Shown) -> Any:
    """Three maps where rows are coupled, else two panels of bars."""
    return _maps(picture) if picture.coupled else _two_rows(picture)


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


def _two_rows(picture: data.Shown) -> Any:
    """The weights of five keys, and the gradient of the second one's weight, beside softmax in grey."""
    found = data.numbers(picture)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.3))
    _bars(left, found.weights, found.softmax, f"{picture.label.replace('-', MINUS)} (softmax grey)")
    _bars(right, found.gradient, found.softmax_gradient, "gradient of the weight of key 2")
    left.set_xticks(range(5), [f"{score:g}".replace("-", MINUS) for score in data.SCORES])
    left.set_xlabel("score of key 1, 2, 3, 4, 5")
    right.set_xticks(range(5), [str(j) for j in range(1, 6)])
    right.set_xlabel("with respect to the score of key")
    return figure


def _heat(axes: Any, values: np.ndarray, title: str, signed: bool, causal: bool) -> None:
    limit = max(float(np.abs(values).max()), 1e-9) if signed else 1.0
    cmap, least = ("RdBu_r", -limit) if signed else ("Blues", 0.0)
    colours = axes.imshow(values, cmap=cmap, vmin=least, vmax=limit).to_rgba
    for (i, j), value in np.ndenumerate(values):
        if causal and j > i:
            continue
        axes.text(j, i, _number(value), ha="center", va="center", fontsize=7, color=legible(colours(value)))
    axes.set_title(title)
    axes.set_xticks(range(5), [str(j) for j in range(1, 6)])
    axes.set_yticks(range(5), [str(j) for j in range(1, 6)])
    axes.tick_params(length=0)
    axes.set_xlabel("key")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _maps(picture: data.Shown) -> Any:
    """Five queries and five keys: softmax, this normalizer, and the gradient of one of its weights."""
    found = data.numbers(picture)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(7.4, 2.9))
    _heat(left, found.softmax, "softmax" + (", causal" if picture.causal else ""), False, picture.causal)
    _heat(middle, found.weights, picture.label, False, picture.causal)
    _heat(right, found.gradient, "gradient of the framed weight", True, picture.causal)
    left.set_ylabel("query")
    i, j = data.OF_MATRIX
    middle.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=1.8))
    return figure


def curves(panels: dict[str, list[str]]) -> Any:
    """The weight of one key as its score moves: by title up to four specs, softmax in grey."""
    figure, axes_of = plt.subplots(
        -(-len(panels) // 2), 2, figsize=(7.4, 2.6 * -(-len(panels) // 2)), sharex=True, squeeze=False
    )
    scores = np.linspace(-4.0, 4.0, 321)
    for axes, (title, specs) in zip(axes_of.flat, panels.items()):
        axes.plot(scores, data.curve("softmax", scores), color=GREY, linewidth=4, label="softmax")
        for colour, spec in zip(COLOURS, specs, strict=True):
            axes.plot(scores, data.curve(spec, scores), color=colour, linewidth=1.5, label=spec.replace("-", MINUS))
        axes.axhline(0.0, color=INK, linewidth=0.5)
        axes.set_title(title)
        axes.legend(fontsize=7, frameon=False, loc="best")
    for axes in axes_of[:, 0]:
        axes.set_ylabel("weight of the key")
    for axes in axes_of[-1]:
        axes.set_xlabel(f"score of the key; the others have {', '.join(f'{other:g}' for other in data.OTHERS)}")
    return figure
