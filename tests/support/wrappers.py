"""What the tests of wrapped encodings share: two examples, one padded and one with a gap, and where their tokens end up."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.helpers import jit

RAW = jnp.array([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 9, 9]])
VALID = jnp.array([[True] * 6, [True] * 4 + [False] * 2])


def call(positions=RAW, valid=VALID, **more):
    return Call(positions, positions, valid, valid, **more)


def moved(spec, given):
    """The positions of queries as the encoding leaves them, which are those of the keys."""
    record = attention.build("encoding", spec)
    found = jit(record.positions)({}, given)
    np.testing.assert_array_equal(found.q_positions, found.k_positions)
    return np.asarray(found.q_positions)


def training(seed=0, **more):
    return call(train=True, rng=jax.random.key(seed), **more)
