"""The angles, sinusoids, rotations, ALiBi, T5 and Shaw against references and published numbers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import reference, reference_normalizers
from tests.support.encoding_rows import D, H, N
from tests.support.helpers import DIMS, float64, init, jit, normal, params_of

# Angles, exact far from the origin.

FAR = (0, 1, 3, 1000, 65537, 1_000_000, 2**31 - 1)


@pytest.mark.parametrize("base", [10000.0, 500000.0, 2.0, 0.5])
def test_angles_are_exact(base):
    """Float64 products reduced exactly by fmod, at positions where float32 products are off by up to 1e2."""
    positions = np.array([*FAR, *(-p for p in FAR)])
    wanted = np.stack([reference.sinusoidal(int(p), 16, base) for p in positions])
    found = jit(lambda p: attention.sinusoidal(p, 16, base=base))(jnp.asarray(positions, jnp.int32))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    x = np.asarray(normal(0, len(positions), 1, 16), np.float64)
    turned = jit(lambda x, p: attention.rope(x, p, base=base))(jnp.asarray(x, jnp.float32), jnp.asarray(positions, jnp.int32))
    wanted = np.stack([reference.rope(row[0], int(p), base) for row, p in zip(x, positions)])[:, None]
    np.testing.assert_allclose(turned, wanted, atol=4e-6)


def test_positions_survive_low_precision():
    """bfloat16 cannot hold position 257: positions are never cast to the type of the states."""
    x = jnp.zeros((1, 300, D), jnp.bfloat16)
    code = attention.build("encoding", "sinusoidal").embed(({}, {}), x, None, Call())
    np.testing.assert_allclose(code[0, 257].astype(jnp.float32), reference.sinusoidal(257, D), atol=4e-3)
    rotated = attention.rope(jnp.ones((2, 1, 8), jnp.bfloat16), jnp.array([256, 257]))
    assert rotated.dtype == jnp.bfloat16
    np.testing.assert_allclose(rotated[1, 0].astype(jnp.float32), reference.rope(np.ones(8), 257), atol=1e-2)


# Sinusoidal.


@pytest.mark.parametrize("dim", [1, 2, 6, 7, 16])
@pytest.mark.parametrize("layout", ["interleaved", "concat"])
@pytest.mark.parametrize("denominator", ["dim", "half_minus_one"])
def test_sinusoidal(dim, layout, denominator):
    positions = np.array([[0, 1, 5], [77, 2, 4096]])
    found = jit(functools.partial(attention.sinusoidal, dim=dim, layout=layout, denominator=denominator, base=300.0))(positions)
    wanted = [[reference.sinusoidal(int(p), dim, 300.0, layout, denominator) for p in row] for row in positions]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_sinusoidal_published():
    """keras-hub, sine_position_encoding_test.py; transformers, test_modeling_roformer.py."""
    found = attention.sinusoidal(jnp.array([3]), 6)[0]
    np.testing.assert_allclose(found, [0.14112, -0.98999, 0.13879, 0.99032, 0.00646, 0.99997], atol=1e-5)
    found = attention.sinusoidal(jnp.array([1]), 6, layout="concat")[0]
    np.testing.assert_allclose(found, [0.8415, 0.0464, 0.0022, 0.5403, 0.9989, 1.0], atol=1e-4)
    # tensor2tensor's exponents run from 0 to 1, so that the last sine turns once in 2π·base.
    last = attention.sinusoidal(jnp.array([5000]), 6, layout="concat", denominator="half_minus_one")[0, 2]
    np.testing.assert_allclose(last, math.sin(0.5), atol=1e-6)


def test_sinusoidal_distance_identity():
    """A product of codes depends on the distance alone: Σ_t cos(Δ θ_t)."""
    code = attention.sinusoidal(jnp.arange(50), 16)
    gram = np.asarray(code @ code.T)
    for distance in (0, 1, 7):
        np.testing.assert_allclose(np.diag(gram, distance), gram[0, distance], atol=1e-5)


def test_learned_scale():
    record = attention.build("encoding", "sinusoidal(learned_scale=True)")
    params = record.init(jax.random.key(0), DIMS), record.init(jax.random.key(0), DIMS._replace(layer=0))
    np.testing.assert_allclose(params[0]["scale"], D**-0.5)
    assert params[1] == {}
    found = record.embed(({"scale": jnp.float32(3.0)}, {}), jnp.zeros((5, D)), None, Call())
    np.testing.assert_allclose(found, 3 * attention.sinusoidal(jnp.arange(5), D), atol=1e-6)


# Rotary.


@pytest.mark.parametrize("layout", ["interleaved", "half"])
@pytest.mark.parametrize(("dim", "fraction"), [(2, 1.0), (8, 1.0), (8, 0.25), (12, 0.5)])
def test_rope(dim, fraction, layout):
    x, positions = normal(0, 2, 3, 2, dim), np.array([[0, 4, 9], [500, 7, 3]])
    run = jit(functools.partial(attention.rope, base=70.0, fraction=fraction, layout=layout))
    found = run(x, positions)
    wanted = [
        [[reference.rope(x[b, t, n], int(positions[b, t]), 70.0, fraction, layout) for n in range(2)] for t in range(3)]
        for b in range(2)
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(run(x, positions.astype(np.float32)), wanted, atol=1e-3)  # after encodings that make floats


def test_rope_golden():
    """Values computed apart from this project; ones(6) at position 3 is keras-hub's, rotary_embedding_test.py."""
    ones, ramp = jnp.ones((1, 1, 6)), jnp.arange(1.0, 7.0)[None, None]
    rope = lambda x, position, **options: attention.rope(x, jnp.array([position]), **options)[0, 0]
    for found, wanted in [
        (rope(ones, 3), [-1.13111250, -0.84887249, 0.85152260, 1.12911880, 0.99351585, 1.00644237]),
        (rope(ones, 3, layout="half"), [-1.1311, 0.8515, 0.9935, -0.8489, 1.1291, 1.0064]),
        (rope(ramp, 2), [-2.23474169, 0.07700375, 2.61628867, 4.26087240, 4.97410045, 6.02148858]),
        (rope(ramp, 2, layout="half"), [-4.05333654, 1.52789594, 2.97411901, -0.75528992, 5.16386812, 6.01287087]),
    ]:
        np.testing.assert_allclose(found, wanted, atol=5e-5 if len(str(wanted[0])) < 9 else 2e-6)
    # transformers, test_modeling_roformer.py: arange/100 of shape (2, 12, 16, 64), row 1.
    x = jnp.arange(2 * 12 * 16 * 64, dtype=jnp.float32).reshape(2, 12, 16, 64)[:1, 0, :2].swapaxes(0, 1) / 100
    wanted = [-0.2012, 0.8897, 0.0263, 0.9401, 0.2074, 0.9463, 0.3481, 0.9343]
    np.testing.assert_allclose(attention.rope(x, jnp.arange(2))[1, 0, :8], wanted, atol=1e-4)


