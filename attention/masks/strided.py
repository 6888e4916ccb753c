r"""The masks of the Sparse Transformer: what is near, and every l-th position, or the last positions of every block of l.

Allowed: $j \le i$, and $i - j \le l$ or $i \equiv j \bmod l$
Sees: about $l + i/l$
Options: `form=fixed` sees its block of $l$ and the last $c$ of every block (`summary`, $l/16$); `causal=False` is ours.
When: $l$ near $\sqrt T$ leaves about $T \sqrt T$ pairs, and two layers connect any two tokens.
Source: Child et al. 2019 (Sparse Transformer, arXiv 1904.10509), section 4.3.
"""

from typing import Literal

from jaxtyping import Array, Bool, Int

from attention.masks._options import at_least
from attention.masks._tiles import near, tiles, within
from attention.positions import of_pairs
from attention.records import Mask

__all__ = ["fixed_mask", "strided_mask"]

Form = Literal["strided", "fixed"]


def strided_mask(
    q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"], *, stride: int, causal: bool = True
) -> Bool[Array, "*#B T S"]:
    """True for the last l keys and every l-th before, ``0 <= i - j <= l``, or ``i - j >= 0`` a multiple of l.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      stride: l >= 1.
      causal: whether later keys are hidden, as in the paper; else the same of ``|i - j|``, which is ours.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for a stride below 1.

    Example:
      >>> attention.strided_mask(jnp.array([5]), jnp.arange(7), stride=2)
      [[False, True, False, True, True, True, False]]

    Source: Child et al. 2019 (arXiv 1904.10509), section 4.3, the strided pattern, both sets of keys in one head (section 5.2).
    """
    at_least(1, stride=stride)
    distance = q_positions[..., :, None] - k_positions[..., None, :]
    allowed = (abs(distance) <= stride) | (distance % stride == 0)
    return allowed & (distance >= 0) if causal else allowed


def fixed_mask(
    q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"], *, stride: int, summary: int, causal: bool = True
) -> Bool[Array, "*#B T S"]:
    """True in the block of l positions the query is in, and for the last c of every block, ``j mod l >= l - c``.

    Args:
      q_positions: positions of the queries, ``[*#B T]``.
      k_positions: positions of the keys, ``[*#B S]``.
      stride: l >= 1, the positions of a block.
      summary: c, 1 to l.
      causal: whether later keys are hidden, as in the paper; else they are not, which is ours.

    Returns:
      bool ``[*#B T S]``.

    Raises:
      ValueError: for a stride below 1, or a summary outside ``[1, l]``.

    Example:
      >>> attention.fixed_mask(jnp.array([5]), jnp.arange(7), stride=3, summary=1)
      [[False, False, True, True, True, True, False]]

    Source: Child et al. 2019 (arXiv 1904.10509), section 4.3, the fixed pattern, both sets of keys in one head (section 5.2).
    """
    _check(stride, summary)
    same = (q_positions // stride)[..., :, None] == (k_positions // stride)[..., None, :]
    allowed = same | (k_positions % stride >= stride - summary)[..., None, :]
    return allowed & (q_positions[..., :, None] >= k_positions[..., None, :]) if causal else allowed


def _check(stride: int, summary: int) -> None:
    at_least(1, stride=stride)
    if not 1 <= summary <= stride:
        raise ValueError(f"summary must be from 1 to the stride of {stride}, got {summary}")


def build(stride: int = 128, form: Form = "strided", summary: int | None = None, causal: bool = True) -> Mask:
    """The Sparse Transformer's patterns: ``form='strided'`` for images and sound, ``'fixed'`` for text.

    ``summary`` is c of the fixed form, stride / 16 unless given (8 for a stride of 128, as in the paper). The paper's patterns
    are causal; ``causal=False`` leaves later keys in, which is ours. The paper's heads may also have one of the two sets of
    keys each; here every head has both. About ``T √T`` pairs for a stride near √T.
    Child et al. 2019 (arXiv 1904.10509), section 4.3.
    """
    at_least(1, stride=stride)
    if form == "strided" and summary is not None:
        raise ValueError(f"summary is of form='fixed'; form='strided' has none, got {summary}")
    c = max(1, stride // 16) if summary is None else summary
    _check(stride, c)

    def mask(q, k):
        if form == "strided":
            return strided_mask(q, k, stride=stride, causal=causal)
        return fixed_mask(q, k, stride=stride, summary=c, causal=causal)

    def blocks(T, S, bq, bk, last):
        t = tiles(T, S, bq, bk)
        lowest = 0 if causal else None
        if form == "strided":
            return within(t, 0 if causal else -stride, stride) | within(t, lowest, None, stride)
        # The first key at or after the block's first one that ends a block of l.
        ending = t.k_first + (stride - c - t.k_first % stride).clip(0)
        summaries = (ending <= t.k_last) & (not causal or ending <= t.q_last)
        return (near(t, stride, 0) | summaries) & within(t, lowest, None)

    return Mask(
        apply=lambda call, lengths: mask(*of_pairs(call, lengths))[..., None, :, :],
        blocks=blocks,
        causal=causal,
    )
