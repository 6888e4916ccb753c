"""Weights over positions: normalizers as poolings use them, and the sum that they weigh."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from attention.records import Call, Normalizer

# (scores [*B T], bool that broadcasts to them) -> weights, as the public functions of normalizers have it.
Normalize = Callable[[jax.Array, jax.Array], jax.Array]

_STREAM = 0x706F6F6C  # the pooling's own noise: the encoder has split the same key


def weighted_sum(scores: jax.Array, states: jax.Array, where: jax.Array, normalize: Normalize) -> tuple[jax.Array, jax.Array]:
    """``Σ_t α_t x_t`` ``[*B D]`` and α, for scores ``[*B T]`` and states ``[*B T D]``."""
    weights = normalize(scores, where)
    return jnp.einsum("...t,...td->...d", weights, states), weights


def normalize_by(normalizer: Normalizer, call: Call) -> Normalize:
    """A normalizer that passed ``check_normalizer``, as a function of scores and mask."""
    if call.rng is not None:
        call = dataclasses.replace(call, rng=jax.random.fold_in(call.rng, _STREAM))
    row = lambda a: a[..., None, None, :]  # one head and one query
    return lambda scores, where: normalizer.apply({}, row(scores), row(where), call)[..., 0, 0, :]


def check_normalizer(normalizer: Normalizer | str) -> Normalizer:
    """The normalizer, if it is a function of one row of scores.

    Raises:
      ValueError: for one that needs what a pooling has not, naming it.
    """
    assert isinstance(normalizer, Normalizer)
    reason = _more_than_a_row(normalizer)
    if reason:
        raise ValueError(
            f"normalizer: this one {reason}, and a pooling has one row of scores; take one such as softmax or entmax15"
        )
    return normalizer


def _more_than_a_row(normalizer: Normalizer) -> str:
    """What a normalizer asks for beside one row of scores; empty where it is nothing."""
    if normalizer.needs_causal:
        return "is defined for earlier keys of a query"
    if normalizer.reads == "all":
        return "couples queries"
    if normalizer.maps > 1:
        return f"joins {normalizer.maps} maps of scores"
    if normalizer.init is not None:
        return "has parameters per head or layer"
    acts = normalizer.qk is not None or normalizer.finish is not None
    return "acts on queries and keys, or on the output" if acts else ""
