"""Networks of one hidden layer, from a few numbers for a pair of tokens to a bias per head."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from attention.placement import placed
from attention.records import Params


def init_linear(rng: jax.Array, rows: int, columns: int) -> Params:
    """``W [rows columns]`` and ``b [columns]``, uniform within ±rows^-½, as torch's Linear layers start."""
    rngs, bound = jax.random.split(rng), rows**-0.5
    draw = lambda rng, *shape: jax.random.uniform(rng, shape, minval=-bound, maxval=bound)
    return {"kernel": draw(rngs[0], rows, columns), "bias": draw(rngs[1], columns)}


def init_mlp(rng: jax.Array, inputs: int, width: int, outputs: int) -> Params:
    """The layers ``in`` and ``out``."""
    rng_in, rng_out = jax.random.split(rng)
    return {"in": init_linear(rng_in, inputs, width), "out": init_linear(rng_out, width, outputs)}


def mixed(maps: jax.Array, weights: jax.Array) -> jax.Array:
    """Maps ``[*B N t s]`` mixed by ``weights [N A]``: ``[*B A t s]``, one product of matrices per example, nothing moved."""
    *lead, N, t, s = maps.shape
    across = placed(jnp.broadcast_to(weights.T, (*lead, *weights.T.shape)), maps, len(lead))
    return jnp.matmul(across, maps.reshape(*lead, N, t * s)).reshape(*lead, weights.shape[-1], t, s)


def apply_mlp(params: Params, x: jax.Array, activation: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """``φ(x W₁ + b₁) W₂ + b₂``, ``[*A I]`` to ``[*A O]``; an output layer without bias is one without the leaf."""
    hidden = activation(jnp.matmul(x, params["in"]["kernel"]) + params["in"]["bias"])
    return jnp.matmul(hidden, params["out"]["kernel"]) + params["out"].get("bias", 0.0)
