"""Trivial rules that a model has to beat: learned of train, and scored on the very examples that they are shown beside."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from attention.data.contracts import Rule, Split


def by_word(name: str, word: Callable[[str], str]) -> Rule:
    """The class that a text with the same word has most often in train, the first of equals; none for another word."""

    def fit(train: Split) -> dict[str, int]:
        assert train.labels is not None
        labels: dict[str, list[int]] = {}
        for text, label in zip(train.texts, train.labels.tolist()):
            labels.setdefault(word(text), []).append(label)
        return {one: int(np.bincount(found).argmax()) for one, found in sorted(labels.items())}

    return Rule(name, fit, lambda learned, texts: [learned.get(word(text), -1) for text in texts])


def nothing(train: Split) -> dict[str, int]:
    """What a rule learns that needs no train."""
    return {}


MAJORITY = by_word("majority", lambda text: "")
UNCHANGED = Rule("the_source_itself", nothing, lambda learned, texts: texts)


def fitted(rules: Sequence[Rule], train: Split) -> dict[str, dict[str, int]]:
    """What each rule learns of train, by its name."""
    return {rule.name: rule.fit(train) for rule in rules}


def accuracies(rules: Sequence[Rule], learned: Mapping[str, Mapping[str, int]], split: Split) -> dict[str, float]:
    """The accuracy, 0 to 1, of each rule that has learned, on the texts of which it is known what is right."""
    if split.targets is not None:
        return {rule.name: _share(rule.answer({}, split.texts), split.targets) for rule in rules if rule.name in learned}
    pairs = [] if split.labels is None else [(text, label) for text, label in zip(split.texts, split.labels) if label >= 0]
    if not pairs:
        return {}
    texts, labels = zip(*pairs)
    return {rule.name: _share(rule.answer(learned[rule.name], texts), labels) for rule in rules if rule.name in learned}


def _share(answers: Sequence[object], right: Sequence[object]) -> float:
    return float(np.mean([answer == wanted for answer, wanted in zip(answers, right)]))
