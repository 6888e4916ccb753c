"""Keys of several words with values of several words, of which some are asked for at the end. For ``task=lm``.

Multi-query multi-token associative recall, from "Long-Context Generalization with Sparse Attention" (Vasylenko et al. 2025, arXiv
2506.16640), as in the authors' code. A text is the pairs with blanks around them, the keys that are asked for, and their values::

  bos . 7 2 : 4 4 . . . 1 9 : 0 3 . ? 1 9 ? 7 2 sep ? 0 3 ? 4 4

What is wanted from ``sep`` on is the next word, and ``eos`` at the last; a text is right where all of it is. Keys are of ``key``
words and values of ``value``, from an alphabet of ``symbols``; each split has ``vocabulary`` of each, and a text has different ones.
Of the length of the pairs four fifths are filled: a pair takes ``key + value + 2`` words, at most ``vocabulary`` pairs are there, and
each has an equal part of the length in which it stands anywhere, the middle being likelier. ``queries`` of them are asked for, each
as likely each time. Numbers of the code's words are written ``.`` (0), ``:`` (1) and ``?`` (2) here.

The paper trains on 50 million texts of 32 to 64 words before the questions, with 10,000 keys and values, and asks for exact match
of those of 64 to 65,536.
"""

import numpy as np

from attention.data.contracts import Rule, Source
from attention.data.rules import MOST_WANTED, at_places
from attention.data.sources import _asked
from attention.data.sources._answers import MARKS, joined
from attention.data.sources._lengths import Draws, Sizes

_FILLED = 0.8
_BLANK, _COLON, _QUERY = 0, 1, 2
_SIGNS = (".", ":", "?")


def build(
    train: int = 100_000,
    validation: int = 1_000,
    test: int = 1_000,
    lengths: int = 500,
    min_length: int = 32,
    max_length: int = 64,
    test_length: int | None = None,
    key: int = 2,
    value: int = 2,
    queries: int = 4,
    symbols: int = 256,
    vocabulary: int = 10_000,
) -> Source:
    """Lengths are those of the pairs; of each text one is drawn first. Made anew each time.

    Args:
      train: examples, at least 1.
      validation: at least 1.
      test: of the lengths of train, at least 1.
      lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
      min_length: words of the pairs and of the blanks around them, enough for as many pairs as queries.
      max_length: of train, validation and test, at least ``min_length``.
      test_length: of ``lengths``, at least ``max_length``; None for five times that.
      key: words of a key, at least 1.
      value: words of a value, at least 1.
      queries: keys that are asked for, at least 1.
      symbols: words that keys and values are made of, 2 to 1,000,000.
      vocabulary: keys and values there are, at least ``queries``; no more than can be made of ``symbols``.

    Raises:
      ValueError: for an option out of range.
    """
    shape = _Shape(key, value, queries, symbols, vocabulary)
    shape.check(min_length)
    words = (*_SIGNS, *map(str, range(symbols)), *MARKS)
    task = _asked.Asked(
        name="mqmtar",
        words=words,
        draw=shape.draw,
        size=lambda length: shape.pairs(length) * (length // shape.pairs(length)) + queries * (key + value + 2) + 2,
        rules=(MOST_WANTED, at_places("the_first_value", lambda words: _first_value(words, key, value))),
        options=shape._asdict(),
    )
    return _asked.source(task, Sizes(train, validation, test, lengths, min_length, max_length, test_length))
