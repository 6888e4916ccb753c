import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import reference_normalizers
from encoding_rows import ROWS, D, H, L, N, layer, positions
from helpers import DIMS, float64, init, jit, normal, params_of, size

import attention
from attention.records import Call, Encoding


def test_every_variant_and_option_has_a_row():
    assert set(ROWS) == set(attention.names("encoding"))
    for name, row in ROWS.items():
        assert set(row.options) == {option.name for option in attention.describe("encoding", name).options}, name


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


# What holds for all of them.


@pytest.mark.parametrize("name", ROWS)
def test_explicit_positions(name):
    """arange gives what None gives; moving all positions does what the row says; lengths 1 and the maximum work."""
    row = ROWS[name]
    record, run = layer(row.spec, row.mask)
    params, x = init(record), normal(0, 2, 9, D)
    plain = run(params, x, Call())
    np.testing.assert_allclose(run(params, x, positions(np.arange(9), np.arange(9))), plain, atol=1e-5)
    shifted = run(params, x, positions(np.arange(9) + 20, np.arange(9) + 20))
    assert np.allclose(shifted, plain, atol=1e-4) == (row.moved == "same")
    order = np.array([4, 2, 8, 0, 1, 7, 3, 6, 5])
    if row.by_position:
        turned = run(params, x[:, order], positions(order, order))
        np.testing.assert_allclose(turned, plain[:, order], atol=1e-5)
    assert np.isfinite(run(params, x[:, :1], Call())).all()
    assert np.isfinite(run(params, normal(1, 1, L, D), Call())).all()


@pytest.mark.parametrize("name", ROWS)
def test_order_matters(name):
    """Permuting the tokens permutes the output where there is no encoding, and only there."""
    row = ROWS[name]
    record, run = layer(row.spec, row.mask)
    params, x, order = init(record), normal(0, 1, 9, D), np.array([4, 2, 8, 0, 1, 7, 3, 6, 5])
    assert np.allclose(run(params, x[:, order], Call()), run(params, x, Call())[:, order], atol=1e-4) != row.ordered


@pytest.mark.parametrize("name", ROWS)
def test_direction(name):
    """Whether reading the sequence backwards gives the same states backwards; under a causal mask it never does."""
    row = ROWS[name]
    record, run = layer(row.spec, row.mask)
    params, x = init(record), normal(0, 1, 9, D)
    assert np.allclose(run(params, x[:, ::-1], Call())[:, ::-1], run(params, x, Call()), atol=1e-4) != row.directed


@pytest.mark.parametrize(
    ("spec", "directed"), [("alibi(form=asymmetric)", True), ("t5(bidirectional=False)", True), ("rope(layout=half)", True)]
)
def test_direction_of_options(spec, directed):
    record, run = layer(spec)
    params, x = init(record), normal(0, 1, 9, D)
    assert np.allclose(run(params, x[:, ::-1], Call())[:, ::-1], run(params, x, Call()), atol=1e-4) != directed


@pytest.mark.parametrize("name", ROWS)
def test_each_example_alone(name):
    """What else is in the batch changes nothing, nor does the padding of an example."""
    row = ROWS[name]
    record, run = layer(row.spec, row.mask)
    params, x = init(record), normal(3, 2, 9, D)
    valid = jnp.arange(9) < jnp.array([[9], [6]])
    together = run(params, x, Call(q_valid=valid, k_valid=valid))
    np.testing.assert_allclose(run(params, x[:1], Call(q_valid=valid[:1], k_valid=valid[:1])), together[:1], atol=1e-5)
    np.testing.assert_allclose(run(params, x[1:, :6], Call())[0], together[1, :6], atol=1e-5)


@pytest.mark.parametrize("name", ROWS)
def test_parameters(name):
    """Their number by formula, none in the wrong place, and each array of them has a gradient."""
    row = ROWS[name]
    record, run = layer(row.spec, row.mask)
    params = init(record)
    assert tuple(map(size, params)) == row.count
    assert bool(sum(row.count)) == bool(jax.tree.leaves(params))
    # Two positions far apart, so that the last bucket and the last row of a table are reached.
    call = positions(np.r_[0:23, L - 1], np.r_[0:12, 16, 20, 24, 28, 30, 32, 36, 38, 40, 42, 44, L - 1])
    gradients = jit(jax.grad(lambda params, x: jnp.sum(inspect.unwrap(run)(params, x, call) ** 2)))(params, normal(0, 2, 24, D))
    for path, gradient in jax.tree.leaves_with_path(gradients):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-6, jax.tree_util.keystr(path)


