"""Interpolated modified Kneser-Ney n-grams over the tokens of the run: what counting what came before comes to.

::

  p_n(w | h) = max(c(h w) - D(c(h w)), 0) / c(h .) + left(h) p_(n-1)(w | h'),   left(h) = sum_w min(D(c(h w)), c(h w)) / c(h .)

with h the n - 1 tokens before, h' the same without the first of them, and p_0 = 1 / V for each of the V token ids. ``c`` of
the longest n-grams is how often they occur in train, of shorter ones after how many different tokens. The discount ``D`` is
one of three, for counts of 1, of 2, and of 3 or more, and follows for each n from how many n-grams have a count of 1, 2, 3
and 4; where these give none, 1/2, 1 and 3/2 are taken. Of the orders n from 1 to ``order`` that with the lowest loss on
validation is kept.

A document begins with a token that nobody predicts, and what stands before it says nothing: there h is as short as it has to
be, and each time that an n-gram begins a document counts as a token before it of its own. Within a document all that stands
before is known, whatever the windows of the model.

Source: Chen and Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling".
"""

import functools

import numpy as np

from attention.rivals import Arrays, Material, Rival, _ngrams, _places
from attention.rivals._ngrams import Said, Text

__all__: list[str] = []

ORDERS = 16


def build(*, order: int = 8, tokens: int = 20_000_000) -> Rival:
    """The rival ``kneser_ney``.

    Args:
      order: tokens of an n-gram at most, in [1, 16].
      tokens: of train at most; of more, nothing is fitted.
    """
    for name, value, most in (("order", order, ORDERS), ("tokens", tokens, 2**31)):
        if not 1 <= value <= most:
            raise ValueError(f"{name} must be in [1, {most}], got {value}")
    return Rival(
        fit=functools.partial(fit, order),
        answer=answer,
        facts=facts,
        amount=amount,
        lacks=lacks,
        answers="wanted",
        most=tokens,
        unit="tokens",
        packages=("numpy",),
    )


def lacks(train: Material) -> str | None:
    """It tells the next token alone."""
    return (
        None if train.rows.documents is not None else "what is wanted is not the next token, which it tells from those before"
    )


def amount(train: Material) -> int:
    """Tokens that are wanted, nothing being asked twice of train."""
    assert train.rows.wanted is not None
    return len(train.rows.wanted)


def facts(arrays: Arrays) -> dict[str, float | bool]:
    """The order that was chosen, and how many n-grams there are."""
    order = int(arrays["order"])
    return {"order": order, "ngrams": sum(len(arrays[f"counts_{n}"]) for n in range(1, order + 1)), "converged": True}


def fit(order: int, train: Material, validation: Material) -> dict[str, np.ndarray]:
    """What is learned of train.

    Returns:
      * order: int64;
      * tokens_n, for each n up to the order: the last token of each n-gram, in the order of all of its tokens;
      * fans_n: of each (n-1)-gram, how many n-grams go on from it;
      * counts_n: the counts of the n-grams. These three are of the smallest unsigned types.
    """
    size, (text, other) = train.vocab_size, map(_text, (train, validation))
    level, said, losses, kept = _ngrams.empty(size), _ngrams.nothing(other, size), [], []
    for n, grams in enumerate(_ngrams.count(text, size, order), 1):
        longest = _ngrams.longer(said, _ngrams.level(grams.keys, grams.counts, level, n, size), n, other, size)
        losses.append(-np.log(longest.likely[other.ages > 0]).mean())
        kept.append(_packed(grams, size))
        level = _ngrams.level(grams.keys, grams.lefts, level, n, size)
        said = _ngrams.longer(said, level, n, other, size)
    best = 1 + int(np.argmin(losses))
    of = lambda n: ("tokens", "fans", "counts" if n == best else "lefts")
    arrays = {f"{name}_{n}": kept[n - 1][which] for n in range(1, best + 1) for name, which in zip(_KEPT, of(n))}
    return {"order": np.array(best, np.int64), **arrays}


_KEPT = ("tokens", "fans", "counts")


def _packed(grams: _ngrams.Grams, size: int) -> dict[str, np.ndarray]:
    """What may be kept of n-grams, in the smallest types."""
    contexts, tokens = np.divmod(grams.keys, size)
    whole = {"tokens": tokens, "fans": np.bincount(contexts, minlength=grams.shorter)}
    whole |= {"counts": grams.counts, "lefts": grams.lefts}
    return {name: array.astype(np.min_scalar_type(array.max())) for name, array in whole.items()}


def answer(arrays: Arrays, asked: Material) -> dict[str, np.ndarray]:
    """The negative log likelihood of each token that is wanted, and whether it is the likeliest one."""
    text = _text(asked)
    said = _said(arrays, text, asked.vocab_size)
    told = text.ages > 0
    return _places.outputs(asked.rows, said.best[told], nll=-np.log(said.likely[told]))


def _said(arrays: Arrays, text: Text, size: int) -> Said:
    """What is said of a text. Raises ValueError for arrays that ``fit`` does not make of so many tokens."""
    error = ValueError(f"its arrays are not what fitting makes of {size} tokens")
    order, level, said = arrays.get("order"), _ngrams.empty(size), _ngrams.nothing(text, size)
    if order is None or order.dtype != np.int64 or order.shape != () or not 1 <= order <= ORDERS:
        raise error
    for n in range(1, int(order) + 1):
        found = _grams(arrays, n, len(level.keys), size)
        if found is None:
            raise error
        try:
            level = _ngrams.level(*found, level, n, size)
        except ValueError:
            raise error from None
        said = _ngrams.longer(said, level, n, text, size)
    return said


def _grams(arrays: Arrays, n: int, shorter: int, size: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The keys and counts of n-grams; None where these arrays are not such as ``fit`` keeps."""
    kept = [arrays.get(f"{name}_{n}", np.zeros(0)) for name in _KEPT]
    if not all(array.ndim == 1 and len(array) and _smallest(array) for array in kept):
        return None
    tokens, fans, counts = (array.astype(np.int64) for array in kept)
    if len(fans) != shorter or not len(tokens) == len(counts) == fans.sum() or max(fans.max(), tokens.max() + 1) > size:
        return None
    keys = np.repeat(np.arange(shorter), fans) * size + tokens
    return (keys, counts) if (np.diff(keys) > 0).all() else None


def _smallest(array: np.ndarray) -> bool:
    """Whether numbers are of the smallest type that holds them."""
    return array.dtype.kind == "u" and array.dtype == np.min_scalar_type(array.max())


def _text(asked: Material) -> Text:
    """The documents of a split: what is wanted, in the order of rows and places, is every token of it once."""
    assert asked.rows.documents is not None
    tokens, begins = _places.wanted(asked.rows), asked.rows.documents[:-1]
    lengths = np.diff(begins, append=len(tokens)) + 1
    ages = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Text(np.insert(tokens, begins, asked.vocab_size - 1), ages)
