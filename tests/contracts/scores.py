import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.helpers import assert_close, float64, init, inputs, jit, normal, params_of, size
from tests.support.scores import DIMS, K_POSITIONS, Q_POSITIONS, ROWS, A, H, L, at, call_of, scores_of


def test_every_variant_has_a_row():
    assert {spec.split("(")[0] for spec, _, _ in ROWS.values()} == set(attention.names("score"))


def _wanted(row, params, query, key):
    own = lambda n: jax.tree.map(lambda leaf: leaf[n], params[1])
    pairs = np.zeros((query.shape[0], query.shape[2], query.shape[1], key.shape[1]))
    for b, n, t, s in np.ndindex(pairs.shape):
        pairs[b, n, t, s] = row(query[b, t, n], key[b, s, n], Q_POSITIONS[b, t], K_POSITIONS[b, s], own(n))
    return pairs


@pytest.mark.parametrize("name", ROWS)
def test_reference(name):
    """Value in float32; in float64 value and every derivative, forward and reverse, by finite differences."""
    spec, row, _ = ROWS[name]
    record = attention.build("score", spec)
    arrays = (init(record, DIMS), normal(1, 2, 3, 2, H), normal(2, 2, 4, 2, H))
    scores = jit(lambda *a: at(scores_of)(record, *a))(*arrays)
    assert scores.dtype == jnp.float32
    assert scores.shape == (2, 2, 3, 4)
    exact = float64(arrays)
    np.testing.assert_allclose(scores, _wanted(row, *exact), atol=1e-5)

    upstream = np.random.default_rng(0).normal(size=scores.shape)
    directions = [
        jax.tree.map(lambda leaf: np.random.default_rng([seed, leaf.size]).normal(size=leaf.shape), exact)  # noqa: B023
        for seed in range(2)
    ]
    with jax.enable_x64(True):
        loss = lambda a: jnp.sum(at(scores_of)(record, *a) * upstream)

        @jit
        def run(a, directions):
            return at(scores_of)(record, *a), jax.grad(loss)(a), [jax.jvp(loss, (a,), (d,))[1] for d in directions]

        found, gradient, forwards = float64(run(*jax.tree.map(jnp.asarray, (exact, directions))))
    np.testing.assert_allclose(found, _wanted(row, *exact), atol=1e-10)
    # A directional derivative of the reference along a random direction sees every coordinate at once.
    for direction, found in zip(directions, forwards):
        moved = lambda step: jax.tree.map(lambda x, d: x + step * d, exact, direction)  # noqa: B023
        difference = np.sum((_wanted(row, *moved(1e-5)) - _wanted(row, *moved(-1e-5))) * upstream) / 2e-5
        along = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction)))
        np.testing.assert_allclose(along, difference, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(found, difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ROWS)
def test_parameters(name):
    """Their number by formula, and each of them moves the scores."""
    spec, _, count = ROWS[name]
    record = attention.build("score", spec)
    assert record.init(jax.random.key(0), DIMS) == {}
    params = init(record, DIMS)
    assert size(params) == 2 * count
    # As many positions as the tables have, so that every entry is read.
    loss = lambda params: jnp.sum(scores_of(record, params, normal(1, 2, L, 2, H), normal(2, 2, L, 2, H)) ** 2)
    for gradient in jax.tree.leaves(jit(jax.grad(loss))(params)):
        assert (np.abs(gradient) > 1e-4).all()


@pytest.mark.parametrize("name", ROWS)
def test_low_precision(name):
    record = attention.build("score", ROWS[name][0])
    params, query, key = init(record, DIMS), normal(1, 1, 3, 2, H, scale=0.5), normal(2, 1, 3, 2, H, scale=0.5)
    run = jit(lambda *a: scores_of(record, *a))
    narrow = run(params, query.astype(jnp.bfloat16), key.astype(jnp.bfloat16))
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, run(params, query, key), atol=2e-2)


@pytest.mark.parametrize("name", ROWS)
def test_facts(name):
    """Which of query and key are read; and a score that claims to depend on lengths and q·k alone keeps its value when query
    and key turn together, while the others that read both do not."""
    record = attention.build("score", ROWS[name][0])
    params, query, key = init(record, DIMS), normal(1, 1, 3, 2, H), normal(2, 1, 3, 2, H)
    call = call_of(record)

    @jit
    def run(query, key):
        score = lambda query, key: record.apply(params, *record.project(params, query, key, call), call)
        q, k = record.project(params, query, key, call)
        turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(q.shape[-1],) * 2))[0], jnp.float32)
        turned = record.apply(params, q @ turn, k @ turn, call)
        return score(query, key), score(query + 1.0, key), score(query, key[:, ::-1]), turned

    plain, other_query, other_key, turned = run(query, key)
    moved = [not np.allclose(plain, other, atol=1e-4) for other in (other_query, other_key)]
    assert tuple(side for side, moves in zip(("query", "key"), moved) if moves) == record.uses
    assert record.dot_product == (all(moved) and np.allclose(plain, turned, atol=1e-5))
    assert not record.scaled or name.startswith(("scaled", "l2"))


