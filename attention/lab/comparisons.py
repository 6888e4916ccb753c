"""What the members of a sweep say: variants against a baseline, interactions of two axes, and two runs example by example.

Everything is paired. The members of a variant and of the baseline that have one seed share the order of the examples and the
draws of dropout, so that their difference has less noise than either. ``paired.py`` says which test a number of pairs gets.
A verdict is given on the p-value after Holm's correction over the family; the interval beside it is for one difference alone
and covers 95 %, so that it may exclude 0 where the verdict is "not distinguishable".

A member is a number, or None where it failed (a loss that was not finite, a process that died). Its pair is left out and
counted: a variant that fails where the baseline does not is not shown to be as good by the seeds that are left.
"""

import math
from collections.abc import Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import stats

from attention.lab import paired_tests
from attention.specs import nearest

Members = Mapping[int, float | None]
Key = TypeVar("Key", bound=Hashable)

ROUNDING = 1e-12  # metrics that differ by less, in units of the greatest, differ by rounding


class Comparison(NamedTuple):
    """One difference and all that is known about it; None where too few pairs, or no spread, leave a value undefined."""

    pairs: int  # seeds for which every member is there
    left_out: int  # seeds for which one failed or is missing
    difference: float | None = None  # mean over pairs of variant - baseline
    low: float | None = None  # 95 % interval of the difference, not corrected for the family; None below two pairs
    high: float | None = None
    p: float | None = None  # two-sided, not corrected; None below two pairs
    method: str = "none"  # of p and of the interval
    smallest_p: float | None = None  # attainable with this number of pairs; adjusted is at least comparisons times it
    effect: float | None = None  # difference in units of the standard deviation of the differences, d_z; None without spread
    detectable: float | None = None  # difference detected with probability 0.8; None where none could be, or without spread
    seeds_needed: int | None = None  # pairs that detect this difference with probability 0.8; None for 0, or beyond a million
    comparisons: int = 0  # in the family: those with a p
    adjusted: float | None = None  # p after Holm's correction over the family
    verdict: str = "no pair"  # "better", "worse", "not distinguishable", "one seed" or "no pair"


def compare(
    baseline: Members,
    variant: Members,
    *,
    higher_is_better: bool = True,
    names: tuple[str, str] = ("baseline", "variant"),
    resampling_seed: int = 0,
) -> Comparison:
    """One variant against a baseline, ``mean over seeds of variant - baseline``: a family of one, see ``family``.

    Example:
      >>> found = compare({0: 0.80, 1: 0.82, 2: 0.81, 3: None}, {0: 0.84, 1: 0.85, 2: 0.86, 3: 0.84})
      >>> found.pairs, found.left_out, round(found.difference, 6), round(found.p, 4), found.verdict
      (3, 1, 0.04, 0.0202, 'better')

    Args:
      baseline: the metric of each member by seed, None for one that failed.
      variant: the same.
      higher_is_better: whether more of the metric is better; False for a loss.
      names: of baseline and variant, for errors.
      resampling_seed: of sign flips and bootstrap, 0 or more.

    Returns:
      A ``Comparison``; verdict "one seed" for one pair.

    Raises:
      ValueError: for no pair, a seed that is no integer, or a value that is not finite.

    Source:
      As ``family``.
    """
    contrast = _contrast([(1, names[1], variant), (-1, names[0], baseline)])
    if not len(contrast.differences):
        raise ValueError(f"{names[1]} and {names[0]} have no seed in common that both finished; {contrast.left_out} left out")
    return _judged({names[1]: contrast}, higher_is_better, resampling_seed)[names[1]]


