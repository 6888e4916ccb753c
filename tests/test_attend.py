import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call, Encoding, Normalizer, Score
from tests.support import reference, reference_normalizers
from tests.support.helpers import DIMS, assert_close, float64, inputs, jit, normal, params_of, unchecked

# The order of operations against plain loops.

CASES = {
    "plain": {},
    "rope": {"encoding": "rope(base=100, fraction=0.5, layout=half)", "score": "cosine", "mask": "causal"},
    "alibi": {"encoding": "alibi(form=asymmetric)", "normalizer": "sparsemax", "score": "dot"},
    "t5": {"encoding": "t5(buckets=8, max_distance=6)", "normalizer": "sigmoid", "mask": "local(window=4)"},
    "shaw": {
        "encoding": "shaw(max_distance=2)",
        "normalizer": "softmax(temperature=learned)",
        "mask": "causal & local(window=6)",
    },
    "additive": {"encoding": "shaw(max_distance=3)", "score": "additive(hidden=3)", "normalizer": "sigmoid(bias=-0.5)"},
    "sum": {"encoding": "rope + shaw(max_distance=2) + alibi", "normalizer": "sparsemax(temperature=0.5)"},
}


def _reference(specs, params, query, key, value, where, bias, positions, k_valid):
    """The same attention from `reference`, whose parts are chosen by hand for the rows of CASES."""
    encoding, score = specs.get("encoding", "none"), specs.get("score", "scaled_dot")
    normalizer, mask = specs.get("normalizer", "softmax"), specs.get("mask", "full")
    terms = encoding.split(" + ")
    own = lambda i: params["encoding"].get(str(i), {}) if len(terms) > 1 else params["encoding"]
    scale = query.shape[-1] ** -0.5 if score == "scaled_dot" else 1.0
    slopes = reference.alibi_slopes(4)

    def rotate(vector, position):
        if "rope(" in encoding:
            return reference.rope(vector, position, 100.0, 0.5, "half")
        return reference.rope(vector, position) if "rope" in encoding else vector

    def shaw(b, t, s, table):
        for i, term in enumerate(terms):
            if term.startswith("shaw"):
                K = int(term[-2])
                return own(i)[table][np.clip(positions[b, s] - positions[b, t], -K, K) + K]
        return None

    def add_bias(b, n, t, s, q):
        i, j = positions[b, t], positions[b, s]
        total = bias[0, n, t, s]
        if "alibi" in encoding:
            total += reference.alibi(i, j, slopes[n], "asymmetric" if "asymmetric" in encoding else "symmetric")
        if "t5" in encoding:
            total += params["encoding"]["table"][reference.t5_bucket(j - i, 8, 6), n]
        keys = shaw(b, t, s, "keys")
        return total if keys is None else total + scale * reference.dot(q, keys)

    def add_value(b, t, s):
        values = shaw(b, t, s, "values")
        return 0.0 if values is None else values

    def compare(n, q, k):
        own_score = params["score"]
        if score == "cosine":
            return reference.cosine(q, k, own_score["gain"][n])
        if score.startswith("additive"):
            own_score = (own_score["query"][n], own_score["key"][n], own_score["vector"][n], own_score["bias"][n])
            return reference.additive(q, k, *own_score)
        return scale * reference.dot(q, k)

    def normalize(n, row, allowed):
        if "learned" in normalizer:
            return reference_normalizers.softmax(row, allowed, np.exp(params["normalizer"]["log_temperature"][n]))
        if normalizer.startswith("sigmoid"):
            return reference_normalizers.sigmoid(row, allowed, bias=-0.5 if "bias" in normalizer else None)
        if normalizer.startswith("sparsemax"):
            return reference_normalizers.sparsemax(row, allowed, 0.5 if "temperature" in normalizer else 1.0)
        return reference_normalizers.softmax(row, allowed)

    def allowed(b, t, s):
        i, j = positions[b, t], positions[b, s]
        window = int(mask.split("window=")[1][0]) if "local" in mask else None
        return (
            k_valid[b, s]
            and where[b, 0, t, s]
            and ("causal" not in mask or reference.causal(i, j))
            and (window is None or reference.local(i, j, window))
        )

    return reference.attention(
        query, key, value, score=compare, normalize=normalize, allowed=allowed, rotate=rotate, bias=add_bias,
        add_value=add_value, q_positions=positions, k_positions=positions,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_order_of_operations(case):
    specs = CASES[case]
    query, key, value = inputs(T=7, S=7, seed=3)
    params = params_of(
        **{"encoding": "none", "score": "scaled_dot", "normalizer": "softmax"} | {k: v for k, v in specs.items() if k != "mask"}
    )
    rng = np.random.default_rng(2)
    where, bias = rng.random((2, 1, 7, 7)) > 0.15, normal(9, 1, 4, 7, 7)
    positions = np.cumsum(rng.integers(1, 3, (2, 7)), -1)
    k_valid = np.arange(7) < np.array([[7], [4]])

    @jit
    def run(query, key, value, params, where, bias, positions, k_valid):
        call = Call(positions, positions, k_valid=k_valid)
        options = {"params": params, "where": where, "bias": bias, "call": call, **specs}
        dense = attention.attend(query, key, value, return_weights=True, **options)
        return *dense, attention.attend(query, key, value, kernel="chunked", **options)

    output, weights, blocks = run(query, key, value, params, where, bias, positions, k_valid)
    arrays = float64((query, key, value))
    wanted, wanted_weights = _reference(specs, float64(params), *arrays, where, float64(bias), positions, k_valid)
    np.testing.assert_allclose(weights, wanted_weights, atol=1e-5)
    np.testing.assert_allclose(output, wanted, atol=1e-5)
    np.testing.assert_allclose(blocks, wanted, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(weights)[wanted_weights == 0] == 0, True)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"local_window_size": 5}], ids=["full", "causal", "local"])
