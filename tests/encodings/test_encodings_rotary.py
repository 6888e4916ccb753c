import functools
import importlib
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
import tests.support.reference_encodings_rotary as reference
from attention.records import Call
from tests.support.encoding_rows import layer, positions
from tests.support.helpers import DIMS, assert_close, float64, init, inputs, jit, normal, params_of, value_and_gradients

FAR = (0, 1, 7, 1000, 65537, 999_999, 1_000_000)

# p-RoPE.


@pytest.mark.parametrize("layout", ["interleaved", "half"])
@pytest.mark.parametrize(("dim", "share", "kept"), [(8, 0.75, 3), (8, 0.7, 2), (8, 0.2, 0), (12, 0.5, 3), (200, 0.29, 29)])
def test_p_rope(dim, share, kept, layout):
    """⌊p·d/2⌋ frequencies of those of the whole width, and no rounding of decimal shares."""
    theta = reference.frequencies(dim, 70.0)
    theta[kept:] = 0
    x = normal(0, len(FAR), 1, dim)
    found = jit(functools.partial(attention.p_rope, share=share, base=70.0, layout=layout))(x, jnp.array(FAR))
    wanted = [reference.turned(x[i, 0], p, theta, layout) for i, p in enumerate(FAR)]
    np.testing.assert_allclose(found[:, 0], wanted, atol=6e-6)


def test_p_rope_limits():
    """p = 1 is RoPE and p = 0 no positions; it is not RoPE on a part of the channels."""
    x = normal(0, 5, 1, 8)
    np.testing.assert_array_equal(attention.p_rope(x, jnp.arange(5), share=1.0), attention.rope(x, jnp.arange(5)))
    np.testing.assert_array_equal(attention.p_rope(x, jnp.arange(5), share=0.0), x)
    assert not np.allclose(attention.p_rope(x, jnp.arange(5), share=0.5), attention.rope(x, jnp.arange(5), fraction=0.5))


# xPos.


def _xpos_scores(q, k, where, **options):
    origin = where.shape[0] // 2 + where[0]
    turned = attention.xpos(q, where, origin, **options), attention.xpos(k, where, origin, keys=True, **options)
    return jnp.einsum("inh,jnh->ij", *turned)


@pytest.mark.parametrize("shift", [0, 1_000_000])
def test_xpos(shift):
    """Scores of pairs depend on the distance alone, a million positions away too."""
    q, k = normal(0, 6, 1, 8), normal(1, 6, 1, 8)
    where = jnp.array([0, 1, 2, 50, 51, 400]) + shift
    found = jit(functools.partial(_xpos_scores, base=70.0, scale_base=40.0))(q, k, where)
    wanted = [
        [reference.xpos_score(q[i, 0], k[j, 0], int(where[i] - where[j]), 70.0, 40.0) for j in range(6)] for i in range(6)
    ]
    below = np.tri(6, dtype=bool)
    np.testing.assert_allclose(np.asarray(found)[below], np.array(wanted)[below], atol=1e-5)


def test_xpos_in_attention():
    """Against scores of pairs, with packed and far positions; what stands at padding does not overflow anything."""
    query, key, value = inputs(B=1, T=7, S=7, N=1, K=1)
    where = jnp.array([[2_000_000_000, 5, 6, 40, 41, 300, -7]])
    valid = jnp.array([[False, True, True, True, True, True, False]])

    @jit
    def run(query, where):
        call = Call(where, where, valid, valid)
        output = attention.attend(query, key, value, encoding="xpos", mask="causal", call=call)[:, 1:6]
        return jnp.sum(output**2), output

    wanted = np.zeros((5, 8))
    for i in range(1, 6):
        scores = [reference.xpos_score(query[0, i, 0], key[0, j, 0], int(where[0, i] - where[0, j])) for j in range(1, i + 1)]
        weights = np.exp(np.array(scores) / math.sqrt(8))
        wanted[i - 1] = weights / weights.sum() @ np.asarray(value[0, 1 : i + 1, 0])
    gradient = jit(jax.grad(inspect.unwrap(run), has_aux=True))
    for by in (0, 900_000):
        np.testing.assert_allclose(run(query, where + by)[1][0, :, 0], wanted, atol=1e-5)
        assert np.isfinite(gradient(query, where + by)[0]).all()


