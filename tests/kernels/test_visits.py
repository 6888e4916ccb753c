"""Attention in visits: what the chunked kernel does where weights are exponentials of products."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of
from attention.kernels import _plan
from attention.records import Call
from tests.support.helpers import DIMS, assert_close, init, inputs, jit, normal, params_of, value_and_gradients

CHUNKED = importlib.import_module("attention.kernels.chunked")  # the name in the package is the function


@pytest.fixture
def visits(monkeypatch):
    """Visits of 16 queries to 32 keys wherever they can be; returns the plans that were carried out."""
    seen, attend = [], CHUNKED.attend_visits
    monkeypatch.setattr(CHUNKED, "attend_visits", lambda problem, plan: (seen.append(plan), attend(problem, plan))[1])
    monkeypatch.setattr(CHUNKED, "VISIT_SIZES", ((16, 32),))
    for cost in ("VISITED", "VISITED_ALONE", "EDGE_COST", "VISIT_COST"):
        monkeypatch.setattr(_plan, cost, 0)
    return seen


@pytest.mark.parametrize(
    ("mask", "encoding", "score", "normalizer"),
    [
        ("full", "none", "scaled_dot", "softmax"),
        ("causal", "alibi", "scaled_dot", "softmax"),
        ("local(window=6)", "t5(buckets=8, max_distance=12)", "dot", "softmax(temperature='learned')"),
        ("longformer(window=4)", "rope", "scaled_dot(learned_scale=True)", "sink"),
        ("bigbird(block=8, random_blocks=0)", "tisa", "cosine", "softmax1"),
        ("full", "shaw(max_distance=3, values=False)", "low_rank", "ssmax(bias=True)"),
        ("causal & local(window=12)", "kerple", "general", "log_length(train_length=9)"),
        ("local(window=6) & local(window=4)", "deberta", "scaled_dot", "l1_positive"),
        ("dilated", "alibi(form='split_heads')", "scaled_dot", "qk_norm"),
    ],
)
@pytest.mark.parametrize("given", [False, True], ids=["counted", "given"])
def test_agrees_with_dense(mask, encoding, score, normalizer, given, visits):
    """Value and the gradient of every input and parameter, with padding, empty rows, and a mask and a bias of the caller."""
    specs = {"encoding": encoding, "score": score, "normalizer": normalizer}
    at = jnp.arange(72)[None] if given else None
    call = Call(at, at, k_valid=jnp.arange(72) < jnp.array([[72], [59]]), max_length=72)
    where = jnp.asarray(np.random.default_rng(1).random((2, 1, 72, 72)) > 0.2).at[:, :, 7].set(False)
    arrays = (*inputs(T=72, S=72), params_of(**specs), normal(5, 1, 4, 72, 72))

    @jit
    def both(arrays, upstream):
        options = {"call": call, "where": where, "mask": mask, **specs}
        return tuple(value_and_gradients(arrays, upstream, kernel=kernel, **options) for kernel in ("dense", "chunked"))

    dense, chunked = both(arrays, normal(6, 2, 72, 4, 8))
    assert_close(chunked, dense)
    (plan,) = visits
    assert (plan.rows, plan.size) == (16, 32)
    assert len(plan.queries) == 15 or (not given and mask != "full")


@pytest.mark.parametrize(("T", "S"), [(1, 40), (37, 53), (53, 5), (16, 16)])
def test_other_lengths(T, S, visits):
    """Cross-attention, and lengths that are no multiple of a visit's."""
    arrays = (*inputs(T=T, S=S), params_of(), normal(5, 2, 1, 1, S))
    call = Call(k_valid=jnp.arange(S) < jnp.array([[S], [S - 2]]))
    run = jit(
        lambda arrays, upstream: [value_and_gradients(arrays, upstream, kernel=k, call=call) for k in ("dense", "chunked")]
    )
    dense, chunked = run(arrays, normal(6, 2, T, 4, 8))
    assert_close(chunked, dense)
    assert len(visits) == 1