def test_jax_nn(kernel, options, small_blocks):
    """Against jax.nn.dot_product_attention, where it is defined: no empty row. Grouped keys, bias and mask."""
    arrays = (*inputs(T=24, S=24), params_of(), normal(4, 2, 4, 24, 24))
    where = jnp.asarray(np.random.default_rng(0).random((2, 1, 24, 24)) > 0.3) | jnp.eye(24, dtype=bool)
    mask = {"is_causal": "causal", "local_window_size": "local(window=10)"}[next(iter(options))] if options else "full"

    @jit
    def run(arrays, where):
        def theirs(arrays):
            query, key, value, _, bias = arrays
            output = jax.nn.dot_product_attention(query, key, value, bias, where, implementation="xla", **options)
            return jnp.sum(jnp.sin(output)), output

        def ours(arrays):
            query, key, value, params, bias = arrays
            output = attention.attend(query, key, value, bias=bias, where=where, mask=mask, kernel=kernel, params=params)
            return jnp.sum(jnp.sin(output)), output

        return [jax.value_and_grad(f, has_aux=True)(arrays) for f in (ours, theirs)]

    ours, theirs = run(arrays, where)
    assert_close(ours, theirs, 2e-5)


def test_grouped_heads_are_repeated_keys():
    """kv_heads = heads is multi-head attention, and one key head the same key for all."""
    query, key, value = inputs(T=5, S=6)

    @jit
    def run(query, key, value):
        grouped = attention.attend(query, key, value)
        repeated = attention.attend(query, key[:, :, jnp.array([0, 0, 1, 1])], value[:, :, jnp.array([0, 0, 1, 1])])
        single = [attention.attend(query[:, :, n : n + 1], key[:, :, :1], value[:, :, :1]) for n in range(4)]
        return grouped, repeated, jnp.concatenate(single, 2), attention.attend(query, key[:, :, :1], value[:, :, :1])

    grouped, repeated, single, multi_query = run(query, key, value)
    np.testing.assert_allclose(grouped, repeated, atol=1e-6)
    np.testing.assert_allclose(multi_query, single, atol=1e-6)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("normalizer", ["softmax", "sparsemax", "sigmoid"])
