"""Evidence of BigBird's blocks: window, ends and random ones."""

import functools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.helpers import jit
from tests.support.masks import square
from tests.support.row import Row


def draws(blocks, end, count, seed=0):
    draw = functools.partial(attention.bigbird_random_blocks, random_blocks=count, rng=jax.random.key(seed))
    return np.asarray(draw(jnp.asarray(blocks), jnp.asarray(end)))


@functools.cache
def _chosen(end, count, seed):
    """Of every block of queries, the random blocks of keys."""
    return [set(each) for each in draws(np.arange(64), np.full(64, end), count, seed).tolist()]


def random_blocks(count, seed=0):
    """The library's draws, which have tests of their own below."""
    return lambda a, e: _chosen(e, count, seed)[a]


def bigbird(p, block, chosen):
    """``chosen(a, e)``: the random blocks of keys for the block a of queries in a text that ends with block e."""
    a, b, e = p.i // block, p.j // block, p.last // block
    return abs(a - b) <= 1 or 0 in (a, b) or e in (a, b) or b in chosen(a, e)


ROW = Row(
    "bigbird(block=2, random_blocks=2, seed=3)",
    {"block": "3", "random_blocks": "1", "seed": "0"},
    MaskEvidence(
        (
            MaskCase(
                "bigbird(block=2, random_blocks=2, seed=3)",
                lambda p: bigbird(p, 2, random_blocks(2, 3)),
                {90},
            ),
            MaskCase("bigbird(block=5, random_blocks=0)", lambda p: bigbird(p, 5, lambda a, e: ()), {64, 90}),
        ),
        # 12 blocks of 2: two global ones, and of the other ten each sees both, its window and two at random.
        counts={"bigbird(block=2, random_blocks=2)": 4 * (2 * 12 + 10 * (2 + 3 + 2) - 2)},
        equal={f"bigbird({options})": "full" for options in ("block=12", "block=24", "block=8", "block=3, random_blocks=9")},
        errors={
            "bigbird(block=0)": "block must be >= 1, got 0",
            "bigbird(random_blocks=-1)": "random_blocks must be >= 0, got -1",
            "bigbird(seed=-1)": "seed must be >= 0, got -1",
        },
    ),
)


@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_random_blocks_are_outside_of_window_and_ends(count):
    blocks, ends = np.meshgrid(np.arange(12), np.arange(-1, 12), indexing="ij")
    blocks, ends = blocks.ravel(), ends.ravel()
    for a, e, found in zip(blocks, ends, draws(blocks, ends, count)):
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
    found = draws(np.arange(40), np.full(40, 40), 3)
    assert len(np.unique(found, axis=0)) > 35
    assert not np.array_equal(found, draws(np.arange(40), np.full(40, 40), 3, seed=1))
    masks = [square(f"bigbird(block=1, seed={seed})") for seed in (0, 0, 1)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


def test_blocks_of_texts_of_different_lengths():
    mask, last = attention.build("mask", "causal & bigbird(block=3, random_blocks=1)"), jnp.array([[7, 20], [-1, 39]])
    found = mask.blocks(40, 40, 8, 4, last)
    assert found.shape == (2, 2, 5, 10)
    for place in np.ndindex(2, 2):
        np.testing.assert_array_equal(found[place], mask.blocks(40, 40, 8, 4, last[place]))


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