@pytest.mark.parametrize("wrap", [lambda loss: loss, jax.checkpoint], ids=["plain", "remat"])
@pytest.mark.parametrize("asked", [(0,), (3,), (4,), (1, 4), (2, 3)], ids=str)
def test_gradients_of_some(asked, wrap, visits):
    """What is asked for is that of dense, whatever else is constant: of queries, keys, values, parameters and a bias."""
    arrays = (*inputs(T=40, S=40), params_of(encoding="t5(buckets=8, max_distance=12)"), normal(5, 1, 4, 40, 40))

    def gradients(kernel):
        def loss(query, key, value, params, bias):
            options = {"params": params, "bias": bias, "encoding": "t5(buckets=8, max_distance=12)", "mask": "causal"}
            return jnp.sum(attention.attend(query, key, value, kernel=kernel, **options) ** 2)

        return jax.grad(wrap(loss), asked)(*arrays)

    assert_close(jit(lambda: gradients("chunked"))(), jit(lambda: gradients("dense"))())
    assert len(visits) == 1


def test_no_gradient_of_a_constant_bias(visits):
    """The backward pass sums up no gradient of the size of a bias that nobody asks one of."""
    query, key, value = inputs(T=40, S=40)
    bias = normal(5, 1, 4, 40, 40)
    loss = lambda query, bias: jnp.sum(attention.attend(query, key, value, bias=bias, kernel="chunked") ** 2)

    sums = lambda argnums: str(jax.make_jaxpr(jax.grad(loss, argnums))(query, bias)).count("dynamic_update_slice")
    assert sums((0, 1)) == sums((0,)) + 1


@pytest.mark.parametrize("spec", ["full", "causal", "local(window=6)", "longformer(window=4)", "causal & local(window=20)"])
@pytest.mark.parametrize("lengths", [(72, 72), (1, 9), (100, 33), (33, 100), (40, 40)], ids=str)
@pytest.mark.parametrize("sizes", [(16, 32), (32, 16), (128, 128)], ids=str)
def test_every_pair_is_visited_once(spec, lengths, sizes):
    mask, (T, S) = attention.build("mask", spec), lengths
    plan = _plan.visits(mask, T, S, *sizes)
    count = np.zeros((T + plan.rows, S), int)
    for query, key, fresh in zip(plan.queries, plan.keys, plan.fresh):
        assert key >= 0
        assert key + plan.size <= S
        count[query : query + plan.rows, fresh : key + plan.size] += 1
    assert count.max() == 1
    allowed = np.ones((T, S), bool)
    if mask.apply is not None:
        found = mask.apply(Call(jnp.arange(T), jnp.arange(S)), (T, S))
        allowed = np.broadcast_to(found, (1, T, S))[0]
    assert (count[:T] >= allowed).all()
    assert spec == "full" or len(plan.queries) == 1 or max(lengths) < 72 or count[:T].sum() < T * S


@pytest.mark.parametrize("low", [-1e9, float(np.finfo(np.float32).min)])
def test_rows_that_a_large_bias_lowers_as_a_whole(low, visits):
    """As padding does in others' code: beside such a number the logarithm of a sum is lost."""
    arrays = (*inputs(T=40, S=40), params_of(), jnp.where(jnp.arange(40) < 3, low, 0.0)[None, None, :, None])
    run = jit(lambda arrays, upstream: [value_and_gradients(arrays, upstream, kernel=k) for k in ("dense", "chunked")])
    dense, chunked = run(arrays, normal(6, 2, 40, 4, 8))
    assert_close(chunked, dense)
    assert len(visits) == 1


def test_with_integers_of_64_bits(visits):
    with jax.enable_x64(True):
        loss = lambda *arrays: jnp.sum(attention.attend(*arrays, mask="causal", kernel="chunked") ** 2)
        found = jax.eval_shape(jax.grad(loss, (0, 1, 2)), *inputs(T=40, S=40))
    assert len(found) == 3
    assert len(visits) == 1


def test_dropout_is_the_same_backward(visits):
    """The output is linear in the values for a given noise, which the gradient has to draw again."""
    query, key, value = inputs(T=72, S=72)
    attend = lambda value, seed: attention.attend(
        query, key, value, call=Call(rng=jax.random.key(seed)), dropout=0.4, kernel="chunked", mask="causal"
    )
    upstream = normal(6, 2, 72, 4, 8)
    output, gradient = jit(jax.value_and_grad(lambda value: jnp.sum(attend(value, 0) * upstream)))(value)
    np.testing.assert_allclose(output, jnp.sum(gradient * value), rtol=1e-4)
    outputs = jit(jax.vmap(attend, (None, 0)))(value, jnp.arange(200))
    plain = attention.attend(query, key, value, mask="causal")
    error = np.maximum(outputs.std(0) / len(outputs) ** 0.5, 1e-6)
    assert (np.abs(outputs.mean(0) - plain) / error).max() < 5.5
    assert len(visits) == 2