def test_empty_rows_and_masked_keys(normalizer, kernel, small_blocks):
    """A query that may attend to nothing gets zeros; masked keys and values matter neither in value nor in gradient."""
    query, key, value = inputs(T=20, S=20, N=2, H=4)
    where = jnp.asarray(np.random.default_rng(3).random((2, 1, 20, 20)) > 0.5).at[:, :, 3].set(False).at[..., 11].set(False)
    where = where.at[1].set(False)

    options = {"normalizer": normalizer, "where": where, "kernel": kernel, "encoding": "shaw(max_distance=2)"}
    params = params_of(encoding=options["encoding"], dims=DIMS._replace(head_dim=4))

    @jit
    def run(query, key, value):
        loss = lambda *arrays: jnp.sum(jnp.cos(attention.attend(*arrays, params=params, **options)))
        gradients = jax.grad(loss, (0, 1, 2))(query, key, value)
        return attention.attend(query, key, value, params=params, **options), gradients

    with jax.debug_nans(True):
        output, (dq, dk, dv) = jax.block_until_ready(run(query, key, value))
    np.testing.assert_array_equal(output[0, 3], 0)
    np.testing.assert_array_equal(output[1], 0)
    np.testing.assert_array_equal(dq[0, 3], 0)
    for gradient in (dk, dv):
        np.testing.assert_array_equal(gradient[0, 11], 0)
        np.testing.assert_array_equal(gradient[1], 0)
        assert np.abs(gradient[0]).max() > 1e-3
    changed, _ = run(query, key.at[:, 11].set(1e4), value.at[:, 11].set(-1e4))
    np.testing.assert_array_equal(changed, output)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_padding_and_batch_independence(kernel, small_blocks):
    """Keys appended as padding change nothing, and an example does not see its neighbours."""
    query, key, value = inputs(T=20, S=20)
    specs = {"encoding": "t5 + shaw(max_distance=2)", "normalizer": "sigmoid"}
    params = params_of(**specs)

    @jit
    def attend(q, k, v, valid):
        call = Call(jnp.arange(q.shape[1]), jnp.arange(k.shape[1]), k_valid=valid)
        return attention.attend(q, k, v, params=params, kernel=kernel, call=call, **specs)

    plain = attend(query, key, value, jnp.ones((2, 20), bool))
    for p in (1, 7):
        more = lambda x, p=p: jnp.concatenate([x, 1e3 * normal(p, 2, p, *x.shape[2:])], 1)
        padded = attend(query, more(key), more(value), jnp.broadcast_to(jnp.arange(20 + p) < 20, (2, 20 + p)))
        np.testing.assert_allclose(padded, plain, atol=2e-6)
    alone = attend(query[1:], key[1:], value[1:], jnp.ones((1, 20), bool))
    np.testing.assert_allclose(alone, plain[1:], atol=2e-6)
    other = attend(query.at[0].add(9.0), key.at[0].add(9.0), value.at[0].set(1e3), jnp.ones((2, 20), bool))
    np.testing.assert_array_equal(other[1], plain[1])


def test_return_weights_and_dtype():
    query, key, value = (x.astype(jnp.bfloat16) for x in inputs(T=6, S=6))
    run = jit(lambda q, k, v: attention.attend(q, k, v, encoding="rope", return_weights=True))
    output, weights = run(query, key, value)
    assert (output.dtype, weights.dtype, weights.shape) == (jnp.bfloat16, jnp.float32, (2, 4, 6, 6))
    wide, wide_weights = run(*(x.astype(jnp.float32) for x in (query, key, value)))
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(weights, wide_weights, atol=2e-2)
    np.testing.assert_allclose(output.astype(jnp.float32), wide, atol=2e-2)


