"""A query attends to the segment it is in: documents or sentences packed into one sequence do not see each other.

Allowed: same segment
Sees: its segment
When: `config.data.segments=sentences` (or `lines`): sentences of a text, or documents packed into one sequence, do not see
each other. With `config.data.positions=segment` positions start anew in each.
Traps: nothing is skipped, because where segments end is known only when the batch is. A segment is a run of tokens: what
goes along a row, such as a sum or a convolution, starts anew where another begins, as if each were alone.
Source: Krell et al. 2021 (arXiv 2107.02027), section 3.3.
"""

from jaxtyping import Array, Bool, Int

from attention.records import Mask

__all__ = ["document_mask"]


def document_mask(q_segments: Int[Array, "*#B T"], k_segments: Int[Array, "*#B S"]) -> Bool[Array, "*#B T S"]:
    """True where key and query are of the same segment, ``s_i = s_j``.

    Args:
      q_segments: the segment of every query, ``[*#B T]``; any numbers, in any order.
      k_segments: the segment of every key, ``[*#B S]``.

    Returns:
      bool ``[*#B T S]``.

    Example:
      >>> attention.document_mask(jnp.array([0, 1]), jnp.array([0, 0, 1]))
      [[True, True, False], [False, False, True]]

    Source: Krell et al. 2021 (arXiv 2107.02027), section 3.3, for packed sequences.
    """
    return q_segments[..., :, None] == k_segments[..., None, :]


def build() -> Mask:
    """Pairs of the same segment. Nothing is skipped, because where segments end is not known in advance.

    Krell et al. 2021 (arXiv 2107.02027).
    """

    def apply(call, lengths):
        if call.q_segments is None or call.k_segments is None:
            missing = " and ".join(name for name in ("q_segments", "k_segments") if getattr(call, name) is None)
            raise ValueError(
                f"the mask document wants to know the segment of every token, got no {missing}; give attend "
                "call=Call(q_segments=..., k_segments=...), int32 [*#B T] and [*#B S], or a layer segments=..., int32 [B T]"
            )
        return document_mask(call.q_segments, call.k_segments)[..., None, :, :]

    return Mask(apply=apply, positional=False, packs=True)
