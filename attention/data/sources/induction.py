"""A mark stands before some symbol, and what stood behind it is wanted at the mark's return. For ``task=lm``.

Induction heads, from "Hungry Hungry Hippos" (Fu et al. 2022, arXiv 2212.14052) and "Mamba" (Gu and Dao 2023, arXiv
2312.00752), in the form of the code of the first (HazyResearch/safari) with one mark and one symbol to copy: ``4 1 => 3 0 2
=>``, at whose last word 3 is wanted. Of ``length`` symbols, each as likely, one is replaced by the mark, any but the last two
with the same probability, and one more mark stands behind them. There 18 symbols are used, and 30 words here and there; the
second paper trains on 256 words, with a vocabulary of 16, and goes on to a million. Its models also learn to predict all other
words, which are random; here they are not asked.
"""

import numpy as np

from attention.data.contracts import Source
from attention.data.rules import MOST_WANTED, at_places
from attention.data.sources import _asked
from attention.data.sources._lengths import Draws, Sizes

LAST_SYMBOL = at_places("the_last_symbol", lambda words: ["_", *words[:-1]])
_SHORTEST = 3


def drawn(rng: Draws, lengths: np.ndarray, symbols: int) -> _asked.Rows:
    """Texts with so many words before the last mark."""
    rows, place = np.arange(len(lengths)), np.arange(int(lengths.max()) + 1)
    text = np.where(place < lengths[:, None], rng.below(symbols, len(lengths), len(place)), -1)
    mark, wanted = rng.below(lengths - 2, len(lengths)), np.full(text.shape, -1)
    text[rows, mark] = text[rows, lengths] = symbols
    wanted[rows, lengths] = text[rows, mark + 1]
    return _asked.Rows(text, wanted)


def build(
    train: int = 50_000,
    validation: int = 1_000,
    test: int = 1_000,
    lengths: int = 500,
    length: int = 64,
    test_length: int | None = None,
    symbols: int = 16,
) -> Source:
    """Texts of one length in training, made anew each time.

    Args:
      train: examples, at least 1.
      validation: at least 1.
      test: at least 1.
      lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
      length: words before the last mark, at least 3.
      test_length: of ``lengths``, at least ``length``; None for five times that.
      symbols: how many different ones, 2 to 1,000,000.

    Raises:
      ValueError: for an option out of range.
    """
    _asked.check_words("symbols", symbols, 2)
    if length < _SHORTEST:
        raise ValueError(f"length must be at least {_SHORTEST}, got {length}")
    task = _asked.Asked(
        name="induction",
        words=(*map(str, range(symbols)), "=>"),
        draw=lambda rng, given: drawn(rng, given, symbols),
        size=lambda length: length + 1,
        rules=(MOST_WANTED, LAST_SYMBOL),
        options={"symbols": symbols},
    )
    return _asked.source(task, Sizes(train, validation, test, lengths, length, length, test_length), length=length)
