"""What the evidence of several poolings shares: references in NumPy float64, and witnesses on the same texts.

A reference knows nothing of the library. It takes the states [T D] of one example, which of them are text, and the parameters,
and returns the vector, the weights over positions (None where there are none) and the penalty.
"""

import numpy as np

import attention
from tests.support.helpers import DIMS as TEST_DIMS
from tests.support.helpers import normal
from tests.support.reference_normalizers import softmax
from tests.support.witness import Witness

D, A, R = 6, 5, 3
DIMS = TEST_DIMS._replace(model_dim=D)
VALID = np.array([True, True, True, False])


def states():
    """Four states, of which the first three are text under ``VALID``."""
    return normal(0, 4, D)


# References.


def text(x, valid):
    """The rows that are text."""
    return [row for row, v in zip(x, valid) if v]


def plain(function):
    """The reference of ``function(rows)``, which sees the text alone; zeros where there is none."""

    def apply(x, valid, params):
        rows = text(x, valid)
        return (np.asarray(function(rows)) if rows else np.zeros(x.shape[-1])), None, 0.0

    return apply


def state_of(x, valid, name):
    """The last state, or the ends of two directions."""
    rows, half = text(x, valid), x.shape[-1] // 2
    if not rows:
        return np.zeros(x.shape[-1])
    return rows[-1] if name == "last" else np.concatenate([rows[-1][:half], rows[0][half:]])


def weighted(score, normalize=softmax, output=lambda y: y, context=None):
    """Weights ``normalize(scores, valid)`` of ``score(row, params, h)``, and the sum of the rows they weigh."""

    def apply(x, valid, params):
        h = state_of(x, valid, context) if context else None
        weights = normalize([score(row, params, h) for row in x], valid)
        return output(sum(w * row for w, row in zip(weights, x))), weights, 0.0

    return apply


def additive(**rest):
    """vᵀ tanh(W x + U h + b)."""

    def score(row, params, h):
        inside = row @ params["kernel"] + params["bias"] + (0 if h is None else h @ params["context"])
        return float(params["vector"] @ np.tanh(inside))

    return weighted(score, **rest)


# Witnesses.

B, T = 7, 9


def draw(seed, *shape, scale=1.0):
    """Standard normal float64 array."""
    return np.random.default_rng([31, seed]).normal(0.0, scale, shape)


QUERY, KERNEL, BIAS, VECTOR, CONTEXT, HOPS = (
    draw(seed + 1, *shape) for seed, shape in enumerate([(D,), (D, A), (A,), (A,), (D, A), (A, R)])
)
NUMBER = np.asarray(0.3)


def texts():
    """States and which of them are text: of the first none, of the second all, then one, padding on either side, gaps."""
    where = np.random.default_rng(32).random((B, T)) > 0.4
    where[0], where[1], where[2] = False, True, np.arange(T) == 4
    where[3], where[4] = np.arange(T) < 6, np.arange(T) >= 6
    return draw(0, B, T, D), where


def witness(ours, theirs, *params, **fields):
    """``ours(x, where, *params)`` is ``theirs(valid states [n D], *params)`` of each text, and zeros for an empty one."""

    def by_text(x, where, *params):
        import torch

        found = [theirs(states[open_], *params) if open_.any() else None for states, open_ in zip(x, where)]
        like = next(y for y in found if y is not None)
        return torch.stack([torch.zeros_like(like) if y is None else y for y in found])

    return Witness(ours, by_text, (*texts(), *params), **fields)


def built(spec, *names, pick=lambda pooled: pooled.x):
    """The record of ours, with parameters given by name."""
    record = attention.build("pooling", spec)
    call = lambda where: attention.Call(q_valid=where)
    return lambda x, where, *params: pick(record.apply(dict(zip(names, params)), x, call(where)))


def torch_additive(z, kernel, bias, vector, normalize=None):
    """Additive attention in torch."""
    import torch

    u = torch.tanh(torch.nn.functional.linear(z, kernel.T, bias))
    return (normalize or torch.softmax)(u @ vector, dim=0) @ z
