r"""A query attends to the block of positions it is in, and to the blocks beside it if asked for.

Allowed: $\lfloor i/b \rfloor = \lfloor j/b \rfloor$, with `neighbours=1` also $\pm 1$
Sees: $b$, or $3b$
Traps: two neighbours on either side of a border do not see each other; `neighbours=1` mends that.
Source: Liu et al. 2018 (arXiv 1801.10198), section 4.2.3.
"""

import functools
from typing import Literal

from jaxtyping import Array, Bool, Int

from attention.masks._options import at_least
from attention.masks._tiles import near, tiles
from attention.positions import of_pairs
from attention.records import Mask

__all__ = ["block_local_mask"]


def block_local_mask(
    q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"], *, size: int, neighbours: Literal[0, 1] = 0
) -> Bool[Array, "*#B T S"]:
    """True where key and query are in the same block or in neighbouring ones, ``|⌊i / b⌋ - ⌊j / b⌋| <= neighbours``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      size: b >= 1, the positions of a block.
      neighbours: blocks seen on either side, 0 or 1.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for a size below 1 or other neighbours.

    Example:
      >>> attention.block_local_mask(jnp.array([2]), jnp.arange(5), size=2)
      [[False, False, True, True, False]]

    Source: Liu et al. 2018 (arXiv 1801.10198), section 4.2.3 "local attention", without neighbours; Zaheer et al. 2020
    (arXiv 2007.14062), appendix D, the blocked window with one on either side.
    """
    _check(size, neighbours)
    return abs((q_positions // size)[..., :, None] - (k_positions // size)[..., None, :]) <= neighbours


def _check(size: int, neighbours: int) -> None:
    at_least(1, size=size)
    if neighbours not in (0, 1):
        raise ValueError(f"neighbours must be 0 or 1, got {neighbours}")


def build(size: int = 64, neighbours: Literal[0, 1] = 0) -> Mask:
    """Blocks of ``size`` positions that see themselves, with ``neighbours=1`` also the block before and the one after.

    Liu et al. 2018 (arXiv 1801.10198), section 4.2.3.
    """
    _check(size, neighbours)
    apply = functools.partial(block_local_mask, size=size, neighbours=neighbours)
    return Mask(
        apply=lambda call, lengths: apply(*of_pairs(call, lengths))[..., None, :, :],
        blocks=lambda T, S, bq, bk, last: near(tiles(T, S, bq, bk), size, neighbours),
    )
