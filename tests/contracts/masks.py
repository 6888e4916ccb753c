import functools
import itertools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.helpers import inputs, jit
from tests.support.mask_rows import ROWS, Pair


def test_every_variant_has_a_row():
    assert set(attention.names("mask")) <= set(ROWS)
    assert all(row in ROWS[row][0] for row in attention.names("mask"))


def _matrix(allowed, q, k, last, s=None, t=None):
    s, t = np.zeros_like(q) if s is None else s, np.zeros_like(k) if t is None else t
    rows = [[allowed(Pair(i, j, last, x, y)) for j, y in zip(k.tolist(), t.tolist())] for i, x in zip(q.tolist(), s.tolist())]
    return np.array(rows, bool).reshape(len(q), len(k))


def _pairs(mask, call, T, S, batch=()):
    """The mask's pairs, ``[*batch T S]``."""
    found = mask.apply(call, (T, S))
    found = np.ones((1, T, S), bool) if found is None else np.asarray(found)
    assert found.dtype == bool
    assert found.shape[-3] == 1
    return np.broadcast_to(found[..., 0, :, :], (*batch, T, S))


def _segments(*lengths):
    return jnp.asarray(np.repeat(np.arange(len(lengths)), lengths), jnp.int32)


@pytest.mark.parametrize("row", ROWS)
def test_apply(row):
    """Positions that count from 0, and any others; texts of different lengths; segments in any order."""
    spec, allowed = ROWS[row]
    mask = attention.build("mask", spec)
    for T, S in [(1, 1), (13, 13), (3, 29), (40, 40)]:
        s, t = np.arange(T) * 3 // T, np.arange(S) * 3 // S
        found = _pairs(mask, Call(q_segments=jnp.asarray(s), k_segments=jnp.asarray(t)), T, S)
        np.testing.assert_array_equal(found, _matrix(allowed, np.arange(T), np.arange(S), S - 1, s, t))
    q, k = np.array([[4, 2, 31], [0, 1, 12]]), np.array([[3, 30, 2, 4, 60], [2, 0, 7, 1, 13]])
    s, t = np.array([[7, 0, 1], [1, 1, 0]]), np.array([[0, 7, 1, 1, 0], [1, 0, 1, 1, 0]])
    valid = np.array([[True, True, True, True, False], [True] * 5])
    call = Call(*map(jnp.asarray, (q, k)), None, jnp.asarray(valid), *map(jnp.asarray, (s, t)))
    wanted = [_matrix(allowed, *each) for each in zip(q, k, (30, 13), s, t)]
    np.testing.assert_array_equal(_pairs(mask, call, 3, 5, (2,)), wanted)


@pytest.mark.parametrize("row", ROWS)
def test_padding_changes_nothing(row):
    """On the right, or with positions of its own on the left or between the tokens."""
    spec, _ = ROWS[row]
    mask, n = attention.build("mask", spec), 21
    segments = _segments(8, 5, 8)
    alone = _pairs(mask, Call(q_segments=segments, k_segments=segments), n, n)
    right = Call(k_valid=jnp.arange(30) < n, q_segments=jnp.pad(segments, (0, 9)), k_segments=jnp.pad(segments, (0, 9)))
    np.testing.assert_array_equal(_pairs(mask, right, 30, 30)[:n, :n], alone)
    place = np.sort(np.random.default_rng(0).choice(np.arange(4, 33), n, replace=False))

    def spread(x, rest):
        found = np.full(33, rest, np.int32)
        found[place] = x
        return jnp.asarray(found)

    positions, placed = spread(np.arange(n), 99), spread(segments, 0)
    valid = jnp.asarray(np.isin(np.arange(33), place))
    call = Call(positions, positions, None, valid, placed, placed)
    np.testing.assert_array_equal(_pairs(mask, call, 33, 33)[np.ix_(place, place)], alone)


SHAPES = list(itertools.product((1, 5, 16, 40), (4, 11, 40), (1, 4, 16), (3, 16)))


