"""Trivial rules that a model has to beat: learned of train, and scored on the very examples that they are shown beside."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from attention.data.contracts import NOTHING, Encoded, Rule, Split
from attention.data.places import left
from attention.data.texts import take


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


MAJORITY = Rule(
    "majority",
    lambda train: {"": int(np.bincount(np.asarray(train.labels)).argmax())},
    lambda learned, texts: [learned.get("", -1)] * len(texts),
)
UNCHANGED = Rule("the_source_itself", nothing, lambda learned, texts: texts)
FREQUENT = Rule("frequent_labels", frequent, lambda learned, texts: [[*map(int, learned)]] * len(texts), micro_f1)
MEAN = Rule(
    "mean",
    lambda train: {"": float(np.mean(np.asarray(train.labels)))},
    lambda learned, texts: [learned[""]] * len(texts),
    squared_error,
)


def at_places(name: str, words: Callable[[list[str]], Sequence[str]]) -> Rule:
    """Where something is wanted at places of a text: ``words`` answers at every word of a text, asked or not."""
    return Rule(name, nothing, lambda learned, texts: [" ".join(words(text.split(" "))) for text in texts])


def _most_wanted(train: Split) -> dict[str, float]:
    assert train.wanted is not None
    counts = Counter(word for row in train.wanted for word in row.split(" "))
    del counts[NOTHING]
    return {min(counts, key=lambda word: (-counts[word], word)): 1}


def _repeated(learned: Mapping[str, float], texts: Sequence[str]) -> list[str]:
    [word] = learned
    return [" ".join([word] * (text.count(" ") + 1)) for text in texts]


MOST_WANTED = Rule("majority", _most_wanted, _repeated)
SAME_WORD = Rule("the_word_itself", nothing, lambda learned, texts: texts)


def _most_frequent(train: Split) -> dict[str, float]:
    """How often each word has the tag that it has most often, by both; that of no word is the most frequent of all."""
    assert train.wanted is not None
    words, tags = ([word for row in rows for word in row.split(" ")] for rows in (train.texts, train.wanted))
    pairs = Counter(pair for pair in zip(words, tags) if pair[1] != NOTHING)
    totals = Counter(tag for tag in tags if tag != NOTHING)
    pairs.update({("", tag): count for tag, count in totals.items()})
    rising = sorted(reversed(pairs.items()), key=lambda each: each[1])  # of equal ones the first of train stands last
    best = {word: (tag, count) for (word, tag), count in rising}
    return {f"{word} {tag}": count for word, (tag, count) in sorted(best.items())}


def _tagged(learned: Mapping[str, float], texts: Sequence[str]) -> list[str]:
    best = dict(each.split(" ") for each in learned)
    return [" ".join(best.get(word, best[""]) for word in text.split(" ")) for text in texts]


MOST_FREQUENT_TAG = Rule("most_frequent_tag", _most_frequent, _tagged)


def fitted(rules: Sequence[Rule], train: Split) -> dict[str, dict[str, float]]:
    """What each rule learns of train, by its name."""
    return {rule.name: rule.fit(train) for rule in rules}


def scores(
    rules: Sequence[Rule], learned: Mapping[str, Mapping[str, float]], split: Split, encoded: Encoded | None = None
) -> dict[str, float]:
    """The score of each rule that has learned, on the texts of which it is known what is right.

    Where something is wanted at places of the texts, it is the share of these places, of those alone that ``encoded``, which
    is the split as a model reads it, has kept.
    """
    if split.wanted is not None:
        wanted = split.wanted if encoded is None else left(split.wanted, encoded)
        if not any(word != NOTHING for row in wanted for word in row.split(" ")):
            return {}
        answers = {rule.name: rule.answer(learned[rule.name], split.texts) for rule in rules if rule.name in learned}
        return {name: _share_of_places(said, wanted) for name, said in answers.items()}
    if split.targets is not None:
        return {rule.name: _share(rule.answer({}, split.texts), split.targets) for rule in rules if rule.name in learned}
    if split.labels is None:
        return {}
    texts, labels = split.texts, np.asarray(split.labels)
    if labels.ndim == 1 and labels.dtype.kind != "f" and labels.min() < 0:  # of those it is not known what is right
        known = np.flatnonzero(labels >= 0)
        if not len(known):
            return {}
        texts, labels = take(texts, known), labels[known]
    own = [rule for rule in rules if rule.name in learned]
    right: Any = labels
    return {rule.name: (rule.score or _share)(rule.answer(learned[rule.name], texts), right) for rule in own}


def _share(answers: Sequence[Any], right: Any) -> float:
    if isinstance(right, np.ndarray):
        return float(np.mean(np.asarray(answers) == right))
    return float(np.mean([answer == wanted for answer, wanted in zip(answers, right)]))


def _share_of_places(answers: Sequence[str], wanted: Sequence[str]) -> float:
    """Of the places where something is wanted, how many have that word."""
    asked = right = 0
    for answer, row in zip(answers, wanted):
        places = row.split(" ")
        asked += len(places) - places.count(NOTHING)
        right += sum(said == word for said, word in zip(answer.split(" "), places) if word != NOTHING)
    return right / asked
