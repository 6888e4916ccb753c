"""Draws the figure of ``docs/seq2seq.md``: where a model looks in the source while it writes.

python -m tools.alignment --workdir=runs/NAME --text="3rd of May 1998" --text="Sun May 3 1998" --out=alignment.svg

Needs matplotlib. Works for every run of ``task=seq2seq``; of a transformer it shows the last layer, its heads averaged.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention.evaluation import trained as evaluate
from attention.models.seq2seq import write
from tools.plots import GREY, plt, svg

PATH = Path(__file__).parents[1] / "docs" / "figures" / "seq2seq" / "alignment.svg"


def alignments(trained: evaluate.Trained, texts: Sequence[str]) -> list[tuple[list[str], list[str], np.ndarray]]:
    """Of each text its tokens ``[S]``, the tokens the first member writes ``[U]``, and the weights ``[U S]``."""
    names = [*trained.tokenizer.vocabulary(trained.tokenizer_state), "end"]
    params, found = jax.tree.map(lambda leaf: leaf[0], trained.params), []
    for ids in trained.tokenizer.encode(trained.tokenizer_state, texts):
        tokens = jnp.asarray(ids, jnp.int32)[None]
        valid, length = tokens > 0, trained.data.bucket_lengths[-1]
        targets = write(trained.model, params, tokens, valid, length=length)[0][:, 0]
        _, extra = trained.model.apply({"params": params}, tokens, valid, targets=targets, capture=True)
        last = max(name for name in extra if name.endswith("cross/weights"))
        written = np.asarray(targets[0])
        count = int((written > 0).sum())
        weights = np.asarray(extra[last][0]).mean(axis=0)[:count]
        found.append(([names[token] for token in ids.tolist()], [names[token] for token in written[:count].tolist()], weights))
    return found


def figure(found: Sequence[tuple[list[str], list[str], np.ndarray]]) -> Any:
    """A panel for each text: what is read from left to right, what is written from top to bottom."""
    widths = [len(source) for source, _, _ in found]
    most = max(len(target) for _, target, _ in found)
    size = (0.19 * sum(widths) + 0.5 * len(found), 0.19 * most + 0.5)
    made, panels = plt.subplots(1, len(found), figsize=size, width_ratios=widths, squeeze=False)
    for axes, (source, target, weights) in zip(panels.flat, found):
        axes.pcolormesh(weights, cmap="Blues", vmin=0, vmax=1, linewidth=0.2, edgecolor=GREY)
        axes.set(aspect="equal", ylim=(len(target), 0))
        axes.set_xticks(np.arange(len(source)) + 0.5, ["␣" if token == " " else token for token in source], fontsize=8)
        axes.set_yticks(np.arange(len(target)) + 0.5, target, fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return made


def main() -> None:
    """Draws the alignments of the texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", required=True, help="a finished run of task=seq2seq")
    parser.add_argument("--text", action="append", required=True, help="a text to be read; may be repeated")
    parser.add_argument("--out", type=Path, default=PATH)
    options = parser.parse_args()
    found = alignments(evaluate.load(options.workdir), options.text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(svg(lambda: figure(found), salt="seq2seq", decimals=2), encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    main()