def test_rope_identities():
    """Rotation: norms stay, position 0 is the identity, layouts are a permutation, and products depend on the distance."""
    q, k, positions = normal(0, 6, 1, 8), normal(1, 6, 1, 8), jnp.array([0, 1, 2, 50, 51, 99])
    rope = jit(attention.rope, static_argnames=("layout", "fraction"))
    np.testing.assert_allclose(jnp.sum(rope(q, positions) ** 2, -1), jnp.sum(q**2, -1), rtol=1e-5)
    np.testing.assert_array_equal(rope(q, positions)[0], q[0])
    order = np.array([0, 2, 4, 6, 1, 3, 5, 7])
    half = rope(q[..., order], positions, layout="half")
    np.testing.assert_allclose(half, rope(q, positions)[..., order], atol=1e-6)
    np.testing.assert_array_equal(rope(q, positions, fraction=0.5)[..., 4:], q[..., 4:])
    np.testing.assert_allclose(rope(q, positions, fraction=0.5)[..., :4], rope(q[..., :4], positions), atol=1e-6)
    scores = lambda shift: jnp.einsum("inh,jnh->ij", rope(q, positions + shift), rope(k, positions + shift))
    for shift in (1, 1000, 1_000_000):
        np.testing.assert_allclose(scores(shift), scores(0), atol=2e-5)
    relative = jnp.einsum("inh,jnh->ij", rope(q, positions - positions[2]), rope(k, positions - positions[2]))
    np.testing.assert_allclose(relative[:, 2], jnp.einsum("inh,nh->i", rope(q, positions - 2), k[2]), atol=1e-5)


# ALiBi.


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 31, 64])
def test_alibi_slopes(heads):
    np.testing.assert_allclose(attention.alibi_slopes(heads), reference.alibi_slopes(heads), rtol=1e-6)


