"""What every mask promises: who may attend to whom, which blocks may be skipped, and what the kernel then reads."""

import functools
import itertools

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import compatibility
from attention.attend import parts_of
from attention.records import Call
from tests.masks.bigbird import bigbird, random_blocks
from tests.masks.local import local
from tests.masks.longformer import longformer
from tests.support.evidence import MaskCase
from tests.support.helpers import inputs, jit, normal, params_of
from tests.support.mask_kernels import LENGTHS, SEGMENTS, dense_and_chunked
from tests.support.mask_kernels import T as LONG
from tests.support.masks import matrix, pairs, square, tiled
from tests.support.rows import cases, over_knobs, over_rows, rows

# Intersections, which are no mask's own.
COMPOSED = (
    MaskCase("causal & local(window=6)", lambda p: p.j <= p.i <= p.j + 3, {24}),
    MaskCase("local(window=10) & local(window=4)", lambda p: local(p.i, p.j, 4), {32}),
    MaskCase("causal & longformer(window=4, globals=1)", lambda p: p.j <= p.i and longformer(p.i, p.j, 4, 1), {32}),
    MaskCase(
        "bigbird(block=4, random_blocks=1) & document & local(window=30)",
        lambda p: bigbird(p, 4, random_blocks(1)) and p.s == p.t and local(p.i, p.j, 30),
        {32, 48},
    ),
)
CASES = [case for _, case in cases("mask").values()] + list(COMPOSED)
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.spec)


@every
def test_pairs(case):
    """Positions that count from 0, and any others; texts of different lengths; segments in any order."""
    mask = attention.build("mask", case.spec)
    for T, S in [(1, 1), (13, 13), (3, 29), (40, 40)]:
        s, t = np.arange(T) * 3 // T, np.arange(S) * 3 // S
        found = pairs(mask, Call(q_segments=jnp.asarray(s), k_segments=jnp.asarray(t)), T, S)
        np.testing.assert_array_equal(found, matrix(case.allowed, np.arange(T), np.arange(S), S - 1, s, t))
    q, k = np.array([[4, 2, 31], [0, 1, 12]]), np.array([[3, 30, 2, 4, 60], [2, 0, 7, 1, 13]])
    s, t = np.array([[7, 0, 1], [1, 1, 0]]), np.array([[0, 7, 1, 1, 0], [1, 0, 1, 1, 0]])
    valid = np.array([[True, True, True, True, False], [True] * 5])
    call = Call(*map(jnp.asarray, (q, k)), None, jnp.asarray(valid), *map(jnp.asarray, (s, t)))
    wanted = [matrix(case.allowed, *each) for each in zip(q, k, (30, 13), s, t)]
    np.testing.assert_array_equal(pairs(mask, call, 3, 5, (2,)), wanted)


@every
def test_what_reads_positions(case):
    """Among keys in the opposite order others are allowed, where positions are read and not segments alone."""
    mask, n = attention.build("mask", case.spec), 40
    segments = jnp.arange(n) // 14
    at = lambda keys: pairs(mask, Call(jnp.arange(n), keys, q_segments=segments, k_segments=segments), n, n)
    reads = not np.array_equal(at(jnp.arange(n)), at(jnp.arange(n)[::-1]))
    assert reads == ("mask" in compatibility.positional(parts_of(mask=case.spec)))


@every
def test_padding_changes_nothing(case):
    """On the right, or with positions of its own on the left or between the tokens."""
    mask, n = attention.build("mask", case.spec), 21
    segments = jnp.asarray(np.repeat(np.arange(3), (8, 5, 8)), jnp.int32)
    alone = pairs(mask, Call(q_segments=segments, k_segments=segments), n, n)
    right = Call(k_valid=jnp.arange(30) < n, q_segments=jnp.pad(segments, (0, 9)), k_segments=jnp.pad(segments, (0, 9)))
    np.testing.assert_array_equal(pairs(mask, right, 30, 30)[:n, :n], alone)
    place = np.sort(np.random.default_rng(0).choice(np.arange(4, 33), n, replace=False))

    def spread(x, rest):
        found = np.full(33, rest, np.int32)
        found[place] = x
        return jnp.asarray(found)

    positions, placed = spread(np.arange(n), 99), spread(segments, 0)
    valid = jnp.asarray(np.isin(np.arange(33), place))
    call = Call(positions, positions, None, valid, placed, placed)
    np.testing.assert_array_equal(pairs(mask, call, 33, 33)[np.ix_(place, place)], alone)


# Blocks without an allowed pair, which kernels skip.

SHAPES = list(itertools.product((1, 5, 16, 40), (4, 11, 40), (1, 4, 16), (3, 16)))


