"""The numbers that pictures of normalizers show, all from the library itself: weights, and gradients of one weight."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import attention

SCORES = (1.0, 2.0, 0.5, -1.0, 1.8)
OF = 1  # the key whose weight is differentiated: the one with the largest score
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
Weights = Callable[[jax.Array], jax.Array]


class Shown(NamedTuple):
    """What a picture shows.

    Attributes:
      label: the words above it.
      weights: of scores ``[5]``, or of ``[5 5]`` where rows are coupled.
      coupled: whether the other queries matter, or which key comes first: then it is a matrix that is shown.
      causal: whether keys after the query are masked.
    """

    label: str
    weights: Weights
    coupled: bool = False
    causal: bool = False


class Numbers(NamedTuple):
    """Weights of the normalizer and of softmax, and their gradients: of the weight ``OF`` (``OF_MATRIX``) by every score."""

    weights: np.ndarray
    gradient: np.ndarray
    softmax: np.ndarray
    softmax_gradient: np.ndarray


def shown(spec: str, label: str | None = None) -> Shown:
    """A normalizer of one head with the parameters of the start, as in training where weights are drawn.

    Example:
      >>> shown("softmax(temperature=0.5)", "softmax, τ = 0.5").weights(jnp.array(SCORES))
    """
    record = attention.build("normalizer", spec)
    return Shown(label or spec, of_record(record), record.reads == "all" or record.needs_causal, record.needs_causal)


def of_record(record: attention.Normalizer) -> Weights:
    """Weights of one head, of scores ``[S]`` or ``[T S]``, as a function of the scores."""
    params = {} if record.init is None else record.init(jax.random.key(0), attention.Dims(1, 1, 4, 4, max_length=5))
    call = attention.Call(
        q_positions=jnp.arange(5), k_positions=jnp.arange(5), rng=jax.random.key(0), train=record.claims.random, max_length=5
    )
    mask = jnp.tril(jnp.ones((5, 5), bool))[None] if record.needs_causal else None
    maps = lambda scores: jnp.repeat(jnp.atleast_2d(scores)[None], record.maps, axis=0)
    return lambda scores: record.apply(params, maps(scores), mask, call).reshape(scores.shape)


@functools.cache
def numbers(picture: Shown) -> Numbers:
    """Weights and gradients of a picture, and those of softmax."""
    scores, of = (jnp.array(MATRIX), OF_MATRIX) if picture.coupled else (jnp.array(SCORES), OF)
    where = jnp.tril(jnp.ones((5, 5), bool)) if picture.causal else None
    plain = functools.partial(attention.softmax, where=where)
    found = []
    for function in (picture.weights, plain):
        found += [function(scores), jax.grad(lambda scores, function=function: function(scores)[of])(scores)]
    return Numbers(*map(np.asarray, found))


def curve(spec: str, scores: np.ndarray) -> np.ndarray:
    """The weight of one key at each of ``scores``, beside the fixed OTHERS."""
    others = jnp.tile(jnp.array(OTHERS), (len(scores), 1))
    rows = jnp.concatenate([jnp.asarray(scores, jnp.float32)[:, None], others], axis=1)
    return np.asarray(jax.vmap(of_record(attention.build("normalizer", spec)))(rows)[:, 0])
