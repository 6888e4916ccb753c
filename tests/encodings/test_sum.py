"""Sums of encodings: parameters apart, facts combined, each term for itself."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call, Encoding
from tests.support.encodings import D, H, N, layer
from tests.support.helpers import assert_close, init, inputs, jit, normal, params_of, shared_and_own, size, value_and_gradients
from tests.support.wrappers import VALID, call, moved


def test_sum_of_encodings():
    """`a + b` has the parameters of both, apart, and does what both do; facts are combined."""
    spec = "sinusoidal + t5(buckets=8, max_distance=12) + shaw(max_distance=3) + rope"
    record, run = layer(spec)
    terms = [attention.build("encoding", term) for term in spec.split(" + ")]
    params, x = init(record), normal(0, 2, 9, D)
    assert tuple(map(size, shared_and_own(record))) == (8 * N, 2 * 7 * H)
    assert (record.reads, record.max_length, record.claims.extrapolates) == ("rows", None, False)
    assert attention.build("encoding", "learned + rope").max_length == "dims"
    assert attention.build("encoding", "learned(max_length=9) + learned(max_length=7)").max_length == 7
    assert attention.build("encoding", "learned(max_length=9) + learned + learned(max_length=7)").max_length == (7, "dims")
    assert attention.build("encoding", "alibi + t5").claims.extrapolates

    @jit
    def by_hand(params, x):
        x = x + attention.sinusoidal(jnp.arange(9), D)
        query = key = value = x.reshape(2, 9, N, H)
        call, shaw = Call(jnp.arange(9), jnp.arange(9), scale=H**-0.5), params["2"]
        bias = terms[1].bias(params["1"], (), (), (), call)
        features, *_ = terms[2].prepare(shaw, x, query, key, call)
        bias = bias + terms[2].bias(shaw, features, (), (), call)
        query, key = attention.rope(query, jnp.arange(9)), attention.rope(key, jnp.arange(9))
        output, weights = attention.attend(query, key, value, bias=bias, return_weights=True)
        return output + terms[2].values(shaw, weights, call)

    np.testing.assert_allclose(run(params, x, Call()), by_hand(params, x), atol=1e-5)
    twice = init(attention.build("encoding", "learned + learned"), spread=0.0)
    assert not np.allclose(twice["0"]["table"], twice["1"]["table"])


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
    call = both.positions({}, Call())
    assert call.k_positions[1] is None
    x = jnp.zeros((3, 1, 4))
    options = {"encoding": both, "mask": "causal", "normalizer": "sigmoid(bias=0)", "encoding_call": call}
    output, weights = attention.attend(x, x, x, return_weights=True, **options)
    assert seen == {"aa": ([10, 11, 12], [2.0] * 3, "aa"), "b": ([0, 1, 2], [1.0] * 3, "b")}
    np.testing.assert_allclose(weights[0], np.tri(3) / (1 + math.exp(-1)), atol=1e-6)  # (0·2)·2 + 1
    np.testing.assert_allclose(output, 1.0)
    unmoved = combine(moving("a", None), moving("b", None))
    plain = Call()
    assert unmoved.positions({}, plain) is plain  # so that blocks may still be skipped
    acting = lambda depth: Encoding(embed=lambda params, x, tokens, call: x, depth=depth)
    assert combine(acting(1), Encoding()).depth == 1  # what does not act on the embeddings acts before no block
    with pytest.raises(ValueError, match=r"different blocks do not compose, got depths \[0, 1\]"):
        combine(acting(0), acting(1), Encoding())


@pytest.mark.parametrize("spec", ["index(scale=0.1) + rope", "learned_fourier + rel_matrix", "axial + sin_cos_sum + t5"])
def test_a_sum_is_none_of_its_terms(spec):
    """Terms have their own parameters, and the sum differs from each of them."""
    record, run = layer(spec)
    params, x = init(record), normal(0, 1, 9, D)
    whole = run(params, x, Call())
    for i, term in enumerate(spec.split(" + ")):
        part, run_part = layer(term)
        own = params.get(str(i), {})
        assert jax.tree.structure(own) == jax.tree.structure(init(part))
        assert not np.allclose(run_part(own, x, Call()), whole, atol=1e-3)


def test_sums_of_wrappers():
    """Every term has its own positions, also terms of a term, and those of the others are still known to be 0, 1, ..."""
    spec = "randomized(inner=rope + cape(inner=alibi), max_position=20) + t5(buckets=8, max_distance=12) + cape"
    record, run = layer(spec)
    given = Call(q_valid=VALID, k_valid=VALID)
    (drawn, centred), none, middle = record.positions(init(record), given).q_positions
    np.testing.assert_array_equal(drawn, moved("randomized(max_position=20)", call()))
    np.testing.assert_allclose(np.where(VALID[0], drawn[0] - drawn[0].mean(), 0), centred[0], atol=1e-5)
    assert none is None
    np.testing.assert_array_equal(middle, moved("cape", call()))
    found = run(init(record), normal(0, 2, 6, D), given)
    assert np.isfinite(found[0]).all()
    assert np.isfinite(found[1, :4]).all()


@pytest.mark.parametrize(
    "spec", ["rope + dape(inner=alibi(form=learned), width=5)", "pope + t5(buckets=8, max_distance=12) + p_rope"]
)
def test_chunked_sums(spec, small_blocks):
    """Value and every gradient are those of dense."""
    arrays, upstream = (*inputs(), params_of(encoding=spec)), normal(6, 2, 40, 4, 8)
    valid = jnp.arange(40) < jnp.array([[40], [33]])
    options = {"encoding": spec, "call": Call(q_valid=valid, k_valid=valid)}

    @jit
    def both(arrays):
        return [value_and_gradients(arrays, upstream, kernel=kernel, **options) for kernel in ("dense", "chunked")]

    dense, chunked = both(arrays)
    assert_close(chunked, dense)
