"""What is wanted at each word of a text, as ids at each of its tokens."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attention import specs
from attention.data.contracts import ELSEWHERE, NOTHING, OPEN, UNKNOWN, Encoded, Tokenizer
from attention.messages import quoted


class Placed(NamedTuple):
    """The token ids of a text, and what is wanted at each and which word it is of, as in ``Encoded``."""

    ids: np.ndarray
    wanted: np.ndarray
    words: np.ndarray


def placed(
    tokenizer: Tokenizer,
    state: Any,
    texts: Sequence[str],
    wanted: Sequence[str],
    classes: Sequence[str],
    what: str,
    first: int = 0,
) -> list[Placed]:
    """Each text, word by word, each word with the blank before it; what is wanted stands at the first token of its word.

    Args:
      tokenizer: the record.
      state: what it learned.
      texts: words joined by single blanks.
      wanted: one word for each word of each text, as in ``Split``.
      classes: whose indices are wanted; none where tokens are.
      what: the texts are called so in messages.
      first: the number of the first of them there.

    Raises:
      ValueError: naming the text, for another number of words, an unknown class, or a wanted word that is not one known token.
    """
    words = [text.split(" ") for text in texts]
    answers = [each.split(" ") for each in wanted]
    for row, (have, said) in enumerate(zip(words, answers), first):
        if len(have) != len(said):
            raise ValueError(f"{what} {row} (counted from 0) has {len(have)} words, and {len(said)} are wanted")
    pieces = _encoded(tokenizer, state, words)
    known = {name: number for number, name in enumerate(classes)} or _tokens(tokenizer, state, answers, what)
    known[NOTHING] = OPEN if classes else ELSEWHERE
    made = []
    for row, (have, said) in enumerate(zip(words, answers), first):
        found = [pieces[word] for word in have]
        for word, ids in zip(have, found):
            if not len(ids):
                raise ValueError(f"{what} {row} (counted from 0): the word {quoted(word, 40)} has no tokens")
        counts = np.array([len(ids) for ids in found])
        right = np.full(counts.sum(), ELSEWHERE, np.int32)
        try:
            right[np.cumsum(counts) - counts] = [known[each] for each in said]
        except KeyError as error:
            near = specs.nearest(error.args[0], classes)
            raise ValueError(f"{what} {row} (counted from 0): there is no class {quoted(error.args[0], 40)}{near}") from None
        made.append(
            Placed(np.concatenate(found).astype(np.int32), right, np.repeat(np.arange(len(have), dtype=np.int32), counts))
        )
    return made


def of_words(encoded: Encoded) -> np.ndarray:
    """Which of the words of all texts each place is of that is asked, for examples whose words have classes."""
    assert encoded.wanted is not None
    assert encoded.words is not None
    assert encoded.word_counts is not None
    begins = np.cumsum(encoded.word_counts) - encoded.word_counts
    return (np.repeat(begins, encoded.lengths) + encoded.words)[encoded.wanted != ELSEWHERE]


def left(wanted: Sequence[str], encoded: Encoded) -> Sequence[str]:
    """What is wanted at each word, as in ``Split``, with ``NOTHING`` at those that are cut off."""
    counts = encoded.word_counts
    if counts is None or encoded.truncated is None or not encoded.truncated.any():
        return wanted
    there = np.zeros(counts.sum(), bool)
    there[of_words(encoded)] = True
    rows = zip(wanted, np.split(there, np.cumsum(counts)[:-1]))
    return [" ".join(np.where(kept, row.split(" "), NOTHING)) for row, kept in rows]


def _encoded(tokenizer: Tokenizer, state: Any, words: Sequence[Sequence[str]]) -> Mapping[str, np.ndarray]:
    distinct = list(dict.fromkeys(itertools.chain.from_iterable(words)))
    return dict(zip(distinct, tokenizer.encode(state, [f" {word}" for word in distinct])))


def _tokens(tokenizer: Tokenizer, state: Any, answers: Sequence[Sequence[str]], what: str) -> dict[str, int]:
    """The token of each word that is wanted."""
    found = _encoded(tokenizer, state, answers)
    for word, ids in found.items():
        if word == NOTHING:
            continue
        if len(ids) != 1:
            have = f"{quoted(word, 40)} is wanted, which the tokenizer makes {len(ids)} tokens of"
            raise ValueError(f"{what}: {have}; a place has room for one: config.data.tokenizer=words(pattern='whitespace')")
        if ids.tolist() == [UNKNOWN]:  # which any other unknown word would answer
            raise ValueError(f"{what}: {quoted(word, 40)} is wanted, which the tokenizer of train does not know")
    return {word: int(ids[0]) for word, ids in found.items() if len(ids)}
