"""The plan of batches: each example once, least padding, seeds; and the padded arrays."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attention.data.batches import Plan, evaluation_batches, gather
from attention.data.contracts import Encoded


def _cut(items, size):
    return [items[start : start + size] for start in range(0, len(items), size)]


LENGTHS = st.lists(st.integers(1, 70), min_size=1, max_size=60)
SIZES = st.integers(1, 9)


def encoded(lengths, labels=True):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = np.random.default_rng(0).integers(1, 99, offsets[-1]).astype(np.int32)
    return Encoded(flat, offsets, np.arange(len(lengths), dtype=np.int32) if labels else np.full(len(lengths), -1, np.int32))


@given(LENGTHS, SIZES, SIZES, st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_each_example_once_in_a_fitting_shape(lengths, batch_size, buckets, epoch, member):
    lengths = np.array(lengths)
    plan = Plan(lengths, batch_size=batch_size, buckets=buckets, seed=3)
    indices, shapes = plan.epoch(epoch, member), plan.shapes(epoch)
    assert plan.steps_per_epoch == -(-len(lengths) // batch_size)
    assert indices.shape == (plan.steps_per_epoch, batch_size)
    assert shapes.shape == (plan.steps_per_epoch,)
    assert sorted(indices[indices >= 0]) == list(range(len(lengths)))
    assert 1 <= len(plan.bucket_lengths) <= buckets
    assert list(plan.bucket_lengths) == sorted(set(plan.bucket_lengths))
    assert all(length % 8 == 0 for length in plan.bucket_lengths)
    assert plan.bucket_lengths[-1] >= lengths.max() > plan.bucket_lengths[-1] - 8
    assert set(shapes) == set(plan.bucket_lengths)
    for row, shape in zip(indices, shapes):
        assert lengths[row[row >= 0]].max() <= shape
    ends = range(plan.steps_per_epoch + 1)
    read = [epoch * len(lengths) + int((indices[:rest] >= 0).sum()) for rest in ends]
    assert [plan.examples(epoch * plan.steps_per_epoch + rest) for rest in ends] == read
    # filler completes one batch, the last of its bucket, and nothing else
    filler = (indices < 0).sum(1)
    assert np.count_nonzero(filler) <= 1
    if filler.any():
        row = int(np.flatnonzero(filler)[0])
        assert row == np.flatnonzero(shapes == shapes[row])[-1]
        assert (indices[row, batch_size - filler[row] :] == -1).all()
    slots = int(shapes.sum()) * batch_size
    assert plan.padding_share == pytest.approx(1 - lengths.sum() / slots)


@given(LENGTHS, SIZES, SIZES)
@settings(max_examples=30, deadline=None)
def test_shapes_are_shared_and_members_differ_only_inside_buckets(lengths, batch_size, buckets):
    plan = Plan(np.array(lengths), batch_size=batch_size, buckets=buckets, seed=0)
    again = Plan(np.array(lengths), batch_size=batch_size, buckets=buckets, seed=0)
    assert np.array_equal(plan.shapes(2), again.shapes(2))
    assert np.array_equal(plan.epoch(2, 5), again.epoch(2, 5))  # resuming in mid-epoch
    for length in plan.bucket_lengths:
        rows = plan.shapes(2) == length
        assert sorted(plan.epoch(2, 5)[rows].ravel()) == sorted(plan.epoch(2, 6)[rows].ravel())


def test_seeds_and_epochs_change_what_they_should():
    lengths = np.random.default_rng(1).integers(1, 100, 500)
    plan, other = (Plan(lengths, batch_size=4, buckets=4, seed=seed) for seed in (0, 1))
    assert not np.array_equal(plan.shapes(0), plan.shapes(1))
    assert not np.array_equal(plan.shapes(0), other.shapes(0))
    assert plan.bucket_lengths == other.bucket_lengths
    assert not np.array_equal(plan.epoch(0, 0), plan.epoch(0, 1))
    assert not np.array_equal(plan.epoch(0, 0), plan.epoch(1, 0))
    # the order is a shuffle, not that of the data
    assert (np.diff(Plan(lengths, batch_size=500, buckets=1, seed=0).epoch(0, 0)[0]) < 0).sum() > 200


def test_the_order_is_the_same_on_every_platform_and_version():
    plan = Plan(np.array([3, 3, 20, 20, 3]), batch_size=2, buckets=2, seed=0)
    assert [plan.shapes(epoch).tolist() for epoch in (0, 1)] == [[8, 24, 24], [24, 24, 8]]
    assert plan.epoch(0, 7).tolist() == [[0, 1], [4, 3], [2, -1]]
    assert plan.epoch(1, 7).tolist() == [[4, 2], [3, -1], [0, 1]]


def test_padding_by_hand():
    lengths = np.array([5, 8, 9, 30])
    plan = Plan(lengths, batch_size=2, buckets=2, seed=0)
    assert plan.bucket_lengths == (8, 32)  # two batches: {5, 8} at 8, {9, 30} at 32
    assert plan.padding_share == pytest.approx(1 - 52 / 80)
    plan = Plan(lengths, batch_size=2, buckets=1, seed=0)
    assert plan.bucket_lengths == (32,)
    assert plan.padding_share == pytest.approx(1 - 52 / 128)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=20), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_no_choice_of_lengths_pads_less(lengths, batch_size, buckets):
    plan = Plan(np.array(lengths), batch_size=batch_size, buckets=buckets, seed=0)
    needed = [-(-max(batch) // 8) * 8 for batch in _cut(sorted(lengths), batch_size)]
    slots = min(
        sum(min(length for length in (*chosen, needed[-1]) if length >= need) for need in needed)
        for count in range(buckets)
        for chosen in itertools.combinations(sorted(set(needed)), count)
    )
    assert plan.shapes(0).sum() == slots


def test_fewer_examples_than_a_batch():
    plan = Plan(np.array([4, 2]), batch_size=5, buckets=3, seed=0)
    assert sorted(plan.epoch(0, 0)[0].tolist()) == [-1, -1, -1, 0, 1]
    assert plan.padding_share == pytest.approx(1 - 6 / 40)


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([], {}, "not empty"),
        ([3, 0], {}, "at least 1 each"),
        ([3], {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ([3], {"buckets": 0}, "buckets must be at least 1, got 0"),
        ([3], {"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_bad_plans(lengths, options, message):
    with pytest.raises(ValueError, match=message):
        Plan(np.array(lengths), **{"batch_size": 1, "buckets": 1, "seed": 0, **options})


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.data())
@settings(max_examples=40, deadline=None)
def test_gather_equals_a_loop(lengths, data):
    split = encoded(lengths)
    shape = data.draw(st.sampled_from([(6,), (2, 3), (2, 1, 2)]))
    count = int(np.prod(shape))
    drawn = data.draw(st.lists(st.integers(-1, len(lengths) - 1), min_size=count, max_size=count))
    batch = gather(split, np.array(drawn).reshape(shape), 24)
    assert {name: (array.dtype.name, array.shape) for name, array in batch.items()} == {
        "tokens": ("int32", (*shape, 24)),
        "valid": ("bool", (*shape, 24)),
        "labels": ("int32", shape),
        "weight": ("float32", shape),
    }
    for row, index in enumerate(drawn):
        own = split.flat[split.offsets[index] : split.offsets[index + 1]].tolist() if index >= 0 else []
        assert batch["tokens"].reshape(-1, 24)[row].tolist() == own + [0] * (24 - len(own))
        assert batch["valid"].reshape(-1, 24)[row].tolist() == [True] * len(own) + [False] * (24 - len(own))
        assert batch["labels"].ravel()[row] == index
        assert batch["weight"].ravel()[row] == (index >= 0)


def test_gather_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="9 tokens does not fit into the padded length 8"):
        gather(encoded([3, 9]), np.array([0, 1]), 8)
    for index in (2, -2):
        with pytest.raises(ValueError, match=r"indices must be in -1\.\.1"):
            gather(encoded([3, 9]), np.array([index]), 16)


@given(LENGTHS, SIZES)
@settings(max_examples=40, deadline=None)
def test_evaluation_sees_each_example_once(lengths, batch_size):
    split = encoded(lengths, labels=False)
    seen, sizes = [], []
    for indices, batch in evaluation_batches(split, batch_size=batch_size, bucket_lengths=(16, 32)):
        assert indices.shape == (batch_size,)
        assert batch["tokens"].shape[1] in (16, 32, -(-max(lengths) // 8) * 8)
        assert np.array_equal(batch["weight"], indices >= 0)
        assert (batch["labels"] == -1).all()
        assert np.array_equal(batch["tokens"], gather(split, indices, batch["tokens"].shape[1])["tokens"])
        seen += indices[indices >= 0].tolist()
        sizes.append((indices >= 0).sum())
    assert sorted(seen) == list(range(len(lengths)))
    assert np.all(np.diff(split.lengths[seen]) >= 0)
    assert all(size == batch_size for size in sizes[:-1])


def test_evaluation_takes_the_smallest_length_that_fits():
    shapes = [
        batch["tokens"].shape
        for _, batch in evaluation_batches(encoded([3, 17, 50, 8]), batch_size=1, bucket_lengths=(8, 16, 32))
    ]
    assert shapes == [(1, 8), (1, 8), (1, 32), (1, 56)]
    with pytest.raises(ValueError, match="batch_size"):
        next(evaluation_batches(encoded([3]), batch_size=0, bucket_lengths=(8,)))
