"""A validation split drawn from train: by distinct text, every class with its share, and a note that says what became of it."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attention.data.contracts import Split
from attention.data.repeats import Together, together
from attention.data.texts import take
from attention.messages import listed

CARVE_STREAM = 1
_FEW = 50  # distinct texts of validation; with fewer, what is chosen by them is mostly chance


class Carved(NamedTuple):
    """Which rows stay in train and which become validation, in their order, and how many distinct texts these are."""

    kept: np.ndarray
    taken: np.ndarray
    texts: int


def carve(texts: Sequence[str], labels: np.ndarray, share: float, seed: int) -> Carved:
    """Draws a share of every class by distinct text, so that no text is in both parts.

    A class gives its share of rows, rounded, and at least one distinct text where it has two or more. It keeps at least one
    row. A text with several labels belongs to the class of its first row.

    Args:
      texts: the rows, compared as ``repeats.normal_form``.
      labels: the class of each.
      share: between 0 and 1.
      seed: decides what is drawn.

    Raises:
      ValueError: where no class has two distinct texts.
    """
    groups = together(texts)
    order = np.random.Philox(np.random.SeedSequence([seed, CARVE_STREAM])).random_raw(len(texts))
    drawn = np.argsort(order[groups.firsts], kind="stable")
    of_first = labels[groups.firsts[drawn]]
    counts, left = Counter(labels.tolist()), Counter(labels.tolist())
    taken: list[np.ndarray] = []
    classes = np.unique(of_first).tolist()
    for label in classes:
        wanted = max(1, int(np.floor(counts[label] * share + 0.5)))
        taken += _of_class(groups, drawn[of_first == label], wanted, labels, left)
    if not taken:
        raise ValueError(_nothing(len(texts), len(classes)))
    chosen = np.zeros(len(texts), bool)
    chosen[np.concatenate(taken)] = True
    return Carved(np.flatnonzero(~chosen), np.flatnonzero(chosen), len(taken))


def _of_class(groups: Together, drawn: np.ndarray, wanted: int, labels: np.ndarray, left: Counter[int]) -> list[np.ndarray]:
    """The distinct texts that a class gives, none of which takes the last row of any class; ``left`` is brought up to date."""
    taken: list[np.ndarray] = []
    missing = wanted

    def take(number: int) -> int:
        group = groups[number]
        here = {int(labels[group[0]]): 1} if len(group) == 1 else Counter(labels[group].tolist())
        if any(left[label] <= count for label, count in here.items()):
            return 0
        left.subtract(here)
        taken.append(group)
        return len(group)

    for number in drawn.tolist():
        if missing <= 0:
            break
        if groups.begins[number + 1] - groups.begins[number] < 2 * missing:  # nearer to the share with it than without
            missing -= take(number)
    if not taken:  # every text has more rows than the share
        for number in drawn[np.argsort(groups.sizes[drawn], kind="stable")].tolist():
            if take(number):
                break
    return taken


def _nothing(rows: int, classes: int) -> str:
    what = (
        f"{rows} training rows are {classes} classes of one distinct text each" if classes > 1 else "there is one distinct text"
    )
    return (
        f"no validation split can be set aside: {what}; are text and label the columns that are meant? Else give a validation"
        " split"
    )


def note(carved: Carved, labels: np.ndarray, classes: Sequence[str], share: float, seed: int) -> str:
    """What was carved off, for the user: how much, by what seed, and what it is not good for."""
    rows, whole = len(carved.taken), len(labels)
    repeats = f", {carved.texts} distinct texts," if carved.texts != rows else ""
    said = [
        f"there is no validation split: {rows} of {whole} training examples{repeats} were carved off train"
        f" ({100 * rows / whole:.3g} %, asked were {100 * share:.3g} %{' of each class' if classes else ''}, seed {seed})"
    ]
    lacking = [name for number, name in enumerate(classes) if not (labels[carved.taken] == number).any()]
    if lacking:
        said.append(f"it has none of {len(lacking)} classes that have too few distinct texts: {listed(lacking)}")
    if carved.texts < _FEW:
        few = "distinct texts" if repeats else "examples"
        said.append(f"by so few {few} little can be told apart; a larger validation_share or a file helps")
    return "; ".join(said)


def rows(split: Split, chosen: np.ndarray) -> Split:
    """Some rows of a split."""
    some = lambda texts: None if texts is None else take(texts, chosen)
    labels = None if split.labels is None else split.labels[chosen]
    return Split(take(split.texts, chosen), labels, some(split.targets), some(split.wanted))
