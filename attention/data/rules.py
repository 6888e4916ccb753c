"""Trivial rules that a model has to beat: learned of train, and scored on the very examples that they are shown beside."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from attention.data.contracts import NOTHING, Rule, Split


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


def at_places(name: str, words: Callable[[list[str]], Sequence[str]]) -> Rule:
    """Where something is wanted at places of a text: ``words`` answers at every word of a text, asked or not."""
    return Rule(name, nothing, lambda learned, texts: [" ".join(words(text.split(" "))) for text in texts])


def _most_wanted(train: Split) -> dict[str, int]:
    assert train.wanted is not None
    counts = Counter(word for row in train.wanted for word in row.split(" "))
    del counts[NOTHING]
    return {min(counts, key=lambda word: (-counts[word], word)): 1}


def _repeated(learned: Mapping[str, int], texts: Sequence[str]) -> list[str]:
    [word] = learned
    return [" ".join([word] * (text.count(" ") + 1)) for text in texts]


MOST_WANTED = Rule("majority", _most_wanted, _repeated)
SAME_WORD = Rule("the_word_itself", nothing, lambda learned, texts: texts)


def fitted(rules: Sequence[Rule], train: Split) -> dict[str, dict[str, int]]:
    """What each rule learns of train, by its name."""
    return {rule.name: rule.fit(train) for rule in rules}


def accuracies(rules: Sequence[Rule], learned: Mapping[str, Mapping[str, int]], split: Split) -> dict[str, float]:
    """The accuracy, 0 to 1, of each rule that has learned, on the texts of which it is known what is right.

    Where something is wanted at places of the texts, it is the share of these places.
    """
    if split.wanted is not None:
        answers = {rule.name: rule.answer(learned[rule.name], split.texts) for rule in rules if rule.name in learned}
        return {name: _share_of_places(said, split.wanted) for name, said in answers.items()}
    if split.targets is not None:
        return {rule.name: _share(rule.answer({}, split.texts), split.targets) for rule in rules if rule.name in learned}
    pairs = [] if split.labels is None else [(text, label) for text, label in zip(split.texts, split.labels) if label >= 0]
    if not pairs:
        return {}
    texts, labels = zip(*pairs)
    return {rule.name: _share(rule.answer(learned[rule.name], texts), labels) for rule in rules if rule.name in learned}


def _share(answers: Sequence[object], right: Sequence[object]) -> float:
    return float(np.mean([answer == wanted for answer, wanted in zip(answers, right)]))


def _share_of_places(answers: Sequence[str], wanted: Sequence[str]) -> float:
    """Of the places where something is wanted, how many have that word."""
    asked = right = 0
    for answer, row in zip(answers, wanted):
        places = row.split(" ")
        asked += len(places) - places.count(NOTHING)
        right += sum(said == word for said, word in zip(answer.split(" "), places) if word != NOTHING)
    return right / asked
