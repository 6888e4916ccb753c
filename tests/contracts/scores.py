"""What every score promises: its reference and derivatives, facts, any block of it, its place in attention and in models."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import compatibility
from attention.attend import parts_of
from attention.records import Call
from tests.support.helpers import assert_close, float64, init, inputs, jit, normal, params_of, size
from tests.support.models import L as LONGEST
from tests.support.models import batch, made
from tests.support.rows import cases, over_cases, over_knobs, over_rows, rows
from tests.support.scores import (
    DIMS,
    K_POSITIONS,
    KEY,
    Q_POSITIONS,
    QUERY,
    WIDE,
    A,
    H,
    L,
    Own,
    at,
    call_of,
    numbers,
    projected,
    scores_of,
)

every = over_cases("score")
LAWS = {(name, law): found for name, row in rows("score").items() for law, found in row.evidence.laws.items()}
TABLES = [case.spec for name, case in cases("score").values() if rows("score")[name].evidence.by_position]


def _wanted(case, params, query, key):
    own = lambda n: jax.tree.map(lambda leaf: leaf[n], params)
    pairs = np.zeros((query.shape[0], query.shape[2], query.shape[1], key.shape[1]))
    for b, n, t, s in np.ndindex(pairs.shape):
        pairs[b, n, t, s] = case.reference(query[b, t, n], key[b, s, n], Q_POSITIONS[b, t], K_POSITIONS[b, s], own(n))
    return pairs


@every
def test_reference(case):
    """Value in float32; in float64 value and every derivative, forward and reverse, by finite differences."""
    record = attention.build("score", case.spec)
    arrays = (init(record, DIMS), jnp.asarray(QUERY), jnp.asarray(KEY))
    scores = jit(lambda *a: at(scores_of)(record, *a))(*arrays)
    assert scores.dtype == jnp.float32
    assert scores.shape == (2, 2, 3, 4)
    exact = float64(arrays)
    np.testing.assert_allclose(scores, _wanted(case, *exact), atol=1e-5)

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
    np.testing.assert_allclose(found, _wanted(case, *exact), atol=1e-10)
    # A directional derivative of the reference along a random direction sees every coordinate at once.
    for direction, found in zip(directions, forwards):
        moved = lambda step: jax.tree.map(lambda x, d: x + step * d, exact, direction)  # noqa: B023
        difference = np.sum((_wanted(case, *moved(1e-5)) - _wanted(case, *moved(-1e-5))) * upstream) / 2e-5
        along = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction)))
        np.testing.assert_allclose(along, difference, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(found, difference, rtol=1e-6, atol=1e-8)


@every
def test_parameters(case):
    """Their number by formula, and each of them moves the scores."""
    record = attention.build("score", case.spec)
    params = init(record, DIMS)
    assert size(params) == 2 * case.count
    assert (record.init is None) == (case.count == 0)
    # As many positions as the tables have, so that every entry is read.
    loss = lambda params: jnp.sum(scores_of(record, params, normal(1, 2, L, 2, H), normal(2, 2, L, 2, H)) ** 2)
    for gradient in jax.tree.leaves(jit(jax.grad(loss))(params)):
        assert (np.abs(gradient) > 1e-4).all()


@over_rows("score")
def test_starts(name, row):
    for spec, leaves in row.evidence.starts.items():
        start = attention.build("score", spec).init(jax.random.key(0), WIDE)
        for leaf, holds in leaves.items():
            assert holds(np.asarray(start[leaf])), (spec, leaf)


@over_knobs("score")
def test_no_dead_options(knob):
    """Every option changes the parameters or the scores."""

    def outcome(spec):
        record = attention.build("score", spec)
        params = init(record, DIMS)
        return jax.tree.map(jnp.shape, params), jit(lambda q, k: scores_of(record, params, q, k))(QUERY, KEY)

    (shapes, scores), (other_shapes, other) = map(outcome, (knob.without, knob.with_))
    assert shapes != other_shapes or not np.allclose(scores, other, atol=1e-4)


@pytest.mark.parametrize("law", LAWS, ids=": ".join)
def test_laws(law):
    """In value and in the gradient of query and key."""
    upstream = normal(9, 2, 2, 3, 4)

    @jit
    def run(query, key, own):
        loss = lambda f: lambda a: (lambda s: (jnp.sum(s * upstream), s))(f(*a, own))
        return [jax.value_and_grad(loss(f), has_aux=True)((query, key)) for f in LAWS[law][:2]]

    ours, theirs = run(QUERY, KEY, Own())
    assert_close(ours, theirs, LAWS[law].tolerance)


@every
def test_low_precision(case):
    record = attention.build("score", case.spec)
    params, query, key = init(record, DIMS), normal(1, 1, 3, 2, H, scale=0.5), normal(2, 1, 3, 2, H, scale=0.5)
    half = lambda x: x.astype(jnp.bfloat16)
    run = jit(lambda p, q, k: (scores_of(record, p, half(q), half(k)), scores_of(record, p, q, k)))
    narrow, wide = run(params, query, key)
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, wide, atol=2e-2)


@every
def test_facts(case):
    """Which of query and key are read; a score that claims to depend on lengths and q·k alone keeps its value when query and
    key turn together, while the others that read both do not; and a scaled one is as large as its scale."""
    record = attention.build("score", case.spec)
    params, query, key = init(record, DIMS), normal(1, 1, 3, 2, H), normal(2, 1, 3, 2, H)
    call = call_of(record)

    @jit
    def run(query, key):
        score = lambda query, key: record.apply(params, *projected(record, params, query, key, call), call)
        q, k = projected(record, params, query, key, call)
        turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(q.shape[-1],) * 2))[0], jnp.float32)
        turned = record.apply(params, q @ turn, k @ turn, call)
        twice = record.apply(params, q, k, dataclasses.replace(call, scale=2 * call.scale))
        return score(query, key), score(query + 1.0, key), score(query, key[:, ::-1]), turned, twice

    plain, other_query, other_key, turned, twice = run(query, key)
    moved = [not np.allclose(plain, other, atol=1e-4) for other in (other_query, other_key)]
    assert tuple(side for side, moves in zip(("query", "key"), moved) if moves) == record.uses
    assert record.dot_product == (all(moved) and np.allclose(plain, turned, atol=1e-5))
    if record.scaled:  # that it divides by √H at all is the reference's to say
        np.testing.assert_allclose(twice, 2 * plain, rtol=1e-5)
    assert (record.max_length is not None) == (case.spec in TABLES)
    assert record.max_length in (None, "dims")


@every
def test_any_block(case):
    """Projected once on the whole, a block of scores is that block of the whole, wherever its positions are."""
    record = attention.build("score", case.spec)
    rows, columns = np.array([2, 0]), np.array([3, 1, 2])

    @jit
    def run(params, query, key):
        call = call_of(record, q_positions=jnp.asarray(Q_POSITIONS), k_positions=jnp.asarray(K_POSITIONS))
        query, key = projected(record, params, query, key, call)
        whole = record.apply(params, query, key, call)
        cut = dataclasses.replace(call, q_positions=call.q_positions[:, rows], k_positions=call.k_positions[:, columns])
        return whole, record.apply(params, query[:, rows], key[:, columns], cut)

    whole, block = run(init(record, DIMS), QUERY, KEY)
    np.testing.assert_allclose(block, whole[:, :, rows][..., columns], atol=1e-6)


# Positions.


@pytest.mark.parametrize("spec", TABLES)
def test_positions_past_the_table(spec):
    """An error where they are known, else NaN for that key (or query) alone; if it is masked, no NaN in any gradient."""
    record = attention.build("score", spec)
    params, query, key = init(record, DIMS), normal(1, 1, 3, 2, H), normal(2, 1, 3, 2, H)
    run = jit(lambda p: scores_of(record, params, query, key, k_positions=p))
    for outside in (L, -1):
        positions = jnp.array([0, outside, 1])
        with pytest.raises(ValueError, match=f"the score has 5 positions, got position {outside}"):
            scores_of(record, params, query, key, k_positions=positions)
        scores = run(positions)
        np.testing.assert_array_equal(np.isnan(scores), np.broadcast_to([False, True, False], scores.shape))
    with pytest.raises(ValueError, match="the score has 5 positions, got a sequence of 6"):
        jit(lambda key: scores_of(record, params, query, key))(normal(0, 1, 6, 2, H))

    def loss(params, query, positions):
        call = Call(q_positions=jnp.arange(3), k_positions=positions, k_valid=jnp.array([[True, False, True]]))
        return jnp.sum(attention.attend(query, key, key, score=record, params={"score": params}, call=call) ** 2)

    gradients = jit(jax.grad(loss, (0, 1)))
    past, within = (gradients(params, query, jnp.array([[0, p, 1]])) for p in (L, 2))
    assert_close(past, within)


@pytest.mark.parametrize("spec", TABLES)
def test_positions_count_from_zero(spec):
    record = attention.build("score", spec)
    params, query, key = init(record, DIMS), normal(1, 2, 4, 2, H), normal(2, 2, 5, 2, H)
    given = {"q_positions": jnp.arange(4), "k_positions": jnp.tile(jnp.arange(5), (2, 1))}
    run = jit(lambda **given: scores_of(record, params, query, key, **given))
    np.testing.assert_array_equal(run(), run(**given))
    with pytest.raises(ValueError, match=r"needs Dims.max_length"):
        record.init(jax.random.key(0), DIMS._replace(layer=0, max_length=None))


@every
def test_what_reads_positions(case):
    """Scores of other positions are others where there is a table of them, and only there."""
    record = attention.build("score", case.spec)
    own, query, key = init(record, DIMS), normal(1, 2, 4, 2, H), normal(2, 2, 5, 2, H)
    at = lambda keys: scores_of(record, own, query, key, q_positions=jnp.arange(4), k_positions=keys)
    assert np.allclose(at(jnp.arange(5)), at(jnp.arange(5)[::-1])) == (record.max_length is None)
    assert ("score" in compatibility.positional(parts_of(score=case.spec))) == (record.max_length is not None)


# In attention.


@every
def test_chunked_is_dense(case, small_blocks):
    """Value and the gradient of every input and parameter, with padding and ragged blocks."""
    reads = attention.build("score", case.spec).uses
    arrays = (*inputs(), params_of(score=case.spec))
    call = Call(k_valid=jnp.arange(40) < jnp.array([[40], [33]]))
    upstream = normal(6, 2, 40, 4, 8)

    @jit
    def both(arrays, upstream):
        def run(kernel):
            def loss(arrays):
                query, key, value, params = arrays
                # sigmoid: no shift of the scores is lost, so every parameter has a gradient
                output = attention.attend(
                    query, key, value, score=case.spec, normalizer="sigmoid", params=params, call=call, kernel=kernel
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


@every
def test_padding_and_grouped_keys(case):
    """One or seven more keys that are masked change nothing, whatever they hold, and one key head for two query heads is two
    equal key heads."""
    params = params_of(score=case.spec, dims=DIMS._replace(max_length=11))
    attend = functools.partial(attention.attend, score=case.spec, params=params)

    @jit
    def run(query, key, value):
        twice = lambda x: jnp.repeat(x, 2, axis=2)
        more = lambda x, p: jnp.pad(x, ((0, 0), (0, p), (0, 0), (0, 0)), constant_values=9.0)
        at = lambda p: Call(q_positions=jnp.arange(3), k_positions=jnp.arange(4 + p))
        calls = {p: dataclasses.replace(at(p), k_valid=jnp.arange(4 + p)[None] < 4) for p in (1, 7)}
        padded = [attend(query, more(key, p), more(value, p), call=call) for p, call in calls.items()]
        return attend(query, key, value, call=at(0)), attend(query, twice(key), twice(value), call=at(0)), padded

    plain, repeated, padded = run(QUERY, KEY[:, :, :1], numbers(8, 2, 4, 1, H))
    np.testing.assert_allclose(repeated, plain, atol=1e-6)
    for found in padded:
        np.testing.assert_allclose(found, plain, atol=1e-5)


@every
def test_memory(case):
    """T·S per head, forward and backward, and never T·S·H."""
    record = attention.build("score", case.spec.replace(f"hidden={A}", "hidden=64"))
    dims = DIMS._replace(num_heads=1, head_dim=64, max_length=128)
    params = jax.eval_shape(lambda rng: {} if record.init is None else record.init(rng, dims), jax.random.key(0))
    shape = jax.ShapeDtypeStruct((128, 1, 64), jnp.float32)
    loss = lambda params, q, k: jnp.sum(scores_of(record, params, q, k) ** 2)
    compiled = jit(jax.grad(loss, (0, 1, 2))).lower(params, shape, shape).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 12 * 4 * 128 * 128


# In a model.


@every
def test_in_a_model(case):
    """Every parameter has a gradient with sigmoid weights, through which no shift of the scores is lost; seven columns of
    padding change no logits; and without an encoding it sees the order of the tokens if it goes by position."""
    model, params, _ = made(score=case.spec, normalizer="sigmoid", encoding="none")
    tokens, valid = batch((LONGEST, LONGEST - 1), LONGEST, seed=1)
    cut = LONGEST - 7
    both = lambda one, other: jnp.concatenate([one, other])
    masked = both(valid, valid & (jnp.arange(LONGEST) < cut))
    permuted = both(tokens[:, :cut], tokens[:, np.random.default_rng(0).permutation(cut)])

    @jit
    def run(params):
        apply = lambda params, tokens, valid: jnp.split(model.apply({"params": params}, tokens, valid)[0], 2)
        loss = lambda params: (lambda logits: (jnp.sum(logits[0] ** 2), logits))(apply(params, both(tokens, tokens), masked))
        return jax.value_and_grad(loss, has_aux=True)(params), apply(params, permuted, both(valid, valid)[:, :cut])

    ((_, (logits, masked)), gradient), (shorter, permuted) = run(params)
    for path, leaf in jax.tree.leaves_with_path(gradient):
        assert np.abs(leaf).max() > 1e-6, jax.tree_util.keystr(path)
    np.testing.assert_allclose(masked, shorter, atol=1e-5)
    assert not np.allclose(masked, logits, atol=1e-4)
    assert np.allclose(permuted, shorter, atol=1e-5) != (case.spec in TABLES)


@pytest.mark.parametrize("spec", TABLES)
def test_too_long_for_a_model(spec):
    model, params, forward = made(score=spec, encoding="none", pooling="cls")
    tokens = jnp.ones((1, LONGEST + 1), jnp.int32)
    assert np.isfinite(forward(params, tokens[:, :LONGEST], tokens[:, :LONGEST] > 0)[0]).all()
    with pytest.raises(ValueError, match=f"the score has {LONGEST + 1} positions, got a sequence of {LONGEST + 2}, padding"):
        model.apply({"params": params}, tokens, tokens > 0)


@pytest.mark.parametrize("spec", TABLES)
def test_positions_of_padding_on_the_left(spec):
    """The positions that are given count, not the columns; what those of padding say does not matter."""
    _, params, forward = made(score=spec, encoding="none")
    tokens, valid = batch()
    logits = forward(params, tokens, valid)[0]
    shift = np.array([[0], [3]])
    left = jnp.asarray(np.take_along_axis(np.asarray(tokens), (np.arange(6) - shift) % 6, 1))
    positions = jnp.asarray(np.where(np.arange(6) >= shift, np.arange(6) - shift, -77))
    np.testing.assert_allclose(forward(params, left, positions >= 0, positions=positions)[0], logits, atol=1e-5)


@every
def test_what_nothing_reads_is_not_there(case):
    """Neither in the parameters nor in the program; an encoding that reads queries and keys keeps both projections."""
    projections = {"query", "key", "value", "output"}
    unread = {"query", "key"} - set(attention.build("score", case.spec).uses)
    parameters = lambda **specs: set(made(score=case.spec, **specs)[1]["encoder"]["block_0"]["mixer"])
    assert parameters(encoding="none", mixer="attention(heads=2, kv_heads=1)") == projections - unread
    if unread:
        assert parameters(encoding="t5") == projections - unread
        assert parameters(encoding="shaw(max_distance=3)") == projections
        _, params, forward = made(score=case.spec, encoding="none", mixer="attention(heads=2, kv_heads=1, head_dim=3)")
        assert np.isfinite(forward(params, *batch())[0]).all()