def family(
    baseline: str, results: Mapping[str, Members], *, higher_is_better: bool = True, resampling_seed: int = 0
) -> dict[str, Comparison]:
    """Every variant against the baseline, ``mean over seeds of variant - baseline``, with Holm's correction over them.

    * effect: ``d_z = mean / s`` with the sample standard deviation s of the differences;
    * adjusted: ``holm`` over the variants that have a p, m of them;
    * verdict: better or worse where adjusted is 0.05 or less;
    * detectable and seeds_needed: power 0.8 at level ``0.05 / m``, which Holm's first step asks of the smallest p. Both
      take the observed spread, and seeds_needed the observed difference, for the true one: with few seeds, a rough guide.

    Example:
      >>> accuracy = {"none": {0: 0.80, 1: 0.82, 2: 0.81}, "rope": {0: 0.84, 1: 0.85, 2: 0.86}, "t5": {0: 0.83}}
      >>> {name: (round(c.difference, 6), c.verdict) for name, c in family("none", accuracy).items()}
      {'rope': (0.04, 'better'), 't5': (0.03, 'one seed')}

    Args:
      baseline: its name among ``results``.
      results: by variant, the metric of each member by seed, None for one that failed.
      higher_is_better: whether more of the metric is better; False for a loss.
      resampling_seed: of sign flips and bootstrap, 0 or more.

    Returns:
      A ``Comparison`` for each other variant, in their order; verdict "no pair" for one that shares no finished seed with
      the baseline, which a sweep where every member of a variant fails must be able to report.

    Raises:
      ValueError: for an unknown baseline or one without a finished member, a seed that is no integer, or a value that is
        not finite.

    Source:
      Holm (1979), see ``paired.holm``; d_z: D. Lakens, Frontiers in Psychology 4:863 (2013).
    """
    if baseline not in results:
        raise ValueError(f"unknown baseline {baseline!r}{nearest(str(baseline), results)}; known: {', '.join(results)}")
    if not _finished(baseline, results[baseline]):
        raise ValueError(f"the baseline {baseline!r} has no finished member; nothing can be compared with it")
    contrasts = {
        name: _contrast([(1, name, members), (-1, baseline, results[baseline])])
        for name, members in results.items()
        if name != baseline
    }
    return _judged(contrasts, higher_is_better, resampling_seed)


def interactions(
    grid: Mapping[tuple[str, str], Members],
    baseline: tuple[str, str],
    *,
    higher_is_better: bool = True,
    resampling_seed: int = 0,
) -> dict[tuple[str, str], Comparison]:
    """What two changes do together beyond the sum of what each does alone, ``v[a,b] - v[a0,b] - v[a,b0] + v[a0,b0]``.

    The contrast is taken per seed, so that each pair of a ``Comparison`` is four members here, and Holm's correction is over
    the cells. Better means that the two together do more good than their sum, worse that they do less: also where each
    helps.

    Example:
      >>> grid = {("none", "softmax"): {0: 0.5, 1: 0.6}, ("rope", "softmax"): {0: 0.7, 1: 0.8},
      ...         ("none", "sparsemax"): {0: 0.6, 1: 0.8}, ("rope", "sparsemax"): {0: 0.7, 1: 0.9}}
      >>> found = interactions(grid, ("none", "softmax"))
      >>> {cell: (round(c.difference, 6), c.verdict) for cell, c in found.items()}
      {('rope', 'sparsemax'): (-0.1, 'not distinguishable')}

    Args:
      grid: by value of the first axis and of the second, the metric of each member by seed, None for one that failed; every
        pair of values is there.
      baseline: ``(a0, b0)``.
      higher_is_better: whether more of the metric is better; False for a loss.
      resampling_seed: of sign flips and bootstrap, 0 or more.

    Returns:
      A ``Comparison`` for each cell that differs from the baseline on both axes, in the order of the grid; ``difference`` is
      the contrast.

    Raises:
      ValueError: for a baseline that is not in the grid, a grid with a cell missing, a seed that is no integer, or a value
        that is not finite.

    Source:
      The interaction contrast of a factorial design: Fisher, "The Design of Experiments" (1935), ch. 6.
    """
    axes = [list(dict.fromkeys(cell[axis] for cell in grid)) for axis in (0, 1)]
    for value, known, which in zip(baseline, axes, ("first", "second")):
        if value not in known:
            raise ValueError(
                f"unknown baseline {value!r} of the {which} axis{nearest(value, known)}; known: {', '.join(known)}"
            )
    lacking = [(a, b) for a in axes[0] for b in axes[1] if (a, b) not in grid]
    if lacking:
        size = f"{len(axes[0])} x {len(axes[1])}"
        raise ValueError(f"the grid of {size} values lacks {len(lacking)} of its cells, the first is {lacking[0]}")
    a0, b0 = baseline
    contrasts = {}
    for a, b in grid:
        if a != a0 and b != b0:
            terms = ((1, (a, b)), (-1, (a0, b)), (-1, (a, b0)), (1, (a0, b0)))
            contrasts[a, b] = _contrast([(sign, str(cell), grid[cell]) for sign, cell in terms])
    return _judged(contrasts, higher_is_better, resampling_seed)


