"""The records of the data kinds: where texts come from and how they become token ids."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PADDING, UNKNOWN = 0, 1  # token ids that mean the same in every tokenizer
LENGTHS = "lengths"  # the split whose texts go on in length where those of training end; it is never truncated


class Split(NamedTuple):
    """Texts and the index of each one's class; ``labels`` is None where a split has none.

    ``targets`` are the texts to be written of them, where that is what there is to learn.
    """

    texts: Sequence[str]
    labels: np.ndarray | None
    targets: Sequence[str] | None = None


class Corpus(NamedTuple):
    """What a source loads.

    Attributes:
      splits: "train", "validation" and, where there are such, "test" and ``LENGTHS``.
      classes: the class names, in the order of the labels; none where there are targets.
      baselines: accuracy, 0 to 1, of trivial rules on the test split (on validation where there is no labelled test).
      notes: lines for the user, for example that validation was carved off train.
      resolved: the source's spec with every path absolute, so that it means the same from another folder.
      trained_length: the greatest length of train, in symbols with blanks between them; None where there is no ``LENGTHS``.
    """

    splits: dict[str, Split]
    classes: tuple[str, ...]
    baselines: dict[str, float]
    notes: tuple[str, ...]
    resolved: str
    trained_length: int | None = None


class Source(NamedTuple):
    """Where labelled texts come from.

    Hooks:
      load(seed) -> Corpus; ``seed`` (``config.data.seed``) decides what is generated or carved off.
    """

    load: Callable[[int], Corpus]

    kind = "source"


class Tokenizer(NamedTuple):
    """How text becomes token ids: 0 is padding, 1 is unknown.

    Hooks:
      train(texts) -> state: learns from the training split; ``state`` is a plain Python object.
      encode(state, texts) -> one int32 array per text.
      decode(state, ids) -> text.
      size(state) -> number of ids.
      save(state, folder): writes the state as text or JSON, never pickle.
      load(folder) -> state.
      vocabulary(state) -> the token string of each id.
    """

    train: Callable[[Sequence[str]], Any]
    encode: Callable[[Any, Sequence[str]], list[np.ndarray]]
    decode: Callable[[Any, Sequence[int]], str]
    size: Callable[[Any], int]
    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]
    vocabulary: Callable[[Any], Sequence[str]]

    kind = "tokenizer"
