"""Every pooling, row by row of a table: reference, gradients, padding, order, and what a text alone gives."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
import tests.support.reference_normalizers as normalizers
import tests.support.reference_poolings as r
from attention.records import Call, Pooled
from tests.support.helpers import DIMS, assert_close, float64, jit, normal, size, spread_out

D, A, R = 6, 5, 3
DIMS = DIMS._replace(model_dim=D)
ATTENTION = 4 * (D * D + D)  # parameters of multi-head attention


class Row(NamedTuple):
    """What a test knows of a variant.

    Attributes:
      spec: its spec.
      reference: (states [T D], valid [T], parameters) -> (vector, weights or None, penalty), for one example.
      count: parameters.
      ordered: whether the order of the text matters.
      single: what a text of one state x gives; None where that is no formula to check.
      sums: whether the vector is the sum of states that the weights weigh.
      dead: leaves without a gradient, by a symmetry of the method.
    """

    spec: str
    reference: Callable[..., Any]
    count: int = 0
    ordered: bool = False
    single: Callable[..., Any] | None = lambda x: x
    sums: bool = True
    dead: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The variant."""
        return self.spec.split("(")[0]


SIGMOID = lambda x: 1 / (1 + np.exp(-x))
KEY_BIAS = ("['key']['bias']",)  # adds one number to a whole row of scores, which softmax and sparsemax do not see
ROWS = [
    Row("mean", r.mean),
    Row("mean_sqrt", r.mean_sqrt),
    Row("sum", r.total),
    Row("max", r.top),
    Row("cls", r.cls, ordered=True),
    Row("first", r.first, ordered=True),
    Row("last", r.last, ordered=True),
    Row("weighted_mean", r.weighted_mean, ordered=True),
    Row("logsumexp", r.logsumexp(1.0)),
    Row("logsumexp(t=5)", r.logsumexp(5.0)),
    Row("gem", r.gem(), 1, single=lambda x: np.maximum(x, 1e-6)),
    Row("gem(p=2, epsilon=0.1)", r.gem(2, 0.1), single=lambda x: np.maximum(x, 0.1)),
    Row("query", r.query(), D),
    Row("query(scaled=False, normalizer=sigmoid)", r.query(False, normalize=normalizers.sigmoid), D, single=None),
    Row(
        "query(activation=tanh, output=tanh, scaled=False)",
        r.query(False, np.tanh, output=np.tanh), D, single=np.tanh, sums=False,
    ),
    Row("query(q=ones, scaled=False)", r.query(False, q="ones")),
    Row("query(q=self)", r.query(q="self")),
    Row("query(q=self, activation=tanh, normalizer=sum_norm)", r.query(True, np.tanh, "self", normalize=normalizers.sum_norm)),
    Row("query(q=last)", r.query(q="last", context="last"), ordered=True),
    Row("query(q=final, scaled=False)", r.query(False, q="final", context="final"), ordered=True),
    Row(f"additive(hidden={A})", r.additive(), D * A + 2 * A),
    Row(f"additive(hidden={A}, normalizer=sparsemax)", r.additive(normalize=normalizers.sparsemax), D * A + 2 * A),
    Row(f"additive(hidden={A}, context=last)", r.additive(context="last"), 2 * D * A + 2 * A, ordered=True),
    Row(f"additive(hidden={A}, context=final)", r.additive(context="final"), 2 * D * A + 2 * A, ordered=True),
    Row("feed_forward", r.feed_forward(), D + 1),
    Row("feed_forward(normalizer=entmax15)", r.feed_forward(normalize=normalizers.entmax15), D + 1),
    Row("feed_forward(activation=sigmoid, context=final)", r.feed_forward(SIGMOID, context="final"), 2 * D + 1, ordered=True),
    Row(f"structured(hidden={A}, rows={R})", r.structured(), D * A + A * R, single=lambda x: np.tile(x, R)),
    Row(
        f"structured(hidden={A}, rows=2, penalty=0.3, normalizer=sparsemax)",
        r.structured(0.3, normalizers.sparsemax), D * A + A * 2, single=lambda x: np.tile(x, 2),
    ),
    Row(
        "map(heads=2, mlp=2)",
        r.map_pool(), ATTENTION + 2 * D * 2 * D + 3 * D + 3 * D, single=None, sums=False, dead=KEY_BIAS,
    ),
    Row(
        "map(heads=3, mlp=0.5, normalizer=sparsemax)",
        r.map_pool(normalizers.sparsemax), ATTENTION + D * D + 3 * D // 2 + 3 * D, single=None, sums=False, dead=KEY_BIAS,
    ),
]  # fmt: skip
EVERY = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.spec)


