"""Words by their characters, as numbers that are the same in every run: nothing is learned of train, and nothing kept."""

import dataclasses
import itertools
from collections.abc import Collection, Sequence

import numpy as np

from attention.data.contracts import Encoded, Spelling, Split

BEGIN, END = 1, 2  # around a word; 0 is padding
ROWS = 2048  # numbers there are: code points that differ by a multiple of it share one, so that no alphabet has two alike


def spelled(words: Sequence[str], most: int) -> np.ndarray:
    """The numbers of the characters of each word, int32 ``[n most]``: code points, folded, between two marks.

    Of a longer word the first half and the last are kept.

    Example:
      >>> spelled(["ab", "c"], 5)
      [[1, 97, 98, 2, 0], [1, 99, 2, 0, 0]]

    Args:
      words: one or more.
      most: at least 3.
    """
    last = most // 2
    cut = lambda marked: marked if len(marked) <= most else marked[: most - last] + marked[-last:]
    rows = [cut([BEGIN, *(max(ord(each) % ROWS, END + 1) for each in word), END]) for word in words]
    made = np.zeros((len(rows), most), np.int32)
    for row, numbers in zip(made, rows):
        row[: len(numbers)] = numbers
    return made


def words_of(split: Split) -> set[str]:
    """The words of texts of which it is said what is right at each; none of others."""
    return set().union(*(text.split(" ") for text in split.texts)) if split.wanted is not None else set()


def with_words(
    encoded: Encoded, texts: Sequence[str], classes: tuple[str, ...], *, most: int, known: Collection[str] | None
) -> Encoded:
    """Examples with the classes and the characters of their words, and with which of these are not among the ``known``.

    Args:
      encoded: of the texts; without ``words`` it is returned as it is.
      texts: words joined by single blanks.
      classes: which ``wanted`` indexes.
      most: characters kept of a word, as of ``spelled``; 0 for none.
      known: the words of train; None where they are not known.
    """
    if encoded.words is None:
        return encoded
    numbers: dict[str, int] = {}
    of_texts = [np.array([numbers.setdefault(word, len(numbers)) for word in text.split(" ")], np.int32) for text in texts]
    each = zip(of_texts, itertools.pairwise(encoded.offsets))
    rows = np.concatenate([own[encoded.words[start:end]] for own, (start, end) in each])
    spelling = Spelling(spelled(list(numbers), most), rows) if most else None
    unseen = None if known is None else np.array([word not in known for word in numbers])[rows]
    counts = np.array([len(own) for own in of_texts], np.int32)
    return dataclasses.replace(encoded, classes=classes, word_counts=counts, spelling=spelling, unseen=unseen)
