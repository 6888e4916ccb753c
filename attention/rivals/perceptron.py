"""An averaged perceptron that tells the tag of each word from left to right: what features of words come to.

::

  tag_i = argmax_t sum_(f of place i) w(f, t)

The features of a place are the word; the word in small letters, and its first and last 1 to 4 characters; its shape (runs of
capitals, small letters and digits as one sign each); the words one and two places before and behind it, in small letters; a
constant; the tag before, and the two tags before, as they were told. Where a wrong tag is told in training, 1 is added to the
weights of the right one, and taken from those of the wrong one, for all features of the place. Texts come in a new order in
each pass, drawn from a fixed seed. What is kept of each weight is its mean over all places of all passes.

Its scores become probabilities, ``softmax(sharpness * scores)``, with the sharpness among ``2^(k/2)`` that makes the tags of
validation likeliest.

Pairs of tags that never stand before a word of train share one weight, and a feature that train has not adds nothing. A word
whose tag is not known is told one like any other, and nothing is learned of it.

Source: Collins 2002, "Discriminative Training Methods for Hidden Markov Models", with features such as those of Ratnaparkhi
1996, "A Maximum Entropy Model for Part-of-Speech Tagging". Collins searches for the best tags of a text; here they are told
one by one.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attention.rivals import Arrays, Material, Rival, _places, _words

__all__: list[str] = []

_EDGES = ("<<", "<", ">", ">>")  # what stands before and behind the words of a text
_SEED = 0
SHARPNESS = 2.0 ** (np.arange(-20, 9) / 2)


class Learned(NamedTuple):
    """Weights, ready to be added.

    Attributes:
      rows: the row of each feature of words.
      history: int ``[C+1 C+1]``, the row of each two tags, the nearer first; C where there is no word.
      weights: float64 ``[rows C]``: of each tag before (C + 1 rows), of pairs of tags, of other pairs (one row), of features,
        and of those that train has not (one row of zeros).
    """

    rows: dict[str, int]
    history: np.ndarray
    weights: np.ndarray


def build(*, passes: int = 5, words: int = 1_000_000) -> Rival:
    """The rival ``perceptron``.

    Args:
      passes: over train, in [1, 100].
      words: of train at most; of more, nothing is fitted.
    """
    for name, value, most in (("passes", passes, 100), ("words", words, 2**31)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must be in [1, {most}], got {value}")
    return Rival(
        fit=functools.partial(fit, passes),
        answer=answer,
        facts=lambda arrays: {
            "features": len(arrays["sizes"]),
            "sharpness": float(arrays["sharpness"]),
            "converged": True,
        },
        answers="tags",
        amount=_words.amount,
        most=words,
        unit="words",
        packages=("numpy",),
    )


def fit(passes: int, train: Material, validation: Material) -> dict[str, np.ndarray]:
    """What is learned of train, its sharpness of validation.

    Returns:
      * pairs: int64, ``nearer (C + 1) + farther`` of each two tags that follow each other in train, rising;
      * names: uint8, the features of words that any weight is left of, rising, with blanks between them;
      * sizes: int32, the weights of each row of ``Learned.weights`` but the last that are not 0;
      * tags, weights: int32 and float32, these in the order of the rows;
      * sharpness: float64.
    """
    classes = len(train.classes)
    pairs, rows, means = learn(_words.words(train), _words.tags(train), classes, passes)
    order = sorted(name for name, row in rows.items() if means[row].any())
    first = classes + 2 + len(pairs)  # row of words
    means = np.concatenate([means[:first], means[[rows[name] for name in order]]])
    places, tags = np.nonzero(means)
    arrays = {
        "pairs": pairs,
        "names": _words.packed(order),
        "sizes": np.bincount(places, minlength=len(means)).astype(np.int32),
        "tags": tags.astype(np.int32),
        "weights": means[places, tags].astype(np.float32),
        "sharpness": np.array(1.0),
    }
    scores, wanted = _scores(unpacked(arrays, classes), validation), _places.wanted(validation.rows)
    losses = [_nll(sharpness * scores, wanted).sum() for sharpness in SHARPNESS]
    return {**arrays, "sharpness": np.array(SHARPNESS[int(np.argmin(losses))])}


def learn(
    texts: Sequence[list[str]], wanted: Sequence[np.ndarray], classes: int, passes: int
) -> tuple[np.ndarray, dict[str, int], np.ndarray]:
    """The pairs of tags that stand in the texts, the row of each feature of words, and the mean weights ``[rows C]``."""
    pairs = _pairs(wanted, classes)
    history, rows = _history(pairs, classes), {}
    first = classes + 2 + len(pairs)
    number = lambda names: [rows.setdefault(name, first + len(rows)) for name in names]
    found = [np.array([[*number(names), 0, 0] for names in features(words)]) for words in texts]  # and two of the tags before
    weights = np.zeros((first + len(rows), classes))
    since, now = np.zeros_like(weights), 0  # the sum of each change times when it was made
    random = np.random.default_rng(_SEED)
    for text in (text for _ in range(passes) for text in random.permutation(len(texts))):
        before = farther = classes
        for at, right in zip(found[text], wanted[text].tolist()):
            at[-2:] = before, history[before, farther]
            told = int(np.add.reduce(weights.take(at, axis=0)).argmax())
            if right >= 0 and told != right:
                for sums, change in ((weights, 1), (since, now)):
                    sums[at, right] += change
                    sums[at, told] -= change
            now += 1
            before, farther = told, before
    return pairs, rows, weights - since / max(now, 1)


def features(words: Sequence[str]) -> list[list[str]]:
    """The features of each word but those of the tags before it."""
    lower = [*_EDGES[:2], *(word.lower() for word in words), *_EDGES[2:]]
    return [
        [
            "constant",
            f"word={word}",
            f"small={lower[place]}",
            f"shape={_shape(word)}",
            *(f"first{count}={lower[place][:count]}" for count in range(1, 5)),
            *(f"last{count}={lower[place][-count:]}" for count in range(1, 5)),
            *(f"{gap:+}={lower[place + gap]}" for gap in (-2, -1, 1, 2)),
        ]
        for place, word in enumerate(words, 2)
    ]


def _shape(word: str) -> str:
    """Runs of capitals, small letters and digits, and what else there is, as one sign each."""
    signs = ("A" if sign.isupper() else "a" if sign.isalpha() else "0" if sign.isdigit() else sign for sign in word)
    return "".join(sign for sign, _ in itertools.groupby(signs))


def _pairs(wanted: Sequence[np.ndarray], classes: int) -> np.ndarray:
    """``nearer (C + 1) + farther`` of each two tags that follow each other, rising; C stands before the first."""
    codes = [np.zeros(0, np.int64)]
    for tags in wanted:
        around = np.concatenate([[classes, classes], tags])
        nearer, farther = around[1:-1], around[:-2]
        codes.append((nearer * (classes + 1) + farther)[(nearer >= 0) & (farther >= 0)])
    return np.unique(np.concatenate(codes))


def _history(pairs: np.ndarray, classes: int) -> np.ndarray:
    """``Learned.history``."""
    rows = np.full((classes + 1) ** 2, classes + 1 + len(pairs))
    rows[pairs] = np.arange(classes + 1, classes + 1 + len(pairs))
    return rows.reshape(classes + 1, classes + 1)


def answer(arrays: Arrays, asked: Material) -> dict[str, np.ndarray]:
    """The tag of each word, whether it is right, and how likely the right one is."""
    scores = _scores(unpacked(arrays, len(asked.classes)), asked)
    nll = _nll(arrays["sharpness"] * scores, _places.wanted(asked.rows))
    return _places.outputs(asked.rows, scores.argmax(axis=1), nll=nll)


def _scores(learned: Learned, asked: Material) -> np.ndarray:
    """The score of each tag at each word, ``[k C]``."""
    return np.concatenate([told(learned, words) for words in _words.words(asked)])


def _nll(logits: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """``-log p`` of each tag that is wanted, 0 where none is known."""
    likely = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return np.where(wanted >= 0, -likely[np.arange(len(wanted)), wanted], 0.0)


def told(learned: Learned, words: Sequence[str]) -> np.ndarray:
    """The score of each tag at each word of a text, ``[n C]``; the greatest is told."""
    none, classes = len(learned.weights) - 1, learned.weights.shape[1]
    rows = np.array([[learned.rows.get(name, none) for name in names] for names in features(words)])
    scores, before, farther = learned.weights[rows].sum(axis=1), classes, classes
    for score in scores:
        score += learned.weights[[before, learned.history[before, farther]]].sum(axis=0)
        before, farther = int(score.argmax()), before
    return scores


def unpacked(arrays: Arrays, classes: int) -> Learned:
    """Weights as they are added. Raises ValueError for arrays that ``fit`` does not make of so many classes."""
    first = classes + 2 + len(arrays["pairs"]) if _fitted(arrays, classes) else 0
    names = _words.unpacked(arrays["names"], len(arrays["sizes"]) - first) if first else None
    if names is None:
        raise ValueError(f"its arrays are not what fitting makes of {classes} classes")
    weights = np.zeros((first + len(names) + 1, classes))
    weights[np.repeat(np.arange(first + len(names)), arrays["sizes"]), arrays["tags"]] = arrays["weights"]
    rows = {name: first + number for number, name in enumerate(names)}
    return Learned(rows, _history(arrays["pairs"], classes), weights)


_DTYPES = {"pairs": np.int64, "names": np.uint8, "sizes": np.int32, "tags": np.int32, "weights": np.float32}
_DTYPES |= {"sharpness": np.float64}


def _fitted(arrays: Arrays, classes: int) -> bool:
    """Whether arrays are such as ``fit`` makes, but for the names."""
    if not arrays.keys() >= _DTYPES.keys():
        return False
    if any(arrays[name].dtype != dtype or arrays[name].ndim != (name != "sharpness") for name, dtype in _DTYPES.items()):
        return False
    pairs, sizes, tags = (arrays[name] for name in ("pairs", "sizes", "tags"))
    inside = all((array >= 0).all() and (array < most).all() for array, most in ((pairs, (classes + 1) ** 2), (tags, classes)))
    whole = len(tags) == len(arrays["weights"]) == sizes.sum() and (sizes >= 0).all() and len(sizes) >= classes + 2 + len(pairs)
    return bool(inside and whole and (np.diff(pairs) > 0).all() and _numbers(arrays))


def _numbers(arrays: Arrays) -> bool:
    """Whether weights and sharpness are such as there are."""
    return bool(np.isfinite(arrays["weights"]).all() and 0 < arrays["sharpness"] < np.inf)
