"""Keys with values, and then some of the keys again, at each of which its value is wanted. For ``task=lm``.

Multi-query associative recall, from "Zoology: Measuring and Improving Recall in Efficient Language Models" (Arora et al. 2023,
arXiv 2312.04927), as in the authors' code. Of a vocabulary of V words, 0 is the filler, 1 to V/2 - 1 are keys and V/2 to V - 1
are values. With V=12 and two pairs::

  2 8 4 7 0 0 4 0 0 0 0 0 2 0 0 0    the value 7 is wanted at the second 4, and 8 at the second 2

This is not the prediction of the next word: what is wanted stands at the key that asks for it, and never enters the text. The
pairs stand first; neither keys nor values repeat. Behind them each key is asked for once, 2 g words after the last pair, with
g drawn from 0, 1, ... with probability in proportion to (g + 1)^(a - 1) and without replacement, so that most come soon.

In figure 2 of the paper texts of 64, 128, 256 and 512 words have 4, 8, 16 and 64 pairs, V is 8,192, and there are 100,000
examples to train on and 3,000 to test. The texts of ``lengths`` have the same share of pairs, rounded down.
"""

from typing import Literal

import numpy as np

from attention.data.contracts import Source
from attention.data.rules import at_places
from attention.data.sources import _asked
from attention.data.sources._lengths import Draws, Sizes

_EXPONENT = 0.01  # a
FIRST_VALUE = at_places("the_first_value", lambda words: words[:2][-1:] * len(words))  # right once for each text: 1 / pairs


def drawn(rng: Draws, length: int, count: int, pairs: int, vocabulary: int, filler: str) -> _asked.Rows:
    """Texts of one length."""
    half, behind = vocabulary // 2, 2 * pairs
    keys = 1 + _asked.distinct(rng, half - 1, count, pairs)
    values = half + _asked.distinct(rng, vocabulary - half, count, pairs)
    places = behind + 2 * _gaps(rng, count, pairs, (length - behind) // 2)
    tokens, wanted = np.zeros((count, length), np.int64), np.full((count, length), -1, np.int64)
    tokens[:, :behind:2], tokens[:, 1:behind:2] = keys, values
    np.put_along_axis(tokens, places, keys, axis=1)
    np.put_along_axis(wanted, places, values, axis=1)
    if filler == "random":
        tokens = np.where(tokens == 0, rng.below(vocabulary, count, length), tokens)
    return _asked.Rows(tokens, wanted)


def _gaps(rng: Draws, count: int, pairs: int, space: int) -> np.ndarray:
    """Different numbers below ``space``, one after the other in proportion to their weights: the first to arrive of a race."""
    weights = np.arange(1, space + 1) ** (_EXPONENT - 1)
    waiting = -np.log((rng.below(2**32 - 1, count, space) + 1) / 2**32) / weights
    return np.argsort(waiting, axis=1, kind="stable")[:, :pairs]


def build(
    train: int = 100_000,
    validation: int = 1_000,
    test: int = 3_000,
    lengths: int = 500,
    length: int = 64,
    pairs: int = 4,
    test_length: int | None = None,
    vocabulary: int = 8_192,
    filler: Literal["zero", "random"] = "zero",
) -> Source:
    """Texts of one length in training, made anew each time.

    Args:
      train: examples, at least 1.
      validation: at least 1.
      test: at least 1.
      lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
      length: words of a text, an even number, at least four times ``pairs``.
      pairs: keys with their values, at least 1.
      test_length: of ``lengths``, at least ``length``; None for five times that.
      vocabulary: words, an even number greater than the longest text, at most 1,000,000.
      filler: what stands where nothing is asked behind the pairs: "zero", or "random" words of all, as elsewhere in the code.

    Raises:
      ValueError: for an option out of range.
    """
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, got {pairs}")
    if length < 4 * pairs or length % 2:
        raise ValueError(f"length must be an even number of at least 4 pairs, {4 * pairs}, got {length}")
    _asked.check_words("vocabulary", vocabulary, 4)
    sizes = Sizes(train, validation, test, lengths, length, length, test_length)
    task = _asked.Asked(
        name="mqar",
        words=[str(word) for word in range(vocabulary)],
        draw=lambda rng, given: _asked.by_length(
            given, lambda size, count: drawn(rng, size, count, size * pairs // length, vocabulary, filler)
        ),
        size=lambda length: length,
        rules=(FIRST_VALUE,),
        step=2,
        options={"pairs": pairs, "vocabulary": vocabulary, "filler": filler},
    )
    made = _asked.source(task, sizes, length=length)
    most = length if not lengths else _asked.longest(sizes)
    if vocabulary <= most or vocabulary % 2:
        raise ValueError(f"vocabulary must be an even number above the longest text, {most}, got {vocabulary}")
    return made