def test_xpos_origin():
    """Half way between the ends of the valid tokens, so that texts of 60,000 positions stay finite; and it does not matter."""
    q, k = normal(0, 2, 1, 8), normal(1, 2, 1, 8)
    record = attention.build("encoding", "xpos")
    rotate = jit(record.rotate)
    ends, none = jnp.array([1_000_000, 1_060_000]), jnp.array([False, False])
    turned = rotate(({}, {}), q, k, Call(ends, ends))
    empty = rotate(({}, {}), q, k, Call(ends, ends, none, none))
    assert all(np.isfinite(each).all() for each in (*turned, *empty))
    np.testing.assert_allclose(turned[0][1, 0] @ turned[1][1, 0], q[1, 0] @ k[1, 0], rtol=1e-4)
    floats = rotate(({}, {}), q, k, Call(jnp.array([0.5, 3.5]), jnp.array([0.5, 3.5])))
    wanted = rotate(({}, {}), q, k, Call(jnp.array([0, 3]), jnp.array([0, 3])))
    np.testing.assert_allclose(floats[0][1, 0] @ floats[1][0, 0], wanted[0][1, 0] @ wanted[1][0, 0], rtol=1e-4)
    with pytest.raises(ValueError, match=r"encoding=xpos with mask=full: this encoding is defined for earlier keys only"):
        attention.attend(q, k, k, encoding="xpos")


def test_xpos_decays():
    """Equal vectors at Δ = 512 have ζ_t of their product; no decay at a scale without end is RoPE."""
    ones = jnp.ones((2, 1, 2))
    where = jnp.array([0, 512])
    size = jnp.linalg.norm(attention.xpos(ones, where), axis=-1)[:, 0]
    np.testing.assert_allclose(size, [math.sqrt(2), math.sqrt(2) * 0.8 / 2.8], rtol=1e-6)
    x = normal(0, 2, 1, 8)
    np.testing.assert_allclose(attention.xpos(x, where, scale_base=1e12), attention.rope(x, where), atol=1e-6)


# FoPE.


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (4, 1), (1, 1), (2, 4)])
def test_fope(shape):
    """Far positions too; pairs without a mixture are left as they are, where the official code would double their product."""
    x, cos, sin = normal(0, 2, len(FAR), 3, 8), normal(1, 3, *shape), normal(2, 3, *shape)
    found = jit(functools.partial(attention.fope, base=70.0))(x, jnp.array(FAR), cos, sin)
    wanted = [
        [[reference.fope(x[b, i, n], p, float64(cos)[n], float64(sin)[n], 70.0) for n in range(3)] for i, p in enumerate(FAR)]
        for b in range(2)
    ]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    left = np.array([*range(shape[1], 4), *range(4 + shape[1], 8)], int)
    np.testing.assert_array_equal(found[..., left], x[..., left])
    order = np.array([0, 4, 1, 5, 2, 6, 3, 7])
    other = attention.fope(x[..., order], jnp.array(FAR), cos, sin, base=70.0, layout="interleaved")
    np.testing.assert_allclose(other, found[..., order], atol=1e-6)


def test_fope_of_units_is_rope():
    """Each of the frequencies by itself is RoPE with the lowest ones left out."""
    x, unit = normal(0, 5, 2, 8), jnp.broadcast_to(jnp.eye(2), (2, 2, 2))
    wanted = attention.p_rope(x, jnp.arange(5), share=0.5, layout="half")
    np.testing.assert_allclose(attention.fope(x, jnp.arange(5), unit, unit), wanted, atol=1e-6)


