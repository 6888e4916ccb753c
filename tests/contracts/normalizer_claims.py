"""What the records say of themselves, searched for a counterexample; and which kernels serve them."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import attention
from attention.attend import parts_of
from attention.models.classifier import classifier
from attention.records import Call
from tests.support.helpers import DIMS, assert_close, init, inputs, jit, normal, params_of, unchecked
from tests.support.normalizer_rows import BY_SPEC, OFFSET, SPECS

N, T, S = DIMS.num_heads, 3, 6
every = pytest.mark.parametrize("spec", SPECS)


def _rows():
    """Scores of any kind: huge, tiny, and with many ties."""
    numbers = st.one_of(
        st.floats(-1e4, 1e4, width=32),
        st.floats(-(2.0**-100), 2.0**-100, width=32),
        st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
    )
    return hnp.arrays(np.float32, (1, N, T, S), elements=numbers)


def _everywhere(row):
    return np.broadcast_to(np.float32(row), (1, N, T, S)).copy()


@every
def test_facts(spec):
    """Row sum, exact zeros, sign, monotony and shift invariance on rows of any kind."""
    row, record = BY_SPEC[spec], attention.build("normalizer", spec)
    own = init(record, spread=0.0)
    call = Call(jnp.arange(T)[None] + OFFSET, jnp.arange(S)[None], max_length=DIMS.max_length)
    run = jit(lambda scores, mask: record.apply(own, scores, mask, call))
    zero_seen = sign_seen = shift_seen = False

    @given(_rows(), hnp.arrays(bool, (1, 1, T, S)))
    @example(_everywhere([0, 0, 0, 0, 0, 0]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([1e4, 1e4, 1e4, 1e4, 1e4, 1e4]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([0, 1e4, -1e4, 1e4, 5, 0]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([0, 0.2, 0.4, 0.1, -4, 0]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([-0.2, -0.4, -0.1, -0.3, -0.5, -0.2]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([3, -0.4, -0.1, 0.3, 0.5, 2]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([2, 0, 0, 0, 0, 0]), np.tile(np.arange(S) == 0, (1, 1, T, 1)))
    def check(scores, mask):
        nonlocal zero_seen, sign_seen, shift_seen
        if record.needs_causal:  # with its own key, as a causal model has it
            position = np.arange(T)[:, None] + OFFSET
            mask = (mask & (np.arange(S) < position)) | (np.arange(S) == position)
        weights = np.asarray(run(scores, mask))
        shown = np.broadcast_to(mask, weights.shape)
        assert np.isfinite(weights).all()
        assert (weights[~shown] == 0).all()
        sign_seen |= bool((weights < 0).any())
        if record.row_sum == "one":
            np.testing.assert_allclose(weights.sum(-1), shown.any(-1), atol=3e-5)
        if record.row_sum != "any":
            assert (weights.sum(-1) <= 1 + 3e-5).all()
        if record.maps == 1:
            order = np.argsort(np.where(mask, scores, -np.inf), -1, kind="stable")
            steps = np.diff(np.take_along_axis(weights, order, -1), axis=-1)
            both = np.take_along_axis(shown, order, -1)
            larger = np.diff(np.take_along_axis(scores, order, -1), axis=-1) > 0
            if row.monotone:
                assert (steps[both[..., 1:] & both[..., :-1] & larger] >= -1e-6).all()
            near = np.abs(scores).max(-1 if record.reads != "all" else None, keepdims=True) < row.near
            reached = shown & near & (np.arange(S) != np.arange(T)[:, None] + OFFSET if record.needs_causal else True)
            zero_seen |= bool((weights[reached] == 0).any())
        shifted = np.asarray(run(np.float32(scores + 64), mask))
        exact = (np.float32(scores + 64) - np.float32(64) == scores).all(-1)
        if record.maps > 1 or record.reads == "all":
            exact = np.broadcast_to(exact.all(), weights.shape[:-1])
        if record.shift_invariant:
            np.testing.assert_allclose(shifted[exact], weights[exact], atol=2e-5)
        shift_seen |= not np.allclose(shifted, weights, atol=1e-3)

    check()
    assert zero_seen == record.exact_zeros or record.maps > 1
    assert sign_seen == record.signed
    assert shift_seen or record.shift_invariant


@every
def test_reads(spec):
    """A block wants nothing but the score, rows want their row, and "all" wants the others too."""
    record = attention.build("normalizer", spec)
    own, scores, mask = init(record), normal(0, 1, N, T, S), jnp.ones((1, 1, T, S), bool)
    call = lambda keys, queries: Call(jnp.arange(queries)[None] + OFFSET, jnp.arange(keys)[None], max_length=DIMS.max_length)
    apply = lambda t, s: record.apply(own, scores[:, :, :t, :s], mask[:, :, :t, :s], call(s, t))
    whole = apply(T, S)
    fewer_keys = np.allclose(whole[..., :3], apply(T, 3), atol=1e-6)
    fewer_queries = np.allclose(whole[..., :2, :], apply(2, S), atol=1e-6)
    assert fewer_keys == (record.reads == "block")
    # Selective attention reads all, but looks back only.
    assert fewer_queries == (record.reads != "all" or record.needs_causal)


@every
def test_random(spec):
    """What claims to be random differs from key to key in training, is the same in evaluation, and nothing else draws."""
    record = attention.build("normalizer", spec)
    own, scores = init(record), normal(0, 1, N, T, S)
    where = jnp.arange(S) <= jnp.arange(T)[:, None] + OFFSET
    positions = jnp.arange(T)[None] + OFFSET, jnp.arange(S)[None]
    call = lambda seed, train: Call(*positions, rng=jax.random.key(seed), train=train, max_length=DIMS.max_length)
    run = lambda seed, train: record.apply(own, scores, where[None, None], call(seed, train))
    assert np.allclose(run(1, True), run(2, True)) != record.random
    np.testing.assert_array_equal(run(1, False), run(2, False))


# Kernels.


def _streamed(monkeypatch):
    """Every row that can be is taken in blocks of 8 keys; the list notes it."""
    module, seen = importlib.import_module("attention.kernels.chunked"), []
    stream = module.attend_streamed
    monkeypatch.setattr(module, "attend_streamed", lambda problem, size: (seen.append(size), stream(problem, size))[1])
    monkeypatch.setattr(module, "STREAM_ELEMENTS", 0)
    return seen


@every
def test_kernels_agree(spec, small_blocks, monkeypatch):
    """Dense, chunked and streamed: the value and the gradient of queries, keys, values and every parameter; none is idle."""
    record = attention.build("normalizer", spec)
    mask = "causal" if record.needs_causal else "full"
    call = Call(
        k_valid=jnp.arange(40) < jnp.array([[40], [29]]), q_valid=jnp.arange(40) < jnp.array([[40], [29]]), max_length=48
    )
    where = jnp.asarray(np.random.default_rng(1).random((2, 1, 40, 40)) > 0.2).at[1, 0, 20].set(False)
    upstream = normal(6, 2, 40, 4, 8)
    arrays = (*inputs(), params_of(normalizer=spec))
    options = {"normalizer": spec, "mask": mask, "call": call, "where": where}

    def run(kernel):
        def loss(arrays):
            query, key, value, params = arrays
            output = attention.attend(query, key, value, params=params, kernel=kernel, **options)
            return jnp.sum(output * upstream), output

        (_, output), gradients = jit(jax.value_and_grad(loss, has_aux=True))(arrays)
        return output, gradients

    dense = run("dense")
    assert all(np.abs(gradient).max() > 1e-5 for gradient in jax.tree.leaves(dense[1]))
    assert all(np.isfinite(gradient).all() for gradient in jax.tree.leaves(dense))
    if record.reads == "all":
        with pytest.raises(ValueError, match="one of the parts reads them all"):
            run("chunked")
        return
    tolerance = 1e-2 if spec == "entmax(alpha=2.5)" else 5e-5
    assert_close(run("chunked"), dense, tolerance)
    seen = _streamed(monkeypatch)
    if record.streaming is None:
        return
    assert_close(run("chunked"), dense, tolerance)
    assert set(seen) == {8}


def test_streaming_skips_what_the_mask_leaves_out(small_blocks, monkeypatch):
    """A window bounds the keys a block reads, and a whole block without an allowed key leaves no trace."""
    seen = _streamed(monkeypatch)
    query, key, value = inputs(T=64, S=64)
    where = jnp.ones((2, 1, 64, 64), bool).at[:, :, :, 8:24].set(False)
    low = -150.0 * jnp.ones((2, 1, 64, 64))  # e^-150 is 0 in float32: the shift must be the row's own
    for spec in ("softmax", "softmax1", "cog", "softpick", "taylor", "pointwise"):
        run = lambda kernel, spec=spec: attention.attend(
            query, key, value, normalizer=spec, mask="local(window=20)", where=where, bias=low, kernel=kernel
        )
        assert_close(run("chunked"), run("dense"))
    assert set(seen) == {8}


def test_what_couples_queries_is_refused_at_construction():
    for spec in ("sinkhorn", "slot", "double_norm"):
        sizes = {"vocab_size": 5, "num_classes": 2, "max_length": 9, "dim": 8, "mixer": "attention(heads=2)"}
        with pytest.raises(ValueError, match=r"chunked kernel holds some rows"):
            classifier(normalizer=spec, kernel="chunked", **sizes)
        with pytest.raises(ValueError, match=f"normalizer={spec} with mask=causal: this normalizer couples queries"):
            classifier(normalizer=spec, mask="causal", **sizes)
    for spec in ("stick_breaking", "selective"):
        with pytest.raises(ValueError, match=rf"normalizer={spec} with mask=full: .* use mask=causal"):
            parts_of(normalizer=spec)
    with pytest.raises(ValueError, match=r"encoding=shaw with normalizer=differential: .* joins heads"):
        parts_of("shaw", normalizer="differential")
    parts_of("shaw(values=False)", normalizer="differential")
    x = jnp.zeros((4, 3, 8))
    with pytest.raises(ValueError, match="2 score maps per head wants a multiple of 2 key heads, got 3"):
        unchecked(attention.attend)(x, x, x, normalizer="differential", params=params_of(normalizer="differential"))