def _tiled(pairs, bq, bk):
    """Whether each block holds an allowed pair."""
    T, S = pairs.shape
    return np.array([[pairs[a : a + bq, b : b + bk].any() for b in range(0, S, bk)] for a in range(0, T, bq)])


@pytest.mark.parametrize("row", [row for row in ROWS if "document" not in ROWS[row][0]])
def test_blocks(row):
    """A block is named if and only if it holds an allowed pair; an intersection may name more, never fewer."""
    spec, allowed = ROWS[row]
    mask = attention.build("mask", spec)
    whole = _matrix(allowed, np.arange(40), np.arange(40), 39)
    for T, S, bq, bk in SHAPES if mask.limits(1, 1, 1, 1) is None else [(40, 40, 16, 3), (5, 40, 4, 16)]:
        pairs = whole[:T, :S] if mask.limits(T, S, bq, bk) is None else _matrix(allowed, np.arange(T), np.arange(S), S - 1)
        found, wanted = mask.blocks(T, S, bq, bk, jnp.array(S - 1)), _tiled(pairs, bq, bk)
        found = np.ones_like(wanted) if found is None else np.asarray(found)
        assert found.shape == wanted.shape
        assert (found >= wanted).all()
        if "&" not in spec:
            np.testing.assert_array_equal(found, wanted)


def test_blocks_of_texts_of_different_lengths():
    mask, last = attention.build("mask", "causal & bigbird(block=3, random_blocks=1)"), jnp.array([[7, 20], [-1, 39]])
    found = mask.blocks(40, 40, 8, 4, last)
    assert found.shape == (2, 2, 5, 10)
    for place in np.ndindex(2, 2):
        np.testing.assert_array_equal(found[place], mask.blocks(40, 40, 8, 4, last[place]))


small, size = st.integers(0, 12), st.integers(1, 12)
SPECS = st.one_of(
    st.builds("local(window={})".format, small.map(lambda n: 2 * n)),
    st.builds("dilated(window={}, dilation={})".format, small.map(lambda n: 2 * n), size),
    st.builds("block_local(size={}, neighbours={})".format, size, st.integers(0, 1)),
    st.builds("longformer(window={}, globals={})".format, small.map(lambda n: 2 * n), small),
    st.builds("prefix_lm(prefix={})".format, small),
    st.builds("strided(stride={}, causal={})".format, size, st.booleans()),
    st.builds("strided(stride={}, form=fixed, summary={})".format, st.integers(4, 12), st.integers(1, 4)),
    st.builds("strided(stride={}, form=fixed, summary={}, causal=False)".format, st.integers(4, 12), st.integers(1, 4)),
)  # fmt: skip


@functools.cache
def _longest(spec):
    return _pairs(attention.build("mask", spec), Call(), 60, 60)


@hypothesis.given(
    specs=st.lists(SPECS, min_size=1, max_size=2), T=st.integers(1, 60), S=st.integers(1, 60),
    bq=st.integers(1, 20), bk=st.integers(1, 20),
)  # fmt: skip
@hypothesis.settings(max_examples=200)
def test_blocks_never_drop_a_pair(specs, T, S, bq, bk):
    """A single mask names no block in vain."""
    spec = " & ".join(specs)
    keep, wanted = attention.build("mask", spec).blocks(T, S, bq, bk, None), _tiled(_longest(spec)[:T, :S], bq, bk)
    assert isinstance(keep, np.ndarray)
    assert (keep >= wanted).all()
    if len(specs) == 1:
        np.testing.assert_array_equal(keep, wanted)


