"""Blocks that see the blocks beside them, the first and the last one, and a few at random.

Allowed: neighbouring blocks, first and last block, $r$ at random
Sees: $(5 + r) b$
Options: `seed` of the random blocks, the same in training and evaluation, and for all heads and layers.
Traps: code in wide use takes, in evaluation, the first block for every random one, whose keys then enter the softmax twice.
Here a key enters once.
Source: Zaheer et al. 2020 (arXiv 2007.14062), section 2 and appendix D.
"""

import functools
import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from attention.masks._options import at_least
from attention.masks._tiles import tiles
from attention.positions import last_key, of_pairs
from attention.records import Mask

__all__ = ["bigbird_mask", "bigbird_random_blocks"]


def bigbird_mask(
    q_positions: Int[Array, "*#B T"],
    k_positions: Int[Array, "*#B S"],
    last: Int[Array, "*#B"],
    *,
    block: int,
    random_blocks: int,
    rng: Key[Array, ""],
) -> Bool[Array, "*#B T S"]:
    """True in a window of blocks, for global blocks and some at random: ``|⌊i/b⌋ - ⌊j/b⌋| <= 1``, or one of the two ends, or R.

    The blocks 0 and ``⌊last / b⌋`` attend and are attended everywhere. R are the blocks of ``bigbird_random_blocks``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      last: the last position of each text, ``[*#B]``, so that the mask does not depend on padding.
      block: b >= 1, the positions of a block.
      random_blocks: r >= 0, blocks at random for each block of queries.
      rng: key of the random blocks.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for a block below 1 or negative random blocks.

    Example:
      >>> attention.bigbird_mask(jnp.array([3]), jnp.arange(7), jnp.array(6), block=1, random_blocks=0, rng=jax.random.key(0))
      [[True, False, True, True, True, False, True]]

    Source: Zaheer et al. 2020 (arXiv 2007.14062), section 2 and appendix D (the internal transformer construction).
    """
    at_least(1, block=block)
    at_least(0, random_blocks=random_blocks)
    rows, columns, end = q_positions // block, (k_positions // block)[..., None, :], (last // block)[..., None]
    chosen = bigbird_random_blocks(rows, end, random_blocks=random_blocks, rng=rng)
    of_all = lambda blocks, end: (blocks == 0) | (blocks == end)
    allowed = abs(rows[..., :, None] - columns) <= 1
    allowed = allowed | of_all(rows, end)[..., :, None] | of_all(columns, end[..., None])
    return functools.reduce(operator.or_, (columns == chosen[..., :, r, None] for r in range(random_blocks)), allowed)


def bigbird_random_blocks(
    blocks: Int[Array, "*#A"], end: Int[Array, "*#A"], *, random_blocks: int, rng: Key[Array, ""]
) -> Int[Array, "*#A r"]:
    """r blocks of keys for blocks of queries, drawn without replacement from ``{1 .. e-1} \\ {a-1, a, a+1}``.

    Args:
      blocks: a >= 0, the number of each block of queries.
      end: e, the number of the text's last block.
      random_blocks: r >= 0.
      rng: key of the draws; a block's depend on its number and on e, and on nothing else.

    Returns:
      The numbers of the blocks, -1 where there are fewer than r to draw from.

    Example:
      >>> attention.bigbird_random_blocks(jnp.array([2]), jnp.array([5]), random_blocks=2, rng=jax.random.key(0))
      [[4, -1]]

    Source: Zaheer et al. 2020 (arXiv 2007.14062), section 2: r blocks per block of queries, beside window and global ones.
    """
    draw = lambda block: jax.random.uniform(jax.random.fold_in(rng, block), (random_blocks,), jnp.float32)
    numbers = jax.vmap(draw)(blocks.ravel()).reshape(*blocks.shape, random_blocks)
    inside = lambda block: jnp.clip(block, 1, jnp.maximum(end, 1))
    first, after = inside(blocks - 1), inside(blocks + 2)  # the window's part of 1 .. e-1
    count = jnp.maximum(end - 1, 0) - (after - first)
    found = jnp.zeros((*count.shape, 0), jnp.int32)
    for r in range(random_blocks):
        left = jnp.maximum(count - r, 1)
        place = jnp.minimum((numbers[..., r] * left).astype(jnp.int32), left - 1)  # among those not yet drawn
        for other in range(r):
            place = place + (place >= found[..., other])
        found = jnp.sort(jnp.concatenate([found, place[..., None]], axis=-1), axis=-1)
    number = 1 + found
    number = number + jnp.where(number >= first[..., None], (after - first)[..., None], 0)
    return jnp.where(jnp.arange(random_blocks) < count[..., None], number, -1)


def build(block: int = 64, random_blocks: int = 3, seed: int = 0) -> Mask:
    """BigBird: a window of three blocks, the first and the last block global, and ``random_blocks`` per block of queries.

    The last block is that of the text's last valid key (in packed texts: of the largest position), and a block's random ones
    depend on ``seed``, its number and the number of the last block: padding changes nothing, training and evaluation are
    alike, and so are all heads and layers; in the authors' code they differ by head and layer.
    Zaheer et al. 2020 (arXiv 2007.14062), section 2 and appendix D.
    """
    at_least(1, block=block)
    at_least(0, random_blocks=random_blocks, seed=seed)

    def mask(q, k, last):
        return bigbird_mask(q, k, last, block=block, random_blocks=random_blocks, rng=jax.random.key(seed))

    def blocks(T, S, bq, bk, last):
        if last is None:
            return None
        t = tiles(T, S, bq, bk)
        found = mask(jnp.arange(0, T, block), jnp.arange(0, S, block), last)  # a block is as its first position
        for axis, first, end in ((-2, t.q_first, t.q_last), (-1, t.k_first, t.k_last)):
            first, end = first.ravel() // block, end.ravel() // block  # of the mask's blocks, those a kernel's block touches
            touched = (np.minimum(first + i, end) for i in range(1 + (end - first).max()))
            found = functools.reduce(operator.or_, (jnp.take(found, each, axis=axis) for each in touched))
        return found

    def limits(T, S, bq, bk):
        """Blocks of keys that touch the first, the last, the window's and the random blocks, where they lie apart."""
        rows = _touched(1, bq, block)
        keys = -(-block // bk) + _touched(rows + 2, block, bk) + (1 + rows * random_blocks) * _touched(1, block, bk)
        return keys, -(-block // bq) + _touched(1, block, bq)

    return Mask(
        apply=lambda call, lengths: mask(*of_pairs(call, lengths), last_key(call, lengths[1]))[..., None, :, :],
        blocks=blocks,
        limits=limits,
        ahead="its last block is where the text ends",
        whole_row="its last block, and those at random, go by where the row ends",
    )


def _touched(count: int, length: int, size: int) -> int:
    """The most blocks of ``size`` that ``count`` blocks of ``length`` in a row touch, both counted from 0."""
    grain = math.gcd(length, size)  # where both may begin
    return -(-(count * length // grain - 1) // (size // grain)) + 1
