"""The ``&`` of masks: a pair is allowed where every mask allows it."""

import functools
import operator

from attention.records import Mask


def combine(*masks: Mask) -> Mask:
    """The intersection of masks; causal if one of them is."""

    def both(results):
        present = [result for result in results if result is not None]
        return functools.reduce(operator.and_, present) if present else None

    return Mask(
        apply=lambda call, lengths: both(mask.apply(call, lengths) for mask in masks),
        blocks=lambda T, S, bq, bk: both(mask.blocks(T, S, bq, bk) for mask in masks),
        causal=any(mask.causal for mask in masks),
    )