def test_alibi_published():
    """keras-hub, alibi_bias_test.py (last of three queries), and the powers of the paper."""
    np.testing.assert_array_equal(attention.alibi_slopes(4), [2**-2, 2**-4, 2**-6, 2**-8])
    np.testing.assert_array_equal(attention.alibi_slopes(8), 0.5 ** np.arange(1, 9))
    np.testing.assert_allclose(attention.alibi_slopes(12)[8:], [0.70710678, 0.35355339, 0.17677670, 0.08838835], rtol=1e-6)
    bias = attention.alibi_bias(jnp.array([2]), jnp.arange(3), jnp.asarray(attention.alibi_slopes(14)))
    np.testing.assert_allclose(bias[:2, 0], [[-1, -0.5, 0], [-0.5, -0.25, 0]])
    np.testing.assert_allclose(bias[8, 0], [-1.4142135, -0.70710677, 0], rtol=1e-6)
    with pytest.raises(ValueError, match="num_heads must be >= 1, got 0"):
        attention.alibi_slopes(0)


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_alibi_bias(form):
    q, k, slopes = np.array([[0, 5, 9], [2, 2, 700]]), np.array([[3, 9], [0, 2]]), attention.alibi_slopes(3)
    found = jit(functools.partial(attention.alibi_bias, form=form))(q, k, slopes)
    wanted = [[[[reference.alibi(i, j, m, form) for j in k[b]] for i in q[b]] for m in slopes] for b in range(2)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert (found[0, 0, 1, 0] == found[0, 0, 1, 1] * 0.5) == (form == "symmetric")  # Δ = 2 and Δ = -4


# T5.

T5_BOTH = (
    "-200:15 -128:15 -91:15 -64:14 -32:12 -16:10 -15:9 -8:8 -7:7 -1:1 0:0 1:17 7:23 8:24 11:24 12:25 16:26 22:26 23:27 31:27 "
    "32:28 45:28 46:29 63:29 64:30 90:30 91:31 128:31"
)
T5_CAUSAL = "-128:31 -113:31 -112:30 -64:26 -32:21 -21:18 -20:17 -19:17 -18:16 -16:16 -15:15 -1:1 0:0 1:0 5:0 400:0"


@pytest.mark.parametrize(("table", "bidirectional"), [(T5_BOTH, True), (T5_CAUSAL, False)])
def test_t5_golden(table, bidirectional):
    relative, buckets = zip(*(map(int, pair.split(":")) for pair in table.split()))
    found = attention.t5_buckets(jnp.array(relative), bidirectional=bidirectional)
    np.testing.assert_array_equal(found, buckets)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (16, 64), (12, 10), (64, 256), (320, 800), (4, 2), (6, 9)])
def test_t5_buckets(buckets, max_distance, bidirectional):
    if (buckets, max_distance, bidirectional) == (4, 2, False):
        max_distance = 3
    relative = np.array([*range(-600, 601), -(2**30), 2**30])
    options = {"buckets": buckets, "max_distance": max_distance, "bidirectional": bidirectional}
    found = np.asarray(attention.t5_buckets(jnp.asarray(relative), **options))
    np.testing.assert_array_equal(found, [reference.t5_bucket(int(r), **options) for r in relative])
    assert found.max() == buckets - 1 or max_distance > 600
    past = np.abs(relative) >= max_distance
    assert set(found[past & (relative < 0)]) == {found[-2]}


def test_t5_bias():
    """The bias is the table's row, per head, with a bucket for the exact distance in each direction."""
    spec = "t5(buckets=8, max_distance=12)"
    record, params = attention.build("encoding", spec), params_of(encoding=spec)["encoding"]
    call = Call(jnp.array([[3, 0]]), jnp.array([[3, 4, 90, 0]]))
    found = record.bias(params, (), (), (), call)
    buckets = [[reference.t5_bucket(j - i, 8, 12) for j in (3, 4, 90, 0)] for i in (3, 0)]
    np.testing.assert_allclose(found[0], np.moveaxis(params[0]["table"][np.array(buckets)], -1, 0))
    start = record.init(jax.random.key(0), DIMS._replace(num_heads=400))["table"]
    np.testing.assert_allclose(start.std(), D**-0.5, rtol=0.05)


# Shaw.


def test_shaw_double_loop():
    """Both terms against a direct double loop over queries and keys."""
    T, K = 6, 2
    record = attention.build("encoding", f"shaw(max_distance={K})")
    params = init(record)
    query, key, value = normal(1, 1, T, N, H), normal(2, 1, T, N, H), normal(3, 1, T, N, H)
    run = jit(lambda *a: attention.attend(*a, encoding=record, params={"encoding": params}, return_weights=True))
    output, weights = run(query, key, value)
    q, k, v, (_, own) = float64((query[0], key[0], value[0], params))
    for n in range(N):
        for i in range(T):
            rows = [min(max(j - i, -K), K) + K for j in range(T)]
            scores = [(q[i, n] @ k[j, n] + q[i, n] @ own["keys"][rows[j]]) / math.sqrt(H) for j in range(T)]
            a = reference_normalizers.softmax(scores, [True] * T)
            np.testing.assert_allclose(weights[0, n, i], a, atol=1e-5)
            wanted = sum(a[j] * (v[j, n] + own["values"][rows[j]]) for j in range(T))
            np.testing.assert_allclose(output[0, i, n], wanted, atol=1e-5)
    np.testing.assert_array_equal(attention.clipped_distance(jnp.array([-9, -1, 0, 1, 9]), 2), [0, 1, 2, 3, 4])