def test_derivatives_of_second_order(visits):
    """Forward over reverse, as in a product with the Hessian; forward alone is refused."""
    arrays = inputs(T=40, S=40)

    def products(kernel):
        loss = lambda *arrays: jnp.sum(attention.attend(*arrays, mask="causal", kernel=kernel) ** 2)
        return jax.jvp(jax.grad(loss, (0, 1, 2)), arrays, arrays)

    assert_close(jit(lambda: products("chunked"))(), jit(lambda: products("dense"))())
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda *arrays: attention.attend(*arrays, kernel="chunked"), arrays, arrays)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype, visits):
    """Sums over visits are kept in float32: the difference to float32 does not grow with their number."""
    wide = inputs(T=72, S=72)
    narrow = tuple(each.astype(dtype) for each in wide)
    loss = lambda *arrays: jnp.sum(attention.attend(*arrays, kernel="chunked").astype(jnp.float32) ** 2)
    found, wanted = (jit(jax.value_and_grad(loss, (0, 1, 2)))(*arrays) for arrays in (narrow, wide))
    assert {each.dtype for each in found[1]} == {jnp.dtype(dtype)}
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted)):
        assert np.abs(np.asarray(one, np.float32) - other).max() < 0.03 * np.abs(other).max()


def test_small_gradients_in_float16(visits):
    """One of 2^-20, divided by the number of keys, would be less than float16 holds."""
    wide = inputs(T=72, S=72)
    loss = lambda query, key, value: jnp.sum(2.0**-20 * attention.attend(0 * query, key, value, kernel="chunked"), dtype=float)
    of_values = lambda arrays: jit(jax.grad(loss, 2))(*arrays)
    found, wanted = of_values([each.astype(jnp.float16) for each in wide]), of_values(wide)
    np.testing.assert_allclose(found, wanted, rtol=0.07)


def test_members_side_by_side(visits):
    """Under ``vmap`` over parameters and arrays."""
    arrays = [jnp.stack([each, 2 * each]) for each in inputs(T=40, S=40)]
    slopes = jnp.stack([jnp.zeros(4), jnp.ones(4)])

    def run(query, key, value, slopes):
        options = {"params": {"encoding": {"slopes": slopes}}, "kernel": "chunked", "encoding": "alibi(form='learned')"}
        loss = lambda slopes: jnp.sum(attention.attend(query, key, value, **options) ** 2)
        return jax.value_and_grad(loss)(slopes)

    together = jit(jax.vmap(run))(*arrays, slopes)
    alone = [jit(run)(*(each[i] for each in (*arrays, slopes))) for i in range(2)]
    assert_close(together, jax.tree.map(lambda *each: jnp.stack(each), *alone))


def test_inside_a_loop(visits):
    """Of layers, where forward and backward pass are traced apart."""
    query, key, value = inputs(T=40, S=40, K=4)

    def loss(kernel):
        attend = lambda x, _: (attention.attend(x, key, value, mask="causal", kernel=kernel), None)
        return lambda x: jnp.sum(jax.lax.scan(attend, x, None, length=2)[0] ** 2)

    dense, chunked = (jit(jax.value_and_grad(loss(kernel)))(query) for kernel in ("dense", "chunked"))
    assert_close(chunked, dense)
    assert visits


def test_what_cannot_be_visited(visits):
    """What reads rows, sums values of its own, or has weights or scores of another make."""
    query, key, value = inputs(T=40, S=40)
    for options in ({"normalizer": "sparsemax"}, {"normalizer": "sigmoid"}, {"score": "l2"}, {"encoding": "cope"}):
        specs = {"mask": "causal", **options}
        params = {kind: init(attention.build(kind, spec), DIMS) for kind, spec in options.items()}
        jit(lambda *arrays: attention.attend(*arrays, kernel="chunked", params=params, **specs))(query, key, value)  # noqa: B023
    assert visits == []
    assert parts_of().score.factors is not None
