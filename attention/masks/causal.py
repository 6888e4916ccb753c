r"""A query attends to its own and earlier positions, i - j ≥ 0.

Allowed: $j \le i$
Sees: $i + 1$
When: to test what was claimed of causal models: order without any encoding, ALiBi, CoPE.
Traps: the first states have seen almost nothing; a mean over all of them is not what causal models read. Use
`pooling=last`.
Source: Vaswani et al. 2017 (arXiv 1706.03762).
"""

from jaxtyping import Array, Bool, Int

from attention.masks._tiles import tiles, within
from attention.positions import of_pairs
from attention.records import Mask

__all__ = ["causal_mask"]


def causal_mask(q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"]) -> Bool[Array, "*#B T S"]:
    """True where the key is not later than the query, ``j <= i``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.

    Returns:
      bool ``[*#B T S]``.

    Example:
      >>> attention.causal_mask(jnp.arange(2), jnp.arange(2))
      [[True, False], [True, True]]

    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.3.
    """
    return q_positions[..., :, None] >= k_positions[..., None, :]


def build() -> Mask:
    """The causal mask."""
    return Mask(
        apply=lambda call, lengths: causal_mask(*of_pairs(call, lengths))[..., None, :, :],
        blocks=lambda T, S, bq, bk, last: within(tiles(T, S, bq, bk), 0, None),
        causal=True,
        band=(None, 0),
    )
