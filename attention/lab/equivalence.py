"""Two one-sided tests: whether a difference is shown to be smaller than a margin, and what it takes to show that.

Not distinguishable is not equal. An effect is excluded where a one-sided test rejects it; two variants are equivalent within a
margin where the effects ``-margin`` and ``+margin`` are both excluded. What is excluded at either end is what
``paired_tests.intervals(..., one_sided=True)`` leaves out.
"""

import bisect
import math

import numpy as np
from scipy import stats

from attention.lab import paired_tests


def p_values(
    differences: np.ndarray,
    margin: float,
    *,
    level: float = paired_tests.LEVEL,
    tolerance: float = 0.0,
    resampling_seed: int = 0,
) -> np.ndarray:
    """p-value of ``|mean| >= margin`` of each row of differences: the greater of two one-sided ones, at -margin and +margin.

    Either is half of the two-sided p of the shifted differences, on the side of 0 where the mean lies.

    Example:
      >>> p_values(np.array([0.1, -0.2, 0.3, 0.0, 0.1]), 0.5)
      np.float64(0.0028...)

    Args:
      differences: ``[... n]``, finite, n of 2 or more.
      margin: above 0.
      level: that p will be compared with; it chooses the test as in ``paired_tests.p_values``.
      tolerance: as there.
      resampling_seed: as there.

    Returns:
      float64 ``[...]``.

    Raises:
      ValueError: for fewer than two differences, some that are not finite, or no such margin.

    Source:
      D. Schuirmann, "A comparison of the two one-sided tests procedure and the power approach", Journal of Pharmacokinetics
      and Biopharmaceutics 15 (1987).
    """
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"a margin must be a finite number above 0, got {margin}")
    d = np.asarray(differences, np.float64)
    options = {"level": level, "tolerance": tolerance, "resampling_seed": resampling_seed}

    def beyond(shifted: np.ndarray) -> np.ndarray:
        """Of a mean of 0 or less."""
        half = paired_tests.p_values(shifted, **options) / 2
        return np.where(shifted.mean(axis=-1) > 0, half, 1 - half)

    return np.maximum(beyond(d + margin), beyond(margin - d))


def pairs_needed(margin: float, *, level: float) -> int | None:
    """The fewest pairs that show a difference of 0 to be within a margin with probability 0.8, by t-tests.

    ``(t(1 - level, n-1) + t(0.9, n-1)) / sqrt(n) <= margin``.

    Example:
      >>> pairs_needed(0.5, level=0.05)
      36

    Args:
      margin: in units of the standard deviation of the differences, above 0.
      level: of each one-sided test, in (0, 1).

    Returns:
      The number of pairs, 2 or more; None where a million do not suffice.

    Raises:
      ValueError: for a value out of range.

    Source:
      S. Julious, "Sample sizes for clinical trials with normal data", Statistics in Medicine 23 (2004), for a true difference
      of 0.
    """
    if not (margin > 0 and 0 < level < 1):
        raise ValueError(f"pairs_needed needs a margin above 0 and 0 < level < 1, got {margin}, {level}")

    def enough(pairs: int) -> bool:
        reach = stats.t.isf(level, pairs - 1) + stats.t.isf((1 - paired_tests.POWER) / 2, pairs - 1)
        return bool(reach / math.sqrt(pairs) <= margin)

    found = 2 + bisect.bisect_left(range(2, paired_tests.MOST_PAIRS + 1), True, key=enough)
    return found if found <= paired_tests.MOST_PAIRS else None
