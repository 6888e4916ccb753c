"""Sizes and small tools that the evidence of the normalizers and its contract share."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from tests.support.evidence import NormalizerCase
from tests.support.helpers import DIMS, jit
from tests.support.reference_normalizers import by_row

# Golden weights of the row Z, and gradients for the upstream G, computed apart from this project.
Z = np.array([1.0, 2.0, 0.5, -1.0, 1.8])
G = np.array([1.0, 2.0, 3.0, 4.0, 5.0])

HEADS, HEAD_DIM, LONGEST = DIMS.num_heads, DIMS.head_dim, DIMS.max_length
OFFSET = 2  # positions of queries start here, those of keys at 0

# Weights of Z.
SOFTMAX = (0.14957322, 0.40658217, 0.09072075, 0.02024253, 0.33288133)
ENTMAX15 = (0.05541910, 0.54083171, 0, 0, 0.40374919)
ENTMAX15_GRADIENT = [-0.48029, -0.76498, 0, 0, 1.24528]


def case(
    spec: str,
    function: Callable[..., Any],
    *golden: float,
    options: dict[str, Any] | None = None,
    of: dict[str, Callable[..., Any]] | None = None,
    call: dict[str, Any] | None = None,
    **rest: Any,
) -> NormalizerCase:
    """A case whose rows are each on their own.

    Args:
      spec: its spec.
      function: the reference of a row: (scores [S], mask [S], options) -> weights.
      golden: weights of Z.
      options: of the reference.
      of: options that are made of the parameters and the head.
      call: options of the public function for the golden weights, where they are not those of the reference.
      rest: fields of the case.
    """
    options = options or {}
    maps = by_row(functools.partial(function, **options), **(of or {}))
    return NormalizerCase(spec, maps, (list(golden), call or options) if golden else None, **rest)


def exp_of(name: str) -> Callable[..., float]:
    """The exponential of a parameter of the head."""
    return lambda own, n: math.exp(own[name][n])


def own(name: str) -> Callable[..., float]:
    """A parameter of the head."""
    return lambda own, n: own[name][n]


def check_long_rows(function, reference, of_scores=False):
    """On long rows thresholds are first looked for among a part of the keys; those of weights that follow the scores themselves
    (``of_scores``) are as exact as these."""
    run = jit(function)
    for length in (128, 700):
        rng = np.random.default_rng(length)
        for scale in (1e-3, 1.0, 30.0):
            scores = rng.normal(0, scale, (6, length)).astype(np.float32)
            mask = rng.random(scores.shape) > 0.4
            mask[0], mask[1], mask[2] = False, np.arange(length) < 3, True
            scores[3] = np.sort(scores[3])  # neighbours are alike
            scores[4, : length // 2] = scores[4].max()  # many ties at the top
            weights = run(jnp.asarray(scores), jnp.asarray(mask))
            wanted = np.stack([reference(s.astype(np.float64), m) for s, m in zip(scores, mask)])
            np.testing.assert_allclose(weights, wanted, atol=2e-6 * (max(scale, 1.0) if of_scores else 1.0))
            np.testing.assert_allclose(np.asarray(weights, np.float64).sum(-1), wanted.sum(-1), atol=2e-5)
