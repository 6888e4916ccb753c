"""What the members of a sweep say: variants against a baseline, every two variants, and interactions of two axes.

Everything is paired. The members of a variant and of the baseline that have one seed share the order of the examples and the
draws of dropout, so that their difference has less noise than either. ``paired_tests`` says which test so many pairs get.

Of a family of m differences, each is tested at the level ``0.05 / m`` (Bonferroni), and its interval is what this very test
does not reject. So the chance of any false verdict in the family is at most 0.05 however the tests depend on each other, all
intervals hold together with a chance of at least 0.95, and one leaves out 0 exactly where the verdict is better or worse.
Holm's correction, which rejects more, has no intervals that do all that: those that agree with it have no far end for what it
rejects, unless it rejects everything (O. Guilbaud, Biometrical Journal 50 (2008); K. Strassburger and F. Bretz, Statistics in
Medicine 27 (2008)). The price: where five of seven variants are better, by so much that Holm's correction finds 80 % of them
with 5 seeds, this one finds 67 %.

A member is a number, or None where it failed (a loss that was not finite, a process that died). Its pair is left out and
counted: a variant that fails where the baseline does not is not shown to be as good by the seeds that are left.
"""

import math
from collections.abc import Hashable, Mapping
from itertools import combinations
from typing import Any, NamedTuple, TypeVar

import numpy as np

from attention.lab import equivalence, paired_tests
from attention.specs import nearest

Members = Mapping[int, float | None]
Key = TypeVar("Key", bound=Hashable)

ROUNDING = 1e-12  # metrics that differ by less, in units of the greatest, differ by rounding


class Comparison(NamedTuple):
    """One difference and all that is known about it; None where too few pairs, or no spread, leave a value undefined."""

    pairs: int  # seeds for which every member is there
    left_out: int  # seeds for which one failed or is missing
    difference: float | None = None  # mean over pairs of variant - baseline
    low: float | None = None  # 95 % interval for all differences of the family together; None where it has no end
    high: float | None = None
    p: float | None = None  # two-sided, not corrected; None below two pairs
    method: str = "none"  # of p and of the intervals
    smallest_p: float | None = None  # attainable with this number of pairs; adjusted is at least comparisons times it
    effect: float | None = None  # difference in units of the standard deviation of the differences, d_z; None without spread
    detectable: float | None = None  # difference detected with probability 0.8; None without spread
    seeds_needed: int | None = None  # pairs that detect this difference with probability 0.8; None for 0, or beyond a million
    comparisons: int = 0  # in the family: those with a p
    adjusted: float | None = None  # p after Bonferroni's correction over the family
    excluded_below: float | None = None  # effects below, and below 0, are excluded by a one-sided test; None where none is
    excluded_above: float | None = None
    margin: float | None = None  # within which a difference does not matter; None where none was given
    equivalence: float | None = None  # corrected p of the two one-sided tests at -margin and margin
    seeds_for_margin: int | None = None  # pairs that show a difference of 0 to be within the margin with probability 0.8
    verdict: str = "no pair"  # "better", "worse", "equivalent", "not distinguishable", "one seed" or "no pair"

    @property
    def level(self) -> float:
        """Of one test of the family."""
        return paired_tests.LEVEL / max(1, self.comparisons)

    @property
    def within_margin(self) -> bool:
        """Whether the difference is shown to be smaller than the margin; it may be better or worse by less than that."""
        return self.equivalence is not None and self.equivalence <= paired_tests.LEVEL


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
      resampling_seed: of sign flips, 0 or more.

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
    return _judged({names[1]: contrast}, higher_is_better, None, resampling_seed)[names[1]]