def test_unbatched_and_two_batch_axes():
    query, key, value = inputs(B=6, T=5, S=5)
    options = {"encoding": "alibi", "mask": "causal", "normalizer": "sparsemax"}
    run = jit(lambda q, k, v: [attention.attend(q, k, v, kernel=kernel, **options) for kernel in ("dense", "chunked")])
    wanted = run(query, key, value)[0]
    nested = run(*(x.reshape(2, 3, *x.shape[1:]) for x in (query, key, value)))
    one = run(query[4], key[4], value[4])
    for i in range(2):
        np.testing.assert_allclose(nested[i].reshape(wanted.shape), wanted, atol=1e-6)
        np.testing.assert_allclose(one[i], wanted[4], atol=1e-6)


# Hooks no shipped variant uses yet, called in their order.


def test_hooks_are_called_in_order():
    order = []

    def step(name, change=lambda x: x):
        def hook(params, x, *rest):
            order.append(name)
            assert params == {"shared": 1.0, "own": 2.0}
            return change(x) if not (rest and name in ("qk", "project", "rotate")) else (change(x), change(rest[0]))

        return hook

    encoding = Encoding(
        init=lambda rng, dims: {"own": jnp.zeros(())},
        shared=lambda rng, dims: {"shared": jnp.zeros(())},
        prepare=lambda params, x, query, key, call: (order.append("prepare"), ((), (), float(x.shape[-1])))[1],
        rotate=step("rotate", lambda x: x + 1.0),
        bias=lambda params, q, k, rest, call: (order.append("bias"), jnp.full((1, 1, 1), rest))[1],
        modify=lambda params, scores, q, k, rest, call: (order.append("modify"), scores * 2.0)[1],
        values=lambda params, weights, call: (order.append("values"), 0 * weights.sum(-1)[..., None].swapaxes(-2, -3) + 7.0)[1],
        reads="rows",
        terms=4,
    )

    def compare(params, query, key, call):
        order.append("score")
        return jnp.einsum("...tnh,...snh->...nts", query, key) * call.scale

    made = {"init": lambda rng, dims: {"shared": jnp.zeros(()), "own": jnp.zeros(())}}
    score = Score(compare, **made, project=step("project", lambda x: x * 3.0), scaled=True, dot_product=True)

    def apply(params, scores, mask, call):
        order.append("normalizer")
        np.testing.assert_array_equal(mask, np.tri(2, dtype=bool)[None])
        return jnp.where(mask, scores, 0.0)

    normalizer = Normalizer(
        apply,
        **made,
        qk=step("qk", lambda x: x * 5.0),
        finish=lambda params, output, x, call: (order.append("finish"), output + 100.0)[1],
    )
    query = key = value = jnp.ones((2, 1, 4))
    output = attention.attend(
        query, key, value, encoding=encoding, score=score, normalizer=normalizer, mask="causal", x=jnp.ones((2, 3)),
        bias=jnp.full((1, 2, 2), 10.0),
        params={kind: {"shared": 1.0, "own": 2.0} for kind in ("encoding", "score", "normalizer")},
    )  # fmt: skip
    assert order == ["qk", "prepare", "project", "rotate", "score", "bias", "modify", "normalizer", "values", "finish"]
    s = (4 * (5 * 3 + 1) ** 2 / (4 * 4) ** 0.5 + 3 + 10) * 2  # project after qk-norm, 1/√(terms·H), both biases, modify
    np.testing.assert_allclose(output[:, 0, 0], [s + 7 + 100, 2 * s + 7 + 100])


def test_masks_see_positions_as_they_came():
    """An encoding may move positions; who is allowed does not move with them."""
    query, key, value = inputs(B=1, T=4, S=4)
    moved = dataclasses.replace(Call(), q_positions=jnp.arange(4)[::-1], k_positions=jnp.arange(4)[::-1])
    for kernel in ("dense", "chunked"):
        options = {"encoding": "alibi", "kernel": kernel, "encoding_call": moved}
        plain = attention.attend(query, key, value, mask="causal", **options)
        first = attention.attend(query[:, :1], key[:, :1], value[:, :1])
        np.testing.assert_allclose(plain[:, :1], first, atol=1e-6)


