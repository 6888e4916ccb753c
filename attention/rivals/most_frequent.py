"""The tag that each word has most often in train; a word that train has not gets the tag that is most frequent.

Of tags that a word has equally often, that which comes first stands. Words are told apart as they are written: ``May`` and
``may`` are two.
"""

from collections import Counter

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
      * usual: int32, the most frequent tag.
    """
    pairs, totals = Counter(), np.zeros(len(train.classes), np.int64)
    for words, tags in zip(_words.words(train), _words.tags(train)):
        pairs.update((word, tag) for word, tag in zip(words, tags.tolist()) if tag >= 0)
        totals += np.bincount(tags[tags >= 0], minlength=len(totals))
    rising = sorted(reversed(pairs.items()), key=lambda one: one[1])  # of equal ones the first of train stands last
    best = {word: tag for (word, tag), _ in rising}
    names = sorted(best)
    return {
        "names": _words.packed(names),
        "tags": np.array([best[name] for name in names], np.int32),
        "usual": np.array(totals.argmax(), np.int32),
    }


def answer(arrays: Arrays, asked: Material) -> dict[str, np.ndarray]:
    """The tag of each word, and whether it is right."""
    if (known := _known(arrays, len(asked.classes))) is None:
        raise ValueError(f"its arrays are not what fitting makes of {len(asked.classes)} classes")
    told = [known.get(word, int(arrays["usual"])) for words in _words.words(asked) for word in words]
    return _places.outputs(asked.rows, np.array(told, np.int64))


def _known(arrays: Arrays, classes: int) -> dict[str, int] | None:
    """The tag of each word; None for arrays that ``fit`` does not make."""
    tags, usual = (arrays.get(name, np.zeros(0)) for name in ("tags", "usual"))
    if tags.dtype != np.int32 or usual.dtype != np.int32 or tags.ndim != 1 or usual.shape != ():
        return None
    inside = min(tags.min(initial=0), usual) >= 0 and max(tags.max(initial=0), usual) < classes
    names = _words.unpacked(arrays.get("names"), len(tags))
    return dict(zip(names, tags.tolist())) if inside and names is not None else None