@pytest.mark.parametrize(("name", "idle"), [("learned", {23, 24}), ("t5", {4}), ("shaw", set())])
def test_rows_of_tables(name, idle):
    """Every row of a table that a position or a distance can reach has a gradient, and no other."""
    record, run = layer(ROWS[name].spec)
    call = positions(np.r_[0:23, L - 1], np.r_[25:L, L - 1])
    loss = jit(jax.grad(lambda params, x: jnp.sum(inspect.unwrap(run)(params, x, call) ** 2)))
    for gradient in jax.tree.leaves(loss(init(record), normal(0, 2, 24, D))):
        assert set(np.flatnonzero(np.abs(gradient).max(-1) < 1e-6).tolist()) == idle


@pytest.mark.parametrize("name", ROWS)
def test_no_dead_knobs(name):
    """Every option of every build changes the parameters, the facts or the output."""
    row = ROWS[name]
    required = row.spec if any(str(option) == option.name for option in attention.describe("encoding", name).options) else name
    record, run = layer(required, row.mask)
    x = normal(0, 1, 20, D)
    for option, value in row.options.items():
        other, other_run = layer(f"{name}({option}={value})", row.mask)
        params, other_params = init(record, spread=0.1), init(other, spread=0.1)
        shapes = jax.tree.map(jnp.shape, params), jax.tree.map(jnp.shape, other_params)
        facts = lambda record: [each for each in record if not callable(each)]
        assert (
            shapes[0] != shapes[1]
            or facts(record) != facts(other)
            or not np.allclose(run(params, x, row.call), other_run(other_params, x, row.call), atol=1e-5)
        ), option


@pytest.mark.parametrize("name", ROWS)
def test_facts(name):
    """What a record claims to read and to rotate is what its hooks do."""
    record = attention.build("encoding", ROWS[name].spec)
    default = Encoding()
    acts = {
        hook
        for hook in Encoding._fields
        if callable(getattr(default, hook)) and getattr(record, hook) is not getattr(default, hook)
    }
    assert record.rotates == ("rotate" in acts)
    assert (record.reads == "nothing") == (not acts & {"bias", "modify", "values"})
    assert (record.reads != "block") or "values" not in acts
    assert record.max_length == ROWS[name].max_length
    assert record.needs_causal <= (ROWS[name].mask == "causal")


# Positions past the end.


