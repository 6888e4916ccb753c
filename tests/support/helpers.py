"""Small tools of the tests of the pure library."""

import contextlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import config

import attention
from attention.records import Dims, merged

jit = jax.jit  # conftest.py sets how programs are compiled

DIMS = Dims(num_heads=4, kv_heads=2, head_dim=8, model_dim=32, num_layers=2, max_length=48, vocab_size=11)


def normal(seed, *shape, scale=1.0):
    """Standard normal float32 array."""
    return jnp.asarray(np.random.default_rng(seed).normal(0.0, scale, shape), jnp.float32)


def unchecked(function):
    """The function without the checks of the jaxtyping hook, as users call it."""
    return inspect.unwrap(function)


def init(record, dims=DIMS, seed=0, spread=0.3):
    """The parameters of a record for layer 0, with what layers share, moved off their special starting values."""
    return spread_out(merged(*shared_and_own(record, dims, seed)), seed, spread)


def shared_and_own(record, dims=DIMS, seed=0):
    """What the layers share, and what layer 0 owns; {} where there is nothing."""
    rngs = jax.random.split(jax.random.key(seed), 2)
    hooks = getattr(record, "shared", None), record.init
    return tuple({} if hook is None else hook(rng, dims) for hook, rng in zip(hooks, rngs))


def spread_out(tree, seed=0, spread=0.3):
    """Adds normal noise to every leaf, so that zeros and ties at the start prove nothing by themselves."""
    leaves, structure = jax.tree.flatten(tree)
    noise = [np.random.default_rng([seed, i]).normal(0.0, spread, leaf.shape) for i, leaf in enumerate(leaves)]
    noisy = [jnp.asarray(np.asarray(leaf) + np.float32(each)) for leaf, each in zip(leaves, noise)]
    return jax.tree.unflatten(structure, noisy)


def params_of(seed=0, dims=DIMS, **specs):
    """The parameters `attend` wants, of the encoding, score and normalizer given as specs."""
    return {kind: init(attention.build(kind, spec), dims, seed + i) for i, (kind, spec) in enumerate(specs.items())}


def size(tree):
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def float64(tree):
    """The tree as NumPy float64 arrays."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def inputs(B=2, T=40, S=40, N=4, K=2, H=8, seed=0):
    """Random query [B T N H], key and value [B S K H]."""
    return normal([seed, 0], B, T, N, H), normal([seed, 1], B, S, K, H), normal([seed, 2], B, S, K, H)


def value_and_gradients(arrays, upstream=1.0, **options):
    """What `attend` makes of (query, key, value, params[, bias]), and the gradients of its product with ``upstream``."""

    def loss(arrays):
        query, key, value, params, *bias = arrays
        output = attention.attend(query, key, value, params=params, **dict(zip(["bias"], bias)), **options)
        return jnp.sum(output * upstream), output

    (_, output), gradients = jax.value_and_grad(loss, has_aux=True)(arrays)
    return output, gradients


def assert_close(tree, wanted, tolerance=2e-5):
    """Leaf by leaf, relative to the largest value of a leaf."""
    for path, (a, b) in zip(jax.tree.leaves_with_path(tree), zip(jax.tree.leaves(tree), jax.tree.leaves(wanted)), strict=True):
        scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
        np.testing.assert_allclose(a, b, atol=tolerance * scale, err_msg=str(path[0]))


@contextlib.contextmanager
def open_sizes():
    """Without the hook that checks types, which knows no sizes but integers; users have none."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)
