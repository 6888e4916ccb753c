"""The numbers behind ``docs/normalizers.md``: weights and gradients of every normalizer, all from the library itself."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import attention

SCORES = (1.0, 2.0, 0.5, -1.0, 1.8)
OF = 1  # the key whose weight is differentiated: the one with the largest score
# The second map of differential attention, which agrees with SCORES on the keys 1, 3 and 4 alone.
SECOND = (1.0, 0.5, 0.5, -1.0, 0.5)
ACROSS = (0.0, 2.0, 0.0, 0.5, 0.5)  # of qk_norm: what the keys have beside the score
OTHERS = (0.0, 1.0, 0.5)  # the scores beside the one that moves in the figure of the families
# Scores of five queries (rows) and five keys, and the weight that is differentiated: that of query 5 for key 2.
MATRIX = (
    (1.0, 2.0, 0.5, -1.0, 1.8),
    (0.5, 1.5, 1.0, 0.0, -0.5),
    (1.0, 2.0, 0.0, 0.5, -1.0),
    (-0.5, 1.0, 0.5, 2.5, 0.0),
    (0.0, 1.8, -1.0, 0.5, 1.0),
)
OF_MATRIX = (4, 1)


class Shown(NamedTuple):
    """What a figure shows: the words above it, and the weights as a function of the scores."""

    label: str
    weights: Callable[[jax.Array], jax.Array]
    causal: bool = False  # for a matrix of scores


def _call(**rest: Any) -> attention.Call:
    return attention.Call(q_positions=jnp.arange(5), k_positions=jnp.arange(5), **rest)


def _record(spec: str, params: Any = None, **rest: Any) -> Callable[[jax.Array], jax.Array]:
    """Weights of one head through the record that ``spec`` builds."""
    apply, given = attention.build("normalizer", spec).apply, ({}, params or {})
    mask = jnp.tril(jnp.ones((5, 5), bool))[None] if rest.pop("causal", False) else None
    return lambda scores: apply(given, jnp.atleast_2d(scores)[None], mask, _call(**rest)).reshape(scores.shape)


def _qk_norm(scores: jax.Array) -> jax.Array:
    """Keys of two numbers: along the query, which is the score, and across it. ``l2_fixed`` divides by their lengths."""
    record = attention.build("normalizer", "qk_norm(form='l2_fixed')")
    keys = jnp.stack([scores, jnp.array(ACROSS)], axis=-1)[:, None]
    query, keys = record.qk(({}, {}), jnp.array([[[1.0, 0.0]]]), keys, _call())
    return record.apply(({}, {}), jnp.einsum("tnh,snh->nts", query, keys), None, _call())[0, 0]


def _pos_temp(scores: jax.Array) -> jax.Array:
    """The query at position 131,071: the scale is 1 + 0.1 log 17."""
    scale = attention.pos_temp(jnp.ones((1, 1, 1)), jnp.array([131_071]))[0, 0, 0]
    return attention.softmax(scale * scores)


# One row of scores.
ROWS: dict[str, Shown] = {
    "adaptive_temp": Shown("adaptive_temp", attention.adaptive_temp),
    "budget": Shown("budget, k = 2", attention.budget),
    "clipped": Shown("clipped, γ = -0.03, ζ = 1", attention.clipped),
    "cog": Shown("cog", attention.cog),
    "differential": Shown(
        "differential, λ = 0.8",
        lambda scores: attention.differential(scores, jnp.array(SECOND), mix=0.8),
    ),
    "entmax": Shown("entmax, α = 1.25", functools.partial(attention.entmax, alpha=1.25)),
    "entmax15": Shown("entmax15", attention.entmax15),
    "gumbel": Shown("gumbel, one draw", functools.partial(attention.gumbel, rng=jax.random.key(0))),
    "hard": Shown("hard", attention.hard),
    "l1_positive": Shown("l1_positive, softplus", attention.l1_positive),
    "laplace": Shown("laplace", attention.laplace),
    "log_length": Shown("log_length, n = 5, trained at 3", functools.partial(attention.log_length, train_length=3)),
    "log_softmax": Shown("log_softmax", attention.log_softmax),
    "normmax": Shown("normmax, α = 2", attention.normmax),
    "pointwise": Shown("pointwise, relu / n", attention.pointwise),
    "pos_temp": Shown("pos_temp, position 131,071", _pos_temp),
    "qk_norm": Shown("qk_norm, l2_fixed", _qk_norm),
    "rela": Shown("rela", _record("rela")),
    "sigmoid": Shown("sigmoid, b = -log 5", attention.sigmoid),
    "sink": Shown("sink, b = 1", functools.partial(attention.sink, logit=1.0)),
    "softcap": Shown("softcap, c = 1", lambda scores: attention.softmax(attention.softcap(scores, cap=1.0))),
    "softmax": Shown("softmax, τ = 0.5", functools.partial(attention.softmax, temperature=0.5)),
    "softmax1": Shown("softmax1", attention.softmax1),
    "softpick": Shown("softpick", attention.softpick),
    "sparsemax": Shown("sparsemax", attention.sparsemax),
    "spherical": Shown("spherical", attention.spherical),
    "ssmax": Shown("ssmax, κ = 1, n = 5", functools.partial(attention.ssmax, kappa=1.0)),
    "sum_norm": Shown("sum_norm", attention.sum_norm),
    "taylor": Shown("taylor, order 2", attention.taylor),
    "topk": Shown("topk, k = 2", functools.partial(attention.topk, k=2)),
}
# A matrix of scores, since keys' order or other queries matter.
MATRICES: dict[str, Shown] = {
    "double_norm": Shown("double_norm", attention.double_norm),
    "selective": Shown("selective, head 0, causal", _record("selective", causal=True), causal=True),
    "sinkhorn": Shown("sinkhorn, 3 iterations", attention.sinkhorn),
    "slot": Shown("slot", attention.slot),
    "stick_breaking": Shown("stick_breaking, causal", _record("stick_breaking", causal=True), causal=True),
}
# The weight of one key as its score moves, by family.
FAMILIES: dict[str, dict[str, Callable[[jax.Array], jax.Array]]] = {
    "sparse, rows sum to 1": {
        "entmax15": attention.entmax15,
        "sparsemax": attention.sparsemax,
        "normmax": attention.normmax,
        "topk, k = 2": functools.partial(attention.topk, k=2),
    },
    "each key on its own": {
        "sigmoid": attention.sigmoid,
        "relu / n": attention.pointwise,
        "softplus / n": functools.partial(attention.pointwise, activation="softplus"),
        "laplace": attention.laplace,
    },
    "may attend to nothing": {
        "softmax1": attention.softmax1,
        "sink, b = 2": functools.partial(attention.sink, logit=2.0),
        "softpick": attention.softpick,
        "clipped, γ = -0.1": functools.partial(attention.clipped, gamma=-0.1),
    },
    "negative scores count": {
        "taylor": attention.taylor,
        "spherical": attention.spherical,
        "cog": attention.cog,
        "sum_norm, absolute": functools.partial(attention.sum_norm, form="absolute"),
    },
}


class Numbers(NamedTuple):
    """Weights of the normalizer and of softmax, and their gradients: of the weight ``OF`` (``OF_MATRIX``) by every score."""

    weights: np.ndarray
    gradient: np.ndarray
    softmax: np.ndarray
    softmax_gradient: np.ndarray


def numbers(name: str) -> Numbers:
    """What the figure of a normalizer shows.

    Raises:
      KeyError: for a name without a figure.
    """
    if name in MATRICES:
        shown, scores, of = MATRICES[name], jnp.array(MATRIX), OF_MATRIX
    else:
        shown, scores, of = ROWS[name], jnp.array(SCORES), OF
    where = jnp.tril(jnp.ones((5, 5), bool)) if shown.causal else None
    plain = functools.partial(attention.softmax, where=where)
    found = []
    for function in (shown.weights, plain):
        found += [function(scores), jax.grad(lambda scores, function=function: function(scores)[of])(scores)]
    return Numbers(*map(np.asarray, found))


def curve(function: Callable[[jax.Array], jax.Array], scores: np.ndarray) -> np.ndarray:
    """The weight of one key at each of ``scores``, beside the fixed OTHERS."""
    rows = jnp.concatenate([jnp.asarray(scores)[:, None], jnp.tile(jnp.array(OTHERS), (len(scores), 1))], axis=1)
    return np.asarray(function(rows)[:, 0])
