import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import models
from tests.support.encoding_row import D, L
from tests.support.encoding_rows import layer
from tests.support.helpers import DIMS, float64, init, jit, normal

FAR = np.array([0, 1, 7, 1000, 65537, 999_999, 1_000_000])


def embedded(spec, x, call=Call(max_length=L), params=({}, {}), tokens=None):  # noqa: B008
    """What `embed` makes of x."""
    return attention.build("encoding", spec).embed(params, x, tokens, call)


# Learned waves.


def test_learned_angles_are_exact():
    """Angles of float32 frequencies at positions where float32 products are off by 1e-1, and their gradients."""
    w = np.asarray(normal(0, 200, scale=2.0)).astype(np.float32)
    w[:3] = 0.0, -1e-12, np.pi
    wave_of = lambda p, w: attention.complex_order(jnp.ones((len(p), len(w))), p, jnp.broadcast_to(w, (len(p), len(w))))
    wave = jit(wave_of)
    signed = np.concatenate([FAR, -FAR])
    angle = signed[:, None].astype(np.longdouble) * w.astype(np.longdouble)
    found = np.concatenate([wave(FAR, w), wave(-FAR, w)])
    np.testing.assert_allclose(found, (np.cos(angle) + np.sin(angle)).astype(np.float64), atol=2e-6)
    products = np.cos(FAR[-1].astype(np.float32) * w)
    assert np.abs(products - np.cos(angle[len(FAR) - 1])).max() > 1e-2  # what the product of floats would make of it
    slope = jit(jax.grad(lambda w: jnp.sum(wave_of(jnp.array([5]), w))))(w)
    np.testing.assert_allclose(slope, 5 * (np.cos(5 * w) - np.sin(5 * w)), atol=1e-5)
    moved = wave(FAR.astype(np.float32) / 3, w)  # after encodings that make floats
    np.testing.assert_allclose(moved[:3], np.cos(FAR[:3, None] / 3 * w) + np.sin(FAR[:3, None] / 3 * w), atol=1e-5)


def test_learned_fourier():
    record = attention.build("encoding", "learned_fourier(features=6, hidden=5)")
    params = float64(init(record)[0])
    where = np.array([[0, 1, 30], [2, 500, 1_000_000]])
    found = jit(lambda params, p: attention.learned_fourier(p, **params))(init(record)[0], where)
    gelu = np.vectorize(lambda z: z * 0.5 * (1 + math.erf(z / math.sqrt(2))))
    for b, t in np.ndindex(2, 3):
        angle = float(where[b, t]) * params["frequencies"]
        r = np.concatenate([np.cos(angle), np.sin(angle)]) / math.sqrt(6)
        wanted = gelu(r @ params["hidden"] + params["hidden_bias"]) @ params["out"] + params["out_bias"]
        np.testing.assert_allclose(found[b, t], wanted, atol=1e-5)
    start = attention.build("encoding", "learned_fourier(features=4000, gamma=4)").init(jax.random.key(0), DIMS)
    np.testing.assert_allclose(start["frequencies"].std(), 0.25, rtol=0.05)
    odd = attention.build("encoding", "learned_fourier").init(jax.random.key(0), DIMS._replace(model_dim=7))
    assert odd["hidden"].shape == (8, 32)
    assert odd["out"].shape == (32, 7)


