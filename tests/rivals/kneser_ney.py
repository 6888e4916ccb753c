"""Evidence of Kneser-Ney n-grams."""

import functools
import itertools
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from attention import specs
from attention.data import windows
from attention.data.contracts import Encoded, Split
from attention.files import packed
from attention.rivals import Material, _ngrams
from tests.support.evidence import RivalEvidence
from tests.support.rivals import LESSONS, SIZE, documents
from tests.support.row import Row

ORDER = 5
RIVAL = specs.build("rival", f"kneser_ney(order={ORDER})")
taught = LESSONS["wanted"]


def texts_of(asked):
    """Each document with the token that begins it."""
    rows = asked.rows
    return [[asked.vocab_size - 1, *rows.wanted[a:b].tolist()] for a, b in itertools.pairwise(rows.documents)]


def counted(texts, size):
    """(token, history, order) -> the probability of a token after a history, from dictionaries of n-grams, by the formulas."""

    @functools.cache
    def counts(n, longest):
        """How often each n-gram occurs, or after how many different tokens; each beginning of a text is one of them."""
        ends = [(row, i) for row, text in enumerate(texts) for i in range(max(n - 1, 1), len(text))]
        found = [(texts[row][i - n] if i >= n else (row,), tuple(texts[row][i - n + 1 : i + 1])) for row, i in ends]
        return Counter(gram for _, gram in (found if longest else set(found)))

    @functools.cache
    def discounts(n, longest):
        n1, n2, n3, n4 = (sum(count == k for count in counts(n, longest).values()) for k in (1, 2, 3, 4))
        if not n1 * n2 * n3:
            return 0, 0.5, 1, 1.5
        y = n1 / (n1 + 2 * n2)
        found = 0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        return found if min(found) >= 0 else (0, 0.5, 1, 1.5)

    @functools.cache
    def after(history, longest):
        return {gram[-1]: count for gram, count in counts(len(history) + 1, longest).items() if gram[:-1] == history}

    @functools.cache
    def likely(token, history, order):
        longest = len(history) == order - 1
        shorter = likely(token, history[1:], order) if history else 1 / size
        known, taken = after(history, longest), discounts(len(history) + 1, longest)
        if not known:
            return shorter
        of = lambda count: taken[min(count, 3)]
        left = sum(of(count) for count in known.values())
        return (known.get(token, 0) - of(known.get(token, 0)) + left * shorter) / sum(known.values())

    return lambda token, history, order: likely(token, tuple(history[max(len(history) - order + 1, 0) :]), order)


def reference(arrays, train, asked):
    likely, order = counted(texts_of(train), train.vocab_size), int(arrays["order"])
    found = []
    for text in texts_of(asked):
        told = [[likely(token, text[:i], order) for token in range(asked.vocab_size)] for i in range(1, len(text))]
        best = [int(np.argmax(np.round(row, 12))) for row in told]
        found.append((text[1:], best, [-math.log(row[token]) for row, token in zip(told, text[1:])]))
    longest = max(len(right) for right, _, _ in found)
    padded = lambda lists: np.array([[*each, *[0] * (longest - len(each))] for each in lists])
    asked_for = padded([[1] * len(right) for right, _, _ in found]) > 0
    return {
        "asked": asked_for,
        "known": asked_for,
        "right": padded([[a == b for a, b in zip(right, best)] for right, best, _ in found]) > 0,
        "predicted": padded([best for _, best, _ in found]),
        "nll": padded([nll for _, _, nll in found]),
    }


ROW = Row(
    f"kneser_ney(order={ORDER})",
    {"order": "2", "tokens": "9"},
    RivalEvidence(
        reference,
        free=tuple(f"counts_{n}" for n in range(1, ORDER + 1)),
        errors={
            "kneser_ney(order=17)": r"order must be in \[1, 16\], got 17",
            "kneser_ney(tokens=0)": r"tokens must be in \[1, 2147483648\], got 0",
            "kneser_ney(n=3)": "unknown option 'n'; options of kneser_ney: order=8",
        },
    ),
)


@functools.cache
def learned():
    return RIVAL.fit(documents(taught.train), documents(taught.validation))


