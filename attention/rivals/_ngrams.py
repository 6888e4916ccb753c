"""Interpolated modified Kneser-Ney over token ids, with every n-gram of one length in one sorted array.

An n-gram is known by its number among those of its length, in the order of their tokens; its key is ``V`` times the number of
the (n-1)-gram that it goes on from, plus its last token. So the n-grams that end at all places of a text are one search.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

NONE = -1  # the number of an n-gram that is not there
_USUAL = np.array([0.0, 0.5, 1.0, 1.5])  # discounts where the counts of counts tell none


class Text(NamedTuple):
    """Documents end to end, each begun by a token that nobody predicts.

    ``ages`` is int64 ``[total]``: how many tokens of its document stand before a token.
    """

    tokens: np.ndarray
    ages: np.ndarray


class Grams(NamedTuple):
    """The n-grams of one length: int64 arrays ``[m]``, and how many there are of the next shorter ones.

    ``counts`` is how often each is predicted; ``lefts`` after how many different tokens, where each time that it begins a
    document is one.
    """

    keys: np.ndarray
    counts: np.ndarray
    lefts: np.ndarray
    shorter: int


class Level(NamedTuple):
    """What n-grams of one length say.

    Attributes:
      keys: int64 ``[m]``, rising.
      likely: float64 ``[m]``: the probability of the last token after the others.
      suffixes: int64 ``[m]``: the number of what is left without the first token.
      left: float64, of each (n-1)-gram: what the tokens that never followed it share; 1 where none did.
      best, best_likely: of each (n-1)-gram the likeliest token, the lowest of equals, and its probability.
    """

    keys: np.ndarray
    likely: np.ndarray
    suffixes: np.ndarray
    left: np.ndarray
    best: np.ndarray
    best_likely: np.ndarray


def count(text: Text, size: int, order: int) -> Iterator[Grams]:
    """The n-grams of 1 to ``order`` tokens, or as many as a document has, of a text with ids below ``size``.

    ``lefts`` of the longest is of those that begin documents alone.
    """
    found, shorter, numbers = None, 1, np.zeros(len(text.tokens), np.int64)  # of one n-gram without tokens
    for n in range(1, order + 1):
        ends = np.flatnonzero(text.ages >= n - 1)
        if not len(ends):
            break
        before = numbers[ends - 1] if n > 1 else numbers[ends]
        keys, firsts, inverse = np.unique(before * size + text.tokens[ends], return_index=True, return_inverse=True)
        if found is not None:  # each of these is the one without its first token after one more token
            yield found._replace(lefts=found.lefts + np.bincount(numbers[ends[firsts]], minlength=shorter))
        numbers = np.full(len(text.tokens), NONE)
        numbers[ends] = inverse
        ages = text.ages[ends]
        chosen = (ages > 0, (ages > 0) & (ages == n - 1))
        counts, begun = (np.bincount(inverse[which], minlength=len(keys)) for which in chosen)
        found, shorter = Grams(keys, counts, begun, shorter), len(keys)
    assert found is not None
    yield found


def discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from counts of 0, 1, 2, and 3 or more: ``k - (k + 1) Y n_(k+1) / n_k`` with ``Y = n_1 / (n_1 + 2 n_2)``.

    Of counts of which these are not numbers in [0, k], 1/2, 1 and 3/2 are taken.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(float)
    if not n[:3].all():
        return _USUAL
    taken = np.arange(4.0)
    taken[1:] -= np.arange(2, 5) * n[0] / (n[0] + 2 * n[1]) * n[1:] / n[:3]
    return taken if (taken >= 0).all() else _USUAL


def empty(size: int) -> Level:
    """The level of n-grams without tokens: every token is equally likely."""
    one, zero = np.ones(1), np.zeros(1, np.int64)
    return Level(zero, one / size, zero, one, zero, one / size)


def level(keys: np.ndarray, counts: np.ndarray, shorter: Level, n: int, size: int) -> Level:
    """What n-grams of n tokens say with these counts, beside those of n - 1.

    Raises:
      ValueError: where one of them ends in none of the shorter ones.
    """
    contexts, tokens = np.divmod(keys, size)
    suffixes = np.zeros(len(keys), np.int64)
    if n > 1:
        suffixes = find(shorter.keys, shorter.suffixes[contexts] * size + tokens)
    if (suffixes == NONE).any():
        raise ValueError("an n-gram ends in none of the shorter ones")
    among = len(shorter.keys)
    taken = discounts(counts)[np.minimum(counts, 3)]
    totals, shared = (np.bincount(contexts, weights, among) for weights in (counts, taken))
    left = np.divide(shared, totals, out=np.ones(among), where=totals > 0)
    likely = np.divide(counts - taken, totals[contexts], out=np.zeros(len(keys)), where=counts > 0)
    likely += left[contexts] * shorter.likely[suffixes]
    return Level(keys, likely, suffixes, left, *_best(contexts, tokens, likely, left, shorter))


def _best(
    contexts: np.ndarray, tokens: np.ndarray, likely: np.ndarray, left: np.ndarray, shorter: Level
) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest token after each context: one that followed it, or else the likeliest after its suffix."""
    best, best_likely = shorter.best[shorter.suffixes], left * shorter.best_likely[shorter.suffixes]
    order = np.lexsort((-likely, contexts))  # stable, so that of equals the lowest token is first
    first = order[np.flatnonzero(np.diff(contexts[order], prepend=NONE))]
    at, token, of_first = contexts[first], tokens[first], likely[first]
    better = (of_first > best_likely[at]) | ((of_first == best_likely[at]) & (token < best[at]))
    best[at[better]], best_likely[at[better]] = token[better], of_first[better]
    return best, best_likely


def find(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The place of each number among rising ones, ``NONE`` where it is not among them."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, NONE)


class Said(NamedTuple):
    """What is said of each token of a text, with n-grams up to some length: float64 and int64 ``[total]``.

    Attributes:
      likely: its probability after those before it; of no meaning where a document begins.
      best: the likeliest token at its place.
      numbers: of the n-gram that ends with it.
    """

    likely: np.ndarray
    best: np.ndarray
    numbers: np.ndarray


def nothing(text: Text, size: int) -> Said:
    """What n-grams without tokens say."""
    count = len(text.tokens)
    return Said(np.full(count, 1 / size), np.zeros(count, np.int64), np.zeros(count, np.int64))


def longer(said: Said, level: Level, n: int, text: Text, size: int) -> Said:
    """What is said with n-grams of n tokens beside all shorter ones."""
    contexts = np.where(text.ages >= n - 1, np.roll(said.numbers, 1), NONE) if n > 1 else said.numbers
    numbers = np.where(contexts == NONE, NONE, find(level.keys, contexts * size + text.tokens))
    likely = said.likely * np.where(contexts == NONE, 1.0, level.left[contexts])
    likely = np.where(numbers == NONE, likely, level.likely[numbers])
    best = np.where(contexts == NONE, said.best, level.best[contexts])
    return Said(likely, best, numbers)
