"""Draws the figure of the page ``docs/masks.md``: every mask as a grid of 16 queries and 16 keys.

python -m docs.figures.masks

Needs matplotlib. The same versions write the same bytes. The pairs are the library's.
"""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import attention
from docs.figures import _style
from docs.figures._style import BLUE, GREY, plt

PATH = Path(__file__).parent / "masks" / "masks.svg"
SIZE = 16
SHOWN = (
    "full", "causal", "local(window=4)", "dilated(window=4, dilation=3)", "block_local(size=4)",
    "block_local(size=4, neighbours=1)", "longformer(window=4, globals=1)", "bigbird(block=1, random_blocks=2)",
    "prefix_lm(prefix=5)", "strided(stride=4)", "strided(stride=4, form=fixed)", "document",
    "causal & local(window=8)", "causal & longformer(window=8)", "causal & document",
)  # fmt: skip
SEGMENTS = np.repeat(np.arange(3), (5, 7, 4))


def pairs(spec: str) -> np.ndarray:
    """Who may attend to whom, bool ``[16 16]``."""
    call = attention.Call(q_segments=jnp.asarray(SEGMENTS), k_segments=jnp.asarray(SEGMENTS))
    found = attention.build("mask", spec).apply(call, (SIZE, SIZE))
    return np.ones((SIZE, SIZE), bool) if found is None else np.asarray(found[0])


def _grid(axes: Any, allowed: np.ndarray, title: str) -> None:
    """Runs of allowed keys as bars, row by row, so that the file stays small."""
    for i, row in enumerate(allowed):
        edges = np.flatnonzero(np.diff(row.astype(int), prepend=0, append=0))
        axes.broken_barh(np.stack([edges[::2], edges[1::2] - edges[::2]], axis=1), (i, 1), color=BLUE, linewidth=0)
    along, ends = np.repeat(np.arange(SIZE + 1.0), 3), np.tile([0.0, SIZE, np.nan], SIZE + 1)
    lines = np.concatenate([[along, ends], [ends, along]], axis=1)
    axes.plot(*lines, color=GREY, linewidth=0.3, clip_on=False)
    axes.set(xlim=(0, SIZE), ylim=(SIZE, 0), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    title = title.replace("& ", "&\n") if "&" in title else title.replace("(", "\n(", 1)
    axes.set_title(title, fontsize=7.5, family="monospace")


def figure() -> Any:
    """All of ``SHOWN``, queries from top to bottom and keys from left to right."""
    made, panels = plt.subplots(3, 5, figsize=(8.6, 6.0))
    for axes, spec in zip(panels.flat, SHOWN, strict=True):
        _grid(axes, pairs(spec), spec)
    panels[0, 0].set_ylabel("query")
    panels[0, 0].set_xlabel("key")
    return made


if __name__ == "__main__":
    print(_style.draw(figure, PATH, decimals=2))