def test_the_order_is_that_with_the_lowest_loss_on_validation():
    """Neither the lowest nor the highest, by the dictionaries."""
    likely = counted(texts_of(documents(taught.train)), SIZE)
    places = [(text[i], text[:i]) for text in texts_of(documents(taught.validation)) for i in range(1, len(text))]
    losses = [-np.mean([math.log(likely(*place, order)) for place in places]) for order in range(1, ORDER + 1)]
    assert int(learned()["order"]) == 1 + int(np.argmin(losses))
    assert 1 < int(learned()["order"]) < ORDER


def test_probabilities_are_a_distribution():
    """Of all tokens after any history, known or not: each more than 0, and together 1."""
    random = np.random.default_rng(0)
    for arrays in (learned(), RIVAL.fit(documents([[2]]), documents([[3, 4]]))):
        histories = [random.integers(0, SIZE - 1, length).tolist() for length in (*range(8), 30)]
        asked = documents([[*history, token] for history in histories for token in range(SIZE)])
        found = RIVAL.answer(arrays, asked)["nll"]
        last = np.exp(-found[np.arange(len(found)), asked.rows.asked - 2]).reshape(len(histories), SIZE)
        assert (last > 0).all()
        np.testing.assert_allclose(last.sum(axis=1), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "cut",
    [{"windows": "stream"}, {"windows": "stream", "stride": 3}, {"windows": "packed"}, {"windows": "documents", "stride": 2}],
)
def test_whatever_the_windows_a_token_has_its_own(cut):
    """All that a document has before it is known, and nothing of another document."""
    whole = documents(taught.test)
    rows = windows.rows(whole.rows, length=8, **cut)
    one, other = (RIVAL.answer(learned(), material) for material in (whole, whole._replace(rows=rows)))
    assert len(rows) != len(whole.rows)
    for name in ("nll", "predicted", "right"):
        assert np.array_equal(one[name][one["asked"]], other[name][other["asked"]])


def test_train_may_be_cut_into_windows():
    whole = documents(taught.train)
    rows = windows.rows(whole.rows, length=8, windows="stream", train=True)
    assert packed(RIVAL.fit(whole._replace(rows=rows), documents(taught.validation))) == packed(learned())


def test_discounts_by_hand():
    """Chen and Goodman's: n_1 = 4, n_2 = 2, n_3 = 1, n_4 = 1, so that Y = 1/2."""
    np.testing.assert_allclose(_ngrams.discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])), [0, 0.5, 1.25, 1])
    for without in ([1, 1, 2, 9], [1, 2, 3, 3, 3, 3, 3, 4], [0]):  # no n_3; a negative discount; nothing
        assert _ngrams.discounts(np.array(without)).tolist() == [0, 0.5, 1, 1.5]


def test_what_is_not_the_next_token_is_not_for_it():
    whole = documents(taught.train)
    assert RIVAL.lacks(whole) is None
    asked = Encoded(whole.rows.flat, whole.rows.offsets, whole.rows.labels, wanted=whole.rows.wanted)
    assert "is not the next token" in RIVAL.lacks(whole._replace(rows=asked))


@pytest.mark.skipif("ATTENTION_DATA_DIR" not in os.environ, reason="needs ATTENTION_DATA_DIR")
def test_a_known_score():
    """The characters of Shakespeare, nats of the last tenth after the first nine, by another program."""
    text = (Path(os.environ["ATTENTION_DATA_DIR"]) / "tinyshakespeare" / "input.txt").read_text()
    numbers = {sign: number for number, sign in enumerate(sorted(set(text)))}
    ids = np.array([len(numbers), *(numbers[sign] for sign in text)], np.int32)
    cut = len(text) * 9 // 10
    train, test = (_stream(each, len(numbers) + 1) for each in (ids[: cut + 1], np.insert(ids[cut + 1 :], 0, len(numbers))))
    rival = specs.build("rival", "kneser_ney")
    arrays = rival.fit(train, test)
    found = rival.answer(arrays, test)
    assert found["nll"].mean() == pytest.approx(1.517, abs=0.0006)
    assert arrays["order"] == 7
    assert found["right"].mean() == pytest.approx(0.548, abs=0.001)
    assert len(packed(arrays)) < 4e6


def _stream(ids, size):
    """One long document in one row."""
    ends = np.array([0, len(ids) - 1])
    rows = Encoded(ids[:-1], ends, np.array([-1]), wanted=ids[1:], documents=ends)
    return Material(Split([""], None), rows, (), size)
