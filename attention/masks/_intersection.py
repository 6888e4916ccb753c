"""The ``&`` of masks: a pair is allowed where every mask allows it."""

import functools
import operator
from collections.abc import Sequence

from attention.records import Mask


def _band(bands: Sequence[tuple[int | None, int | None] | None]) -> tuple[int | None, int | None] | None:
    """What several bands have in common, which is a band; None where one of them is none."""
    known = [band for band in bands if band is not None]
    if len(known) < len(bands):
        return None
    before, after = (min((limit for limit in side if limit is not None), default=None) for side in zip(*known))
    return before, after


def combine(*masks: Mask) -> Mask:
    """The intersection of masks; causal if one of them is. Masks that contradict each other leave empty rows."""

    def both(results):
        present = [result for result in results if result is not None]
        return functools.reduce(operator.and_, present) if present else None

    applying, skipping, limited = (
        [hook for mask in masks if (hook := getattr(mask, name)) is not None] for name in ("apply", "blocks", "limits")
    )

    def limits(T, S, bq, bk):
        """A limit of one mask holds for the intersection too: the one under which the fewest blocks are read."""
        found = [limit for each in limited if (limit := each(T, S, bq, bk)) is not None]
        return min(found, default=None)

    return Mask(
        apply=(lambda call, lengths: both(each(call, lengths) for each in applying)) if applying else None,
        blocks=(lambda T, S, bq, bk, last: both(each(T, S, bq, bk, last) for each in skipping)) if skipping else None,
        limits=limits if limited else None,
        causal=any(mask.causal for mask in masks),
        ahead=next((mask.ahead for mask in masks if mask.ahead), ""),
        positional=any(mask.apply is not None and mask.positional for mask in masks),
        band=_band([mask.band for mask in masks]),
        packs=any(mask.packs for mask in masks),
        whole_row=next((mask.whole_row for mask in masks if mask.whole_row), ""),
    )
