r"""A query attends to every r-th position of a window, |i - j| ≤ w·r/2 with i - j a multiple of r.

Allowed: $\lvert i - j \rvert \le wr/2$, $i \equiv j \bmod r$
Sees: $w + 1$
When: as `local`, with a wider view of the same number of keys.
Traps: dilation skips neighbours, and in the paper only some heads have it; here all do.
Source: Beltagy et al. 2020 (Longformer, arXiv 2004.05150), section 3.1.
"""

from jaxtyping import Array, Bool, Int

from attention.masks._options import at_least, half
from attention.masks._tiles import tiles, within
from attention.positions import of_pairs
from attention.records import Mask

__all__ = ["dilated_mask"]


def dilated_mask(
    q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"], *, window: int, dilation: int
) -> Bool[Array, "*#B T S"]:
    """True for every r-th key of a window, ``|i - j| <= w r / 2`` and ``i - j ≡ 0 mod r``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      window: w, an even number >= 0; a query sees ``w + 1`` keys, itself among them.
      dilation: r >= 1, from one key to the next; 1 is ``local_mask``.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for an odd or negative window, or a dilation below 1.

    Example:
      >>> attention.dilated_mask(jnp.array([2]), jnp.arange(6), window=2, dilation=2)
      [[True, False, True, False, True, False]]

    Source: Beltagy et al. 2020 (arXiv 2004.05150), section 3.1 "dilated sliding window".
    """
    at_least(1, dilation=dilation)
    distance = q_positions[..., :, None] - k_positions[..., None, :]
    return (abs(distance) <= half(window) * dilation) & (distance % dilation == 0)


def build(window: int = 64, dilation: int = 2) -> Mask:
    """The dilated window, ``window + 1`` keys that are ``dilation`` apart.

    All heads have the same dilation; in the paper some heads of the upper layers have one and the others none. A kernel skips
    what is outside of the window, and between its keys the blocks that are smaller than the dilation.
    Beltagy et al. 2020 (arXiv 2004.05150), section 3.1.
    """
    at_least(1, dilation=dilation)
    reach = half(window) * dilation
    return Mask(
        apply=lambda call, lengths: dilated_mask(*of_pairs(call, lengths), window=window, dilation=dilation)[..., None, :, :],
        blocks=lambda T, S, bq, bk, last: within(tiles(T, S, bq, bk), -reach, reach, dilation),
    )