@pytest.mark.parametrize("name", ROWS)
def test_any_block(name):
    """Projected once on the whole, a block of scores is that block of the whole, wherever its positions are."""
    record = attention.build("score", ROWS[name][0])
    params, query, key = init(record, DIMS), normal(1, 2, 3, 2, H), normal(2, 2, 4, 2, H)
    rows, columns = np.array([2, 0]), np.array([3, 1, 2])

    @jit
    def run(params, query, key):
        call = call_of(record, q_positions=jnp.asarray(Q_POSITIONS), k_positions=jnp.asarray(K_POSITIONS))
        query, key = record.project(params, query, key, call)
        whole = record.apply(params, query, key, call)
        cut = dataclasses.replace(call, q_positions=call.q_positions[:, rows], k_positions=call.k_positions[:, columns])
        return whole, record.apply(params, query[:, rows], key[:, columns], cut)

    whole, block = run(params, query, key)
    np.testing.assert_allclose(block, whole[:, :, rows][..., columns], atol=1e-6)


@pytest.mark.parametrize("name", ROWS)
def test_chunked_is_dense(name, small_blocks):
    """Value and the gradient of every input and parameter, with padding and ragged blocks."""
    spec = ROWS[name][0]
    reads = attention.build("score", spec).uses
    arrays = (*inputs(), params_of(score=spec))
    call = Call(k_valid=jnp.arange(40) < jnp.array([[40], [33]]))
    upstream = normal(6, 2, 40, 4, 8)

    @jit
    def both(arrays, upstream):
        def run(kernel):
            def loss(arrays):
                query, key, value, params = arrays
                # sigmoid: no shift of the scores is lost, so every parameter has a gradient
                output = attention.attend(
                    query, key, value, score=spec, normalizer="sigmoid", params=params, call=call, kernel=kernel
                )
                return jnp.sum(output * upstream), output

            return jax.value_and_grad(loss, has_aux=True)(arrays)

        return run("dense"), run("chunked")

    dense, chunked = both(arrays, upstream)
    assert_close(chunked, dense)
    queries, keys, values, params = dense[1]
    assert [np.abs(side).max() > 1e-4 for side in (queries, keys)] == ["query" in reads, "key" in reads]
    assert all(np.abs(leaf).max() > 1e-4 for leaf in jax.tree.leaves((values, params)))
    assert small_blocks[0] == (16, 40)


@pytest.mark.parametrize("name", ROWS)
def test_padding_changes_nothing(name):
    """One or seven more keys that are masked, whatever they hold."""
    spec = ROWS[name][0]
    params = params_of(score=spec)
    query, key, value = inputs(T=4, S=4)
    run = lambda call, key, value: attention.attend(query, key, value, score=spec, params=params, call=call)
    wanted = run(Call(), key, value)
    for p in (1, 7):
        more = lambda x: jnp.pad(x, ((0, 0), (0, p), (0, 0), (0, 0)), constant_values=9.0)  # noqa: B023
        np.testing.assert_allclose(run(Call(k_valid=jnp.arange(4 + p)[None] < 4), more(key), more(value)), wanted, atol=1e-5)


@pytest.mark.parametrize("name", ROWS)
def test_memory(name):
    """T·S per head, forward and backward, and never T·S·H."""
    record = attention.build("score", ROWS[name][0].replace(f"hidden={A}", "hidden=64"))
    dims = DIMS._replace(num_heads=1, head_dim=64, max_length=128)
    params = jax.eval_shape(lambda rng: (record.init(rng, dims), record.init(rng, dims._replace(layer=0))), jax.random.key(0))
    shape = jax.ShapeDtypeStruct((128, 1, 64), jnp.float32)
    loss = lambda params, q, k: jnp.sum(scores_of(record, params, q, k) ** 2)
    compiled = jit(jax.grad(loss, (0, 1, 2))).lower(params, shape, shape).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 12 * 4 * 128 * 128
