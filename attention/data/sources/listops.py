"""ListOps: nested MIN, MAX, MED and SM (sum modulo 10) over digits, generated; the answer needs the nesting.

The benchmark of Nangia & Bowman (2018, arXiv 1804.06028) in the written form of the Long Range Arena: prefix notation,
tokens separated by single spaces, no binary-tree parentheses, as in ``[MAX 2 9 [MIN 4 7 ] 0 ]``, whose value is 9.

How an expression is drawn. Begin with an operator. Every operator is one of ``operators``, each as likely, and has 2 to
``max_args`` arguments, each number as likely. An argument is an operator with probability ``operator_share``, else a
digit, 0 to 9, each as likely; at nesting depth ``max_depth`` (the root is at 1) it is always a digit. An expression of
fewer than ``min_length`` or more than ``max_length`` tokens, or seen before in any split, is thrown away and drawn again.
So far this is the published process (``operator_share=0.25``, ``max_args=5``, ``max_depth=20``, where a lone digit could
be drawn too; the Long Range Arena has ``max_args=10``, ``max_depth=10`` and 500 to 2000 tokens). The splits have streams
of their own and are drawn in the order test, validation, train: another size of train changes neither of the others.
The split ``lengths`` goes on where they end: its lengths are spread evenly from ``min_length`` to ``test_length``, over
those that the process can give, and of each length expressions are as likely as the process makes them. It may repeat
expressions of the others, where there are few of a length.

MED is the median; of an even number of arguments it is the mean of the two in the middle, rounded down, as in the
published code. Make it harder by longer and deeper expressions and more arguments, easier by leaving out operators (SM is
the hardest). With ``min_length`` above ``max_args`` + 2 no expression is without nesting.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attention.data import paths
from attention.data.contracts import LENGTHS, Corpus, Rule, Source
from attention.data.rules import MAJORITY
from attention.data.sources import _lengths, _splits
from attention.data.sources._conditioned import Conditioned
from attention.specs import nearest

__all__ = ["evaluate", "expressions", "root_operator"]

OPERATORS = {
    "MIN": min,
    "MAX": max,
    "MED": lambda arguments: _median(sorted(arguments)),
    "SM": lambda arguments: sum(arguments) % 10,
}
_DIGITS = {str(digit): digit for digit in range(10)}
_OPENERS = {f"[{name}": name for name in OPERATORS}
_BLOCK = 1 << 16  # numbers drawn at a time
_PATIENCE = 100_000  # expressions thrown away in a row before the options count as impossible


def _median(ordered: list[int]) -> int:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def evaluate(text: str) -> int:
    """The value of an expression.

    Example:
      >>> evaluate("[MAX 2 9 [MIN 4 7 ] 0 ]")
      9

    Args:
      text: tokens separated by single spaces: ``[MIN``, ``[MAX``, ``[MED``, ``[SM``, ``]`` and digits.

    Returns:
      0 to 9.

    Raises:
      ValueError: where the text is not one whole expression, naming the token.
    """
    open_operators: list[tuple[str, list[int]]] = []
    result = None
    for place, token in enumerate(text.split(" "), 1):
        if result is not None:
            raise ValueError(f"token {place}, {token!r}, comes after the end of the expression")
        if token in _OPENERS:
            open_operators.append((_OPENERS[token], []))
            continue
        if token in _DIGITS:
            value = _DIGITS[token]
        elif token == "]" and open_operators and open_operators[-1][1]:
            name, arguments = open_operators.pop()
            value = OPERATORS[name](arguments)
        elif token == "]":
            raise ValueError(f"token {place}, ']', closes {'an empty operator' if open_operators else 'nothing'}")
        else:
            raise ValueError(f"token {place}, {token!r}, is none of {' '.join(_OPENERS)} ] and the digits")
        if open_operators:
            open_operators[-1][1].append(value)
        else:
            result = value
    if result is None:
        raise ValueError("the expression has no end")
    return result


def root_operator(text: str) -> int | None:
    """A shortcut: the root operator of its direct digit arguments, nested operators ignored; None where it has none.

    Example:
      >>> root_operator("[MAX 2 3 [MIN 9 8 ] 0 ]")
      3
    """
    root, *tokens = text.split(" ")
    depth, direct = 1, []
    for token in tokens:
        if token in _OPENERS:
            depth += 1
        elif token == "]":
            depth -= 1
        elif depth == 1 and token in _DIGITS:
            direct.append(_DIGITS[token])
    return OPERATORS[_OPENERS[root]](direct) if direct and root in _OPENERS else None


class Options(NamedTuple):
    """What an expression is drawn by; see the top of the file."""

    min_length: int
    max_length: int
    max_depth: int
    max_args: int
    operator_share: float
    operators: tuple[str, ...]


def expressions(count: int, options: Options, *, seed: int, stream: int, seen: set[str]) -> list[str]:
    """Draws distinct expressions by the process at the top of the file.

    Args:
      count: how many.
      options: lengths, depth and the rest.
      seed: not negative.
      stream: number of the split, so that each has draws of its own.
      seen: expressions not to draw again; the new ones are added.

    Raises:
      ValueError: where 100,000 draws in a row are of no use.
    """
    bits = _splits.draws(seed, _splits.LISTOPS_STREAM, stream)
    found: list[str] = []
    useless, position, block = 0, _BLOCK, ([], [], [])
    room = max(options.max_length, 4)  # the most numbers one expression can use
    while len(found) < count:
        if position + room > len(block[0]):
            block, position = _block(bits, options, max(_BLOCK, 4 * room)), 0
        tokens, position = _expression(*block, position, options)
        text = " ".join(tokens)
        if len(tokens) < options.min_length or text in seen:
            useless += 1
            if useless > _PATIENCE:
                raise ValueError(
                    f"found only {len(found)} of {count} distinct expressions of {options.min_length} to"
                    f" {options.max_length} tokens; allow more lengths, depth or arguments, or ask for fewer examples"
                )
            continue
        useless = 0
        seen.add(text)
        found.append(text)
    return found


def _block(bits: np.random.Philox, options: Options, size: int) -> tuple[list[bool], list[int], list[int]]:
    """The numbers that decide about ``size`` arguments: whether an operator, which one with how many, which digit."""
    raw = bits.random_raw(size)
    low = raw & np.uint64(0xFFFFFFFF)

    def below(bound: int) -> list[int]:
        return ((low * np.uint64(bound)) >> np.uint64(32)).tolist()  # biased by less than bound / 2**32

    nested = (raw >> np.uint64(32)) < np.uint64(round(options.operator_share * 2**32))
    return nested.tolist(), below(len(options.operators) * (options.max_args - 1)), below(10)


def _expression(
    nested: list[bool], kinds: list[int], digits: list[int], position: int, options: Options
) -> tuple[list[str], int]:
    """One expression, or no tokens where it would be too long, and the position of the next unused number."""
    counts = options.max_args - 1
    openers = [f"[{name}" for name in options.operators]
    tokens: list[str] = []
    missing: list[int] = []  # arguments still to come, of every open operator
    size = 1
    while True:
        if not missing or (nested[position] and len(missing) < options.max_depth):
            operator, extra = divmod(kinds[position], counts)
            size += extra + 3  # the argument becomes an opener, a closer and 2 + extra arguments
            if size > options.max_length:
                return [], position + 1
            tokens.append(openers[operator])
            missing.append(extra + 2)
        else:
            tokens.append(str(digits[position]))
            missing[-1] -= 1
            while not missing[-1]:
                tokens.append("]")
                missing.pop()
                if not missing:
                    return tokens, position + 1
                missing[-1] -= 1
        position += 1


def build(
    train: int = 96_000,
    validation: int = 2_000,
    test: int = 2_000,
    min_length: int = 10,
    max_length: int = 50,
    max_depth: int = 20,
    max_args: int = 5,
    operator_share: float = 0.25,
    operators: tuple[str, ...] = tuple(OPERATORS),
    lengths: int = 2_000,
    test_length: int | None = None,
    data_dir: str | None = None,
) -> Source:
    """Generated ListOps, prepared once per set of options and seed as a TFDS data set.

    Args:
      train: examples, at least 1; train, validation and test share none.
      validation: at least 1.
      test: at least 1.
      min_length: tokens, at least 4, the length of ``[MIN 1 2 ]``.
      max_length: tokens, at least ``min_length``.
      max_depth: operators inside one another, at least 1.
      max_args: arguments of an operator, at least 2.
      operator_share: probability that an argument is an operator, 0 to 1.
      operators: some of MIN, MAX, MED, SM.
      lengths: examples of the split ``lengths``; 0 for no such split.
      test_length: tokens at most in ``lengths``, at least ``max_length``; None for five times ``max_length``.
      data_dir: where TFDS keeps its data sets; None for ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.

    Raises:
      ValueError: for an option out of range; ``load`` where the options allow too few expressions.
    """
    sizes = _lengths.Sizes(train, validation, test, lengths, min_length, max_length, test_length)
    options = Options(min_length, max_length, max_depth, max_args, operator_share, operators)
    _check(sizes, options)
    folder = None if data_dir is None else paths.expand(data_dir)
    spec = _splits.resolved("listops", **{**options._asdict(), **sizes._asdict()}, data_dir=folder)

    def load(seed: int) -> Corpus:
        return _load(sizes, options, folder, seed, spec)

    return Source(load, (MAJORITY, Rule("root_operator", MAJORITY.fit, _answers)))


def _check(sizes: _lengths.Sizes, options: Options) -> None:
    _lengths.check(sizes, 4)
    for name, floor in (("max_depth", 1), ("max_args", 2)):
        if getattr(options, name) < floor:
            raise ValueError(f"{name} must be at least {floor}, got {getattr(options, name)}")
    if not 0 <= options.operator_share <= 1:
        raise ValueError(f"operator_share must be 0 to 1, got {options.operator_share!r}")
    for name in options.operators:
        if name not in OPERATORS:
            raise ValueError(f"unknown operator {name!r}{nearest(name, OPERATORS)}; known: {', '.join(OPERATORS)}")
    if not options.operators or len(set(options.operators)) < len(options.operators):
        raise ValueError(f"operators must be one or more of {', '.join(OPERATORS)}, none twice")


def _load(sizes: _lengths.Sizes, options: Options, folder: Path | None, seed: int, spec: str) -> Corpus:
    from attention.data.sources import _tfds_cache

    def rows() -> dict[str, tuple[list[str], list[int]]]:
        seen: set[str] = set()
        texts = {
            name: expressions(getattr(sizes, name), options, seed=seed, stream=stream, seen=seen)
            for stream, name in enumerate(("test", "validation", "train"))
        }
        if sizes.lengths:
            texts[LENGTHS] = expressions_of_lengths(sizes, options, seed=seed, stream=3)
        return {name: (drawn, [evaluate(text) for text in drawn]) for name, drawn in texts.items()}

    splits = _tfds_cache.load(
        name="listops",
        config=_config(sizes, options, seed),
        version="1.0.0",
        classes=tuple(_DIGITS),
        rows=rows,
        description="ListOps (Nangia & Bowman 2018), generated.",
        homepage="https://arxiv.org/abs/1804.06028",
        data_dir=folder,
    )
    corpus = _splits.corpus(splits, tuple(_DIGITS), seed=seed, resolved=spec)
    return corpus._replace(trained_length=sizes.max_length if sizes.lengths else None)


def expressions_of_lengths(sizes: _lengths.Sizes, options: Options, *, seed: int, stream: int) -> list[str]:
    """The expressions of the split ``lengths``, rising in length."""
    process = Conditioned(options, _lengths.longest(sizes))
    possible = np.flatnonzero(process.likelihood)
    chosen = _lengths.spread(possible[possible >= sizes.min_length], sizes.lengths)
    rng = _lengths.Draws(seed, _splits.LISTOPS_STREAM, stream)
    return [" ".join(process.draw(int(length), rng)) for length in chosen]


def _config(sizes: _lengths.Sizes, options: Options, seed: int) -> str:
    """The folder name of a set: every option and the seed, so that no two sets meet on disk."""
    names = "-".join(options.operators)
    drawn = f"depth{options.max_depth}-args{options.max_args}-share{options.operator_share!r}-{names}"
    return f"{_lengths.folder_name(sizes, seed)}-{drawn}"


def _answers(learned: Mapping[str, float], texts: Sequence[str]) -> list[int]:
    """Of ``root_operator``; where it has none, that of ``MAJORITY``."""
    found = map(root_operator, texts)
    return [usual if answer is None else answer for answer, usual in zip(found, MAJORITY.answer(learned, texts))]
