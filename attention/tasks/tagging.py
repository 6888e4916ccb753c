"""Each word of a text is told apart: it has one of a few classes, as parts of speech are.

A word may be several tokens; its class is told at the first. The loss is the mean over the words of a batch of their cross
entropy. A run is scored by accuracy over all words, by macro-F1 over the classes, by negative log likelihood, by accuracy over
the words that are spelled as none of train, and, where classes mark spans as B-PER and I-PER do, by F1 over these.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from attention import metrics, specs
from attention.data import places
from attention.data.contracts import ELSEWHERE, NOTHING, OPEN, Encoded
from attention.messages import listed, plain, quoted
from attention.models.tokens import tagger
from attention.tasks import Examples, Facts, Metric, Outputs, Task, Telemetry, _places, _spans, _telemetry
from attention.tasks._confusion import section
from attention.text_table import table

__all__: list[str] = []


class Tags(NamedTuple):
    """What a run says of some texts: for each member and text the classes of its words, joined by blanks."""

    tags: list[list[str]]


def build() -> Task:
    """The class of each word."""
    return Task(
        model=tagger,
        sized=sized,
        lacks=lacks,
        answered=_places.answered,
        example_weights=_places.example_weights,
        scored=_places.scored,
        forward=_places.forward,
        scores=scores,
        predictions=predictions,
        answer=lambda encoded, answers, facts: encoded,
        adapt=adapt,
        read=read,
        told=told,
        columns=columns,
        details=details,
        metrics=(
            Metric("accuracy", "acc", share=True),
            Metric("macro_f1", "F1", share=True),
            Metric("nll", "nll", higher_is_better=False),
            Metric("unseen_accuracy", "unseen", share=True),
            Metric("span_f1", "span F1", share=True),
        ),
        answers="tags",
        rival="perceptron",
        at_words=True,
        ratios=(("accuracy", "right", "words"),),
        telemetry=Telemetry(_telemetry.attention_sample, _telemetry.measure),
    )


def sized(model: Any, vocab_size: int, num_classes: int) -> Any:
    """The model of some data. Raises ValueError for data without classes."""
    if not num_classes:
        raise ValueError("config.task=tagging wants a source that names the class of each word; this one wants tokens: task=lm")
    return model.clone(dims=model.dims._replace(vocab_size=vocab_size), num_classes=num_classes)


def lacks(encoded: Encoded) -> str | None:
    """A split wants a class for the words of its texts."""
    return None if _places.answered(encoded) else f"has no class for each word{_places.cut_off(encoded)}"


def scores(outputs: Outputs, encoded: Encoded) -> dict[str, Any]:
    """What is said of words whose class is known; "count" is n. None where there is no unseen word, or no class of a span.

    Raises:
      ValueError: where none is known.
    """
    _places.check_known(encoded)
    predicted, wanted, nll = _known(outputs, encoded)
    matrix = metrics.counted(wanted, predicted, int(max(wanted.max(), predicted.max())) + 1)
    right, unseen = _places.told(outputs)["right"][_asked(encoded) >= 0], _unseen(encoded)
    spans = _span_counts(outputs, encoded)
    return {
        "accuracy": float(right.mean()),
        "macro_f1": metrics.macro_f1(matrix),
        "nll": float(nll.mean()),
        "unseen_accuracy": None if unseen is None or not unseen.any() else float(right[unseen].mean()),
        "span_f1": None if spans is None else float(_spans.f1(*spans.sum(axis=0))),
        "count": len(encoded),
    }


def _asked(encoded: Encoded) -> np.ndarray:
    """The class of each word, below 0 where it is not known."""
    assert encoded.wanted is not None
    return encoded.wanted[encoded.wanted != ELSEWHERE]


def _known(outputs: Outputs, encoded: Encoded) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted class, class and nats of each word whose class is known."""
    all_words, wanted = _places.told(outputs), _asked(encoded)
    known = wanted >= 0
    return all_words["predicted"][known], wanted[known], all_words["nll"][known].astype(np.float64)


def _unseen(encoded: Encoded) -> np.ndarray | None:
    """Of the words whose class is known, which are spelled as none of train."""
    if encoded.unseen is None or encoded.wanted is None:
        return None
    return encoded.unseen[encoded.wanted >= 0]


def _span_counts(outputs: Outputs, encoded: Encoded) -> np.ndarray | None:
    """``_spans.counts``, where classes mark spans; a word whose class is not known is in none."""
    if not _spans.types_of(encoded.classes):
        return None
    wanted, ends = _asked(encoded), np.cumsum(encoded.asked)
    predicted = np.where(wanted >= 0, _places.told(outputs)["predicted"], OPEN)
    own, said = (np.insert(labels, ends, OPEN) for labels in (wanted, predicted))  # no span goes on in another text
    return _spans.counts(own, said, encoded.classes)


