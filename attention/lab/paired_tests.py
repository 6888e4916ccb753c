"""Paired differences of one metric: p-value, the interval that agrees with it, and the power of the test.

One rule says which test a number of pairs gets, at the level that the test has after correction for its family:

====== ================================================================================
pairs  test that the mean difference is 0
====== ================================================================================
2-9    paired t-test
10-16  sign flips, all of them; the t-test where they are too few to reach the level
17-    sign flips, 65,536 of them drawn; the t-test where they are too few
====== ================================================================================

An interval holds the values that the same test does not reject: it leaves out 0 exactly where the p-value of 0 is at most the
level. Differences that are all equal have no spread for a t-test: sign flips test them whatever their number, and their
interval is the point, or everything where so few flips reject nothing. Draws are made with ``resampling_seed``, so that the
same differences give the same numbers.
"""

import bisect
import functools
import math
from typing import Any

import numpy as np
from scipy import optimize, special, stats

LEVEL = 0.05  # of the verdicts of a family; intervals cover 1 - LEVEL
POWER = 0.8
FLIPS_FROM = 10  # pairs
FLIPS = 2**16  # sign flips at most; up to 16 pairs that is all of them
MOST_PAIRS = 1_000_000  # no search for a number of pairs goes on beyond
_BATCH = 2**22  # means of flipped differences at once


def p_values(differences: np.ndarray, *, level: float = LEVEL, tolerance: float = 0.0, resampling_seed: int = 0) -> np.ndarray:
    """Two-sided p-value of the mean of each row of differences, by the table above.

    * t-test: ``t = mean / (s / sqrt(n))`` with ``s^2 = sum (d - mean)^2 / (n-1)``, n-1 degrees of freedom; exact for normal
      differences;
    * sign flips: the share of the ``2^n`` ways of flipping signs whose ``|mean|`` is at least the observed one; of N drawn
      ones, ``(1 + count) / (N + 1)``; exact where the differences are symmetric about 0 under the null.

    Example:
      >>> p_values(np.array([[0.2, 0.1, 0.4, 0.3, 0.5], [0.1, 0.1, 0.1, 0.1, 0.1]]))
      array([0.0132..., 0.0625    ])

    Args:
      differences: ``[... n]``, finite, n of 2 or more.
      level: that p will be compared with; it chooses the test.
      tolerance: differences, and means of them, no further apart than this are equal: rounding must not break a tie.
      resampling_seed: of the draws, 0 or more.

    Returns:
      float64 ``[...]``.

    Raises:
      ValueError: for fewer than two differences, or some that are not finite.

    Source:
      Student, "The probable error of a mean", Biometrika 6 (1908); R. A. Fisher, "The Design of Experiments" (1935), §21,
      and E. J. G. Pitman, "Significance tests which may be applied to samples from any populations", JRSS Supplement 4
      (1937), for sign flips; of drawn ones, arXiv 1603.05766.
    """
    d, mean, flat = _checked(differences, tolerance)
    n = d.shape[-1]
    if _flips_serve(n, level):
        flipped, _ = _subsets(n, resampling_seed)

        def share(rows: np.ndarray) -> np.ndarray:
            total, slack = rows.sum(axis=-1, keepdims=True), _slack(rows, tolerance)
            extreme = np.abs(total - 2 * rows @ flipped.T) >= np.abs(total) - n * slack
            return extreme.mean(axis=-1) if 2**n <= FLIPS else (1 + extreme.sum(axis=-1)) / (FLIPS + 1)

        p = _in_batches(share, d, len(flipped))
    else:
        test: Any = stats.ttest_1samp(d, 0.0, axis=-1)
        p = test.pvalue
    return np.where(flat, np.where(mean == 0, 1.0, 2.0 ** (1 - n)), p)


