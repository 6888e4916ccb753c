"""Equinox modules of one size, away from a start at which a part may do nothing."""

import equinox as eqx
import jax

from attention.equinox import MultiheadAttention

KEY = jax.random.key(0)
D, N, T = 16, 4, 6
X = jax.random.normal(jax.random.key(1), (T, D))


def made(**options):
    return MultiheadAttention(N, D, key=KEY, **{"max_length": 16, **options})


def normal(*shape, seed=2):
    return jax.random.normal(jax.random.key(seed), shape)


def moved(tree):
    """Parameters away from a start at which a part may do nothing."""
    shift = lambda leaf: leaf + 0.3 * jax.random.normal(KEY, leaf.shape) if eqx.is_array(leaf) else leaf
    return jax.tree.map(shift, tree)