def test_every_variant_has_a_row():
    assert {row.name for row in ROWS} == set(attention.names("pooling"))


def _run(record):
    """What the pooling returns, and the gradient of its squares and its penalty by the states and the parameters."""

    def run(x, params, valid):
        def loss(x, params):
            pooled = record.apply(params, x, Call(q_valid=valid))
            return jnp.sum(pooled.x.astype(jnp.float32) ** 2) + jnp.sum(pooled.loss), pooled

        (_, pooled), gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)(x, params)
        return pooled, gradient

    return jit(run)


@functools.cache
def _made(row):
    """The record, parameters and the compiled function."""
    record = attention.build("pooling", row.spec)
    return record, spread_out(record.init(jax.random.key(0), DIMS)), _run(record)


def _inputs():
    """States of four texts: whole, with gaps, of one token, with padding on the left."""
    holes = [[True] * 5, [True, False, True, True, False], [True] + [False] * 4, [False, False, True, True, True]]
    return normal(1, 4, 5, D), jnp.array(holes)


def _of_reference(row, x, valid, params):
    found = [row.reference(*each, params) for each in zip(float64(x), np.asarray(valid))]
    vectors, weights, losses = zip(*found)
    return np.stack(vectors), None if weights[0] is None else np.stack(weights), np.stack(losses)


@EVERY
def test_reference(row):
    record, params, run = _made(row)
    x, valid = _inputs()
    pooled, _ = run(x, params, valid)
    vectors, weights, losses = _of_reference(row, x, valid, float64(params))
    assert isinstance(pooled, Pooled)
    assert pooled.x.shape == (4, record.width(D))
    np.testing.assert_allclose(pooled.x, vectors, atol=1e-5)
    np.testing.assert_allclose(pooled.loss, losses if losses.any() else 0.0, atol=1e-5)
    assert size(params) == row.count
    assert (pooled.weights is None) == (weights is None)
    if weights is not None:
        assert pooled.weights.dtype == jnp.float32
        np.testing.assert_allclose(pooled.weights, weights, atol=1e-6)
        where = jnp.broadcast_to(valid if weights.ndim == 2 else valid[:, None], weights.shape)
        np.testing.assert_array_equal(pooled.weights[~where], 0)
        if "sigmoid)" not in row.spec.partition("normalizer=")[2]:
            np.testing.assert_allclose(pooled.weights.sum(-1), 1, atol=1e-6)
        if row.sums:
            total = jnp.einsum("b...t,btd->b...d", pooled.weights, x).reshape(4, -1)
            np.testing.assert_allclose(total, pooled.x, atol=1e-5)


@EVERY
def test_gradient(row):
    """Along a random direction of the states and one of the parameters, that of the reference; at padding exactly zero."""
    _, params, run = _made(row)
    x, valid = _inputs()
    _, (dx, dparams) = run(x, params, valid)
    if row.name != "cls":
        np.testing.assert_array_equal(dx[~valid], 0)
    for path, gradient in jax.tree.leaves_with_path(dparams):
        dead = jax.tree_util.keystr(path) in row.dead
        assert np.abs(gradient).max() < 1e-5 if dead else np.abs(gradient).min() > 1e-6, path
    rng = np.random.default_rng(0)
    plain = float64((x, params))
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), plain)

    def moved(step, which):
        x, params = (
            jax.tree.map(lambda leaf, d: leaf + step * d, side, way) if i == which else side
            for i, (side, way) in enumerate(zip(plain, direction))
        )
        vectors, _, losses = _of_reference(row, x, valid, params)
        return np.sum(vectors**2) + np.sum(losses)

    for which, gradient in enumerate((dx, dparams)):
        products = jax.tree.map(lambda g, d: np.sum(np.asarray(g, np.float64) * d), gradient, direction[which])
        difference = (moved(1e-6, which) - moved(-1e-6, which)) / 2e-6
        np.testing.assert_allclose(sum(jax.tree.leaves(products)), difference, rtol=1e-4, atol=1e-5)


