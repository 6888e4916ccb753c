"""Σ_a v_a tanh(q_a + k_a), which additive, additive_norm and concat share: one hidden unit at a time."""

import jax
import jax.numpy as jnp

from attention.carries import varying


def sum_of_tanh(query: jax.Array, key: jax.Array, vector: jax.Array) -> jax.Array:
    """``s_ij = Σ_a v_a tanh(q_ia + k_ja)`` of queries ``[*B T N A]``, keys ``[*B S N A]`` and v ``[N A]``.

    One hidden unit is computed at a time and recomputed in the backward pass: memory is T·S per head and never T·S·A.
    """
    wide = jnp.promote_types(query.dtype, jnp.float32)

    def term(q, k, v):  # [*B T N], [*B S N], [N]
        q, k = jnp.swapaxes(q, -1, -2)[..., :, None], jnp.swapaxes(k, -1, -2)[..., None, :]
        return v[:, None, None] * jnp.tanh(q + k)

    units = tuple(jnp.moveaxis(x.astype(wide), -1, 0) for x in (query, key, vector))
    start = jnp.zeros_like(term(*(unit[0] for unit in units)))
    add = jax.checkpoint(lambda total, unit: (total + term(*unit), None))
    return jax.lax.scan(add, varying(start, units), units)[0]