def test_complex_order():
    """A word turns with its position, at its own frequencies; at position 0 it is its embedding."""
    record = attention.build("encoding", "complex_order(base=50)")
    start = record.init(jax.random.key(0), DIMS._replace(vocab_size=5, model_dim=6))["frequencies"]
    np.testing.assert_allclose(start, np.tile([50.0 ** (-2 * (c // 2) / 6) for c in range(6)], (5, 1)), rtol=1e-6)
    table, tokens, where = normal(0, 5, 6), jnp.array([[0, 3, 3], [4, 1, 0]]), np.array([[0, 2, 9], [4, 0, 1]])
    x = normal(1, 2, 3, 6)
    call = Call(jnp.asarray(where), jnp.asarray(where))
    found = record.embed(({"frequencies": table}, {}), x, tokens, call)
    for b, t, c in np.ndindex(2, 3, 6):
        wave = float(x[b, t, c]) * np.exp(1j * float(table[tokens[b, t], c]) * where[b, t])
        np.testing.assert_allclose(found[b, t, c], wave.real + wave.imag, atol=1e-5)
    np.testing.assert_array_equal(found[0, 0], x[0, 0])
    gradient = jax.grad(lambda table: record.embed(({"frequencies": table}, {}), x, tokens, call).sum())(table)
    np.testing.assert_array_equal(np.abs(gradient).max(-1) > 0, [True, False, False, True, True])
    with pytest.raises(ValueError, match=r"needs Dims\.vocab_size"):
        record.init(jax.random.key(0), DIMS._replace(vocab_size=None))


# Tables.


@pytest.mark.parametrize("form", ["concat", "sum"])
def test_axial(form):
    record = attention.build("encoding", f"axial(lengths=(3, 4), form={form})")
    params = init(record)[0]
    codes = record.embed((params, {}), jnp.zeros((12, D)), None, Call())
    for i in range(12):
        u, w = params["columns"][i % 3], params["rows"][i // 3]
        np.testing.assert_allclose(codes[i], u + w if form == "sum" else np.concatenate([u, w]), rtol=1e-6)
    assert len(np.unique(codes, axis=0)) == 12
    used = jax.grad(lambda p: record.embed((p, {}), jnp.zeros((10, D)), None, Call()).sum())(params)
    np.testing.assert_array_equal(used["columns"][:, 0], np.array([4, 3, 3]))
    np.testing.assert_array_equal(used["rows"][:, 0], np.array([3, 3, 3, 1]))
    odd = init(record, DIMS._replace(model_dim=7))[0]
    assert (odd["columns"].shape[1], odd["rows"].shape[1]) == ((7, 7) if form == "sum" else (4, 3))
    assert record.max_length == 12


@pytest.mark.parametrize("length", [1, 2, 9, 10, 47, 48])
def test_axial_covers_the_longest_text(length):
    params = attention.build("encoding", "axial").init(jax.random.key(0), DIMS._replace(max_length=length))
    first, second = params["columns"].shape[0], params["rows"].shape[0]
    assert length <= first * second < length + first
    assert 0 <= first - second <= 1
    assert embedded("axial", jnp.zeros((length, D)), params=(params, {})).shape == (length, D)


def test_axial_past_the_end():
    record = attention.build("encoding", "axial(lengths=(2, 3))")
    params, x = init(record), normal(0, 1, 6, D)
    with pytest.raises(ValueError, match="axial has 6 positions, got a sequence of 7"):
        jit(lambda x: record.embed(params, x, None, Call()))(normal(0, 1, 7, D))
    for outside in (6, -1, 1_000_000):
        where = jnp.array([[0, 1, 2, 3, 5, outside]])
        with pytest.raises(ValueError, match=f"the table has 6 positions, got position {outside}"):
            record.embed(params, x, None, Call(where, where))
        found = jit(lambda x, p: record.embed(params, x, None, Call(p, p)))(x, where)
        np.testing.assert_array_equal(np.isnan(found).any(-1), [[False] * 5 + [True]])
    with pytest.raises(ValueError, match=r"axial needs its lengths, or Dims\.max_length"):
        attention.build("encoding", "axial").init(jax.random.key(0), DIMS._replace(max_length=None))
    with pytest.raises(ValueError, match="form='concat' shares the channels between two tables, got 1"):
        record.init(jax.random.key(0), DIMS._replace(model_dim=1))


@pytest.mark.parametrize("spec", ["learned(max_length=6)", "axial(lengths=(2, 3))"])
def test_where_padding_is_does_not_matter(spec):
    """A table is not asked for the position of padding, which may be outside of it; positions are whole numbers."""
    record = attention.build("encoding", spec)
    params, x, valid = init(record), normal(0, 1, 4, D), jnp.array([[True, True, True, False]])
    where = jnp.array([[3, 5, 0, 77]])
    run = lambda x, p: record.embed(params, x, None, Call(p, p, valid, valid))
    np.testing.assert_allclose(run(x, where)[:, :3], record.embed(params, x[:, :3], None, Call(where[:, :3])), atol=1e-6)
    assert np.isfinite(jit(run)(x, where)).all()
    with pytest.raises(ValueError, match="has a row per whole position, got positions of type float32"):
        run(x, where.astype(jnp.float32))


# Convolution.


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("width", [3, 7])
def test_depthwise_convolution(width, causal):
    x, kernel, bias = normal(0, 2, 5, 4), normal(1, width, 4), normal(2, 4)
    valid = np.array([[True] * 5, [False, True, True, True, False]])
    found = attention.depthwise_convolution(x, kernel, bias, valid=jnp.asarray(valid), causal=causal)
    first = -(width - 1) if causal else -(width // 2)
    for b, t, c in np.ndindex(2, 5, 4):
        near = [(o, t + first + o) for o in range(width) if 0 <= t + first + o < 5 and valid[b, t + first + o]]
        wanted = float(bias[c]) + sum(float(kernel[o, c]) * float(x[b, i, c]) for o, i in near)
        np.testing.assert_allclose(found[b, t, c], wanted, atol=1e-5)
    with pytest.raises(ValueError, match="has an odd width, got 4"):
        attention.depthwise_convolution(x, normal(1, 4, 4), bias)


@pytest.mark.parametrize("left", [0, 3])
def test_convolution_does_not_see_padding(left):
    """Padding before and after the text holds anything, NaN included."""
    record = attention.build("encoding", "cpe(width=5)")
    params, x = init(record), normal(0, 1, 6, D)
    padded = jnp.full((1, 12, D), jnp.nan).at[:, left : left + 6].set(x)
    valid = (jnp.arange(12) >= left) & (jnp.arange(12) < left + 6)
    found = record.embed(params, padded, None, Call(q_valid=valid[None], k_valid=valid[None]))
    np.testing.assert_allclose(found[:, left : left + 6], record.embed(params, x, None, Call()), atol=1e-6)


def test_convolution_acts_after_the_first_block():
    """In a stack the first block's output is that without it, and the states of one block are norm(h + conv(h))."""
    two = {"encoder": "transformer(layers=2, mlp=2)"}
    tokens, valid = models.batch()
    made = models.made(**two, encoding="cpe")
    plain = models.made(**two, encoding="none")[0]
    plain_params = {**made[1], "encoder": {**made[1]["encoder"], "encoding": {}}}
    inside = made[1]["encoder"]
    params = {**made[1], "encoder": {**inside, "encoding": jax.tree.map(jnp.zeros_like, inside["encoding"])}}
    see = lambda model, params: model.apply({"params": params}, tokens, valid, capture=True)[1]
    silent, acting, none = see(made[0], params), see(made[0], made[1]), see(plain, plain_params)
    np.testing.assert_allclose(silent["states"], none["states"], atol=1e-6)
    np.testing.assert_array_equal(acting["layer_0/output"], silent["layer_0/output"])
    assert np.abs(acting["layer_1/output"] - silent["layer_1/output"]).max() > 1e-2
    model, params, _ = models.made(encoding="cpe")
    seen = see(model, params)
    h, own = seen["layer_0/output"], params["encoder"]["encoding"]
    h = h + attention.depthwise_convolution(h, own["kernel"], own["bias"], valid=valid)
    h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-6)
    norm = params["encoder"]["norm"]
    np.testing.assert_allclose(seen["states"], h * norm["scale"] + norm["bias"], atol=1e-4)


def test_convolution_in_causal_models():
    """The form that reads later tokens is refused under a causal mask; the other's outputs do not depend on them."""
    with pytest.raises(ValueError, match=r"cpe reads the tokens after each; under a causal mask use cpe\(causal=True\)"):
        models.made(encoding="cpe", mask="causal")
    model, params, _ = models.made(encoding="cpe(causal=True) + rope", mask="causal", encoder="transformer(layers=2, mlp=2)")
    tokens, valid = models.batch()
    see = lambda tokens: model.apply({"params": params}, tokens, valid, capture=True)[1]["states"]
    other = see(tokens.at[:, 4:].set(1 + tokens[:, 4:] % 5))
    np.testing.assert_allclose(other[:, :4], see(tokens)[:, :4], atol=1e-5)
    assert not np.allclose(other[0, 4:], see(tokens)[0, 4:], atol=1e-3)


# Composition and bad input.


@pytest.mark.parametrize("spec", ["index(scale=0.1) + rope", "learned_fourier + rel_matrix", "axial + sin_cos_sum + t5"])
def test_sums(spec):
    """Terms have their own parameters, and the sum differs from each of them."""
    record, run = layer(spec)
    params, x = init(record), normal(0, 1, 9, D)
    whole = run(params, x, Call())
    for i, term in enumerate(spec.split(" + ")):
        part, run_part = layer(term)
        own = tuple(each.get(str(i), {}) for each in params)
        assert jax.tree.structure(own) == jax.tree.structure(init(part))
        assert not np.allclose(run_part(own, x, Call()), whole, atol=1e-3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("index(scale=0)", "scale must be a finite number other than 0, got 0.0"),
        ("index(parity=both)", "'parity' wants one of 'even', 'odd', got 'both'"),
        ("index(combine=stack)", "'combine' wants one of 'add', 'concat', got 'stack'"),
        ("linear(scale=0)", "scale must be a finite number other than 0, got 0.0"),
        ("sin_period_d(scale=0)", "scale must be a finite number other than 0, got 0.0"),
        ("sin_cos_sum(scale=0)", "scale must be a finite number other than 0, got 0.0"),
        ("sin_half_period(max_length=0)", "max_length must be None or >= 1, got 0"),
        ("sin_half_period(scale=0)", "scale must be a finite number other than 0, got 0.0"),
        ("sin_half_period(multi_frequency=True, combine=concat)", "multi_frequency has one per channel"),
        ("rel_matrix(form=table)", "'form' wants one of 'bias', 'embedding', 'raw'"),
        ("rel_matrix(form=embedding, max_distance=0)", "max_distance must be >= 1, got 0"),
        ("rel_matrix(max_distance=3)", "max_distance is for form='embedding', got form='bias'"),
        ("rel_matrix(scale=0)", "scale must be a finite number other than 0, got 0.0"),
        ("learned_fourier(features=3)", "features must be None or an even number >= 2, got 3"),
        ("learned_fourier(hidden=0)", "hidden must be >= 1, got 0"),
        ("learned_fourier(gamma=0)", "gamma must be a finite number > 0, got 0.0"),
        ("complex_order(base=0)", "base must be > 0, got 0.0"),
        ("axial(lengths=(3,))", r"lengths must be None or \(L1, L2\), both >= 1, got \(3,\)"),
        ("axial(lengths=(3, 0))", r"lengths must be None or \(L1, L2\), both >= 1, got \(3, 0\)"),
        ("axial(form=product)", "'form' wants one of 'concat', 'sum'"),
        ("cpe(width=4)", "width must be an odd number >= 3, got 4"),
        ("cpe(width=1)", "width must be an odd number >= 3, got 1"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("encoding", spec)


def test_bad_dimensions():
    for function, least in [(attention.index_positions, 2), (attention.sin_period_d, 1)]:
        with pytest.raises(ValueError, match=f"dim must be >= {least}, got {least - 1}"):
            function(jnp.arange(2), least - 1)
    with pytest.raises(ValueError, match="max_length must be None or >= 1, got 0"):
        attention.sin_half_period(jnp.arange(2), 2, max_length=0)
