"""Splits that rivals learn in a moment: texts with a class each, documents of tokens, words with a tag each."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attention.data.contracts import OPEN, Encoded, Split
from attention.rivals import Material

CLASSES = 3
WORDS = ("a", "the", "it", "is", "was", "and", "don't", "3", "oh!", "你好吗")
TOLD = (("awful", "dull"), ("fine", "so so"), ("grand", "not bad"))
# Texts that are no texts of words.
ODD = ("", " \n\t", "\ud800", "\x00", "🙂🙂", "१२ हिन्दी", "ไทย", "e\u0301", "never seen before", "x" * 100_000, "?! " * 3000)
SIZE = 9  # token ids; the last begins and ends documents
TAGS = ("DET", "NOUN", "VERB", "X")


class Lessons(NamedTuple):
    """What rivals are taught that have the same ``answers``.

    Attributes:
      train, validation, test: lists of items.
      odd: items of no such kind.
      material: (items) -> a split of them; with fewer=True of which is said that there are fewer classes, or tokens.
    """

    train: list[Any]
    validation: list[Any]
    test: list[Any]
    odd: list[Any]
    material: Callable[..., Material]


def split(count: int, seed: int, classes: Sequence[int] = range(CLASSES)) -> list[tuple[str, int]]:
    """Texts and their class, which one word tells, of nine in ten."""
    random, chosen = np.random.default_rng(seed), list(classes)
    labels = random.choice(chosen, count)
    told = np.where(random.random(count) < 0.9, labels, random.choice(chosen, count))
    texts = [" ".join([*random.choice(WORDS, random.integers(1, 9)), random.choice(TOLD[label])]) for label in told]
    return list(zip(texts, labels.tolist()))


def texts(items: Sequence[tuple[str, int]], *, classes: int = CLASSES, fewer: bool = False) -> Material:
    """Texts with their classes."""
    labels = np.array([label for _, label in items], np.int32)
    rows = Encoded(np.zeros(len(items), np.int32), np.arange(len(items) + 1), labels)
    return Material(Split([text for text, _ in items], labels), rows, _names(range(classes - fewer)), 2)


def documents(items: Sequence[Sequence[int]], *, fewer: bool = False) -> Material:
    """Documents of tokens, a row for each."""
    end = SIZE - 1
    flat = [np.array([end, *tokens], np.int32) for tokens in items]
    wanted = [np.array([*tokens, end], np.int32) for tokens in items]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in flat])])
    whole = [np.concatenate([np.zeros(0, np.int32), *each]) for each in (flat, wanted)]
    rows = Encoded(whole[0], offsets, np.full(len(items), -1, np.int32), wanted=whole[1], documents=offsets)
    return Material(Split([""] * len(items), None), rows, (), SIZE - 2 * fewer)


def sentences(items: Sequence[Sequence[str]], *, tags: Sequence[str] = TAGS, fewer: bool = False) -> Material:
    """Words with their tags, a token for each word; ``_`` is no tag."""
    numbers = {name: number for number, name in enumerate(tags)} | {"_": OPEN}
    wanted = [np.array([numbers[tag] for tag in line.split(" ")], np.int32) for _, line in items]
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in wanted])])
    flat = np.concatenate([np.zeros(0, np.int32), *wanted])
    rows = Encoded(flat, offsets, np.full(len(items), -1, np.int32), wanted=flat)
    return Material(Split([words for words, _ in items], None), rows, tuple(tags[: len(tags) - 2 * fewer]), 2)


def tagged(asked: Material) -> list[tuple[list[str], list[str | None]]]:
    """The words of each text, and their tags; None where it is not known."""
    rows, names = asked.rows, [*asked.classes, None]
    tags = [[names[max(tag, -1)] for tag in rows.wanted[a:b]] for a, b in itertools.pairwise(rows.offsets)]
    return list(zip([text.split(" ") for text in asked.split.texts], tags))


def tags_said(
    asked: Material, told: Sequence[Sequence[str]], likely: Sequence[Sequence[Mapping[str, float]]]
) -> dict[str, np.ndarray]:
    """The outputs of a rival that tells the words of each text these tags, and that each tag is so likely."""
    right = [tags for _, tags in tagged(asked)]
    padded = lambda lists, none: [[*each, *[none] * (max(map(len, told)) - len(each))] for each in lists]
    return {
        "asked": np.array(padded([[True] * len(tags) for tags in told], False)),
        "known": np.array(padded([[tag is not None for tag in tags] for tags in right], False)),
        "right": np.array(padded([[a == b for a, b in zip(*pair)] for pair in zip(told, right)], False)),
        "nll": np.array(padded([[-math.log(p[tag]) if tag else 0 for p, tag in zip(*pair)] for pair in zip(likely, right)], 0)),
        "predicted": np.array(padded([[asked.classes.index(tag) for tag in tags] for tags in told], 0)),
    }


def _names(numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(map(str, numbers))


def _document(random: np.random.Generator) -> list[int]:
    """Tokens 2 to 7: most often the sum of the two before, so that two have to be known."""
    tokens = random.integers(2, 8, 2).tolist()
    for _ in range(random.integers(0, 30)):
        tokens.append(2 + sum(tokens[-2:]) % 6 if random.random() < 0.8 else int(random.integers(2, 8)))
    return tokens


def _sentence(random: np.random.Generator) -> tuple[str, str]:
    """``the run runs``: what a word is follows from the one before and from how it ends, but for one in thirty."""
    words, tags = [], []
    for _ in range(random.integers(1, 6)):
        stem, other = random.choice(["run", "walk", "play", "stop", "Talk"], 2)
        noun = random.choice(["NOUN", "X", "_"], p=[0.8, 0.1, 0.1])
        words += [str(random.choice(["the", "A"])), str(stem), f"{other}{random.choice(['s', 'ed'])}"]
        tags += ["DET", str(noun), "VERB"]
    return " ".join(words), " ".join(tags)


def _drawn(draw: Callable[[np.random.Generator], Any], *counts: int) -> tuple[list[Any], ...]:
    return tuple([draw(random) for _ in range(count)] for count, random in ((n, np.random.default_rng(n)) for n in counts))


LESSONS = {
    "label": Lessons(split(400, 0), split(80, 1), split(60, 2), [(text, row % CLASSES) for row, text in enumerate(ODD)], texts),
    "wanted": Lessons(*_drawn(_document, 150, 40, 30), [[], [2], [3] * 50, [7, 7, 2], [8, 8]], documents),
    "tags": Lessons(
        *_drawn(_sentence, 60, 20, 15),
        [("x", "X"), ("\ud800 \x00", "X X"), ("你好 never-seen e\u0301", "X NOUN _"), ("1" * 10_000, "X"), ("\t \n", "_ X")],
        sentences,
    ),
}
