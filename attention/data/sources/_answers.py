"""What the sources share whose texts are a question and its answer, to be written word by word.

With x the question and y the answer, a text is ``bos x sep y``; from ``sep`` on the next word is wanted, and at the last
``eos``::

  bos 3 1 2 sep 1 2 3
  _   _ _ _ 1   2 3 eos

This is the form of the code of "Long-Context Generalization with Sparse Attention" (Vasylenko et al. 2025, arXiv 2506.16640),
there with numbers for the three marks. As there, lengths are those of x, each of training as likely, and a text is right where
all of y and its end are. Texts of ``lengths`` are longer: "twice the length" is twice that of the longest of training.
"""

from collections.abc import Callable

import numpy as np

from attention.data.contracts import Source
from attention.data.rules import MOST_WANTED, SAME_WORD
from attention.data.sources import _asked
from attention.data.sources._lengths import Draws, Sizes, uniform

MARKS = ("bos", "sep", "eos")  # the last three words


def joined(questions: np.ndarray, answers: np.ndarray, words: int) -> _asked.Rows:
    """The texts of questions ``[n Q]`` and answers ``[n A]``, -1 after their ends; the marks are the last of the ``words``."""
    begin, between, end = range(words - len(MARKS), words)
    count, asked, told = len(questions), (questions >= 0).sum(axis=1), (answers >= 0).sum(axis=1)
    rows = np.arange(count)
    tokens, wanted = np.full((2, count, int((asked + told).max()) + 2), -1, np.int64)
    tokens[:, 0] = begin
    tokens[:, 1 : questions.shape[1] + 1] = questions
    tokens[rows, asked + 1] = between
    row, place = np.nonzero(answers >= 0)
    tokens[row, asked[row] + 2 + place] = wanted[row, asked[row] + 1 + place] = answers[row, place]
    wanted[rows, asked + 1 + told] = end
    return _asked.Rows(tokens, wanted)


def of_numbers(name: str, answer: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Source]:
    """The ``build`` of a task whose answer has the numbers of the question in another order.

    Args:
      name: of the source.
      answer: numbers ``[n T]`` to numbers ``[n T]``, -1 after the end of each.
    """

    def build(
        train: int = 100_000,
        validation: int = 1_000,
        test: int = 1_000,
        lengths: int = 1_000,
        min_length: int = 4,
        max_length: int = 16,
        test_length: int | None = None,
        symbols: int = 32,
    ) -> Source:
        """Numbers from 0, each as likely; the length is drawn first. Made anew each time.

        Args:
          train: examples, at least 1.
          validation: at least 1.
          test: of the lengths of train, at least 1.
          lengths: examples of the split ``lengths``, whose lengths go on to ``test_length``; 0 for no such split.
          min_length: numbers of a question, at least 1; the paper has 32.
          max_length: of train, validation and test, at least ``min_length``; the paper has 64.
          test_length: of ``lengths``, at least ``max_length``; None for five times that. The paper goes to 64 times.
          symbols: how many different numbers, 2 to 1,000,000.

        Raises:
          ValueError: for an option out of range.
        """
        _asked.check_words("symbols", symbols, 2)
        words = (*map(str, range(symbols)), *MARKS)

        def draw(rng: Draws, given: np.ndarray) -> _asked.Rows:
            numbers = uniform(rng, symbols, given)
            return joined(numbers, answer(numbers), len(words))

        task = _asked.Asked(
            name=name,
            words=words,
            draw=draw,
            size=lambda length: 2 * length + 2,
            rules=(MOST_WANTED, SAME_WORD),
            options={"symbols": symbols},
        )
        return _asked.source(task, Sizes(train, validation, test, lengths, min_length, max_length, test_length))

    return build


def turned(numbers: np.ndarray) -> np.ndarray:
    """Each row from its last number to its first."""
    ends = (numbers >= 0).sum(axis=1, keepdims=True)
    place = ends - 1 - np.arange(numbers.shape[1])
    return np.where(place >= 0, np.take_along_axis(numbers, np.maximum(place, 0), axis=1), -1)


def rising(numbers: np.ndarray) -> np.ndarray:
    """Each row sorted."""
    after = numbers.max() + 1
    found = np.sort(np.where(numbers < 0, after, numbers), axis=1)
    return np.where(found == after, -1, found)
