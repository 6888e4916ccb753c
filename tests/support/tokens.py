"""Small models with an output at every token, shared by their tests and the contract of causal parts."""

import jax
import jax.numpy as jnp
import numpy as np

from attention.models.tokens import language_model

D, V, L = 8, 13, 16  # L is the longest text


def made(**given):
    """A causal language model of one layer; specs and options as of ``language_model``."""
    options = {"encoder": "transformer(layers=1, mlp=1)", "mixer": "attention(heads=2)", "encoding": "none", "mask": "causal"}
    return language_model(**{"dim": D, "vocab_size": V, "max_length": L, **options, **given})


def start(model):
    """Parameters of the shapes of ``init``, drawn with NumPy: nothing to compile."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(model.init, jax.random.key(0), **model.example())["params"]
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.3, leaf.shape), leaf.dtype), shapes)
