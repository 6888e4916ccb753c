"""Sizes, positions and small tools that the evidence of the scores and its contract share."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from attention.records import Call
from tests.support.helpers import DIMS as PADDED_DIMS

H, L = 6, 5
A, R = 3, 4  # hidden units, and the rank of small matrices
DIMS = PADDED_DIMS._replace(num_heads=2, kv_heads=2, head_dim=H, max_length=L)
# At the start, with which ``ScoreEvidence.starts`` is checked: the sizes tell apart what goes in and what comes out.
WIDE = DIMS._replace(head_dim=40, max_length=50)
# Positions in no order, other ones for each example, and one of them twice.
Q_POSITIONS, K_POSITIONS = np.array([[4, 0, 2], [1, 3, 0]]), np.array([[1, 4, 0, 3], [2, 2, 1, 0]])


def numbers(seed, *shape):
    """Standard normal float32 array of NumPy."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


QUERY, KEY = numbers(1, 2, 3, 2, H), numbers(2, 2, 4, 2, H)


class Own(NamedTuple):
    """Parameters of two heads, for laws."""

    W: Any = numbers(3, 2, H, H)
    U: Any = numbers(4, 2, H, A)
    V: Any = numbers(5, 2, H, A)
    vector: Any = numbers(6, 2, A)
    linear: Any = numbers(7, 2, 2 * H)
    products: Any = numbers(8, 2, H)
    eye: Any = np.tile(np.eye(H, dtype=np.float32), (2, 1, 1))


# allennlp/tests/modules/attention/additive_attention_test.py
PUBLISHED_ADDITIVE = {
    "W": [[-0.2, 0.3], [-0.5, 0.5]],
    "U": [[0.0, 1.0], [1.0, 1.0], [1.0, -1.0]],
    "v": [1.0, -1.0],
    "rows": [
        (
            [0.7, -0.8],
            [[1, -1, 3], [0.5, -0.3, 0], [0.2, -1, 1], [0.7, 0.8, -1]],
            [1.975072, -0.04997836, 1.2176098, -0.9205586],
        ),
        (
            [0.4, 0.9],
            [[-2, 3, -3], [0.6, 0.2, 2], [0.5, -0.4, -1], [0.2, 0.2, 0]],
            [-1.4851665, 1.489604, -1.890285, -1.0672251],
        ),
    ],
}


def one_head(*arrays):
    """Vectors ``[T H]`` as queries or keys ``[T 1 H]``."""
    return tuple(jnp.asarray(array, jnp.float32)[:, None] for array in arrays)


def call_of(record, **positions):
    return Call(scale=H**-0.5 if record.scaled else 1.0, **positions)


def projected(record, params, query, key, call):
    """Query and key as the score compares them."""
    return (query, key) if record.project is None else record.project(params, query, key, call)


def scores_of(record, params, query, key, **positions):
    call = call_of(record, **positions)
    return record.apply(params, *projected(record, params, query, key, call), call)


def at(function):
    """The scores at Q_POSITIONS and K_POSITIONS."""
    return lambda *a: function(*a, q_positions=jnp.asarray(Q_POSITIONS), k_positions=jnp.asarray(K_POSITIONS))


# How parameters start.


def xavier(size):
    """Of values drawn from within √(6 / size), for as many numbers that go in and come out, up to that bound."""
    return lambda values: 0.85 < np.abs(values).max() / math.sqrt(6 / size) <= 1.0


def constant(number):
    """Of values that are this number."""
    return lambda values: np.allclose(values, number, rtol=1e-6, atol=0.0)
