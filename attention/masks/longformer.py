"""A window around each query, and a few first positions that see all and are seen by all.

Allowed: `local`, or $i < g$, or $j < g$
Sees: $w + 1 + g$
When: one token must see all: `pooling=cls` puts it at position 0, where `globals=1` finds it.
Traps: this is who may attend; the paper also gives global tokens projections of their own, which is
[`mixer=longformer`](mixers.md#longformer).
Source: Beltagy et al. 2020 (arXiv 2004.05150), section 3.1.
"""

from jaxtyping import Array, Bool, Int

from attention.masks._options import at_least, half
from attention.masks._tiles import tiles, within
from attention.masks.local import local_mask
from attention.positions import of_pairs
from attention.records import Mask

__all__ = ["longformer_mask"]


def longformer_mask(
    q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"], *, window: int, globals: int
) -> Bool[Array, "*#B T S"]:
    """True in a window and for global positions, ``|i - j| <= w / 2`` or ``i < g`` or ``j < g``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      window: w, an even number >= 0.
      globals: g >= 0, the first positions, which attend and are attended everywhere.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for an odd or negative window, or negative globals.

    Example:
      >>> attention.longformer_mask(jnp.array([0, 3]), jnp.arange(5), window=2, globals=1)
      [[True, True, True, True, True], [True, False, True, True, True]]

    Source: Beltagy et al. 2020 (arXiv 2004.05150), section 3.1 "global attention".
    """
    at_least(0, globals=globals)
    seen_by_all = (q_positions < globals)[..., :, None] | (k_positions < globals)[..., None, :]
    return local_mask(q_positions, k_positions, window=window) | seen_by_all


def build(window: int = 64, globals: int = 1) -> Mask:
    """A window and the first ``globals`` positions, where a ``cls`` token or a question is.

    This is who may attend to whom; the paper also gives the global positions projections of their own.
    Beltagy et al. 2020 (arXiv 2004.05150), section 3.1.
    """
    at_least(0, globals=globals)
    reach = half(window)

    def blocks(T, S, bq, bk, last):
        t = tiles(T, S, bq, bk)
        return within(t, -reach, reach) | (t.q_first < globals) | (t.k_first < globals)

    options = {"window": window, "globals": globals}
    return Mask(
        apply=lambda call, lengths: longformer_mask(*of_pairs(call, lengths), **options)[..., None, :, :],
        blocks=blocks,
    )