def test_fope_at_the_start():
    """F frequencies of at least 2π/L in G = min(F, H/4) pairs: every ⌈F/G⌉-th by itself, plus noise of each head's own."""
    dims = DIMS._replace(head_dim=32, layer=0)
    start = lambda spec, **sizes: attention.build("encoding", spec).init(jax.random.key(0), dims._replace(**sizes))["cos"]
    # base 50, H = 32: θ_f = 50^(-f/16) >= 2π/48 up to f = 8.3, nine frequencies in eight pairs: 0, 2, 4, 6, 8.
    found = start("fope(base=50, gain=0)")
    assert found.shape == (4, 9, 8)
    assert list(zip(*np.nonzero(found[1]))) == [(0, 0), (2, 1), (4, 2), (6, 3), (8, 4)]
    np.testing.assert_array_equal(start("fope(gain=0, train_length=20)")[0], np.eye(3))  # 10000^(-f/16) >= 0.314 up to f = 2.01
    assert start("fope", max_length=200).shape == (4, 7, 7)
    # train_length in the option wins over the data's.
    assert start("fope(train_length=200)").shape == (4, 7, 7)
    noise = start("fope(base=50, gain=0.5)", num_heads=300) - start("fope(base=50, gain=0)", num_heads=300)
    np.testing.assert_allclose(noise.std(), 0.5 * math.sqrt(2 / (9 + 8)), rtol=0.03)
    record = attention.build("encoding", "fope")
    both = record.init(jax.random.key(0), dims)
    assert not np.allclose(both["cos"], both["sin"])
    assert record.init(jax.random.key(0), dims._replace(layer=None)) == {}
    for sizes in ({"max_length": 6}, {"head_dim": 2}):
        with pytest.raises(ValueError, match="fope wants a head dim >= 4 and a frequency that turns within"):
            record.init(jax.random.key(0), dims._replace(**sizes))
    with pytest.raises(ValueError, match="fope needs the training length"):
        record.init(jax.random.key(0), dims._replace(max_length=None))


# PoPE.


@pytest.mark.parametrize("shift", [0, 1_000_000])
def test_pope(shift):
    """Attention against scores of pairs: the scale is that of the head dim, though queries and keys are twice as wide."""
    query, key, value = inputs(T=6, S=6, N=2, K=2)
    where = jnp.array([[0, 1, 2, 50, 51, 99]]) + shift
    params = {"encoding": ({}, {"phase": normal(5, 2, 8)})}
    call = Call(where, where)
    run = jit(
        lambda call: attention.attend(
            query, key, value, encoding="pope(base=70)", params=params, call=call, return_weights=True
        )
    )
    output, weights = run(call)
    phase = float64(params["encoding"][1]["phase"])
    for b, n, i in np.ndindex(2, 2, 6):
        row = [
            reference.pope_score(float64(query[b, i, n]), float64(key[b, j, n]), int(where[0, i] - where[0, j]), phase[n], 70.0)
            for j in range(6)
        ]
        wanted = np.exp(np.array(row) / math.sqrt(8))
        np.testing.assert_allclose(weights[b, n, i], wanted / wanted.sum(), atol=2e-6)
    assert output.shape == value.shape


def test_pope_channels():
    """Odd and single channels, the type of the input, and large entries, whose softplus is themselves."""
    x = jnp.array([[[-200.0, 0.0, 200.0]]])
    found = attention.pope(x, jnp.array([1]))[0, 0]
    size = np.array([0.0, math.log(2), 200.0])
    angle = 10000.0 ** (-np.arange(3) / 3)
    np.testing.assert_allclose(found, [*(size * np.cos(angle)), *(size * np.sin(angle))], rtol=1e-6, atol=1e-7)
    assert attention.pope(jnp.ones((2, 1, 1), jnp.bfloat16), jnp.arange(2)).dtype == jnp.bfloat16


@pytest.mark.parametrize("score", ["dot", "general", "cosine", "l2"])
def test_pope_with_scores(score):
    """Scores that know two vectors alone do not mind how wide they are."""
    params = params_of(encoding="pope", score=score)
    query, key, value = inputs(T=5, S=5)
    output = jit(lambda: attention.attend(query, key, value, encoding="pope", score=score, params=params))()
    assert output.shape == query.shape
    assert np.isfinite(output).all()


# What holds for all of them.