def intervals(
    differences: np.ndarray,
    *,
    level: float = LEVEL,
    one_sided: bool = False,
    tolerance: float = 0.0,
    resampling_seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the mean of each row of differences: the values that the test of ``p_values`` does not reject at ``level``.

    * Student-t: ``mean -+ t(1 - level/2, n-1) s / sqrt(n)``, s as in ``p_values``;
    * sign flips: a value below the mean is rejected as long as few enough sets of the differences have a mean at or below it,
      so that the ends are two of the means of such sets.

    Example:
      >>> intervals(np.array([0.2, 0.1, 0.4, 0.3, 0.5]))
      (array(0.1036...), array(0.4963...))

    Args:
      differences: as for ``p_values``.
      level: the chance that the interval misses the mean, as ``p_values`` takes it.
      one_sided: whether either end is missed with that chance, as two one-sided tests need it.
      tolerance: as for ``p_values``.
      resampling_seed: the same.

    Returns:
      The lower and the upper ends, each float64 ``[...]``; infinite where so few differences reject nothing.

    Raises:
      ValueError: as ``p_values``.

    Source:
      Student (1908); J. A. Hartigan, "Using subsample values as typical values", JASA 64 (1969), for the ends by sign flips.
    """
    d, mean, flat = _checked(differences, tolerance)
    n, outside = d.shape[-1], 2 * level if one_sided else level
    if _flips_serve(n, level):
        low, high = (sign * _lower(sign * d, outside, tolerance, resampling_seed) for sign in (1, -1))
    else:
        test: Any = stats.ttest_1samp(d, 0.0, axis=-1)
        low, high = test.confidence_interval(1 - outside)
    reach = 0.0 if 2.0 ** (1 - n) <= outside else math.inf
    return np.where(flat, mean - reach, low), np.where(flat, mean + reach, high)


def _lower(d: np.ndarray, outside: float, tolerance: float, resampling_seed: int) -> np.ndarray:
    """The lowest value that sign flips do not reject: the one at the rank that ``outside`` leaves among means of sets."""
    n = d.shape[-1]
    flipped, size = _subsets(n, resampling_seed)
    whole = 2**n <= FLIPS
    rank = math.floor(outside * len(flipped)) if whole else math.floor(outside * (FLIPS + 1)) - 1

    def end(rows: np.ndarray) -> np.ndarray:
        total, inside = rows.sum(axis=-1, keepdims=True), rows @ flipped.T
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.where(size > 0, inside / size, -math.inf)
            rest = np.where(size < n, (total - inside) / (n - size), -math.inf)
        found = np.partition(np.minimum(means, rest), rank, axis=-1)[..., rank]
        return np.where(np.abs(found) <= n * _slack(rows, tolerance)[..., 0] / 2, 0.0, found)

    return _in_batches(end, d, len(flipped))


def _flips_serve(pairs: int, level: float) -> bool:
    return pairs >= FLIPS_FROM and _smallest_flip(pairs) <= level


def _smallest_flip(pairs: int) -> float:
    return 2.0 ** (1 - pairs) if 2**pairs <= FLIPS else 1 / (FLIPS + 1)


@functools.lru_cache(4)
def _subsets(pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The sets of pairs that a sign flip turns, 0 or 1 ``[flips pairs]``, all or drawn; and their sizes ``[flips]``."""
    if 2**pairs <= FLIPS:
        turned = (np.arange(2**pairs)[:, None] >> np.arange(pairs)) & 1
    else:
        turned = np.random.default_rng(seed).integers(0, 2, (FLIPS, pairs), dtype=np.int8)
    return turned.astype(np.float64), turned.sum(axis=-1)


def _slack(rows: np.ndarray, tolerance: float) -> np.ndarray:
    """How far apart means may be and yet tie: the tolerance, or what adding up rounds."""
    rounding = 4 * np.finfo(np.float64).eps * np.abs(rows).max(axis=-1, keepdims=True)
    return np.maximum(tolerance, rounding)


def _in_batches(function: Any, d: np.ndarray, flips: int) -> np.ndarray:
    rows = d.reshape(-1, d.shape[-1])
    step = max(1, _BATCH // flips)
    parts = [function(rows[start : start + step]) for start in range(0, len(rows), step)]
    return np.concatenate(parts).reshape(d.shape[:-1]) if parts else np.empty(d.shape[:-1])


def _checked(differences: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The differences with another row in the place of each that is all one number, the means, and which rows are flat."""
    d = np.asarray(differences, np.float64)
    if not d.ndim or d.shape[-1] < 2:
        raise ValueError(f"paired differences must be two or more, [... n], got shape {d.shape}")
    if not np.isfinite(d).all():
        raise ValueError("paired differences must be finite numbers")
    mean = d.mean(axis=-1)
    flat = np.ptp(d, axis=-1) <= tolerance
    # t-test and bootstrap divide by the spread: what they say of the other row is not used
    return np.where(flat[..., None], np.arange(d.shape[-1]), d), np.where(np.abs(mean) <= tolerance, 0.0, mean), flat


def smallest_p(pairs: int, *, level: float = LEVEL) -> float | None:
    """The smallest attainable p-value: 0 for a t-test, ``2^(1-n)`` for all sign flips of n pairs.

    Example:
      >>> [smallest_p(pairs) for pairs in (1, 5, 10)]
      [None, 0.0, 0.001953125]

    Args:
      pairs: 1 or more.
      level: of the test, which chooses it as in ``p_values``.

    Returns:
      The p-value; None for one pair, which has no test.

    Raises:
      ValueError: for no pairs.

    Source:
      Both signs of every flip are in the count, so that two of ``2^n`` are as extreme as one can be; of N drawn flips the
      smallest is ``1 / (N + 1)``, Phipson and Smyth, arXiv 1603.05766.
    """
    if pairs < 1:
        raise ValueError(f"pairs must be 1 or more, got {pairs}")
    return None if pairs == 1 else _smallest_flip(pairs) if _flips_serve(pairs, level) else 0.0


def method(pairs: int, *, level: float = LEVEL) -> str:
    """The name of the test that a number of pairs gets.

    Example:
      >>> [method(pairs) for pairs in (5, 10, 20)]
      ['paired t-test', 'all sign flips', '65536 drawn sign flips']

    Args:
      pairs: 1 or more.
      level: of the test, which chooses it as in ``p_values``.

    Returns:
      "none" for one pair, else the test.

    Raises:
      ValueError: for no pairs.

    Source:
      The table of this module.
    """
    if pairs < 1:
        raise ValueError(f"pairs must be 1 or more, got {pairs}")
    if not _flips_serve(pairs, level):
        return "paired t-test" if pairs > 1 else "none"
    return f"{'all' if 2**pairs <= FLIPS else f'{FLIPS} drawn'} sign flips"


def power(effect: float, pairs: int, *, level: float) -> float:
    """Chance that pairs of a true effect are found with the right sign, ``P(T' > t(1 - level/2, n-1))``.

    T' is the noncentral t of n-1 degrees of freedom with noncentrality ``effect sqrt(n)``: normal differences. Sign flips give
    p in steps, k of them at or below ``level``: where k is 1 the differences must all have one sign, ``Phi(effect)^n``; else
    they are taken for a t-test at the level of k - 1 steps, within 3 points of the power simulated for 10 to 13 pairs.

    Example:
      >>> power(0.5, 34, level=0.05)
      0.807...

    Args:
      effect: mean of the differences in units of their standard deviation, of 0 or more.
      pairs: 2 or more.
      level: of the test, two-sided, in (0, 1).

    Returns:
      The probability.

    Raises:
      ValueError: for a value out of range.

    Source:
      J. Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), §2.
    """
    if not (math.isfinite(effect) and effect >= 0 and pairs >= 2 and 0 < level < 1):
        raise ValueError(f"power needs effect >= 0, pairs >= 2, 0 < level < 1, got {effect}, {pairs}, {level}")
    step = smallest_p(pairs, level=level)
    if step:
        steps = math.floor(level / step * (1 + 1e-12))
        if steps < 2:
            return float(stats.norm.cdf(effect)) ** pairs
        level = (steps - 1) * step
    quantile, shift = stats.t.isf(level / 2, pairs - 1), effect * math.sqrt(pairs)
    if shift > 1e4:  # the normal is nothing beside its shift, and nct fails to converge
        return float(special.chdtr(pairs - 1, (pairs - 1) * (shift / quantile) ** 2))
    return float(stats.nct.sf(quantile, pairs - 1, shift))


def detectable_effect(pairs: int, *, level: float) -> float:
    """The effect that a number of pairs detects with probability 0.8: ``power(effect, pairs, level=level) = 0.8``.

    Example:
      >>> detectable_effect(5, level=0.05)
      1.68...

    Args:
      pairs: 2 or more.
      level: of the test, two-sided, in (0, 1).

    Returns:
      The mean difference in units of the standard deviation of the differences.

    Raises:
      ValueError: for a value out of range.

    Source:
      As ``power``.
    """
    high = 1.0
    while power(high, pairs, level=level) < POWER:
        high *= 2
    found: Any = optimize.brentq(lambda effect: power(effect, pairs, level=level) - POWER, 0.0, high)
    return float(found)


def pairs_needed(effect: float, *, level: float, beyond: int = 1) -> int | None:
    """The fewest pairs, more than ``beyond``, that detect an effect with probability 0.8.

    Example:
      >>> pairs_needed(0.5, level=0.05)
      34

    Args:
      effect: mean of the differences in units of their standard deviation, of 0 or more.
      level: of the test, two-sided, in (0, 1).
      beyond: 1 or more.

    Returns:
      The number of pairs; None where a million do not suffice.

    Raises:
      ValueError: for a value out of range.

    Source:
      As ``power``.
    """
    if beyond < 1:
        raise ValueError(f"beyond must be 1 or more, got {beyond}")
    enough = lambda pairs: power(effect, pairs, level=level) >= POWER
    # up to where flips are drawn a pair more can be a step back: sign flips of 10 pairs find less than a t-test of 9
    rising = max(beyond + 1, FLIPS.bit_length())
    for pairs in range(beyond + 1, rising):
        if enough(pairs):
            return pairs
    found = rising + bisect.bisect_left(range(rising, MOST_PAIRS + 1), True, key=enough)
    return found if found <= MOST_PAIRS else None