class McNemar(NamedTuple):
    """How often two runs are right on the same examples, and whether one is right more often."""

    both: int  # examples that both have right
    only_a: int
    only_b: int
    neither: int
    difference: float  # accuracy of b - accuracy of a
    p: float  # two-sided, exact; 1 where the runs differ on no example


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """McNemar's exact test of two runs on the same examples, ``2 P(X <= min(only_a, only_b))``, at most 1.

    X is binomial of the ``only_a + only_b`` examples on which one is right and the other wrong, with chance 1/2. It judges
    two trained models, with the examples as the sample: it says nothing of what another seed would give.

    Example:
      >>> mcnemar(np.array([True, True, False, True]), np.array([True, False, False, False]))
      McNemar(both=1, only_a=2, only_b=0, neither=1, difference=-0.5, p=0.5)

    Args:
      correct_a: bool ``[n]``, whether the first run is right.
      correct_b: bool ``[n]``, the same of the second.

    Returns:
      A ``McNemar``.

    Raises:
      ValueError: for no examples, other shapes or other dtypes.

    Source:
      Q. McNemar, Psychometrika 12 (1947); exact: T. Dietterich, Neural Computation 10 (1998), of classifiers.
    """
    a, b = _correct(correct_a, correct_b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    # no example on which they differ: no evidence, and binomtest needs a trial
    p = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()), (only_b - only_a) / len(a), p)


class SharedErrors(NamedTuple):
    """The errors that two runs share, beside what two independent runs as good as them would share."""

    errors_a: int
    errors_b: int
    shared: int
    expected: float  # of shared, for independent runs
    share: float | None  # of the errors of the two that is shared, 0 to 1; None where neither errs
    expected_share: float | None
    consistency: float | None  # 1 where the same examples are wrong, 0 as independent; None where it is undefined


def shared_errors(correct_a: np.ndarray, correct_b: np.ndarray) -> SharedErrors:
    """The share of errors in common, ``2 shared / (errors_a + errors_b)``, and the consistency of errors beyond chance.

    Independent runs would share ``errors_a errors_b / n``. The consistency is Cohen's kappa of right and wrong,
    ``(o - e) / (1 - e)``: o is the share of examples on which the two are both right or both wrong, e what it would be for
    independent runs of these accuracies.

    Example:
      >>> shared_errors(np.array([False, False, True, True]), np.array([False, True, True, True]))
      SharedErrors(errors_a=2, errors_b=1, shared=1, expected=0.5, share=0.66..., expected_share=0.33..., consistency=0.5)

    Args:
      correct_a: bool ``[n]``, whether the first run is right.
      correct_b: bool ``[n]``, the same of the second.

    Returns:
      A ``SharedErrors``; consistency is None where each run has all right or all wrong, and the same.

    Raises:
      ValueError: for no examples, other shapes or other dtypes.

    Source:
      Consistency: arXiv 2006.16736.
    """
    a, b = _correct(correct_a, correct_b)
    n = len(a)
    errors_a, errors_b, shared = int((~a).sum()), int((~b).sum()), int((~a & ~b).sum())
    expected = errors_a * errors_b / n
    errors = errors_a + errors_b
    # chances of agreement in units of 1/n^2, whole numbers: independent runs that always agree are told exactly
    agreement, chance = int((a == b).sum()) * n, errors_a * errors_b + (n - errors_a) * (n - errors_b)
    return SharedErrors(
        errors_a,
        errors_b,
        shared,
        expected,
        share=2 * shared / errors if errors else None,
        expected_share=2 * expected / errors if errors else None,
        consistency=(agreement - chance) / (n * n - chance) if chance < n * n else None,
    )