SPECS = {
    "rope(scaling=dynamic_ntk, factor=2, train_length=10)": "full",
    "rope(scaling=yarn, factor=2, train_length=10)": "full",
    "p_rope": "full",
    "xpos": "causal",
    "fope(base=50)": "full",
    "pope": "full",
    "pope + t5(buckets=8, max_distance=12) + p_rope": "full",
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("spec", SPECS)
def test_chunked_is_dense(spec, streamed, small_blocks, monkeypatch):
    """Value and every gradient, with padding, ragged blocks and a batch of 2; queries and keys may be wider than values."""
    if streamed:
        monkeypatch.setattr(importlib.import_module("attention.kernels.chunked"), "STREAM_ELEMENTS", 0)
    arrays, upstream = (*inputs(), params_of(encoding=spec)), normal(6, 2, 40, 4, 8)
    valid = jnp.arange(40) < jnp.array([[40], [33]])
    options = {"encoding": spec, "mask": SPECS[spec], "call": Call(q_valid=valid, k_valid=valid)}

    @jit
    def both(arrays):
        return [value_and_gradients(arrays, upstream, kernel=kernel, **options) for kernel in ("dense", "chunked")]

    dense, chunked = both(arrays)
    assert_close(chunked, dense)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "+" not in spec and "fope" not in spec])
def test_moved_far_away(spec):
    """Moving every position by a million changes nothing."""
    record, run = layer(spec, SPECS[spec])
    params, x = init(record), normal(0, 2, 9, DIMS.model_dim)
    near, far = (run(params, x, positions(np.arange(9) + by, 3 * np.arange(9) + by)) for by in (0, 1_000_000))
    np.testing.assert_allclose(far, near, atol=1e-5)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "+" not in spec])
def test_low_precision(spec):
    """bfloat16 in and out, computed in float32 from exact positions."""
    record, params = attention.build("encoding", spec), init(attention.build("encoding", spec))
    query, key = normal(0, 1, 3, 4, 8), normal(1, 1, 3, 4, 8)
    call = Call(jnp.array([256, 257, 1001]), jnp.array([256, 257, 1001]))
    exact = record.rotate(params, query, key, call)
    low = record.rotate(params, query.astype(jnp.bfloat16), key.astype(jnp.bfloat16), call)
    for a, b in zip(low, exact):
        assert a.dtype == jnp.bfloat16
        np.testing.assert_allclose(a.astype(jnp.float32), b, atol=3e-2, rtol=3e-2)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("p_rope(share=1.5)", r"share must be in \[0, 1\], got 1.5"),
        ("p_rope(share=-0.1)", r"share must be in \[0, 1\], got -0.1"),
        ("p_rope(base=0)", "base must be > 0, got 0.0"),
        ("xpos(base=0)", "base must be > 0, got 0.0"),
        ("xpos(scale_base=0)", "scale_base must be > 0, got 0.0"),
        ("fope(base=-1)", "base must be > 0, got -1.0"),
        ("fope(train_length=0)", "train_length must be None or >= 1, got 0"),
        ("fope(gain=-1)", "gain must be a finite number >= 0, got -1.0"),
        ("pope(base=0)", "base must be > 0, got 0.0"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("encoding", spec)


def test_odd_head_dims():
    x = jnp.ones((1, 2, 5))
    unit = jnp.ones((2, 1, 1))
    for function, message in [
        (attention.p_rope, "turns pairs of channels"),
        (attention.xpos, "xpos turns pairs of channels: want an even head dim, got 5"),
        (lambda x, p: attention.fope(x, p, unit, unit), "H even: got H = 5"),
        (lambda x, p: attention.fope(x[..., :4], p, jnp.ones((2, 3, 1)), jnp.ones((2, 3, 1))), "3 frequencies, 1 pairs"),
    ]:
        with pytest.raises(ValueError, match=message):
            function(x, jnp.arange(1))


@pytest.mark.parametrize("name", ["rope", "p_rope", "xpos", "pope", "fope"])
def test_rotations_want_products(name):
    with pytest.raises(ValueError, match="a rotation has a meaning only where the score depends on query and key through"):
        attention.attend(*inputs(T=3, S=3), encoding=name, score="additive", mask="causal")