@pytest.mark.parametrize("blocks", [(4, 4), (5, 3), (16, 2)], ids=str)
@pytest.mark.parametrize("spec", ["bigbird(block=4, random_blocks=2)", "bigbird(block=3, random_blocks=1) & local(window=20)"])
def test_blocks_and_limits_of_every_length(spec, blocks):
    """Wherever the text ends: no pair is dropped, and no more blocks of queries keep more blocks than the limits say."""
    mask, T, S, last = attention.build("mask", spec), 30, 37, jnp.arange(-1, 37)
    keep, found = jit(lambda last: (mask.blocks(T, S, *blocks, last), mask.apply(Call(k_last=last), (T, S))[:, 0]))(last)
    few, many = mask.limits(T, S, *blocks)
    for named, pairs in zip(np.asarray(keep), np.asarray(found)):
        wanted = _tiled(pairs, *blocks)
        assert (named >= wanted).all()
        assert "&" in spec or (named == wanted).all()
        assert (named.sum(1) > few).sum() <= many


@hypothesis.given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(0, 3), st.integers(0, 30))
def test_limits_count_what_blocks_may_touch(block, bq, bk, random_blocks, end):
    """Against the blocks touched, counted one by one, for a text with ends, window and random blocks far apart."""
    few, many = attention.build("mask", f"bigbird(block={block}, random_blocks={random_blocks})").limits(9999, 9999, bq, bk)
    touched = lambda first, blocks, size: len({p // size for p in range(first * block, (first + blocks) * block)})
    assert touched(0, 1, bq) + touched(end, 1, bq) <= many
    for tile in range(20):
        rows = sorted({p // block for p in range(tile * bq, (tile + 1) * bq)})
        lone = max(touched(b, 1, bk) for b in range(end, end + 9))
        window = touched(max(rows[0] - 1, 0), len(rows) + 2, bk)
        assert touched(0, 1, bk) + lone + window + len(rows) * random_blocks * lone <= few


# Limits and counts.

T = 24
EQUAL = [
    ("local(window=46)", "full"), ("dilated(window=46, dilation=1)", "full"),
    ("dilated(window=6, dilation=1)", "local(window=6)"), ("block_local(size=24)", "full"),
    ("block_local(size=12, neighbours=1)", "full"), ("block_local(size=1)", "local(window=0)"),
    ("block_local(size=1, neighbours=1)", "local(window=2)"), ("longformer(window=46)", "full"),
    ("longformer(window=0, globals=24)", "full"), ("longformer(window=6, globals=0)", "local(window=6)"),
    ("bigbird(block=12)", "full"), ("bigbird(block=24)", "full"), ("bigbird(block=8)", "full"),
    ("bigbird(block=3, random_blocks=9)", "full"), ("prefix_lm(prefix=24)", "full"), ("prefix_lm(prefix=0)", "causal"),
    ("prefix_lm(prefix=1)", "causal"), ("strided(stride=1)", "causal"), ("strided(stride=23)", "causal"),
    ("strided(stride=24, form=fixed)", "causal"), ("strided(stride=6, form=fixed, summary=6)", "causal"),
    ("strided(stride=23, causal=False)", "full"), ("causal & strided(stride=5, causal=False)", "strided(stride=5)"),
    ("causal & strided(stride=5, form=fixed, causal=False)", "strided(stride=5, form=fixed)"), ("causal & full", "causal"),
    ("causal & prefix_lm(prefix=9)", "causal"),
    ("block_local(size=6) & block_local(size=4)", "block_local(size=6) & block_local(size=4) & local(window=6)"),
]  # fmt: skip


def _square(spec, T=T):
    return _pairs(attention.build("mask", spec), Call(), T, T)


@pytest.mark.parametrize(("spec", "same"), EQUAL, ids=lambda x: x)
def test_limits(spec, same):
    np.testing.assert_array_equal(_square(spec), _square(same))


def test_causal_and_local_is_a_band():
    np.testing.assert_array_equal(_square("causal & local(window=6)"), np.tril(np.ones((T, T))) - np.tril(np.ones((T, T)), -4))


BAND = lambda T, reach: T * (2 * reach + 1) - reach * (reach + 1)
COUNTS = {
    "full": T * T,
    "causal": T * (T + 1) // 2,
    "local(window=6)": BAND(T, 3),
    "dilated(window=6, dilation=4)": sum(1 if m == 0 else 2 * (T - 4 * m) for m in range(4)) + T - 1,
    "block_local(size=6)": 4 * 6**2,
    "block_local(size=6, neighbours=1)": (4 + 2 * 3) * 6**2,
    "longformer(window=6, globals=2)": BAND(T, 3) + 2 * (2 * T) - 4 - (4 + 5) - (3 + 3 - 1),
    "prefix_lm(prefix=5)": T * (T + 1) // 2 + 5 * 4 // 2,
    "strided(stride=6)": sum(min(i, 6) + 1 + max(0, i // 6 - 1) for i in range(T)),
    "strided(stride=6, form=fixed, summary=2)": 4 * 21 + 36 * 2 * (0 + 1 + 2 + 3) // 6,
    # 12 blocks of 2: two global ones, and of the other ten each sees both, its window and two at random.
    "bigbird(block=2, random_blocks=2)": 4 * (2 * 12 + 10 * (2 + 3 + 2) - 2),
}


@pytest.mark.parametrize("spec", COUNTS)
def test_number_of_pairs(spec):
    assert _square(spec).sum() == COUNTS[spec]


def test_full_and_dilated_are_all_of_one_residue():
    square = _square("dilated(window=46, dilation=3)")
    np.testing.assert_array_equal(square, (np.arange(T)[:, None] - np.arange(T)) % 3 == 0)


# Random blocks.


def _draws(blocks, end, count, seed=0):
    draw = functools.partial(attention.bigbird_random_blocks, random_blocks=count, rng=jax.random.key(seed))
    return np.asarray(draw(jnp.asarray(blocks), jnp.asarray(end)))


@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_random_blocks_are_outside_of_window_and_ends(count):
    blocks, ends = np.meshgrid(np.arange(12), np.arange(-1, 12), indexing="ij")
    blocks, ends = blocks.ravel(), ends.ravel()
    for a, e, found in zip(blocks, ends, _draws(blocks, ends, count)):
        open_ = set(range(1, e)) - {a - 1, a, a + 1}
        drawn = [b for b in found if b >= 0]
        assert len(drawn) == len(set(drawn)) == min(count, len(open_))
        assert set(drawn) <= open_
        assert set(found) - set(drawn) <= {-1}


def test_random_blocks_are_uniform():
    """Of 2000 seeds: every block, and every pair of blocks, equally often."""
    draw = lambda seed: attention.bigbird_random_blocks(
        jnp.array([4]), jnp.array([9]), random_blocks=2, rng=jax.random.key(seed)
    )[0]
    found = np.asarray(jit(jax.vmap(draw))(jnp.arange(2000)))
    pairs, counts = np.unique(np.sort(found, axis=1), axis=0, return_counts=True)
    assert set(pairs.ravel()) == {1, 2, 6, 7, 8}
    assert len(pairs) == 10
    assert (np.abs(counts - 200) < 5 * math.sqrt(200 * 0.9)).all()


def test_random_blocks_differ_by_block_and_seed():
    found = _draws(np.arange(40), np.full(40, 40), 3)
    assert len(np.unique(found, axis=0)) > 35
    assert not np.array_equal(found, _draws(np.arange(40), np.full(40, 40), 3, seed=1))
    masks = [_square(f"bigbird(block=1, seed={seed})") for seed in (0, 0, 1)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


# Facts, errors, and what becomes of rows without a key.


def test_causal_is_said_where_it_is_true():
    segments = jnp.zeros(40, jnp.int32)
    for spec, _ in ROWS.values():
        mask = attention.build("mask", spec)
        later = np.triu(_pairs(mask, Call(q_segments=segments, k_segments=segments), 40, 40), 1).any()
        assert mask.causal == (not later) or spec == "local(window=0)", spec
    assert attention.build("mask", "prefix_lm(prefix=1)").causal
    assert not attention.build("mask", "prefix_lm(prefix=2)").causal


WINDOW = "window must be an even number >= 0, got {}"
ERRORS = {
    "local(window=-2)": WINDOW.format(-2),
    "local(window=3)": WINDOW.format(3),
    "dilated(window=3)": WINDOW.format(3),
    "dilated(dilation=0)": "dilation must be >= 1, got 0",
    "block_local(size=0)": "size must be >= 1, got 0",
    "block_local(neighbours=2)": "option 'neighbours' wants one of 0, 1",
    "longformer(window=5)": WINDOW.format(5),
    "longformer(globals=-1)": "globals must be >= 0, got -1",
    "bigbird(block=0)": "block must be >= 1, got 0",
    "bigbird(random_blocks=-1)": "random_blocks must be >= 0, got -1",
    "bigbird(seed=-1)": "seed must be >= 0, got -1",
    "prefix_lm(prefix=-1)": "prefix must be >= 0, got -1",
    "strided(stride=0)": "stride must be >= 1, got 0",
    "strided(stride=4, form=fixed, summary=5)": "summary must be from 1 to the stride of 4, got 5",
    "strided(stride=4, form=fixed, summary=0)": "summary must be from 1 to the stride of 4, got 0",
    "strided(stride=4, summary=2)": "summary is of form='fixed'; form='strided' has none, got 2",
}


@pytest.mark.parametrize("spec", ERRORS)
def test_errors(spec):
    with pytest.raises(ValueError, match=ERRORS[spec]):
        attention.build("mask", spec)


def test_errors_of_functions():
    x, rng = jnp.arange(3), jax.random.key(0)
    for given, message in (
        (lambda: attention.local_mask(x, x, window=1), "window must"),
        (lambda: attention.dilated_mask(x, x, window=2, dilation=0), "dilation must"),
        (lambda: attention.dilated_mask(x, x, window=1, dilation=1), "window must"),
        (lambda: attention.block_local_mask(x, x, size=0), "size must"),
        (lambda: attention.longformer_mask(x, x, window=2, globals=-1), "globals must"),
        (lambda: attention.bigbird_mask(x, x, jnp.array(2), block=0, random_blocks=1, rng=rng), "block must"),
        (lambda: attention.bigbird_mask(x, x, jnp.array(2), block=1, random_blocks=-1, rng=rng), "random_blocks must"),
        (lambda: attention.prefix_lm_mask(x, x, prefix=-1), "prefix must"),
        (lambda: attention.strided_mask(x, x, stride=0), "stride must"),
        (lambda: attention.fixed_mask(x, x, stride=2, summary=3), "summary must"),
    ):
        with pytest.raises(ValueError, match=message):
            given()


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (Call(), "q_segments and k_segments"),
        (Call(q_segments=jnp.zeros(5, jnp.int32)), "no k_segments"),
        (Call(k_segments=jnp.zeros(5, jnp.int32)), "no q_segments"),
    ],
)
def test_document_wants_segments(call, missing):
    with pytest.raises(ValueError, match=rf"{missing}; give attend call=Call\(q_segments=\.\.\., k_segments=\.\.\.\)"):
        attention.attend(*inputs(T=5, S=5), mask="document", call=call)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("mask", ["document & local(window=4)", "document & bigbird(block=4)"])
def test_rows_without_a_key_are_zeros(mask, kernel, small_blocks):
    """Masks that contradict each other are no error."""
    here, there = jnp.zeros(40, jnp.int32), jnp.arange(40) // 39
    call = Call(q_segments=here + 1, k_segments=jnp.stack([here, there]), k_valid=jnp.ones((2, 40), bool))

    def loss(arrays):
        output = attention.attend(*arrays, mask=mask, kernel=kernel, call=call)
        return jnp.sum(output**2), output

    (_, output), gradients = jit(jax.value_and_grad(loss, has_aux=True))(inputs())
    assert not output[0].any()
    assert bool(output[1, -1].any())
    for gradient in gradients:
        assert bool(jnp.isfinite(gradient).all())
        assert not gradient[0].any()