def family(
    baseline: str,
    results: Mapping[str, Members],
    *,
    higher_is_better: bool = True,
    margin: float | None = None,
    resampling_seed: int = 0,
) -> dict[str, Comparison]:
    """Every variant against the baseline, ``mean over seeds of variant - baseline``, corrected for the m that have a p.

    * effect: ``d_z = mean / s`` with the sample standard deviation s of the differences;
    * adjusted: ``min(1, m p)``; low and high: the interval that the test leaves at level ``0.05 / m``;
    * excluded_below, excluded_above: the effects beyond are rejected by a one-sided test at level ``0.05 / m``; 0 or less, and
      0 or more: a difference of 0 is for the verdict to exclude;
    * verdict: better or worse where adjusted is 0.05 or less; else equivalent where both -margin and margin are excluded;
    * detectable, seeds_needed and seeds_for_margin: power 0.8 at level ``0.05 / m``. They take the observed spread, and
      seeds_needed the observed difference, for the true one: with few seeds, a rough guide.

    Example:
      >>> accuracy = {"none": {0: 0.80, 1: 0.82, 2: 0.81}, "rope": {0: 0.84, 1: 0.85, 2: 0.86}, "t5": {0: 0.83}}
      >>> {name: (round(c.difference, 6), c.verdict) for name, c in family("none", accuracy).items()}
      {'rope': (0.04, 'better'), 't5': (0.03, 'one seed')}

    Args:
      baseline: its name among ``results``.
      results: by variant, the metric of each member by seed, None for one that failed.
      higher_is_better: whether more of the metric is better; False for a loss.
      margin: differences smaller than this do not matter; None for no such margin.
      resampling_seed: of sign flips, 0 or more.

    Returns:
      A ``Comparison`` for each other variant, in their order; verdict "no pair" for one that shares no finished seed with
      the baseline, which a sweep where every member of a variant fails must be able to report.

    Raises:
      ValueError: for an unknown baseline or one without a finished member, a seed that is no integer, or a value that is
        not finite.

    Source:
      O. J. Dunn, "Multiple comparisons among means", JASA 56 (1961); what two one-sided tests exclude: J. Hsu and others,
      "Confidence intervals associated with tests for bioequivalence", Biometrika 81 (1994); d_z: D. Lakens, Frontiers in
      Psychology 4:863 (2013).
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
    return _judged(contrasts, higher_is_better, margin, resampling_seed)


def every_two(
    results: Mapping[str, Members], *, higher_is_better: bool = True, resampling_seed: int = 0
) -> dict[tuple[str, str], Comparison]:
    """Every two variants, ``mean over seeds of second - first``, corrected for the number of pairs of variants.

    Example:
      >>> accuracy = {"none": {0: 0.80, 1: 0.82}, "rope": {0: 0.84, 1: 0.85}, "t5": {0: 0.83, 1: 0.84}}
      >>> {names: (round(c.difference, 6), c.verdict) for names, c in every_two(accuracy).items()}
      {('none', 'rope'): (0.035, 'not distinguishable'), ('none', 't5'): ..., ('rope', 't5'): ...}

    Args:
      results: by variant, the metric of each member by seed, None for one that failed.
      higher_is_better: whether more of the metric is better; False for a loss.
      resampling_seed: of sign flips, 0 or more.

    Returns:
      A ``Comparison`` for each pair of names, the first of which comes first in ``results``; better means that the second is.

    Raises:
      ValueError: for a seed that is no integer, or a value that is not finite.

    Source:
      As ``family``.
    """
    contrasts = {(a, b): _contrast([(1, b, results[b]), (-1, a, results[a])]) for a, b in combinations(results, 2)}
    return _judged(contrasts, higher_is_better, None, resampling_seed)


def interactions(
    grid: Mapping[tuple[str, str], Members],
    baseline: tuple[str, str],
    *,
    higher_is_better: bool = True,
    resampling_seed: int = 0,
) -> dict[tuple[str, str], Comparison]:
    """What two changes do together beyond the sum of what each does alone, ``v[a,b] - v[a0,b] - v[a,b0] + v[a0,b0]``.

    The contrast is taken per seed, so that each pair of a ``Comparison`` is four members here, and the correction is over the
    cells. Better means that the two together do more good than their sum, worse that they do less: also where each
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
      resampling_seed: of sign flips, 0 or more.

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
    return _judged(contrasts, higher_is_better, None, resampling_seed)


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