def _blocks(mask, T, S, bq, bk, last):
    """Which blocks are named; all, where the mask names none."""
    found = None if mask.blocks is None else mask.blocks(T, S, bq, bk, last)
    return np.ones((-(-T // bq), -(-S // bk)), bool) if found is None else np.asarray(found)


@every
def test_blocks(case):
    """A block is named if and only if it holds an allowed pair; an intersection may name more, never fewer."""
    mask = attention.build("mask", case.spec)
    whole = matrix(case.allowed, np.arange(40), np.arange(40), 39)
    for T, S, bq, bk in SHAPES if mask.limits is None else [(40, 40, 16, 3), (5, 40, 4, 16)]:
        allowed = whole[:T, :S] if mask.limits is None else matrix(case.allowed, np.arange(T), np.arange(S), S - 1)
        found, wanted = _blocks(mask, T, S, bq, bk, jnp.array(S - 1)), tiled(allowed, bq, bk)
        assert found.shape == wanted.shape
        assert (found >= wanted).all()
        if "&" not in case.spec:
            np.testing.assert_array_equal(found, wanted)


# Masks whose blocks depend on where a text ends.
LIMITED = [case.spec for case in CASES if attention.build("mask", case.spec).limits is not None and "&" not in case.spec]


@pytest.mark.parametrize("blocks", [(4, 4), (5, 3), (16, 2)], ids=str)
@pytest.mark.parametrize("spec", [*LIMITED, *(f"{spec} & local(window=20)" for spec in LIMITED)])
def test_blocks_and_limits_of_every_length(spec, blocks):
    """Wherever the text ends: no pair is dropped, and no more blocks of queries keep more blocks than the limits say."""
    mask, T, S, last = attention.build("mask", spec), 30, 37, jnp.arange(-1, 37)
    keep, found = jit(lambda last: (mask.blocks(T, S, *blocks, last), mask.apply(Call(k_last=last), (T, S))[:, 0]))(last)
    few, many = mask.limits(T, S, *blocks)
    for named, allowed in zip(np.asarray(keep), np.asarray(found)):
        wanted = tiled(allowed, *blocks)
        assert (named >= wanted).all()
        assert "&" in spec or (named == wanted).all()
        assert (named.sum(1) > few).sum() <= many


DRAWN = st.one_of([row.evidence.drawn for row in rows("mask").values() if row.evidence.drawn is not None])


@functools.cache
def _longest(spec):
    return square(spec, 60)


@hypothesis.given(
    specs=st.lists(DRAWN, min_size=1, max_size=2), T=st.integers(1, 60), S=st.integers(1, 60),
    bq=st.integers(1, 20), bk=st.integers(1, 20),
)  # fmt: skip
@hypothesis.settings(max_examples=200)
def test_blocks_never_drop_a_pair(specs, T, S, bq, bk):
    """With any options; a single mask names no block in vain."""
    spec = " & ".join(specs)
    keep, wanted = attention.build("mask", spec).blocks(T, S, bq, bk, None), tiled(_longest(spec)[:T, :S], bq, bk)
    assert isinstance(keep, np.ndarray)
    assert (keep >= wanted).all()
    if len(specs) == 1:
        np.testing.assert_array_equal(keep, wanted)


@pytest.mark.parametrize(
    ("spec", "read"),
    [
        *((case.spec, case.read) for case in CASES),
        # Large enough for lists of few blocks.
        ("bigbird(block=8, random_blocks=0)", {48, LONG}),
        ("causal & bigbird(block=5, random_blocks=0)", {48, LONG}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_chunked_is_dense(spec, read, small_blocks):
    """Value and every gradient, with padding, a ragged last block, biases by distance, segments, ``where`` and ``bias``."""
    encoding = "t5(buckets=8, max_distance=12) + alibi(form=learned)"
    segments = jnp.asarray(SEGMENTS)
    call = Call(k_valid=jnp.arange(LONG) < LENGTHS, q_segments=segments, k_segments=segments)
    where = jnp.asarray(np.random.default_rng(1).random((1, 1, LONG, LONG)) > 0.1)
    arrays = (*inputs(T=LONG, S=LONG), params_of(encoding=encoding))
    dense_and_chunked(arrays, encoding=encoding, mask=spec, call=call, where=where, bias=normal(5, 2, 1, 1, LONG))
    assert {keys for _, keys in small_blocks} == read


# Facts.


@every
def test_causal_is_said_where_it_is_true(case):
    assert attention.build("mask", case.spec).causal == (
        not np.triu(square(case.spec, 40), 1).any() if case.causal is None else case.causal
    )


@over_rows("mask")
def test_counts_and_limits(name, row):
    """The number of pairs by formula, and the options with which it is another mask."""
    assert row.evidence.counts
    for spec, count in row.evidence.counts.items():
        assert square(spec).sum() == count, spec
    for spec, same in row.evidence.equal.items():
        np.testing.assert_array_equal(square(spec), square(same), err_msg=spec)


@over_knobs("mask")
def test_no_dead_options(knob):
    assert not np.array_equal(square(knob.without), square(knob.with_))
