"""A bit is written, others are to be ignored, and what was written last is to be read: one bit of memory. For ``task=lm``.

From "Exposing Attention Glitches with Flip-Flop Language Modeling" (Liu et al. 2023, arXiv 2306.00946). A text is
instructions, each with a bit: ``w 1 i 0 i 0 r 1 w 0 r 0``. After ``w`` stands what is written, after ``i`` anything, after
``r`` what was written last. The first instruction is ``w`` and the last is ``r``; of the others each is ``i`` with the
probability ``ignore`` and ``w`` or ``r`` with half of the rest. All other bits are fair. At each ``r`` the bit is wanted, as
in the paper, whose score is the share of wrong bits at ``r``, the larger of 0 and 1 being taken.

Beside the splits of all tasks there are two of the lengths of ``test``, for ``eval.py --split=sparse`` and ``--split=dense``:
with ``ignore`` 0.98, where the bit stands far back, and 0.1, where there is much that is like it. The published set
(hf.co/datasets/synthseq/flipflop) has the same three under the names ``val``, ``val_sparse`` and ``val_dense``, without
blanks. Here other draws are used, and the texts of ``lengths`` go on beyond 512 words.
"""

import numpy as np

from attention.data.contracts import Source
from attention.data.rules import MOST_WANTED, at_places
from attention.data.sources import _asked
from attention.data.sources._lengths import Draws, Sizes

_WORDS = ("0", "1", "w", "r", "i")
_WRITE, _READ, _IGNORE = 2, 3, 4
_SPARSE, _DENSE = 0.98, 0.1
_SHORTEST = 4  # one instruction to write and one to read
LAST_BIT = at_places("the_bit_before", lambda words: ["0", *words[:-1]])


def drawn(rng: Draws, lengths: np.ndarray, ignore: float) -> _asked.Rows:
    """Texts of so many words each, even numbers."""
    count, ends = len(lengths), lengths // 2
    width, share = int(ends.max()), round((1 - ignore) / 2 * 2**32)
    place, fate = np.arange(width), rng.below(2**32 - 1, count, width)
    acts = np.select([fate < share, fate < 2 * share], [_WRITE, _READ], _IGNORE)
    acts[:, 0], acts[np.arange(count), ends - 1] = _WRITE, _READ
    bits = rng.below(2, count, width)
    written = np.maximum.accumulate(np.where(acts == _WRITE, place, 0), axis=1)
    bits = np.where(acts == _READ, np.take_along_axis(bits, written, axis=1), bits)
    inside = place < ends[:, None]
    tokens, wanted = np.full((2, count, 2 * width), -1, np.int64)
    tokens[:, ::2], tokens[:, 1::2] = np.where(inside, acts, -1), np.where(inside, bits, -1)
    wanted[:, ::2] = np.where(inside & (acts == _READ), bits, -1)
    return _asked.Rows(tokens, wanted)


def build(
    train: int = 20_000,
    validation: int = 1_000,
    test: int = 1_000,
    lengths: int = 500,
    length: int = 512,
    test_length: int | None = None,
    ignore: float = 0.8,
) -> Source:
    """Texts of one length in training, made anew each time.

    Args:
      train: examples, at least 1. The paper draws 160,000, each once.
      validation: at least 1.
      test: of the length of train, at least 1; so many are in ``sparse`` and ``dense`` too.
      lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
      length: words of a text, an even number of 4 or more.
      test_length: of ``lengths``, at least ``length``; None for five times that.
      ignore: probability of ``i``, in [0, 1).

    Raises:
      ValueError: for an option out of range.
    """
    if length < _SHORTEST or length % 2:
        raise ValueError(f"length must be an even number of 4 or more, got {length}")
    if not 0 <= ignore < 1:
        raise ValueError(f"ignore must be in [0, 1), got {ignore}")
    task = _asked.Asked(
        name="flip_flop",
        words=_WORDS,
        draw=lambda rng, lengths: drawn(rng, lengths, ignore),
        size=lambda length: length,
        rules=(MOST_WANTED, LAST_BIT),
        step=2,
        probes={
            "sparse": lambda rng, lengths: drawn(rng, lengths, _SPARSE),
            "dense": lambda rng, lengths: drawn(rng, lengths, _DENSE),
        },
        options={"ignore": ignore},
    )
    return _asked.source(task, Sizes(train, validation, test, lengths, length, length, test_length), length=length)
