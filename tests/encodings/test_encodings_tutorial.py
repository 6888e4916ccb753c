import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import models
from tests.support.encoding_row import D, H, L, N
from tests.support.encoding_rows import layer, positions
from tests.support.helpers import DIMS, assert_close, float64, init, inputs, jit, normal, params_of

FAR = np.array([0, 1, 7, 1000, 65537, 999_999, 1_000_000])


def embedded(spec, x, call=Call(max_length=L), params=({}, {}), tokens=None):  # noqa: B008
    """What `embed` makes of x."""
    return attention.build("encoding", spec).embed(params, x, tokens, call)


# Forms of tutorials on the embeddings.


@pytest.mark.parametrize("dim", [2, 5, 8])
@pytest.mark.parametrize("parity", ["even", "odd"])
def test_index(dim, parity):
    positions = np.array([[0, 1, 5], [2, 77, 1_000_000]])
    wanted = [[[i if c % 2 == (parity == "odd") else 0 for c in range(dim)] for i in row] for row in positions]
    np.testing.assert_array_equal(attention.index_positions(jnp.asarray(positions), dim, parity=parity), wanted)
    found = attention.index_positions(jnp.asarray(positions), dim, parity=parity, length=jnp.array([6, 1]))
    np.testing.assert_allclose(found, np.array(wanted) / np.array([5, 1])[:, None, None], rtol=1e-6)


def test_index_by_the_number_of_valid_tokens():
    """The index runs from 0 to 1 over the text, not over its padding, wherever that is."""
    valid = jnp.array([[True] * 5, [True] * 3 + [False] * 2, [False] * 4 + [True]])
    explicit = jnp.array([[0, 1, 2, 3, 4], [0, 1, 2, 9, 9], [9, 9, 9, 9, 0]])
    found = embedded("index(normalize=True, scale=6)", jnp.zeros((3, 5, 2)), Call(explicit, explicit, valid, valid))[..., 0]
    np.testing.assert_allclose(found[0], [0, 1.5, 3, 4.5, 6], atol=1e-6)
    np.testing.assert_allclose(found[1, :3], [0, 3, 6], atol=1e-6)
    assert found[2, 4] == 0
    np.testing.assert_allclose(embedded("index(normalize=True)", jnp.zeros((4, 2)))[:, 0], np.arange(4) / 3, atol=1e-6)
    assert embedded("index(normalize=True)", jnp.zeros((1, 2)))[0, 0] == 0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_concatenation_keeps_the_width(dtype):
    """The first channels make room for the code behind the others; terms of a sum do not overwrite one another."""
    x = normal(0, 2, 3, 6).astype(dtype)
    found = embedded("index(parity='odd', combine=concat)", x)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[..., :4], x[..., 2:])
    np.testing.assert_array_equal(found[1, :, 4:], [[0, 0], [0, 1], [0, 2]])
    both = embedded("index(combine=concat) + sin_half_period(max_length=4, combine=concat)", x)
    np.testing.assert_array_equal(both[..., :3], x[..., 3:])
    np.testing.assert_array_equal(both[0, :, 3], [0, 1, 2])
    np.testing.assert_allclose(both[0, :, 5].astype(jnp.float32), np.sin(np.arange(3) * np.pi / 8), atol=4e-3)
    with pytest.raises(ValueError, match="combine='concat' takes 2 of the model's channels, and it has 2"):
        embedded("index(combine=concat)", x[..., :2])


def test_linear():
    w = normal(0, 3)
    found = attention.linear_positions(jnp.array([[0, 2, 1_000_000]]), w)
    np.testing.assert_allclose(found[0], [[i * float(c) for c in w] for i in (0, 2, 1_000_000)], rtol=1e-6)
    record = attention.build("encoding", "linear")
    start = record.init(jax.random.key(0), DIMS._replace(model_dim=4000))["direction"]
    np.testing.assert_allclose(start.std(), 0.02, rtol=0.05)
    assert record.init(jax.random.key(0), DIMS._replace(layer=0)) == {}
    moved = record.embed(({"direction": w}, {}), jnp.ones((2, 3)), None, Call(jnp.array([4, 5])))
    np.testing.assert_allclose(moved, 1 + np.array([[4], [5]]) * np.asarray(w), rtol=1e-6)
    scaled = embedded("linear(scale=0.5)", jnp.zeros((2, 3)), params=({"direction": w}, {}))
    np.testing.assert_allclose(scaled[1], 0.5 * w, rtol=1e-6)


