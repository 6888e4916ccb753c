r"""A query attends to a window around its position, |i - j| ≤ w/2.

Allowed: $\lvert i - j \rvert \le w/2$
Sees: $w + 1$
When: what decides is near, and texts are long. L layers see $Lw/2$ tokens to either side.
Traps: a window of w is $w + 1$ keys, half of them on either side; under `causal &` only the left half is left.
Source: Beltagy et al. 2020 (Longformer, arXiv 2004.05150), section 3.1.
"""

from jaxtyping import Array, Bool, Int

from attention.masks._options import half
from attention.masks._tiles import tiles, within
from attention.positions import of_pairs
from attention.records import Mask

__all__ = ["local_mask"]


def local_mask(q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"], *, window: int) -> Bool[Array, "*#B T S"]:
    """True where key and query are at most half a window apart, ``|i - j| <= window / 2``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      window: even width >= 0; a query sees ``window + 1`` keys, itself among them.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for an odd or negative window.

    Example:
      >>> attention.local_mask(jnp.arange(3), jnp.arange(3), window=2)
      [[True, True, False], [True, True, True], [False, True, True]]

    Source: Beltagy et al. 2020 (arXiv 2004.05150), section 3.1 "sliding window".
    """
    return abs(q_positions[..., :, None] - k_positions[..., None, :]) <= half(window)


def build(window: int = 64) -> Mask:
    """The symmetric window; ``causal & local(window=2w)`` sees the query and w earlier keys."""
    reach = half(window)
    return Mask(
        apply=lambda call, lengths: local_mask(*of_pairs(call, lengths), window=window)[..., None, :, :],
        blocks=lambda T, S, bq, bk, last: within(tiles(T, S, bq, bk), -reach, reach),
        band=(reach, reach),
    )
