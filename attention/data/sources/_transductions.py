"""What the sources share whose texts are to be turned into others: symbols drawn at random, and what is written of them.

A source is made anew each time, which takes less than reading it would. Splits have streams of their own: another size of one
changes no other. Of short texts there are few, so the splits share some; the report of the data says how many.
"""

from collections.abc import Callable

from attention.data.contracts import Corpus, Source, Split
from attention.data.rules import UNCHANGED
from attention.data.sources import _splits
from attention.data.sources._lengths import Draws, check_amount, texts, uniform

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
Pairs = tuple[list[str], list[str]]


def source(name: str, draw: Callable[[Draws, int], Pairs], sizes: dict[str, int], **options: int) -> Source:
    """A source of ``draw(rng, count) -> (texts, targets)``; ``sizes`` are those of train, validation and test.

    Raises:
      ValueError: for a size below 1.
    """
    for split, size in sizes.items():
        if size < 1:
            raise ValueError(f"{split} must be at least 1, got {size}")
    check_amount(**{split: (size, 1) for split, size in sizes.items()})

    def load(seed: int) -> Corpus:
        splits = {}
        for stream, (split, size) in enumerate(sizes.items()):
            written, targets = draw(Draws(seed, _splits.TRANSDUCTION_STREAM, stream), size)
            splits[split] = Split(written, None, targets)
        return _splits.pairs(splits, seed=seed, validation_share=None, resolved=_splits.resolved(name, **sizes, **options))

    return Source(load, (UNCHANGED,))


def of_symbols(name: str, rule: Callable[[str], str]) -> Callable[..., Source]:
    """The ``build`` of a task whose targets are the symbols of the source in another order."""

    def build(
        train: int = 20_000,
        validation: int = 500,
        test: int = 1_000,
        min_length: int = 1,
        max_length: int = 20,
        symbols: int = 16,
    ) -> Source:
        """Symbols with blanks between them, each as likely; the length is drawn first, each as likely.

        Args:
          train: examples, at least 1.
          validation: at least 1.
          test: at least 1.
          min_length: symbols of a text, at least 1.
          max_length: at least ``min_length``.
          symbols: how many different ones, 2 to 26.

        Raises:
          ValueError: for an option out of range.
        """
        if not 1 <= min_length <= max_length:
            raise ValueError(f"want 1 <= min_length <= max_length, got {min_length} and {max_length}")
        if not 2 <= symbols <= len(ALPHABET):
            raise ValueError(f"symbols must be 2 to {len(ALPHABET)}, got {symbols}")
        check_amount(train=(train, max_length), validation=(validation, max_length), test=(test, max_length))

        def draw(rng: Draws, count: int) -> Pairs:
            lengths = min_length + rng.below(max_length - min_length + 1, count)
            sources = texts(uniform(rng, symbols, lengths), ALPHABET)
            return sources, [" ".join(rule(text.replace(" ", ""))) for text in sources]

        sizes = {"train": train, "validation": validation, "test": test}
        return source(name, draw, sizes, min_length=min_length, max_length=max_length, symbols=symbols)

    return build