def test_sin_half_period():
    """The golden values rise from 0 to 1 at K, and K + m has the code of K - m."""
    found = attention.sin_half_period(jnp.arange(5), 3, max_length=4)
    np.testing.assert_allclose(found, np.tile([[0], [0.38268343], [0.70710678], [0.92387953], [1]], 3), atol=1e-6)
    codes = attention.sin_half_period(jnp.arange(97), 1, max_length=48)[:, 0]
    assert (np.diff(codes[:49]) > 0).all()
    np.testing.assert_allclose(codes[49:], codes[:48][::-1], atol=1e-6)
    many = attention.sin_half_period(jnp.array([3, 9]), 4, max_length=10, multi_frequency=True)
    np.testing.assert_allclose(many, [[math.sin((c + 1) * i * math.pi / 20) for c in range(4)] for i in (3, 9)], atol=1e-6)
    far = jit(lambda p: attention.sin_half_period(p, 4, max_length=300, multi_frequency=True))(FAR)
    np.testing.assert_allclose(far, [[math.sin((c + 1) * int(i) * math.pi / 600) for c in range(4)] for i in FAR], atol=1e-6)
    x = normal(0, 9, 4)
    np.testing.assert_array_equal(embedded("sin_half_period(max_length=48)", x), embedded("sin_half_period", x))
    with pytest.raises(ValueError, match=r"sin_half_period needs its max_length, or Call\.max_length"):
        embedded("sin_half_period", x, Call())


@pytest.mark.parametrize("dim", [1, 2, 5, 12, 64])
def test_sin_period_d(dim):
    """Positions half the width apart have one code; at a width of 64, positions 0 and 32 are one."""
    found = jit(lambda p: attention.sin_period_d(p, dim))(FAR)
    angle = [math.fmod(4 * int(i), 2 * dim) * math.pi / dim for i in FAR]
    np.testing.assert_allclose(found, [[(math.cos if c % 2 else math.sin)(a) for c in range(dim)] for a in angle], atol=1e-6)
    period = dim // 2 if dim % 2 == 0 else dim
    codes = attention.sin_period_d(jnp.arange(3 * period), dim)
    np.testing.assert_allclose(codes[period:], codes[:-period], atol=1e-6)
    assert dim < 5 or np.abs(codes[1:period] - codes[0]).max(-1).min() > 0.1


def test_sin_cos_sum():
    wanted = [1, 1.009999, 1.019997, 1.029991, 1.039981, 1.049967]
    np.testing.assert_allclose(attention.sin_cos_sum(jnp.arange(6)), wanted, atol=1e-6)
    wanted = [math.sin(int(i) / 100) + math.cos(int(i) / 1000) for i in FAR]
    np.testing.assert_allclose(jit(attention.sin_cos_sum)(FAR), wanted, atol=2e-6)
    code = embedded("sin_cos_sum(scale=2)", jnp.zeros((6, 4)))
    np.testing.assert_array_equal(code, np.tile(code[:, :1], 4))
    np.testing.assert_allclose(code[5], 2 * 1.049967, atol=2e-6)
    np.testing.assert_array_equal(embedded("sin_cos_sum(combine=concat)", jnp.zeros((6, 4)))[:, :3], 0)


# Distances.


@pytest.mark.parametrize("form", ["bias", "raw", "embedding"])
def test_rel_matrix_double_loop(form):
    """Weights against a double loop, with positions that count up and with any others."""
    T, K, scale = 6, 2, 0.5
    spec = f"rel_matrix(form={form}, scale={scale}" + (f", max_distance={K})" if form == "embedding" else ")")
    params = params_of(encoding=spec)
    q, k, v = normal(0, 2, T, N, H), normal(1, 2, T, N, H), normal(2, 2, T, N, H)
    own = float64(params["encoding"][1])

    def distance_term(query, i, j, n):
        R = abs(i - j)
        if form == "embedding":
            return scale * (query @ own["table"][min(R, K)]) / math.sqrt(H)
        return -scale * R * (1 if form == "raw" else own["slopes"][n])

    for call, explicit in [(Call(), np.tile(np.arange(T), (2, 1))), (positions([0, 3, 4, 9, 1, 2], [5, 6, 7, 8, 9, 90]), None)]:
        explicit = np.asarray(call.q_positions) if explicit is None else explicit
        _, weights = attention.attend(q, k, v, encoding=spec, params=params, call=call, return_weights=True)
        q64, k64 = np.asarray(q, np.float64), np.asarray(k, np.float64)
        for b, n, i in np.ndindex(2, N, T):
            scores = [
                q64[b, i, n] @ k64[b, j, n] / math.sqrt(H) + distance_term(q64[b, i, n], *explicit[b, [i, j]], n)
                for j in range(T)
            ]
            exponentials = np.exp(np.array(scores) - max(scores))
            np.testing.assert_allclose(weights[b, n, i], exponentials / exponentials.sum(), atol=1e-5)


