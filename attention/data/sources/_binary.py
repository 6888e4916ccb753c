"""What the tasks share whose strings are numbers in bits."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from attention.data.contracts import Source
from attention.data.sources._lengths import Draws
from attention.data.sources._tapes import Strings, Tape, builder

_SIGN, _BOTH = 2, 3  # the number of the sign, and the length from which a string has two numbers
Bits = list[int]


def of_two(
    name: str, sign: str, made: Callable[[int, int], int], short: Callable[[Bits], Bits], more: int
) -> Callable[..., Source]:
    """The ``build`` of a task that makes one number of two, each with its lowest bit first.

    Of the places where the sign may stand each is as likely, and of a number's values all from 1 on that have no more bits
    than it has places. Shorter strings have no sign: any bits but ones alone.

    Args:
      name: of the source.
      sign: between the numbers.
      made: of both numbers the one to be written.
      short: what is to be written of a string without a sign.
      more: how many dots there are beyond the symbols of the string.
    """

    def draw(rng: Draws, lengths: np.ndarray) -> Strings:
        signs = np.where(lengths < _BOTH, lengths, 1 + rng.below(np.maximum(lengths - 2, 1), len(lengths)))
        read = _read(rng, lengths, signs)
        rows = zip(read.tolist(), lengths.tolist(), signs.tolist())
        results = [
            bits(made(value(row[:at]), value(row[at + 1 : length]))) if at < length else short(row[:length])
            for row, length, at in rows
        ]
        return Strings(read, padded(results))

    return builder(Tape(name, ("0", "1", sign), draw, lambda length: length + more, 2, ended=True))


def _read(rng: Draws, lengths: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The strings, a sign where it is inside of them."""
    place, length, sign = np.arange(int(lengths.max())), lengths[:, None], signs[:, None]
    first, second = place < sign, (place > sign) & (place < length)
    two = signs < lengths

    def fits(ones: np.ndarray, rows: np.ndarray) -> np.ndarray:
        some = (ones & first[rows]).any(axis=1)
        return np.where(two[rows], some & (ones & second[rows]).any(axis=1), (~ones & first[rows]).any(axis=1))

    read = until(rng, len(lengths), len(place), fits)
    return np.where(place >= length, -1, np.where(place == sign, _SIGN, read))


def until(rng: Draws, count: int, width: int, fits: Callable[[np.ndarray, np.ndarray], Any]) -> np.ndarray:
    """Bits ``[count width]``; rows are drawn anew until they fit, ``(bits that are one [k width], which rows [k]) -> [k]``."""
    found, left = np.zeros((count, width), np.int64), np.arange(count)
    while len(left):
        found[left] = rng.below(2, len(left), width)
        left = left[~fits(found[left] == 1, left)]
    return found


def value(bits: Bits) -> int:
    """The number whose lowest bit is the first."""
    return sum(bit << place for place, bit in enumerate(bits))


def bits(number: int) -> Bits:
    """A number's bits, the lowest first, none behind the highest one; 0 has one."""
    return [int(bit) for bit in f"{number:b}"[::-1]]


def padded(rows: Sequence[Bits]) -> np.ndarray:
    """Rows as ``[n U]``, -1 after the end of each."""
    made = np.full((len(rows), max(map(len, rows))), -1, np.int64)
    for filled, row in zip(made, rows):
        filled[: len(row)] = row
    return made
