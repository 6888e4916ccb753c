"""Symbols among noise, to be written in their order at marks behind it: what to remember is told by content. For ``task=lm``.

Selective copying, from "Mamba" (Gu and Dao 2023, arXiv 2312.00752), in the form of the authors' code for copying with variable
gaps (state-spaces/s4). A text is ``tokens`` symbols in their order anywhere among noise ``.``, ``length`` words together, and
then a mark ``?`` for each, at which it is wanted::

  . . 3 . 1 . . 2 ? ? ?    3, 1 and 2 are wanted at the marks

What is wanted never enters the text. The paper has 4,096 words of which 16 are symbols, of 14 different ones. Texts of
``lengths`` have more noise.
"""

import numpy as np

from attention.data.contracts import Source
from attention.data.rules import MOST_WANTED, at_places
from attention.data.sources import _asked
from attention.data.sources._lengths import Draws, Sizes

_NOISE, _MARK = 0, -1  # the first word and the last


def drawn(rng: Draws, length: int, count: int, tokens: int, symbols: int) -> _asked.Rows:
    """Texts of one length."""
    chosen = 1 + rng.below(symbols, count, tokens)
    places = np.sort(_asked.distinct(rng, length, count, tokens), axis=1)
    text, wanted = np.full((count, length + tokens), _NOISE), np.full((count, length + tokens), -1)
    np.put_along_axis(text, places, chosen, axis=1)
    text[:, length:], wanted[:, length:] = symbols + 1, chosen
    return _asked.Rows(text, wanted)


def build(
    train: int = 50_000,
    validation: int = 1_000,
    test: int = 1_000,
    lengths: int = 500,
    length: int = 64,
    tokens: int = 8,
    test_length: int | None = None,
    symbols: int = 14,
) -> Source:
    """Texts of one length in training, made anew each time.

    Args:
      train: examples, at least 1.
      validation: at least 1.
      test: at least 1.
      lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
      length: words before the marks, at least ``tokens``.
      tokens: symbols among them, at least 1.
      test_length: of ``lengths``, at least ``length``; None for five times that.
      symbols: how many different ones, 2 to 1,000,000.

    Raises:
      ValueError: for an option out of range.
    """
    _asked.check_words("symbols", symbols, 2)
    if tokens < 1:
        raise ValueError(f"tokens must be at least 1, got {tokens}")
    if length < tokens:
        raise ValueError(f"length must be at least that of the tokens, {tokens}, got {length}")
    task = _asked.Asked(
        name="selective_copy",
        words=(".", *map(str, range(1, symbols + 1)), "?"),
        draw=lambda rng, given: _asked.by_length(given, lambda size, count: drawn(rng, size, count, tokens, symbols)),
        size=lambda length: length + tokens,
        rules=(MOST_WANTED, at_places("the_first_symbol", _first)),
        options={"tokens": tokens, "symbols": symbols},
    )
    return _asked.source(task, Sizes(train, validation, test, lengths, length, length, test_length), length=length)


def _first(words: list[str]) -> list[str]:
    """The first symbol, everywhere: right at the first mark."""
    return [next((word for word in words if word != "."), ".")] * len(words)
