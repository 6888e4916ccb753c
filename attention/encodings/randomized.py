r"""Positions drawn at random from a longer range, in order, so that those of long texts have been seen in short ones.

```math
p_0 < p_1 < \ldots < p_{n-1} \quad \text{drawn without replacement from } \{0, \ldots, M - 1\}
```

Parameters: those of `inner`, by default `rope`, whose tables get M rows; `max_position` M = 2048.
Claim: trained on up to 40 tokens and tested on up to 500, 12 points more on average over 15 tasks and several encodings.
Traps: M must cover the longest test text, or it is an error. At test positions are drawn too: here one draw for all texts
of a length, from the data's seed. In training every example has its own draw, the paper's batch one. Only the order of
the positions given counts, and scores are rough, as the figure shows.
Source: Ruoss et al. 2023 (arXiv 2305.16843), section 3.
Family: Around another
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from attention.carries import varying
from attention.encodings._wrapper import draws_from, sequence_of, wrap
from attention.placement import check_not_explicit
from attention.records import Call, Encoding, EncodingClaims

__all__ = ["randomized_positions"]

LARGEST = 2**16  # draws keep at least 15 random bits beside a position


def randomized_positions(
    rng: jax.Array, count: Int[Array, ""] | int, *, length: int, max_position: int = 2048
) -> Int[Array, "length"]:
    """``p_0 < p_1 < ... < p_(n-1)``, drawn uniformly without replacement from {0 .. max_position-1}.

    Fewer positions of the same key are a subset of more: the lowest n of one random order.

    Args:
      rng: the key.
      count: n, at most ``length``; may be traced.
      length: size of the result.
      max_position: how many positions there are, from ``length`` to 65536.

    Returns:
      int32 ``[length]``, zeros after the first n.

    Raises:
      ValueError: for more positions than there are, or a ``max_position`` out of range.

    Example:
      >>> attention.randomized_positions(jax.random.key(0), 3, length=3, max_position=3)
      [0, 1, 2]

    Source: Ruoss et al. 2023 (arXiv 2305.16843), section 3.
    """
    _check(max_position)
    if length > max_position:
        raise ValueError(f"randomized has {max_position} positions to draw from, got a sequence of {length}")
    width = (max_position - 1).bit_length()
    order = jax.random.bits(rng, (max_position,), jnp.uint32) >> 1 >> width << width
    order = order | jnp.arange(max_position, dtype=jnp.uint32)  # all different

    # The n lowest are found by halving, which is twice as fast as sorting them.
    def refine(step, bound):
        higher = bound | (jnp.uint32(1) << (31 - step).astype(jnp.uint32))
        return jnp.where(jnp.sum(order < higher) <= count, higher, bound)

    chosen = order < jax.lax.fori_loop(0, 32, refine, varying(jnp.uint32(0), order, count))
    found = jnp.searchsorted(jnp.cumsum(chosen), jnp.arange(1, length + 1))
    return jnp.where(jnp.arange(length) < count, found, 0).astype(jnp.int32)


def _ranks(positions: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How many different valid positions ``[T]`` are below each, and how many there are."""
    whole = jnp.issubdtype(positions.dtype, jnp.integer)
    last = jnp.iinfo(positions.dtype).max if whole else jnp.inf
    ordered = jnp.sort(jnp.where(valid, positions, last))
    new = jnp.concatenate([jnp.ones(1, jnp.bool_), ordered[1:] != ordered[:-1]]) & (ordered != last)
    if isinstance(positions.shape[0], int):
        index = jnp.searchsorted(ordered, positions)
    else:  # jax.export leaves it open, which searchsorted cannot
        index = jnp.sum(ordered < positions[:, None], axis=-1)
    return (jnp.cumsum(new) - 1)[index], jnp.sum(new)


def _check(max_position: int) -> None:
    if not 1 <= max_position <= LARGEST:
        raise ValueError(f"max_position must be in [1, {LARGEST}], got {max_position}")


def build(inner: Encoding | str = "rope", max_position: int = 2048) -> Encoding:
    """``inner`` on n random positions from {0 .. ``max_position`` - 1} in the order of the n tokens' own positions.

    Tokens at one position stay at one; nothing else of the positions given matters. In training every example has its own draw;
    in evaluation all texts of a length have the same, from ``call.rng``, which a run fixes by its data's seed, or from a key
    of zero where there is none. Tables of ``inner`` get ``max_position`` rows. Masks see the positions as they came.
    Ruoss et al. 2023 (arXiv 2305.16843), who draw once for a batch.
    """
    assert isinstance(inner, Encoding)
    _check(max_position)
    if isinstance(inner.max_length, int) and inner.max_length < max_position:
        raise ValueError(f"max_position {max_position} is beyond the {inner.max_length} positions of the encoding inside")

    def positions(call: Call) -> Call:
        q_positions, k_positions, valid = sequence_of(call, "randomized")
        check_not_explicit("randomized", valid)
        *batch, T = valid.shape

        def draw(rng, valid, *sides):
            drawn = []
            for side in sides:
                rank, count = _ranks(side, valid)
                sample = randomized_positions(rng, count, length=T, max_position=max_position)
                drawn.append(jnp.where(valid, sample[rank], 0))
            return drawn

        if call.train:
            rng = jax.random.split(draws_from(call, "randomized"), tuple(batch))
        else:
            rng = jax.random.key(0) if call.rng is None else call.rng
        for _ in batch:
            draw = jax.vmap(draw, in_axes=(0 if call.train else None, 0, 0, 0))
        queries, keys = draw(rng, valid, q_positions, k_positions)
        return dataclasses.replace(call, q_positions=queries, k_positions=keys)

    reason = "it draws as many positions as the row has tokens"
    facts = {"max_length": max_position, "redraws": True, "whole_row": reason, "claims": EncodingClaims(extrapolates=True)}
    return wrap(inner, positions=positions, seen=lambda length: max_position, **facts)
