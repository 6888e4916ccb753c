"""What the sources share: specs, the draw of a validation split and the checks of a corpus."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention import specs
from attention.data import paths
from attention.data.contracts import LENGTHS, Corpus, Split
from attention.data.sources import _carving
from attention.messages import listed, quoted
from attention.specs import nearest

# The streams a seed is split into; a new use takes a new number, so that no two ever share their draws.
# Number 1 is of the draw of a validation split.
LISTOPS_STREAM, LENGTHS_STREAM, TRANSDUCTION_STREAM, ASKED_STREAM = 2, 3, 4, 5


def data_folder(data_dir: Path | None) -> Path:
    """Where TFDS keeps its data sets: the folder given, ``$TFDS_DATA_DIR``, or ``~/tensorflow_datasets``."""
    return data_dir or paths.expand(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def resolved(name: str, /, **options: Any) -> str:
    """The canonical spec of a source; paths are given expanded, options at their defaults are left out."""
    shown = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
    return specs.canonical("source", specs.Spec(name, tuple(shown.items())))


def draws(seed: int, *stream: int) -> np.random.Philox:
    """The random bits of a stream of a seed; ``random_raw`` of it is the same on every platform and NumPy version."""
    return np.random.Philox(np.random.SeedSequence([seed, *stream]))


def check_share(validation_share: float) -> None:
    """Raises ValueError where the share to carve off is not between 0 and 1."""
    if not 0 < validation_share < 1:
        raise ValueError(f"validation_share is a share of the training split, between 0 and 1; got {validation_share!r}")


def make_split(texts: Sequence[str], labels: Sequence[int] | np.ndarray | None) -> Split:
    """A split with int32 labels."""
    return Split(texts, None if labels is None else np.asarray(labels, np.int32))


def class_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels, sorted by value where all are whole numbers, else by name."""
    names = set(labels)
    if all(re.fullmatch(r"[+-]?[0-9]+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def indices(labels: Sequence[str], classes: tuple[str, ...], place: Callable[[int], str]) -> np.ndarray:
    """The class index of each label, int32; ``place(number)`` says where a label is that training has not."""
    index = {name: number for number, name in enumerate(classes)}
    for number, name in enumerate(labels):
        if name not in index:
            near, known = nearest(name, classes), listed(classes)
            raise ValueError(
                f"{place(number)}: the label {quoted(name)} does not occur in training{near}; labels there: {known}"
            )
    return np.array([index[name] for name in labels], np.int32)


def corpus(
    splits: dict[str, Split],
    classes: tuple[str, ...],
    *,
    seed: int,
    validation_share: float | None = None,
    notes: tuple[str, ...] = (),
    resolved: str,
) -> Corpus:
    """A checked corpus: nothing empty, validation carved off train where it is missing.

    Raises:
      ValueError: where a split or a text is empty, train has fewer than two classes or no labels, or validation is
        missing and ``validation_share`` is None.
    """
    for name, split in splits.items():
        if not len(split.texts):
            raise ValueError(f"the {name} split is empty")
        empty = next((number for number, text in enumerate(split.texts) if not text.strip()), None)
        if empty is not None:
            raise ValueError(f"the text of example {empty} of the {name} split is empty")
    for name in ("train", "validation"):
        if name in splits and splits[name].labels is None:
            raise ValueError(f"the {name} split has no labels")
    train = splits["train"]
    assert train.labels is not None
    if len(np.unique(train.labels)) < 2:
        only = classes[int(train.labels[0])]
        raise ValueError(f"the train split has one class only, {quoted(only)}; there is nothing to tell apart")
    ordered, carved = _with_validation(splits, train.labels, classes, seed, validation_share)
    return Corpus(ordered, classes, (*carved, *notes), resolved)


def pairs(splits: dict[str, Split], *, seed: int, validation_share: float | None, resolved: str) -> Corpus:
    """A corpus of texts and targets, validation carved off train where it is missing and a share of it is given."""
    ordered, notes = _with_validation(splits, np.zeros(len(splits["train"].texts), np.int64), (), seed, validation_share)
    return Corpus(ordered, (), notes, resolved)


def _with_validation(
    splits: dict[str, Split], labels: np.ndarray, classes: tuple[str, ...], seed: int, share: float | None
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The splits in order, validation carved off train where it is missing, and a note of it."""
    train, rest, notes = splits["train"], {name: split for name, split in splits.items() if name != "train"}, ()
    if "validation" not in rest:
        if share is None:
            raise ValueError("there is no validation split")
        carved = _carving.carve(train.texts, labels, share, seed)
        notes = (_carving.note(carved, labels, classes, share, seed),)
        train, rest = _carving.rows(train, carved.kept), {"validation": _carving.rows(train, carved.taken), **rest}
    return {"train": train, **{name: rest[name] for name in ("validation", "test", LENGTHS) if name in rest}}, notes
