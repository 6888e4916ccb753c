"""What witnesses of the normalizers share: functions of a row or a matrix of scores, which see allowed keys alone."""

# ruff: noqa: F401 (the packages are for the evidence, too)

import jax
import numpy as np

from tests.support.oracle_packages import ACT2FN, F, LaplaceActivation, ScalableSoftmax, entmax, jaxopt, ot, torch, x_attend
from tests.support.witness import Witness

R, S = 24, 9


def some_scores(shift=0.0):
    """Rows, and their masks: among them an empty, a full and a constant one, and a single key."""
    rng = np.random.default_rng(3)
    scores, where = rng.normal(shift, 2.0, (R, S)), rng.random((R, S)) > 0.3
    where[0], where[1], where[2] = False, True, np.arange(S) == 4
    scores[3] = 1.25
    return scores, where


def positive(seed):
    """A positive number per row."""
    return np.random.default_rng(seed).uniform(0.3, 3.0, (R, 1))


def by_row(function):
    """The function of allowed keys, and of each row's own numbers, applied to every row; nothing of an empty one."""

    def apply(scores, where, *own):
        rows = []
        for i, (row, open_) in enumerate(zip(scores, where)):
            z = row[open_]
            rows.append(torch.zeros_like(row).masked_scatter(open_, function(z, *(x[i] for x in own))) if len(z) else 0 * row)
        return torch.stack(rows)

    return apply


def row(ours, theirs, *own, shift=0.0, **fields):
    """A witness of ``ours(scores, where, *own)`` that is ``theirs(allowed scores, *own)`` of each row."""
    return Witness(ours, by_row(theirs), (*some_scores(shift), *own), **fields)


def unmasked(ours, theirs, **fields):
    """A witness in JAX, ``theirs(row)``, which knows no masks."""
    return Witness(ours, jax.vmap(theirs), (some_scores()[0],), framework="jax", **fields)


def _matrices():
    """Squares of scores; of the first, two queries and two other keys are padding."""
    rng = np.random.default_rng(4)
    queries, keys = np.ones((2, 8), bool), np.ones((2, 8), bool)
    queries[0, [2, 7]], keys[0, [0, 5]] = False, False
    return rng.normal(size=(2, 8, 8)), queries, keys


def matrix(ours, theirs, **fields):
    """A witness of ``ours(scores, where)`` that is ``theirs(allowed scores)`` of each matrix."""

    def apply(scores, queries, keys):
        found = []
        for s, q, k in zip(scores, queries, keys):
            inside = q[:, None] & k[None, :]
            found.append(torch.zeros_like(s).masked_scatter(inside, theirs(s[inside].reshape(q.sum(), k.sum()))))
        return torch.stack(found)

    return Witness(lambda s, q, k: ours(s, q[:, :, None] & k[:, None, :]), apply, _matrices(), **fields)


def ssmax(z, kappa, bias):
    """The package's, of a row."""
    module = ScalableSoftmax(bias=True)
    return torch.func.functional_call(module, {"s": kappa, "b": bias}, (z,))
