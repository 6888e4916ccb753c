"""How many parameters a variant has, as a formula in the letters of the axes, read off the shapes at several sizes."""

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isqrt, prod
from typing import Any

import jax

from attention.records import Dims

# Counts are given at the first. No two axes have the same ratio at all three, so a length can be told from another.
SIZES = (
    Dims(8, 8, 32, 256, num_layers=4, max_length=512, vocab_size=1000),
    Dims(6, 6, 20, 120, num_layers=4, max_length=81, vocab_size=70),
    Dims(5, 5, 12, 60, num_layers=4, max_length=225, vocab_size=33),
)
ORDER = ("⌈√L⌉", "V", "L", "N", "D", "H")  # how a product is written
Polynomial = Counter[tuple[str, ...]]  # coefficients by monomial: {("D", "N"): 2} is 2 D N


def count(init: Callable[[jax.Array, Dims], Any] | None, dims: Dims = SIZES[0]) -> int:
    """How many numbers ``init`` makes; 0 for None.

    Example:
      >>> count(attention.build("encoding", "tisa").init)
      120
    """
    return sum(prod(shape) for shape in _shapes(init, dims))


def formula(init: Callable[[jax.Array, Dims], Any] | None) -> str | None:
    """The count as a formula; "0" where there is nothing, None where a length of an array is no simple function of one axis.

    Example:
      >>> formula(attention.build("encoding", "tisa").init)
      '15 N'
    """
    total: Polynomial = Counter()
    for sizes in zip(*(_shapes(init, dims) for dims in SIZES), strict=True):
        term: Polynomial = Counter({(): Fraction(1)})
        for lengths in zip(*sizes, strict=True):
            factor = _length(lengths)
            if factor is None:
                return None
            term = _product(term, factor)
        total.update(term)
    return _text(total)


def _shapes(init: Callable[[jax.Array, Dims], Any] | None, dims: Dims) -> list[tuple[int, ...]]:
    if init is None:
        return []
    return [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(lambda rng: init(rng, dims), jax.random.key(0)))]


def _length(lengths: Sequence[int]) -> Polynomial | None:
    """What a length is of one axis: a number, a multiple, or a multiple and a number."""
    if len(set(lengths)) == 1:
        return Counter({(): Fraction(lengths[0])})
    axes = {
        "D": [dims.model_dim for dims in SIZES],
        "N": [dims.num_heads for dims in SIZES],
        "H": [dims.head_dim for dims in SIZES],
        "L": [dims.max_length or 0 for dims in SIZES],
        "V": [dims.vocab_size or 0 for dims in SIZES],
        "⌈√L⌉": [isqrt((dims.max_length or 1) - 1) + 1 for dims in SIZES],
    }
    for letter, values in axes.items():
        slope = Fraction(lengths[0] - lengths[1], values[0] - values[1])
        rest = lengths[0] - slope * values[0]
        if all(slope * value + rest == length for value, length in zip(values, lengths)):
            return Counter({key: each for key, each in {(letter,): slope, (): rest}.items() if each})
    return None


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    found: Polynomial = Counter()
    for one, a in left.items():
        for two, b in right.items():
            letters = list(one + two)
            while "N" in letters and "H" in letters:  # N heads of H are the width
                letters.remove("N")
                letters.remove("H")
                letters.append("D")
            found[tuple(sorted(letters, key=ORDER.index))] += a * b
    return found


def _text(polynomial: Polynomial) -> str:
    terms = sorted(((-len(letters), letters, number) for letters, number in polynomial.items() if number))
    return " + ".join(_term(letters, number) for _, letters, number in terms).replace("+ -", "- ") or "0"


def _term(letters: tuple[str, ...], number: Any) -> str:
    powers = [f"{letter}{'²³'[times - 2] if times > 1 else ''}" for letter, times in Counter(letters).items()]
    whole, part = divmod(number, 1)
    shown = f"{whole or ''}{ {0: '', Fraction(1, 2): '½', Fraction(1, 4): '¼', Fraction(3, 4): '¾'}.get(part, f' {part}') }"
    return " ".join([*([shown] if shown != "1" or not powers else []), *powers])