def _judged(
    contrasts: Mapping[Key, _Contrast], higher_is_better: bool, margin: float | None, resampling_seed: int
) -> dict[Key, Comparison]:
    """The comparisons of one family."""
    tested = sum(len(contrast.differences) > 1 for contrast in contrasts.values())
    found = {}
    for key, contrast in contrasts.items():
        found[key] = Comparison(len(contrast.differences), contrast.left_out, comparisons=tested)
        if len(contrast.differences) == 1:
            found[key] = found[key]._replace(difference=float(contrast.differences[0]), verdict="one seed")
        elif len(contrast.differences):
            found[key] = _tested(found[key], contrast, higher_is_better, margin, resampling_seed)
    return found


def _tested(
    found: Comparison, contrast: _Contrast, higher_is_better: bool, margin: float | None, resampling_seed: int
) -> Comparison:
    """The test, the intervals and the verdict of two pairs or more."""
    d, level = contrast.differences, found.level
    options = {"level": level, "tolerance": contrast.tolerance, "resampling_seed": resampling_seed}
    low, high = map(_ended, paired_tests.intervals(d, **options))
    below, above = paired_tests.intervals(d, one_sided=True, **options)
    # with 0 among what is not excluded the two tests give an interval of level 0.95, and never contradict the verdict
    below, above = _ended(np.minimum(below, 0)), _ended(np.maximum(above, 0))
    p = float(paired_tests.p_values(d, **options))
    difference = float(d.mean()) if abs(d.mean()) > contrast.tolerance else 0.0
    flat = float(np.ptp(d)) <= contrast.tolerance
    if flat:  # seeds without a spread do not say how far another may lie
        below = above = None
        low, high = (low, high) if difference else (None, None)
    adjusted = min(1.0, found.comparisons * p)
    found = found._replace(difference=difference, low=low, high=high, p=p, adjusted=adjusted)
    found = found._replace(excluded_below=below, excluded_above=above, margin=margin, verdict="not distinguishable")
    if margin is not None and not flat:
        within = min(1.0, found.comparisons * float(equivalence.p_values(d, margin, **options)))
        found = found._replace(equivalence=within)
    if adjusted <= paired_tests.LEVEL:
        found = found._replace(verdict="better" if (difference > 0) == higher_is_better else "worse")
    elif found.within_margin:
        found = found._replace(verdict="equivalent")
    return found._replace(**_power(d, contrast.tolerance, found))


def _power(d: np.ndarray, tolerance: float, found: Comparison) -> dict[str, Any]:
    """What this number of pairs could have shown, and how many would show more."""
    pairs, level, difference = len(d), found.level, found.difference or 0.0
    if float(np.ptp(d)) <= tolerance:
        fewest = 1 - math.floor(math.log2(level))  # the fewest with 2^(1-n) <= level
        said = {"method": "all sign flips, no spread", "smallest_p": 2.0 ** (1 - pairs)}
        return {**said, "seeds_needed": fewest if difference else None}
    spread = float(d.std(ddof=1))
    effect = difference / spread
    beyond = pairs if paired_tests.power(abs(effect), pairs, level=level) < paired_tests.POWER else 1
    return {
        "method": paired_tests.method(pairs, level=level),
        "smallest_p": paired_tests.smallest_p(pairs, level=level),
        "effect": effect,
        "detectable": paired_tests.detectable_effect(pairs, level=level) * spread,
        "seeds_needed": paired_tests.pairs_needed(abs(effect), level=level, beyond=beyond) if difference else None,
        "seeds_for_margin": None if found.margin is None else equivalence.pairs_needed(found.margin / spread, level=level),
    }


def _ended(end: np.ndarray) -> float | None:
    return float(end) + 0.0 if np.isfinite(end) else None  # -0.0 is 0.0