def test_rel_matrix_limits():
    """Slopes of ALiBi make it ALiBi, -1 makes it the raw matrix, the start does nothing; far distances are exact."""
    far = jnp.array([1_000_000, 999_997, 0])
    np.testing.assert_array_equal(attention.rel_matrix(far, far), np.abs(np.subtract.outer(np.array(far), np.array(far))))
    slopes = jnp.asarray(attention.alibi_slopes(N))
    for call in (positions([1_000_000, 999_997, 0]), Call(jnp.arange(7), jnp.arange(7), consecutive=True)):
        bias = lambda spec, call=call, **own: attention.build("encoding", spec).bias(({}, own), (), (), (), call)
        alibi = attention.alibi_bias(call.q_positions, call.k_positions, slopes)
        np.testing.assert_array_equal(bias("rel_matrix", slopes=slopes), alibi)
        raw = bias("rel_matrix(form=raw)")
        np.testing.assert_array_equal(bias("rel_matrix", slopes=jnp.ones(1)), raw)
        np.testing.assert_array_equal(raw[..., 0, :, :], -attention.rel_matrix(call.q_positions, call.k_positions))
    assert not attention.build("encoding", "rel_matrix").init(jax.random.key(0), DIMS._replace(layer=1))["slopes"].any()
    table = attention.build("encoding", "rel_matrix(form=embedding)").init(jax.random.key(0), DIMS._replace(layer=1))["table"]
    assert table.shape == (17, H)
    np.testing.assert_allclose(table.std(), 0.02, rtol=0.3)
    floats = Call(jnp.arange(3.0), jnp.arange(3.0))
    with pytest.raises(ValueError, match="rel_matrix has a row per whole number, got positions of type float32"):
        attention.attend(
            *inputs(1, 3, 3), encoding="rel_matrix(form=embedding)", params=params_of(encoding=EMBEDDING), call=floats
        )


EMBEDDING = "rel_matrix(form=embedding, max_distance=5)"


@pytest.mark.parametrize("form", ["form=raw", "form=embedding, max_distance=3"])
def test_forms_of_distance(form):
    """As the table's row has it of the bias: moving all positions changes nothing, nor does reading backwards."""
    record, run = layer(f"rel_matrix({form})")
    params, x = init(record), normal(0, 2, 9, D)
    plain = run(params, x, Call())
    moved = positions(np.arange(9) + 1_000_000, np.arange(9) + 1_000_000)
    np.testing.assert_allclose(run(params, x, moved), plain, atol=1e-5)
    np.testing.assert_allclose(run(params, x[:, ::-1], Call())[:, ::-1], plain, atol=1e-5)
    order = np.array([4, 2, 8, 0, 1, 7, 3, 6, 5])
    assert not np.allclose(run(params, x[:, order], Call()), plain[:, order], atol=1e-4)
    np.testing.assert_allclose(run(params, x[:, order], positions(order, order)), plain[:, order], atol=1e-5)
    np.testing.assert_allclose(run(params, x[:, :1], Call()).reshape(2, 1, D), x[:, :1], atol=1e-6)  # one token sees itself
    used = jit(jax.grad(lambda params: jnp.sum(inspect.unwrap(run)(params, x, Call()) ** 2)))(params)
    assert all((np.abs(leaf).max(-1) > 1e-6).all() for leaf in jax.tree.leaves(used))


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("spec", ["rel_matrix", "rel_matrix(form=raw)", EMBEDDING])
def test_chunked_is_dense(spec, explicit, small_blocks):
    params, arrays, upstream = params_of(encoding=spec), inputs(), normal(6, 2, 40, 4, 8)
    valid = jnp.arange(40) < jnp.array([[40], [33]])
    where = jnp.asarray(np.random.default_rng(0).permuted(np.tile(np.arange(90), (2, 1)), axis=1)[:, :40], jnp.int32)
    call = Call(where, where, valid, valid) if explicit else Call(q_valid=valid, k_valid=valid)

    @jit
    def both(arrays, params):
        def loss(arrays, params, kernel):
            output = attention.attend(*arrays, encoding=spec, params=params, call=call, kernel=kernel)
            return jnp.sum(output * upstream), output

        return [jax.value_and_grad(loss, (0, 1), has_aux=True)(arrays, params, kernel) for kernel in ("dense", "chunked")]

    ((_, dense), dense_gradients), ((_, chunked), gradients) = both(arrays, params)
    assert small_blocks[0][0] == 16
    assert_close(chunked, dense)
    assert_close(gradients, dense_gradients)


# What layer norm leaves.


@pytest.mark.parametrize("name", ["sin_half_period", "sin_cos_sum"])
@pytest.mark.parametrize(
    ("options", "norm", "seen"),
    [("", "pre", False), ("scale=5", "pre", False), ("", "post", True), ("combine=concat", "pre", True)],
)
def test_one_number_for_all_channels(name, options, norm, seen):
    """Layer norm takes away what is the same in every channel: before every layer, it leaves a bag of words."""
    encoder = f"transformer(layers=1, mlp=2, norm={norm})"
    _, params, forward = models.made(encoder=encoder, encoding=f"{name}({options})")
    tokens, valid = models.batch(lengths=(6, 6))
    difference = np.abs(forward(params, tokens[:, ::-1], valid)[0] - forward(params, tokens, valid)[0]).max()
    assert difference > 5e-4 if seen else difference < 2e-5