class _Contrast(NamedTuple):
    differences: np.ndarray  # [pairs], by seed
    left_out: int
    tolerance: float


def _finished(name: str, members: Members) -> dict[int, float]:
    """The members that did not fail, checked."""
    for seed, value in members.items():
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ValueError(f"seeds must be integers, {name} has {seed!r}")
        if value is not None and not (isinstance(value, (int, float, np.number)) and math.isfinite(value)):
            raise ValueError(
                f"{name} has {value!r} for seed {seed}; a value must be a finite number, or None for a member that failed"
            )
    return {int(seed): float(value) for seed, value in members.items() if value is not None}


def _contrast(terms: list[tuple[int, str, Members]]) -> _Contrast:
    """The sum of signed members, seed by seed."""
    finished = [(sign, _finished(name, members)) for sign, name, members in terms]
    seeds = sorted(set.intersection(*(set(values) for _, values in finished)))
    everywhere = {int(seed) for _, _, members in terms for seed in members}
    values = np.array([[values[seed] for seed in seeds] for _, values in finished])
    signs = np.array([[sign] for sign, _ in finished])
    tolerance = ROUNDING * float(np.abs(values).max(initial=0))
    return _Contrast((signs * values).sum(axis=0), len(everywhere) - len(seeds), tolerance)


def _judged(contrasts: Mapping[Key, _Contrast], higher_is_better: bool, resampling_seed: int) -> dict[Key, Comparison]:
    """The comparisons of one family."""
    tested = [key for key, contrast in contrasts.items() if len(contrast.differences) > 1]
    found = {key: _measured(contrast, len(tested), resampling_seed) for key, contrast in contrasts.items()}
    adjusted = paired_tests.holm(np.array([found[key].p for key in tested], np.float64))
    for key, value in zip(tested, map(float, adjusted)):
        verdict = "not distinguishable"
        if value <= paired_tests.LEVEL:
            verdict = "better" if ((found[key].difference or 0.0) > 0) == higher_is_better else "worse"
        found[key] = found[key]._replace(adjusted=value, verdict=verdict)
    return found


def _measured(contrast: _Contrast, comparisons: int, resampling_seed: int) -> Comparison:
    """All but the correction, and the verdict of two pairs or more."""
    d = contrast.differences
    pairs = len(d)
    found = Comparison(pairs, contrast.left_out, comparisons=comparisons)
    if pairs < 2:
        return found._replace(difference=float(d[0]), verdict="one seed") if pairs else found
    low, high = map(float, paired_tests.intervals(d, tolerance=contrast.tolerance, resampling_seed=resampling_seed))
    p = float(paired_tests.p_values(d, tolerance=contrast.tolerance, resampling_seed=resampling_seed))
    difference = float(d.mean()) if abs(d.mean()) > contrast.tolerance else 0.0
    found = found._replace(difference=difference, low=low, high=high, p=p)
    level = paired_tests.LEVEL / comparisons
    if float(np.ptp(d)) <= contrast.tolerance:
        return found._replace(
            method="all sign flips, no spread",
            smallest_p=2.0 ** (1 - pairs),
            seeds_needed=1 - math.floor(math.log2(level)) if difference else None,  # the fewest with 2^(1-n) <= level
        )
    std = float(d.std(ddof=1))
    effect, size = difference / std, paired_tests.detectable_effect(pairs, level=level)
    beyond = pairs if paired_tests.power(abs(effect), pairs, level=level) < paired_tests.POWER else 1
    return found._replace(
        method=paired_tests.method(pairs),
        smallest_p=paired_tests.smallest_p(pairs),
        effect=effect,
        detectable=None if size is None else size * std,
        seeds_needed=paired_tests.pairs_needed(abs(effect), level=level, beyond=beyond) if difference else None,
    )


def _correct(correct_a: np.ndarray, correct_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(correct_a), np.asarray(correct_b)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"correct of both runs must have one shape [n], n of 1 or more, got {a.shape} and {b.shape}")
    if a.dtype != bool or b.dtype != bool:
        raise ValueError(f"correct must be bool, got {a.dtype} and {b.dtype}")
    return a, b
