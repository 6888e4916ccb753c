"""Talking heads: scores are mixed across heads before the normalizer, and weights after it."""

import jax
import jax.numpy as jnp

from attention.records import Call, Context, Normalizer, Params


def init_talking(heads: int) -> Params:
    """Identities, so that the start is attention as it is without."""
    return {"scores": jnp.eye(heads), "weights": jnp.eye(heads)}


def with_talking(context: Context, talking: Params) -> Context:
    """The context with a normalizer that mixes, and the mixing matrices beside its parameters.

    Mixing is within a pair of query and key, so blocks of queries with their whole rows serve it.
    """
    params = {**context.params, "normalizer": {"inner": context.params.get("normalizer", {}), "talking": talking}}
    return context._replace(parts=context.parts._replace(normalizer=_talking(context.parts.normalizer)), params=params)


def _talking(inner: Normalizer) -> Normalizer:
    def apply(params: Params, scores: jax.Array, mask: jax.Array | None, call: Call) -> jax.Array:
        talking = params["talking"]
        weights = _mixed(talking["weights"], inner.apply(params["inner"], _mixed(talking["scores"], scores), mask, call))
        return weights if mask is None else jnp.where(mask, weights, 0.0)

    qk, finish = inner.qk, inner.finish
    return inner._replace(
        apply=apply,
        qk=None if qk is None else (lambda params, query, key, call: qk(params["inner"], query, key, call)),
        finish=None if finish is None else (lambda params, output, x, call: finish(params["inner"], output, x, call)),
        reads="all" if inner.reads == "all" else "rows",
        streaming=None,
    )


def _mixed(matrix: jax.Array, maps: jax.Array) -> jax.Array:
    """``y_n = Σ_m P_nm x_m`` of maps ``[*B N t s]``."""
    return jnp.einsum("nm,...mts->...nts", matrix, maps)