@EVERY
def test_padding_and_empty(row):
    """Padding on either side changes neither value nor gradient, whatever it holds; an empty sequence gives zeros."""
    record, params, run = _made(row)
    x, valid = normal(1, 2, 4, D), jnp.array([[True] * 4, [True, True, False, False]])
    plain, (dx, dparams) = run(x, params, valid)
    # A token of the pooling's own stands before everything else.
    for left, right, fill in ((0, 1, 1e3), (0, 7, np.nan) if record.extra_tokens else (7, 0, np.nan)):
        sides, inside = ((0, 0), (left, right)), (slice(None), slice(left, left + 4))
        wide = jnp.pad(x, (*sides, (0, 0)), constant_values=fill)
        padded, (dx_padded, dparams_padded) = run(wide, params, jnp.pad(valid, sides))
        found = (padded.x, padded.loss, dx_padded[inside], dparams_padded)
        assert_close(found, (plain.x, plain.loss, dx, dparams), tolerance=1e-5)
        np.testing.assert_array_equal(dx_padded.at[inside].set(0), 0)
    if record.extra_tokens:
        return  # a sequence with a token of its own is never empty
    with jax.debug_nans(True):
        empty, gradient = jax.block_until_ready(run(x, params, jnp.zeros((2, 4), bool)))
    jax.tree.map(lambda a: np.testing.assert_array_equal(a, 0), (empty, gradient))


@EVERY
def test_order(row):
    """The order of the text changes nothing but the order of the weights, or it matters."""
    _, params, run = _made(row)
    x, valid = _inputs()
    order = np.array([[3, 0, 4, 1, 2], [2, 1, 3, 0, 4], [0, 1, 2, 3, 4], [0, 1, 4, 2, 3]])  # text stays text
    take = lambda a: np.take_along_axis(np.asarray(a), order.reshape(4, *(1,) * (a.ndim - 2), 5), -1)
    plain, _ = run(x, params, valid)
    shuffled, _ = run(jnp.asarray(np.moveaxis(take(np.moveaxis(np.asarray(x), -1, 1)), 1, -1)), params, valid)
    assert np.allclose(shuffled.x, plain.x, atol=1e-5) == (not row.ordered)
    if not row.ordered and plain.weights is not None:
        np.testing.assert_allclose(shuffled.weights, take(plain.weights), atol=1e-6)


@EVERY
def test_each_example_alone(row):
    """Nor does the batch matter: its other examples, its axes, having none, or being compiled."""
    record, params, run = _made(row)
    x, valid = _inputs()
    plain, _ = run(x, params, valid)
    whole = jnp.ones((4, 5), bool)
    everything = run(x, params, whole)[0].x

    @jit
    def others(params, x, valid):
        one = lambda b: record.apply(params, x[b], Call(q_valid=valid[b]))
        axes = record.apply(params, x.reshape(2, 2, 5, D), Call(q_valid=valid.reshape(2, 2, 5)))
        return {0: one(0), 3: one(3)}, axes.x, record.apply(params, x, Call()).x

    alone, axes, unmasked = others(params, x, valid)
    for b, found in alone.items():
        assert (found.weights is None) == (plain.weights is None)
        for leaf, wanted in zip(found, plain):
            if leaf is not None:
                np.testing.assert_allclose(leaf, wanted[b] if np.ndim(wanted) else wanted, atol=1e-5)
    np.testing.assert_allclose(axes, plain.x.reshape(2, 2, -1), atol=1e-5)
    np.testing.assert_allclose(unmasked, everything, atol=1e-5)
    np.testing.assert_allclose(record.apply(params, x, Call(q_valid=whole[:1])).x, everything, atol=1e-5)


@EVERY
def test_low_precision_and_one_token(row):
    _, params, run = _made(row)
    x, valid = normal(1, 1, 5, D), jnp.ones((1, 5), bool)
    narrow = run(x.astype(jnp.bfloat16), params, valid)[0]
    assert narrow.x.dtype == jnp.bfloat16
    assert narrow.weights is None or narrow.weights.dtype == jnp.float32
    np.testing.assert_allclose(narrow.x.astype(jnp.float32), run(x, params, valid)[0].x, atol=3e-2)
    if row.single is not None:
        np.testing.assert_allclose(run(x[:, :1], params, valid[:, :1])[0].x[0], row.single(x[0, 0]), atol=1e-6)
