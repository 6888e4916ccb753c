import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call, Encoding
from tests.support.encoding_rows import ROWS, D, H, L, N, layer, positions
from tests.support.helpers import DIMS, init, jit, normal, size


def test_every_variant_and_option_has_a_row():
    assert set(ROWS) == set(attention.names("encoding"))
    for name, row in ROWS.items():
        assert set(row.options) == {option.name for option in attention.describe("encoding", name).options}, name


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
