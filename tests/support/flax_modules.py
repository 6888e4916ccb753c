"""Layers of Linen and of NNX, the frameworks' own and ours, as pure functions of their parameters."""

import jax
import jax.numpy as jnp
from flax import linen, nnx

import attention
import attention.linen
import attention.nnx

KEY = jax.random.key(0)
D, N, T = 16, 4, 5
FRAMEWORKS = ("linen", "nnx")


def states(*lead, seed=1, width=D, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(seed), (*lead, width)).astype(dtype)


def layer(framework, ours=True, *, width=D, rng=KEY, **options):
    """The module, its parameters, and ``apply(params, x, ..., rng=None)``."""
    if framework == "linen":
        module = (attention.linen.MultiHeadAttention if ours else linen.MultiHeadDotProductAttention)(N, **options)
        known = {} if options.get("deterministic") is not None else {"deterministic": True}
        known |= {"segments": jnp.zeros((1, T), int)} if "document" in str(options.get("mask")) else {}
        params = module.init(rng, jnp.ones((1, T, width)), **known)["params"]

        def apply(params, *inputs, rng=None, **given):
            return module.apply({"params": params}, *inputs, **given, rngs={} if rng is None else {"dropout": rng})

        return module, params, apply
    build = attention.nnx.MultiHeadAttention if ours else nnx.MultiHeadAttention
    module = build(N, width, **{"decode": False, **options}, rngs=nnx.Rngs(rng))
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def apply(params, *inputs, rng=None, **given):
        return nnx.merge(graph, params, rest)(*inputs, **given, **({} if rng is None else {"rngs": nnx.Rngs(dropout=rng)}))

    return module, params, apply


def plain(params):
    """Parameters as dictionaries of arrays."""
    return nnx.to_pure_dict(params) if isinstance(params, nnx.State) else params


def of_layer(params):
    """The parameters as those of ``attention.layer``."""
    own = dict(plain(params))
    mixer = {ours: own.pop(theirs) for ours, theirs in {**{k: k for k in ("query", "key", "value")}, "output": "out"}.items()}
    return {"mixer": mixer, **own}


def moved(params):
    """Away from a start at which a part may do nothing."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    return tree.unflatten([leaf + 0.3 * jax.random.normal(key, leaf.shape, leaf.dtype) for leaf, key in zip(leaves, keys)])
