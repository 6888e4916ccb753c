"""Rows of a language model: every token is asked for once, in order, whatever the windows."""

import numpy as np
import pytest

from attention.data import windows
from attention.data.batches import Batches, Plan, gather
from attention.data.contracts import Encoded
from attention.data.token_hash import token_hash

END = 99


def documents(*lengths: int, ends: bool = True) -> Encoded:
    """Documents of 1, 2, 3, ... end to end."""
    numbers = iter(range(1, sum(lengths) + 1))
    texts = [np.array([next(numbers) for _ in range(length)]) for length in lengths]
    begun, starts = windows.begun(texts, np.ones(len(texts), bool), END)
    ids = np.append(begun, [END] * ends)
    return Encoded(ids[:-1], np.append(starts, len(ids) - 1), np.full(len(texts), -1, np.int32), wanted=ids[1:])


def asked(rows: Encoded, length: int) -> np.ndarray:
    """What is wanted, in the order of rows and places."""
    batch = gather(rows, np.arange(len(rows)), length)
    return batch["wanted"][batch["wanted"] >= 0]


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("how", ["stream", "packed", "documents"])
@pytest.mark.parametrize(("length", "stride"), [(8, 0), (8, 8), (8, 3), (5, 1), (64, 0)])
def test_every_token_is_asked_for_once_in_order(how, length, stride, ends):
    """The tokens of all documents and the ends between them, whatever the windows and their context."""
    if how == "packed" and stride not in (0, length):
        pytest.skip("side by side alone")
    whole = documents(5, 1, 17, 2, ends=ends)
    rows = windows.rows(whole, length=length, windows=how, stride=stride)
    np.testing.assert_array_equal(asked(rows, 64), whole.wanted)
    np.testing.assert_array_equal(rows.documents, whole.offsets)
    assert rows.lengths.max() <= length


def test_the_input_before_what_is_wanted_is_the_token_before_it():
    """Also where windows have context; and that context is as long as the window has room for."""
    rows = windows.rows(documents(5, 1, 17, 2), length=8, windows="documents", stride=3)
    assert rows.wanted is not None
    for start, end in zip(rows.offsets, rows.offsets[1:]):
        tokens, wanted = rows.flat[start:end], rows.wanted[start:end]
        for before, right in zip(tokens[wanted >= 0].tolist(), wanted[wanted >= 0].tolist()):
            assert right == END or before in (right - 1, END)
    assert (rows.lengths[rows.asked < 8] == 8).any()
    assert sorted(set(rows.asked.tolist())) == [1, 2, 3, 6, 8]


def test_packed_documents_have_segments_and_positions_of_their_own():
    """Whole documents share a row as far as they fit; a longer one is cut, and its pieces are segments too."""
    rows = windows.rows(documents(2, 1, 3, 9, 1), length=8, windows="packed")
    batch = gather(rows, np.arange(len(rows)), 8)
    assert batch["tokens"].tolist() == [
        [END, 1, 2, END, 3, 0, 0, 0],
        [END, 4, 5, 6, 0, 0, 0, 0],
        [END, 7, 8, 9, 10, 11, 12, 13],
        [14, 15, END, 16, 0, 0, 0, 0],
    ]
    assert batch["segments"][:, :5].tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 1, 0]]
    assert batch["positions"][:, :5].tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 3, 0], [0, 1, 2, 3, 4], [0, 1, 0, 1, 0]]
    assert (batch["wanted"][0, 2], batch["wanted"][0, 4], batch["wanted"][3, 1]) == (END, END, END)


def test_windows_of_a_stream_begin_elsewhere_in_each_epoch():
    """All windows are whole, every offset occurs, and what is wanted moves with the tokens."""
    whole = documents(50, ends=False)
    rows = windows.rows(whole, length=8, windows="stream", train=True)
    assert (len(rows), rows.slack) == (5, 7)
    plan = Plan(rows.extents, batch_size=5, buckets=4, seed=0, slack=rows.slack)
    batch_of, firsts = Batches(rows, plan, (3, 4)), set()
    for epoch in range(60):
        batch = batch_of(epoch)
        assert batch["valid"].all()
        assert (batch["wanted"] == batch["tokens"] % END + 1).all()
        first = (batch["tokens"] % END).min(axis=(1, 2))
        assert (np.sort(batch["tokens"][:, :, 0] % END, axis=1) == first[:, None] + 8 * np.arange(5)).all()
        firsts.add(tuple(first.tolist()))
    assert {first for first, _ in firsts} == set(range(8))
    assert len(firsts) > 30  # members have offsets of their own


def test_few_asked_places_are_gathered_alone():
    """In the order of the places; rows that ask for fewer are filled up with what is not asked."""
    wanted = np.array([-1, 7, -1, -1, -1, -1, -1, -1, 8] + [-1] * 15 + [5], np.int32)
    rows = Encoded(np.arange(25, dtype=np.int32), np.array([0, 24, 25]), np.full(2, -1, np.int32), wanted=wanted)
    batch = gather(rows, np.array([0, 1]), 24)
    assert batch["places"].shape == batch["wanted"].shape == (2, 8)
    assert batch["wanted"][:, :3].tolist() == [[7, 8, -1], [5, -1, -1]]
    assert (batch["places"][0, :2].tolist(), batch["places"][1, 0]) == ([1, 8], 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": "stream", "stride": 9}, "stride wants 0 .* to the window of 8 tokens, got 9"),
        ({"windows": "packed", "stride": 2}, "windows=packed has its windows side by side"),
        ({"windows": "stream", "train": True, "length": 64}, "train has 26 tokens, fewer than a window of .*max_length=64"),
    ],
)
def test_rows_that_cannot_be_cut_are_refused(options, message):
    """Naming what is wanted."""
    with pytest.raises(ValueError, match=message):
        windows.rows(documents(25), **{"length": 8, **options})


def test_tokens_are_the_same_by_what_their_ids_stand_for():
    """In another order of the vocabulary too; not among others, with other answers, or in other documents."""
    words = ["<padding>", "<unknown>", "a", "b", "c"]
    made = lambda ids, wanted, offsets=(0, 3): Encoded(
        np.array(ids, np.int32), np.array(offsets), np.array([-1], np.int32), wanted=np.array(wanted, np.int32)
    )
    one = token_hash(made([5, 2, 3], [2, 3, -1]), words)
    assert one == token_hash(made([5, 4, 2], [4, 2, -1]), ["<padding>", "<unknown>", "b", "c", "a"])
    others = [
        (made([5, 2, 3], [2, 3, -1]), [*words[:-1], "d"]),
        (made([6, 2, 3], [2, 3, -1]), [*words, "d"]),
        (made([5, 2, 3], [2, 3, -2]), words),
        (made([5, 2, 4], [2, 3, -1]), words),
        (made([5, 2, 3], [2, 3, -1], (0, 1, 3)), words),
    ]
    assert len({one, *(token_hash(*each) for each in others)}) == 6
