"""What the tests of paired statistics share: published pairs, every sign flip one by one, and power as an integral."""

import itertools
import math

import numpy as np
from scipy import stats

# Darwin's 15 pairs of maize, height of the crossed plant less that of the selfed in eighths of an inch: Fisher (1935), §17.
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def members(values):
    return dict(enumerate(values))


def flipped_p(whole):
    """All sign flips of whole numbers, one by one."""
    observed = abs(sum(whole))
    flips = [abs(sum(sign * d for sign, d in zip(signs, whole))) for signs in itertools.product((1, -1), repeat=len(whole))]
    return sum(flip >= observed for flip in flips) / len(flips)


def noncentral(effect, pairs, level):
    """P(Z + shift > q V) over the normal Z, V^2 chi-squared over its degrees of freedom: a sum over Z."""
    z = np.linspace(-9, 9, 60_001)
    reach = np.maximum(z + effect * math.sqrt(pairs), 0) / stats.t.ppf(1 - level / 2, pairs - 1)
    return np.trapezoid(stats.norm.pdf(z) * stats.chi2.cdf((pairs - 1) * reach**2, pairs - 1), z)
