"""The tag that each word has most often in train; a word that train has not gets the tag that is most frequent.

Of tags that a word has equally often, that which comes first stands. Words are told apart as they are written: ``May`` and
``may`` are two. The tag that is told is as likely as it is right on validation, ``(right + 1) / (all + 2)`` among words of
train and among others; the other tags share what is left.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from attention.rivals import Arrays, Material, Rival, _places, _words

__all__: list[str] = []


def build(*, words: int = 20_000_000) -> Rival:
    """The rival ``most_frequent``.

    Args:
      words: of train at most; of more, nothing is fitted.
    """
    if not 1 <= words <= 2**31:
        raise ValueError(f"words must be in [1, {2**31}], got {words}")
    return Rival(
        fit=fit,
        answer=answer,
        amount=_words.amount,
        facts=lambda arrays: {"words": len(arrays["tags"]), "converged": True},
        answers="tags",
        most=words,
        unit="words",
        packages=("numpy",),
    )


def fit(train: Material, validation: Material) -> dict[str, np.ndarray]:
    """What is learned of train.

    Returns:
      * names: uint8, the words, rising, with blanks between them;
      * tags: int32, the tag of each;
      * usual: int32, the most frequent tag;
      * likely: float64 ``[2]``, the probability of the tag of a word that train has not, and of one that it has.
    """
    pairs, totals = Counter(), np.zeros(len(train.classes), np.int64)
    for words, tags in zip(_words.words(train), _words.tags(train)):
        pairs.update((word, tag) for word, tag in zip(words, tags.tolist()) if tag >= 0)
        totals += np.bincount(tags[tags >= 0], minlength=len(totals))
    rising = sorted(reversed(pairs.items()), key=lambda one: one[1])  # of equal ones the first of train stands last
    best = {word: tag for (word, tag), _ in rising}
    names = sorted(best)
    usual = int(totals.argmax())
    found, wanted = _told(best, usual, validation), _places.wanted(validation.rows)
    right = [(found.tags == wanted)[(found.known == known) & (wanted >= 0)] for known in (False, True)]
    return {
        "names": _words.packed(names),
        "tags": np.array([best[name] for name in names], np.int32),
        "usual": np.array(usual, np.int32),
        "likely": np.array([(each.sum() + 1) / (len(each) + 2) for each in right]),
    }


class Told(NamedTuple):
    """The tag of each word, and whether train has the word, ``[k]``."""

    tags: np.ndarray
    known: np.ndarray


def _told(best: Mapping[str, int], usual: int, asked: Material) -> Told:
    words = [word for text in _words.words(asked) for word in text]
    return Told(np.array([best.get(word, usual) for word in words], np.int64), np.array([word in best for word in words], bool))


def answer(arrays: Arrays, asked: Material) -> dict[str, np.ndarray]:
    """The tag of each word, whether it is right, and how likely the right one is."""
    classes = len(asked.classes)
    if (best := _known(arrays, classes)) is None:
        raise ValueError(f"its arrays are not what fitting makes of {classes} classes")
    found, wanted = _told(best, int(arrays["usual"]), asked), _places.wanted(asked.rows)
    likely = arrays["likely"][found.known.astype(int)]
    nll = -np.log(np.where(found.tags == wanted, likely, (1 - likely) / max(classes - 1, 1)))
    return _places.outputs(asked.rows, found.tags, nll=np.where(wanted >= 0, nll, 0.0))


def _known(arrays: Arrays, classes: int) -> dict[str, int] | None:
    """The tag of each word; None for arrays that ``fit`` does not make."""
    tags, usual, likely = (arrays.get(name, np.zeros(0)) for name in ("tags", "usual", "likely"))
    if (tags.dtype, usual.dtype, likely.dtype) != (np.int32, np.int32, np.float64):
        return None
    if tags.ndim != 1 or usual.shape != () or likely.shape != (2,) or not ((likely > 0) & (likely < 1)).all():
        return None
    inside = min(tags.min(initial=0), usual) >= 0 and max(tags.max(initial=0), usual) < classes
    names = _words.unpacked(arrays.get("names"), len(tags))
    return dict(zip(names, tags.tolist())) if inside and names is not None else None