def test_normalizers_that_couple_rows():
    """They run dense, see padded queries as masked, and are refused under a causal mask and by the chunked kernel."""
    seen = []

    def apply(params, scores, mask, call):
        seen.append(mask)
        return attention.softmax(scores, mask)

    coupled = Normalizer(apply, reads="all")
    query, key, value = inputs(B=1, T=3, S=3)
    valid = jnp.array([[True, True, False]])
    attention.attend(query, key, value, normalizer=coupled, call=Call(q_valid=valid, k_valid=valid))
    np.testing.assert_array_equal(seen[0][0, 0], np.outer([1, 1, 0], [1, 1, 0]).astype(bool))
    with pytest.raises(ValueError, match="reads them all"):
        attention.attend(query, key, value, normalizer=coupled, kernel="chunked")
    with pytest.raises(ValueError, match="couples queries"):
        attention.attend(query, key, value, normalizer=coupled, mask="causal")


# Errors.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": (2, 5, 2, 8), "value": (2, 6, 2, 8)}, "one shape"),
        ({"key": (2, 5, 2, 4), "value": (2, 5, 2, 4)}, "do not fit"),
        ({"key": (3, 5, 2, 8), "value": (3, 5, 2, 8)}, "do not fit"),
        ({"key": (2, 5, 3, 8), "value": (2, 5, 3, 8)}, "must divide"),
        ({"bias": (5, 1, 1, 1)}, "bias of shape"),
        ({"bias": (1, 1, 5, 4)}, "bias of shape"),
        ({"bias": (5,)}, "bias of shape"),
        ({"where": (1, 1, 4, 5)}, "where of shape"),
        ({"where": (5, 5)}, "where of shape"),
    ],
)
@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_shapes_that_do_not_fit(change, message, kernel):
    shapes = {"query": (2, 5, 4, 8), "key": (2, 5, 2, 8), "value": (2, 5, 2, 8)} | change
    arrays = {name: jnp.zeros(shape, bool if name == "where" else jnp.float32) for name, shape in shapes.items()}
    query, key, value = (arrays.pop(name) for name in ("query", "key", "value"))
    with pytest.raises(ValueError, match=message):
        unchecked(attention.attend)(query, key, value, **arrays, kernel=kernel)


def test_dropout_wants_a_key():
    query, key, value = inputs(T=2, S=2)
    with pytest.raises(ValueError, match=r"call\.rng"):
        attention.attend(query, key, value, dropout=0.1)


@pytest.mark.parametrize("parts", [{"encoding": "shaw"}, {"score": "additive"}, {"normalizer": "softmax(temperature=learned)"}])
def test_parts_with_parameters_want_them(parts):
    x = jnp.ones((1, 3, 2, 4))
    (kind,) = parts
    with pytest.raises(ValueError, match=f"this {kind} has parameters"):
        attention.attend(x, x, x, **parts)


def test_what_stands_at_padding_reaches_no_output_and_no_gradient():
    query, key, value = jax.random.normal(jax.random.key(0), (3, 2, 5, 2, 4))
    valid = jnp.arange(5) < jnp.array([[5], [3]])

    def run(fill):
        given = [jnp.where(valid[..., None, None], each, fill) for each in (query, key, value)]
        call = attention.Call(q_valid=valid, k_valid=valid)
        apply = lambda *given: jnp.where(valid[..., None, None], attention.attend(*given, encoding="rope", call=call), 0)
        return apply(*given), jax.grad(lambda *given: jnp.sum(apply(*given) ** 2), (0, 1, 2))(*given)

    for wanted, found in zip(jax.tree.leaves(run(0.0)), jax.tree.leaves(run(jnp.nan))):
        np.testing.assert_array_equal(found, wanted)