def test_learned_past_the_end():
    record = attention.build("encoding", "learned(max_length=4)")
    params = init(record)
    assert params[0]["table"].shape == (4, D)
    x = normal(0, 1, 5, D)
    with pytest.raises(ValueError, match="learned has 4 positions, got a sequence of 5"):
        record.embed(params, x, None, Call())
    with pytest.raises(ValueError, match="got a sequence of 5"):  # lengths are static under a trace too
        jit(lambda x: record.embed(params, x, None, Call()))(x)
    for outside in (4, -1):
        positions = jnp.array([[0, 1, 2, 3, outside]])
        with pytest.raises(ValueError, match=f"the table has 4 positions, got position {outside}"):
            record.embed(params, x, None, Call(positions, positions))
        found = jit(lambda x, p: record.embed(params, x, None, Call(p, p)))(x, positions)
        np.testing.assert_array_equal(np.isnan(found).any(-1), [[False] * 4 + [True]])
        with jax.debug_nans(False):
            gradient = jit(jax.grad(lambda t, p: jnp.nansum(attention.look_up_positions(t, p))))(params[0]["table"], positions)
        np.testing.assert_array_equal(gradient[:, 0], [1, 1, 1, 1])
    np.testing.assert_array_equal(record.embed(params, x[:, :4], None, Call()), x[:, :4] + params[0]["table"])
    with pytest.raises(ValueError, match=r"max_length, or Dims\.max_length"):
        attention.build("encoding", "learned").init(jax.random.key(0), DIMS._replace(max_length=None))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rope(base=0)", "base must be > 0, got 0.0"),
        ("rope(fraction=0)", r"fraction must be in \(0, 1\], got 0.0"),
        ("rope(fraction=1.5)", r"fraction must be in \(0, 1\], got 1.5"),
        ("sinusoidal(base=-1)", "base must be > 0, got -1.0"),
        ("learned(max_length=0)", "max_length must be None or >= 1, got 0"),
        ("t5(buckets=3)", "buckets must be an even number >= 4, got 3"),
        ("t5(buckets=2)", "buckets must be an even number >= 4, got 2"),
        ("t5(max_distance=8)", "max_distance must be above the 8 distances with a bucket each, got 8"),
        ("t5(max_distance=16, bidirectional=False)", "above the 16 distances"),
        ("shaw(max_distance=0)", "max_distance must be >= 1, got 0"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("encoding", spec)


def test_rope_wants_pairs():
    for dim, options in [(5, {}), (6, {"fraction": 0.5}), (8, {"fraction": 0.1})]:
        with pytest.raises(ValueError, match="rope turns pairs of channels"):
            attention.rope(jnp.ones((1, 1, dim)), jnp.array([1]), **options)
    with pytest.raises(ValueError, match="dim must be >= 1, got 0"):
        attention.sinusoidal(jnp.array([1]), 0)


# Composition.


def test_sum_of_encodings():
    """`a + b` has the parameters of both, apart, and does what both do; facts are combined."""
    spec = "sinusoidal + t5(buckets=8, max_distance=12) + shaw(max_distance=3) + rope"
    record, run = layer(spec)
    terms = [attention.build("encoding", term) for term in spec.split(" + ")]
    params, x = init(record), normal(0, 2, 9, D)
    assert tuple(map(size, params)) == (8 * N, 2 * 7 * H)
    assert (record.reads, record.rotates, record.max_length, record.extrapolates) == ("rows", True, None, False)
    assert attention.build("encoding", "learned + rope").max_length == "dims"
    assert attention.build("encoding", "learned(max_length=9) + learned(max_length=7)").max_length == 7
    assert attention.build("encoding", "learned(max_length=9) + learned + learned(max_length=7)").max_length == (7, "dims")
    assert attention.build("encoding", "alibi + t5").extrapolates

    @jit
    def by_hand(params, x):
        x = x + attention.sinusoidal(jnp.arange(9), D)
        query = key = value = x.reshape(2, 9, N, H)
        call, shaw = Call(jnp.arange(9), jnp.arange(9), scale=H**-0.5), (params[0].get("2", {}), params[1]["2"])
        bias = terms[1].bias((params[0]["1"], {}), (), (), (), call)
        features, *_ = terms[2].prepare(shaw, x, query, key, call)
        bias = bias + terms[2].bias(shaw, features, (), (), call)
        query, key = attention.rope(query, jnp.arange(9)), attention.rope(key, jnp.arange(9))
        output, weights = attention.attend(query, key, value, bias=bias, return_weights=True)
        return output + terms[2].values(shaw, weights, call)

    np.testing.assert_allclose(run(params, x, Call()), by_hand(params, x), atol=1e-5)
    twice = init(attention.build("encoding", "learned + learned"), spread=0.0)
    assert not np.allclose(twice[0]["0"]["table"], twice[0]["1"]["table"])


def test_sum_of_local_records():
    """Terms move positions each for itself, modify one after the other, add up values and terms; depths have to agree."""
    seen = {}

    def moving(name, by):
        def positions(params, call):
            return call if by is None else Call(jnp.arange(3) + by, jnp.arange(3) + by)

        def bias(params, q_features, k_features, rest, call):
            seen[name] = np.asarray(call.q_positions).tolist(), np.asarray(q_features).ravel().tolist(), rest
            return None

        return Encoding(
            positions=positions,
            prepare=lambda params, x, query, key, call: (jnp.full((3, 1), float(len(name))), jnp.zeros((3, 1)), name),
            bias=bias,
            modify=lambda params, scores, q, k, rest, call: scores * 2 + (1 if name == "b" else 0),
            values=lambda params, weights, call: jnp.full((3, 1, 4), 0.5),
            reads="rows",
            terms=2,
            needs_causal=name == "b",
        )

    from attention.encodings import combine

    both = combine(moving("aa", 10), moving("b", None))
    assert (both.terms, both.needs_causal, both.reads) == (3, True, "rows")
    call = both.positions(({}, {}), Call())
    assert call.k_positions[1] is None
    x = jnp.zeros((3, 1, 4))
    options = {"encoding": both, "mask": "causal", "normalizer": "sigmoid(bias=0)", "encoding_call": call}
    output, weights = attention.attend(x, x, x, return_weights=True, **options)
    assert seen == {"aa": ([10, 11, 12], [2.0] * 3, "aa"), "b": ([0, 1, 2], [1.0] * 3, "b")}
    np.testing.assert_allclose(weights[0], np.tri(3) / (1 + math.exp(-1)), atol=1e-6)  # (0·2)·2 + 1
    np.testing.assert_allclose(output, 1.0)
    unmoved = combine(moving("a", None), moving("b", None))
    plain = Call()
    assert unmoved.positions(({}, {}), plain) is plain  # so that blocks may still be skipped
    acting = lambda depth: Encoding(embed=lambda params, x, tokens, call: x, depth=depth)
    assert combine(acting(1), Encoding()).depth == 1  # what does not act on the embeddings acts before no block
    with pytest.raises(ValueError, match=r"different blocks do not compose, got depths \[0, 1\]"):
        combine(acting(0), acting(1), Encoding())
