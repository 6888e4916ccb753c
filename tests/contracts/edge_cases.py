"""What every part promises at the edges: arrays without elements, and nothing on the way that is NaN."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import encodings, mixers, models, poolings, scores
from tests.support.helpers import init, normal
from tests.support.rows import over_cases, over_rows

NOTHING = pytest.mark.parametrize(("B", "T"), [(0, 6), (2, 0)])


def _like(run, *arrays):
    """Traces value and gradients of the sum: arrays of the shape of the inputs; returns the shape of the value."""
    every = tuple(range(len(arrays)))
    value, gradients = jax.eval_shape(lambda *a: (run(*a), jax.grad(lambda *a: jnp.sum(run(*a)), every)(*a)), *arrays)
    assert [each.shape for each in gradients] == [each.shape for each in arrays]
    return value.shape


# Arrays without elements: no texts, or texts without tokens.


@NOTHING
@over_cases("mixer")
def test_mixers_without_tokens(case, B, T):
    run, own = mixers.layer(case.spec, "full", case.encoding), mixers.made(case.spec)[2]
    x = jnp.zeros((B, T, mixers.D))
    assert _like(lambda x: run(own, x, jnp.ones((B, T), bool)), x) == x.shape


@NOTHING
@over_cases("pooling")
def test_poolings_without_tokens(case, B, T):
    """No vectors, or zeros; a pooling that brings a token always has one."""
    record = attention.build("pooling", case.spec)
    if record.extra_tokens and not T:
        return
    own, x = init(record, poolings.DIMS), jnp.zeros((B, T, poolings.D))
    for valid in (None, jnp.ones((B, T), bool)):
        pool = lambda x: record.apply(own, x, Call(q_valid=valid)).x  # noqa: B023
        assert _like(pool, x) == (B, record.width(poolings.D))
        assert not pool(x).any()


@NOTHING
@over_rows("encoding")
def test_encodings_without_tokens(name, row, B, T):
    """In attention, and each hook alone."""
    record, own = encodings.built(row.spec)
    x, query = jnp.zeros((B, T, encodings.D)), jnp.zeros((B, T, encodings.N, encodings.H))
    layer = inspect.unwrap(encodings.layer(row.spec, row.evidence.mask)[1])
    assert _like(lambda x: layer(own, x, Call()), x) == query.shape
    valid, maps = jnp.ones((B, T), bool), jnp.zeros((B, encodings.N, T, T))
    call = Call(jnp.arange(T), jnp.arange(T), valid, valid, max_length=encodings.L)

    def hooks():
        here = call if record.positions is None else record.positions(own, call)
        prepared = ((), (), ()) if record.prepare is None else record.prepare(own, x, query, query, here)
        yield query if record.rotate is None else record.rotate(own, query, query, here)[0], query
        yield maps if record.modify is None else record.modify(own, maps, *prepared, here), maps
        for hook in (record.bias, record.where):
            yield maps if hook is None else jnp.broadcast_to(hook(own, *prepared, here), maps.shape), maps
        yield query if record.values is None else record.values(own, maps, here), query

    for found, wanted in jax.eval_shape(lambda: list(hooks())):
        assert found.shape[:-1] == wanted.shape[:-1]


@over_cases("score")
def test_scores_without_elements(case):
    record = attention.build("score", case.spec)
    own = init(record, scores.DIMS)
    for B, T, S in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
        query, key = jnp.zeros((B, T, 2, scores.H)), jnp.zeros((B, S, 2, scores.H))
        assert _like(lambda *pair: scores.scores_of(record, own, *pair), query, key) == (B, 2, T, S)


@NOTHING
@over_rows("encoder")
def test_encoders_without_tokens(name, row, B, T):
    model, params, _ = models.made(encoder=row.spec)
    tokens = jnp.zeros((B, T), jnp.int32)
    run = lambda params: model.apply({"params": params}, tokens, tokens > 0, segments=tokens)[0]
    logits, _ = jax.eval_shape(lambda params: (run(params), jax.grad(lambda p: jnp.sum(run(p)))(params)), params)
    assert logits.shape == (B, models.C)


# Nothing is NaN on the way, operation by operation, where some texts are padding, and one nothing else.


@pytest.fixture
def debug_nans():
    with jax.debug_nans(True):
        yield


def _finite(gradients):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@over_rows("mixer")
def test_mixers_debug_nans(name, row, debug_nans):
    for mask in row.evidence.cases[0].masks:
        case = row.evidence.cases[0]
        run, own = mixers.layer(case.spec, mask, case.encoding), mixers.made(case.spec)[2]
        valid = np.arange(mixers.T) < np.array([[6], [3], [0]])
        loss = lambda own, x: jnp.sum(jnp.where(valid[..., None], run(own, x, valid), 0) ** 2)  # noqa: B023
        _finite(jax.grad(loss, (0, 1))(own, mixers.states()))


@over_rows("pooling")
def test_poolings_debug_nans(name, row, debug_nans):
    record = attention.build("pooling", row.spec)
    valid = jnp.arange(5) < jnp.array([[5], [2], [0]])

    def loss(own, x):
        pooled = record.apply(own, x, Call(q_valid=valid))
        return jnp.sum(pooled.x**2) + jnp.sum(pooled.loss)

    _finite(jax.grad(loss, (0, 1))(init(record, poolings.DIMS), normal(1, 3, 5, poolings.D)))


@over_rows("encoding")
def test_encodings_debug_nans(name, row, debug_nans):
    own, layer = encodings.built(row.spec)[1], inspect.unwrap(encodings.layer(row.spec, row.evidence.mask)[1])
    valid = jnp.arange(9) < jnp.array([[5], [0]])
    call = Call(jnp.arange(9), jnp.arange(9), valid, valid, rng=jax.random.key(0), train=True)
    _finite(jax.grad(lambda own, x: jnp.sum(layer(own, x, call) ** 2), (0, 1))(own, normal(0, 2, 9, encodings.D)))


@over_rows("score")
def test_scores_debug_nans(name, row, debug_nans):
    """Of zeros too, whose lengths have no gradient."""
    record = attention.build("score", row.evidence.cases[0].spec)
    loss = lambda own, *pair: jnp.sum(scores.scores_of(record, own, *pair) ** 2)
    for scale in (1.0, 0.0):
        pair = normal(0, 2, 3, 2, scores.H, scale=scale), normal(1, 2, 4, 2, scores.H, scale=scale)
        _finite(jax.grad(loss, (0, 1, 2))(init(record, scores.DIMS), *pair))
