"""Two runs example by example: whether one is right more often, and the errors that they share."""

from typing import NamedTuple

import numpy as np
from scipy import stats


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


def _correct(correct_a: np.ndarray, correct_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(correct_a), np.asarray(correct_b)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"correct of both runs must have one shape [n], n of 1 or more, got {a.shape} and {b.shape}")
    if a.dtype != bool or b.dtype != bool:
        raise ValueError(f"correct must be bool, got {a.dtype} and {b.dtype}")
    return a, b
