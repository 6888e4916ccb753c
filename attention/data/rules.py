"""Trivial rules that a model has to beat: learned of train, and scored on the very examples that they are shown beside."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from attention.data.contracts import Rule, Split


def by_word(name: str, word: Callable[[str], str]) -> Rule:
    """The class that a text with the same word has most often in train, the first of equals; none for another word."""

    def fit(train: Split) -> dict[str, float]:
        assert train.labels is not None
        labels: dict[str, list[int]] = {}
        for text, label in zip(train.texts, train.labels.tolist()):
            labels.setdefault(word(text), []).append(label)
        return {one: int(np.bincount(found).argmax()) for one, found in sorted(labels.items())}

    return Rule(name, fit, lambda learned, texts: [learned.get(word(text), -1) for text in texts])


def nothing(train: Split) -> dict[str, float]:
    """What a rule learns that needs no train."""
    return {}


def frequent(train: Split) -> dict[str, float]:
    """The classes that, told of every text, have the best micro-F1 in train, each with 1: the k most frequent ones.

    Told of n texts, they have ``2 sum_{c <= k} n_c / (k n + sum_c n_c)``, with n_c the texts of class c.
    """
    counts = np.asarray(train.labels).sum(axis=0, dtype=np.int64)
    order = np.argsort(-counts, kind="stable")
    told = np.arange(1, len(order) + 1) * len(train.texts)
    best = int(np.argmax(2 * np.cumsum(counts[order]) / (told + counts.sum())))
    return {str(label): 1 for label in sorted(order[: best + 1].tolist())}


def micro_f1(answers: Sequence[Sequence[int]], right: Sequence[np.ndarray]) -> float:
    """``2 tp / (2 tp + fp + fn)`` over all texts and classes, from the indices told and the 0 and 1 that are right."""
    hits = sum(int(wanted[list(answer)].sum()) for answer, wanted in zip(answers, right))
    both = sum(len(answer) + int(wanted.sum()) for answer, wanted in zip(answers, right))
    return 2 * hits / both if both else 0.0


def squared_error(answers: Sequence[float], right: Sequence[float]) -> float:
    """The mean squared error."""
    return float(np.mean(np.square(np.subtract(answers, right))))


MAJORITY = by_word("majority", lambda text: "")
UNCHANGED = Rule("the_source_itself", nothing, lambda learned, texts: texts)
FREQUENT = Rule("frequent_labels", frequent, lambda learned, texts: [[*map(int, learned)]] * len(texts), micro_f1)
MEAN = Rule(
    "mean",
    lambda train: {"": float(np.mean(np.asarray(train.labels)))},
    lambda learned, texts: [learned[""]] * len(texts),
    squared_error,
)


def fitted(rules: Sequence[Rule], train: Split) -> dict[str, dict[str, float]]:
    """What each rule learns of train, by its name."""
    return {rule.name: rule.fit(train) for rule in rules}


def scores(rules: Sequence[Rule], learned: Mapping[str, Mapping[str, float]], split: Split) -> dict[str, float]:
    """The score of each rule that has learned, on the texts of which it is known what is right."""
    if split.targets is not None:
        return {rule.name: _share(rule.answer({}, split.texts), split.targets) for rule in rules if rule.name in learned}
    pairs = [] if split.labels is None else [pair for pair in zip(split.texts, split.labels) if _known(pair[1])]
    if not pairs:
        return {}
    texts, labels = zip(*pairs)
    own = [rule for rule in rules if rule.name in learned]
    return {rule.name: (rule.score or _share)(rule.answer(learned[rule.name], texts), labels) for rule in own}


def _known(label: Any) -> bool:
    """Whether it is known what is right: an index that is not -1, a set of classes, or a number."""
    return np.ndim(label) > 0 or isinstance(label, float) or label >= 0


def _share(answers: Sequence[object], right: Sequence[object]) -> float:
    return float(np.mean([answer == wanted for answer, wanted in zip(answers, right)]))
