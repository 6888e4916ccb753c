"""Expressions modulo 5, in brackets or without."""

import numpy as np

from attention.data.sources._lengths import Draws

MODULUS = 5
DIGITS = tuple(map(str, range(MODULUS)))
PLUS, MINUS, TIMES, OPEN, CLOSE = range(MODULUS, MODULUS + 5)
ALPHABET = "".join(DIGITS) + "+-*()"  # in the order of the tokens


def flat(rng: Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Digits with one of ``+ - *`` between them, all independent and as likely, and the value; lengths are odd."""
    shape = len(lengths), int(lengths.max())
    place = np.arange(shape[1])
    tokens = np.where(place % 2, PLUS + rng.below(3, *shape), rng.below(MODULUS, *shape))
    tokens = np.where(place < lengths[:, None], tokens, -1)
    total, term = np.zeros(len(lengths), np.int64), tokens[:, 0]  # terms are added up when the next one begins
    for i in range(2, shape[1], 2):
        operator, digit, there = tokens[:, i - 1], tokens[:, i], i < lengths
        times = operator == TIMES
        total = np.where(there & ~times, total + term, total)
        term = np.where(there, np.where(times, term * digit % MODULUS, np.where(operator == MINUS, -digit, digit)), term)
    return tokens, (total + term) % MODULUS


def nested(rng: Draws, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expressions of ``+`` and ``-`` in brackets, by the grammar of arXiv 2207.02098.

    One of length 1 to 4 is d, -d, (d) or (-d) with a digit d; a longer one is (left+right) or (left-right), as likely, the
    length of left as likely anything from 1 on that leaves one symbol or more to right.

    Returns:
      Tokens ``[n T]``, and for each digit whether it is added, 1, or subtracted, -1, once the brackets are resolved; 0 for
      what is no digit.
    """
    tokens = np.full((len(lengths), int(lengths.max())), -1)
    signs = np.zeros_like(tokens)
    row, start, size, sign = np.arange(len(lengths)), np.zeros_like(lengths), lengths, np.ones_like(lengths)
    while len(row):
        bracket = size >= 3
        tokens[row[bracket], start[bracket]] = OPEN
        tokens[row[bracket], (start + size - 1)[bracket]] = CLOSE
        small = size < 5
        _digits(rng, tokens, signs, *(part[small] for part in (row, start, size, sign)))
        row, start, size, sign = (part[~small] for part in (row, start, size, sign))
        left = 1 + rng.below(size - 4, len(size))
        minus = rng.below(2, len(size))
        tokens[row, start + 1 + left] = PLUS + minus
        row = np.concatenate([row, row])
        start = np.concatenate([start + 1, start + 2 + left])
        sign = np.concatenate([sign, sign * (1 - 2 * minus)])
        size = np.concatenate([left, size - 3 - left])
    return tokens, signs


def _digits(rng: Draws, tokens: np.ndarray, signs: np.ndarray, row, start, size, sign) -> None:
    """Writes d, -d, (d) or (-d), without the brackets, for sizes of 1 to 4."""
    minus = size % 2 == 0
    place = start + (size >= 3)
    tokens[row[minus], place[minus]] = MINUS
    place = place + minus
    tokens[row, place] = rng.below(MODULUS, len(row))
    signs[row, place] = np.where(minus, -sign, sign)


def value(tokens: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The values of expressions of ``nested``, 0 to 4."""
    return (tokens * signs).sum(axis=1) % MODULUS