def predictions(outputs: Outputs, encoded: Encoded) -> dict[str, np.ndarray]:
    """The words of each text that are right and how many there are, and whether all are."""
    rows = _places.of_rows(outputs)
    right, count = outputs["right"].sum(axis=-1), rows["tokens"]
    return {"correct": rows["correct"], "share": right / np.maximum(count, 1), "right": right, "words": count}


def adapt(encoded: Encoded, classes: Sequence[str], facts: Facts) -> Encoded:
    """The examples with classes of words that index the run's, found by name. Raises ValueError for a class it has not."""
    assert encoded.wanted is not None
    own = {name: number for number, name in enumerate(facts.classes)}
    for label in np.unique(encoded.wanted[encoded.wanted >= 0]):
        name = classes[int(label)]
        if name not in own:
            near, known = specs.nearest(name, own), listed(own)
            raise ValueError(f"tag {quoted(name)} was not seen in training{near}; tags of the run: {known}")
    numbers = np.array([own.get(name, -1) for name in classes], np.int32)
    wanted = np.where(encoded.wanted >= 0, numbers[encoded.wanted.clip(0)], encoded.wanted)
    return dataclasses.replace(encoded, wanted=wanted, classes=facts.classes)


def read(outputs: Outputs, encoded: Encoded, facts: Facts) -> Tags:
    """The classes of the words of each text."""
    members = zip(outputs["predicted"], outputs["asked"])
    return Tags([_named(predicted[asked], encoded, facts.classes) for predicted, asked in members])


def _named(labels: np.ndarray, encoded: Encoded, classes: Sequence[str]) -> list[str]:
    """The names of classes of all words that are asked, ``[total]``, for each text; ``NOTHING`` of words cut off."""
    assert encoded.word_counts is not None
    names, of_words = np.array([*classes, NOTHING]), np.full(encoded.word_counts.sum(), -1)
    of_words[places.of_words(encoded)] = labels
    return [" ".join(names[own]) for own in np.split(of_words, np.cumsum(encoded.word_counts)[:-1])]


def told(found: Tags, texts: Sequence[str]) -> str:
    """For each text its words with their tags, and how many members say so."""
    lines = []
    for text, *column in zip(texts, *found.tags):
        for tags in dict.fromkeys(column):
            many = f"  ({column.count(tags)} of {len(column)} members)" if len(column) > 1 else ""
            pairs = " ".join(f"{plain(word)}/{plain(tag)}" for word, tag in zip(text.split(), tags.split(" ")))
            lines.append(f"{pairs}{many}")
    return "\n".join(lines)


def columns(found: Tags, examples: Examples, facts: Facts) -> dict[str, Sequence[str | float]]:
    """What each member says, and the classes where any is known."""
    made: dict[str, Sequence[str | float]] = {f"predicted({seed})": tags for seed, tags in zip(facts.seeds, found.tags)}
    known = any(tag != NOTHING for row in examples.wanted or () for tag in row.split(" "))
    return {**made, "tags": examples.wanted or ()} if known else made


def details(outputs: Outputs, examples: Examples, facts: Facts) -> list[str]:
    """F1 of each class and of each type of spans, how many words are unseen, and which classes are taken for others."""
    encoded = examples.encoded
    members = [{name: array[m] for name, array in outputs.items()} for m in range(len(outputs["nll"]))]
    known = [_known(own, encoded) for own in members]
    counts = np.sum([metrics.counted(wanted, predicted, len(facts.classes)) for predicted, wanted, _ in known], axis=0)
    tags = np.stack([np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)], axis=-1)
    over = f", summed over {len(members)} members" if len(members) > 1 else ""
    sections = [f"words by tag{over}\n{_rated(tags, facts.classes)}"]
    spans = [found for own in members if (found := _span_counts(own, encoded)) is not None]
    if spans:
        sections.append(f"spans by type{over}\n{_rated(np.sum(spans, axis=0), _spans.types_of(facts.classes))}")
    if (unseen := _unseen(encoded)) is not None:
        sections.append(f"unseen: {unseen.sum():,} of {len(unseen):,} words are spelled as none of train")
    return [*sections, section(counts, facts.classes, members=len(members), answer="tag")]


def _rated(counts: np.ndarray, names: Sequence[str]) -> str:
    """Precision, recall and F1 of each name, and of all in one, of what is right, predicted and there ``[names 3]``."""
    rows = [["", "precision", "recall", "F1", "predicted", "there"]]
    for name, (right, predicted, there) in zip((*names, "all"), (*counts.tolist(), counts.sum(axis=0).tolist())):
        shares = right / max(predicted, 1), right / max(there, 1), _spans.f1(right, predicted, there)
        rows.append([name, *(f"{100 * share:.2f}" for share in shares), f"{predicted:,}", f"{there:,}"])
    return table(rows)
