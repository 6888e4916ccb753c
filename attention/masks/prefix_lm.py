r"""A prefix that every query sees, and after it earlier positions alone.

Allowed: $j \le i$ or $j < p$
Sees: $\max(i + 1, p)$
Traps: the prefix has one length for all texts.
Source: Raffel et al. 2019 (T5, arXiv 1910.10683), section 3.2.1.
"""

from jaxtyping import Array, Bool, Int

from attention.masks._options import at_least
from attention.masks._tiles import tiles, within
from attention.masks.causal import causal_mask
from attention.positions import of_pairs
from attention.records import Mask

__all__ = ["prefix_lm_mask"]


def prefix_lm_mask(
    q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"], *, prefix: int
) -> Bool[Array, "*#B T S"]:
    """True where the key is in the prefix or not later than the query, ``j < p`` or ``j <= i``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      prefix: p >= 0, the positions all see; 0 is ``causal_mask``.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for a negative prefix.

    Example:
      >>> attention.prefix_lm_mask(jnp.array([0, 2]), jnp.arange(4), prefix=2)
      [[True, True, False, False], [True, True, True, False]]

    Source: Raffel et al. 2019 (arXiv 1910.10683), section 3.2.1 "causal masking with prefix".
    """
    at_least(0, prefix=prefix)
    return causal_mask(q_positions, k_positions) | (k_positions < prefix)[..., None, :]


def build(prefix: int = 16) -> Mask:
    """Causal but for the first ``prefix`` positions, which all see; the same number for every text.

    Raffel et al. 2019 (arXiv 1910.10683), section 3.2.1.
    """
    at_least(0, prefix=prefix)

    def blocks(T, S, bq, bk, last):
        t = tiles(T, S, bq, bk)
        return within(t, 0, None) | (t.k_first < prefix)

    return Mask(
        apply=lambda call, lengths: prefix_lm_mask(*of_pairs(call, lengths), prefix=prefix)[..., None, :, :],
        blocks=blocks,
        causal=prefix < 2,  # position 0 is no later than any
    )
