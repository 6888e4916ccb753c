"""Logistic regression on TF-IDF of words and pairs of words: what no order of the text adds to.

::

  x_j = (1 + log n_j) (1 + log((1 + N) / (1 + N_j))),   x <- x / |x|,   p = softmax(W x + b)

with n_j the count of token j in the text, N texts of train and N_j of them with j. W minimises
``|W|^2 / 2 + C sum -log p(label)`` over train. Of C = 1/4, 1, 4, 16 and 64 that with the best accuracy on validation is kept,
of equal ones that with the lowest negative log likelihood.

**Tokens**: the text in lower case, whole, whatever ``config.data.max_length``. A run of letters, digits and underscores, with
their combining marks, is a word (``don't`` is ``don ' t``); so is every other sign that is no blank, and every sign of a script
that is written without blanks (Chinese, kana, Thai, Lao, Khmer, Burmese), where pairs are of neighbouring signs. Each token and
each two neighbours joined by a blank are counted in column ``abs(MurmurHash3_32) mod size`` of its UTF-8, so that no vocabulary
is kept: only the columns that occur in train, with their weights in float32. A text of which no token occurs in train gets the
answer of ``b`` alone.

A class that train has not is given one N-th of the mass of the others, so that no likelihood is infinite.

Source: Wang and Manning 2012, "Baselines and Bigrams", for what it is as a rival; scikit-learn's ``HashingVectorizer`` and
``LogisticRegression`` compute it.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from attention.rivals import Arrays, Material, Rival, _tokens

__all__: list[str] = []

STRENGTHS = (0.25, 1.0, 4.0, 16.0, 64.0)  # C, each begun with the weights of the one before
TOLERANCE, ITERATIONS = 1e-5, 100  # of the mean gradient; of Newton's method
_PART = 10_000  # texts at a time
Counter = Callable[[Sequence[str]], Any]
_DTYPES = dict.fromkeys(("columns", "present"), np.int32) | dict.fromkeys(("rarity", "weights", "intercept"), np.float32)
_DTYPES |= {"count": np.int64, "strength": np.float64, "converged": np.bool_}


def build(*, pairs: bool = True, size: int = 2**20, texts: int = 200_000) -> Rival:
    """The rival ``linear``.

    Args:
      pairs: whether pairs of neighbouring words are counted beside the words.
      size: columns that tokens are hashed to, in [1, 2**24]; fewer cost accuracy, as more of the tokens share one.
      texts: of train at most; of more, nothing is fitted.
    """
    for name, value, most in (("size", size, 2**24), ("texts", texts, 2**31)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must be in [1, {most}], got {value}")
    counter = functools.partial(_tokens.counts, analyzer=_tokens.with_pairs if pairs else _tokens.tokens, size=size)
    return Rival(
        fit=functools.partial(fit, counter),
        answer=functools.partial(answer, counter, size),
        facts=lambda arrays: {
            "strength": float(arrays["strength"]),
            "converged": bool(arrays["converged"]),
            "columns": len(arrays["columns"]),
        },
        amount=lambda train: len(train.split.texts),
        answers="label",
        most=texts,
        unit="texts",
        packages=("scikit-learn", "scipy", "numpy"),
    )


def fit(counter: Counter, train: Material, validation: Material) -> dict[str, np.ndarray]:
    """What is learned of train.

    Returns:
      * columns: int32 ``[k]``, those that occur in train, rising;
      * rarity: float32 ``[k]``, the second factor of x;
      * weights, intercept: float32 ``[k c-1]`` and ``[c-1]``, of the c classes of train but the first, whose logit is 0;
      * present: int32, the classes of train, rising;
      * count: texts of train;
      * strength, converged: C, and whether Newton's method ended by itself.
    """
    counts, labels = counter(train.split.texts), np.asarray(train.split.labels)
    columns = np.unique(counts.indices)
    occurring = np.bincount(counts.indices, minlength=counts.shape[1])[columns]
    learned = {
        "columns": columns.astype(np.int32),
        "rarity": (1 + np.log((1 + len(labels)) / (1 + occurring))).astype(np.float32),
        "present": np.unique(labels).astype(np.int32),
        "count": np.array(len(labels), np.int64),
    }
    rows, others = (features(found, learned) for found in (counts, counter(validation.split.texts)))
    return max(_fits(rows, labels, learned), key=lambda one: _quality(one, others, validation))


def _fits(rows: Any, labels: np.ndarray, learned: Arrays) -> list[dict[str, np.ndarray]]:
    """What is learned with each strength; of a single class, or without a token, how often each class is there."""
    if len(learned["present"]) == 1 or not rows.shape[1]:
        shares = np.log(np.bincount(labels)[learned["present"]])
        return [{**learned, **_kept(np.zeros((rows.shape[1], len(shares))), shares, 0.0, True)}]
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(solver="newton-cg", tol=TOLERANCE, max_iter=ITERATIONS, warm_start=True)
    found = []
    with threadpool_limits(1):  # the same bits whatever the cores; and these threads wait for each other longer than they work
        for strength in STRENGTHS:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model.set_params(C=strength).fit(rows, labels)
            converged = not any(issubclass(each.category, ConvergenceWarning) for each in caught)
            weights, intercept = np.asarray(model.coef_).T, np.asarray(model.intercept_)
            if len(intercept) == 1:  # of two classes the second alone
                weights, intercept = np.insert(weights, 0, 0.0, axis=1), np.insert(intercept, 0, 0.0)
            found.append({**learned, **_kept(weights, intercept, strength, converged)})
    return found


def _kept(weights: np.ndarray, intercept: np.ndarray, strength: float, converged: bool) -> dict[str, np.ndarray]:
    """Weights ``[k c]`` and intercept ``[c]`` as they are kept: beside the first class, whose logit is 0."""
    return {
        "weights": (weights[:, 1:] - weights[:, :1]).astype(np.float32),
        "intercept": (intercept[1:] - intercept[0]).astype(np.float32),
        "strength": np.array(strength),
        "converged": np.array(converged),
    }


def _quality(arrays: Arrays, rows: Any, validation: Material) -> tuple[float, float]:
    """Accuracy, and the mean log likelihood."""
    logits, labels = _logits(arrays, rows, len(validation.classes)), np.asarray(validation.split.labels)
    normal = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return float(np.mean(logits.argmax(axis=1) == labels)), float(np.mean(normal[np.arange(len(labels)), labels]))


def features(counts: Any, learned: Arrays) -> Any:
    """x of each text, a sparse float64 ``[n k]``."""
    rows = counts[:, learned["columns"]]
    rows.data = (1 + np.log(rows.data)) * learned["rarity"].astype(np.float64)[rows.indices]
    texts = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    rows.data /= np.sqrt(np.bincount(texts, rows.data**2, rows.shape[0]))[texts]
    return rows


def answer(counter: Counter, size: int, arrays: Arrays, asked: Material) -> dict[str, np.ndarray]:
    """The logits ``[n C]``, float64."""
    texts, classes = asked.split.texts, len(asked.classes)
    if not _fitted(arrays, size, classes):
        raise ValueError(f"its arrays are not what fitting makes of {classes} classes")
    parts = (texts[start : start + _PART] for start in range(0, len(texts), _PART))
    return {"logits": np.concatenate([_logits(arrays, features(counter(part), arrays), classes) for part in parts])}


def _logits(arrays: Arrays, rows: Any, classes: int) -> np.ndarray:
    known = np.zeros((rows.shape[0], len(arrays["present"])))
    known[:, 1:] = rows @ arrays["weights"].astype(np.float64) + arrays["intercept"]
    others = np.logaddexp.reduce(known, axis=1) - np.log(float(arrays["count"]))
    logits = np.repeat(others[:, None], classes, axis=1)
    logits[:, arrays["present"]] = known
    return logits


def _fitted(arrays: Arrays, size: int, classes: int) -> bool:
    """Whether arrays are such as ``fit`` makes."""
    if not arrays.keys() >= _DTYPES.keys() or any(arrays[name].dtype != dtype for name, dtype in _DTYPES.items()):
        return False
    columns, present, strength = (arrays[name] for name in ("columns", "present", "strength"))
    if columns.ndim != 1 or present.ndim != 1 or not len(present):
        return False
    k, others = len(columns), len(present) - 1
    shapes = {"rarity": (k,), "weights": (k, others), "intercept": (others,), "count": (), "strength": (), "converged": ()}
    if any(arrays[name].shape != shape or not np.isfinite(arrays[name]).all() for name, shape in shapes.items()):
        return False
    rises = _rising(columns, size) and _rising(present, classes)
    return bool(rises and (arrays["rarity"] >= 1).all() and arrays["count"] >= 1 and strength >= 0)


def _rising(numbers: np.ndarray, size: int) -> bool:
    """Whether these are numbers of 0 to ``size`` - 1, each greater than the one before."""
    return bool((np.diff(numbers) > 0).all() and (not len(numbers) or 0 <= numbers[0] <= numbers[-1] < size))
