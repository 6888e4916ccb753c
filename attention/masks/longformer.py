"""A window around each query, and a few first and last positions that see all and are seen by all.

Allowed: `local`, or $i$ or $j$ among the first $g$ positions or the last $l$ of the text
Sees: $w + 1 + g + l$
When: one token must see all: `pooling=cls` puts it at position 0, where `globals=1` finds it; `pooling=last` reads the last
one, which `last=1` lets see all.
Traps: this is who may attend; the paper also gives global tokens projections of their own, which is
[`mixer=longformer`](mixers.md#longformer).
Source: Beltagy et al. 2020 (arXiv 2004.05150), section 3.1.
"""

from jaxtyping import Array, Bool, Int

from attention.masks._options import at_least, half
from attention.masks._tiles import tiles, within
from attention.masks.local import local_mask
from attention.positions import last_key, of_pairs
from attention.records import Mask

__all__ = ["longformer_mask"]


def longformer_mask(
    q_positions: Int[Array, "*#B T"],
    k_positions: Int[Array, "*#B S"],
    *,
    window: int,
    globals: int,
    last: int = 0,
    end: Int[Array, "*#B"] | None = None,
) -> Bool[Array, "*#B T S"]:
    """True in a window and for global positions, ``|i - j| <= w / 2``, or i or j in ``[0, g)`` or in ``(e - l, e]``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      window: w, an even number >= 0.
      globals: g >= 0, the first positions, which attend and are attended everywhere.
      last: l >= 0, the last positions of a text, which do so too.
      end: e, the last position of each text, ``[*#B]``; needed where l > 0.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for an odd or negative window, negative counts, or last positions without an end.

    Example:
      >>> attention.longformer_mask(jnp.array([0, 3]), jnp.arange(5), window=2, globals=1)
      [[True, True, True, True, True], [True, False, True, True, True]]

    Source: Beltagy et al. 2020 (arXiv 2004.05150), section 3.1 "global attention", on positions chosen beforehand.
    """
    at_least(0, globals=globals, last=last)
    if end is None and last:
        raise ValueError(f"the last {last} positions of a text are global, and nobody said where it ends: give end")

    def of_all(positions):
        first = positions < globals
        return first if end is None else first | ((positions > end[..., None] - last) & (positions <= end[..., None]))

    seen_by_all = of_all(q_positions)[..., :, None] | of_all(k_positions)[..., None, :]
    return local_mask(q_positions, k_positions, window=window) | seen_by_all


def build(window: int = 64, globals: int = 1, last: int = 0) -> Mask:
    """A window, the first ``globals`` positions, where a ``cls`` token or a question is, and the ``last`` ones of the text.

    The text ends with its last valid key. This is who may attend to whom; the paper also gives the global positions projections
    of their own. Beltagy et al. 2020 (arXiv 2004.05150), section 3.1.
    """
    at_least(0, globals=globals, last=last)
    reach = half(window)

    def apply(call, lengths):
        options = {"window": window, "globals": globals, "last": last}
        end = last_key(call, lengths[1]) if last else None
        return longformer_mask(*of_pairs(call, lengths), **options, end=end)[..., None, :, :]

    def blocks(T, S, bq, bk, end):
        t = tiles(T, S, bq, bk)
        found = within(t, -reach, reach) | (t.q_first < globals) | (t.k_first < globals)
        if not last:
            return found
        if end is None:
            return None  # any block may be the last one
        e = end[..., None, None]
        touches = lambda first, after: (first <= e) & (after > e - last)
        return found | touches(t.q_first, t.q_last) | touches(t.k_first, t.k_last)

    def limits(T, S, bq, bk):
        """Blocks that touch the window, the first and the last positions, where they lie apart."""
        keys = _touched(bq + 2 * reach, bk) + -(-globals // bk) + _touched(last, bk)
        return keys, -(-globals // bq) + _touched(last, bq)

    ahead = "its last positions are where the text ends; use last=0" if last else ""
    reason = "its last positions go by where the row ends" if last else ""
    return Mask(apply=apply, blocks=blocks, limits=limits if last else None, ahead=ahead, whole_row=reason)


def _touched(count: int, size: int) -> int:
    """The most blocks of ``size`` that ``count`` positions in a row touch, wherever they begin."""
    return (count + size - 2) // size + 1
