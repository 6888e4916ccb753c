"""What the records of normalizers say of themselves, searched for a counterexample; and which kernels serve them."""

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
from tests.support.helpers import DIMS, assert_close, init, inputs, jit, normal
from tests.support.normalizers import OFFSET
from tests.support.rows import cases, over_cases, over_rows, rows

N, T, S = DIMS.num_heads, 3, 6
every = over_cases("normalizer")


def _made(case, **options):
    record = attention.build("normalizer", case.spec)
    return record, {} if record.init is None else init(record, **options)


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


class Seen:
    """What a claim has to be a reason for: there it is kept whether it was ever seen."""

    def __init__(self, record):
        self.record, self.claims = record, record.claims
        self.below = self.outside = self.zero = self.negative = self.shift = False

    def sums(self, weights, shown):
        total = weights.sum(-1)
        if self.claims.row_sum == "one":
            np.testing.assert_allclose(total, shown.any(-1), atol=3e-5)
        if self.claims.row_sum != "any":
            assert (total <= 1 + 3e-5).all()
        self.below |= bool((total[shown.any(-1)] < 1 - 1e-3).any())
        self.outside |= bool(((total > 1 + 1e-3) | (total < -1e-3)).any())
        self.negative |= bool((weights < 0).any())

    def zeros(self, weights, shown, scores, near):
        """Among keys with scores that are not large, and not the query's own where that may be nothing."""
        maps = self.record.maps
        size = (
            np.abs(scores)
            .reshape(1, N // maps, maps, T, S)
            .max(2)
            .max(-1 if self.record.reads != "all" else (1, 2, 3), keepdims=True)
        )
        others = np.arange(S) != np.arange(T)[:, None] + OFFSET if self.record.needs_causal else True
        self.zero |= bool((weights[shown & (size < near) & others] == 0).any())

    def shifts(self, weights, shifted, scores):
        """Compared where adding 64 and taking it away loses nothing."""
        exact = (np.float32(scores + 64) - np.float32(64) == scores).all(-1)
        if self.record.maps > 1 or self.record.reads == "all":
            exact = np.broadcast_to(exact.all(), weights.shape[:-1])
        if self.claims.shift_invariant:
            np.testing.assert_allclose(shifted[exact], weights[exact], atol=5e-5)
        self.shift |= not np.allclose(shifted[exact], weights[exact], atol=1e-3)

    def verdict(self):
        """Every claim is as strong as what was seen."""
        claims = self.claims
        assert self.below or claims.row_sum != "at most one"
        assert self.outside == (claims.row_sum == "any")
        assert self.zero == claims.exact_zeros
        assert self.negative == claims.signed
        assert self.shift != claims.shift_invariant


@every
def test_claims(case):
    """Row sum, exact zeros, sign, monotony and shift invariance on rows of any kind; no claim is weaker than it must be."""
    record, own = _made(case, spread=0.0)
    _, moved = _made(case, spread=1.0, seed=1)  # learned numbers that training may reach
    call = Call(jnp.arange(T)[None] + OFFSET, jnp.arange(S)[None], max_length=DIMS.max_length)
    run = jit(lambda own, scores, mask: record.apply(own, scores, mask, call))
    seen = Seen(record)

    @given(_rows(), hnp.arrays(bool, (1, 1, T, S)))
    @example(_everywhere([0, 0, 0, 0, 0, 0]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([1e4, 1e4, 1e4, 1e4, 1e4, 1e4]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([0, 1e4, -1e4, 1e4, 5, 0]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([0, 0.2, 0.4, 0.1, -4, 0]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([-0.2, -0.4, -0.1, -0.3, -0.5, -0.2]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([3, -0.4, -0.1, 0.3, 0.5, 2]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([1111.1, 2222.2, 3333.3, -6666.6, 0.003, 0]), np.ones((1, 1, T, S), bool))
    @example(_everywhere([2, 0, 0, 0, 0, 0]), np.tile(np.arange(S) == 0, (1, 1, T, 1)))
    def check(scores, mask):
        if record.needs_causal:  # with its own key, as a causal model has it
            position = np.arange(T)[:, None] + OFFSET
            mask = (mask & (np.arange(S) < position)) | (np.arange(S) == position)
        weights = np.asarray(run(own, scores, mask))
        shown = np.broadcast_to(mask, weights.shape)
        assert np.isfinite(weights).all()
        assert (weights[~shown] == 0).all()
        seen.sums(weights, shown)
        if own:
            seen.sums(np.asarray(run(moved, scores, mask)), shown)
        if record.maps == 1 and case.monotone:
            order = np.argsort(np.where(mask, scores, -np.inf), -1, kind="stable")
            sort = lambda x: np.take_along_axis(x, order, -1)
            steps, larger = np.diff(sort(weights), axis=-1), np.diff(sort(scores), axis=-1) > 0
            both = sort(shown)
            assert (steps[both[..., 1:] & both[..., :-1] & larger] >= -1e-6).all()
        seen.zeros(weights, shown, scores, case.near)
        seen.shifts(weights, np.asarray(run(own, np.float32(scores + 64), mask)), scores)

    check()
    seen.verdict()


@every
def test_reads(case):
    """A block wants nothing but the score, rows want their row, and "all" wants the others too."""
    record, own = _made(case)

    @jit
    def run(scores):
        def apply(t, s):
            call = Call(jnp.arange(t)[None] + OFFSET, jnp.arange(s)[None], max_length=DIMS.max_length)
            return record.apply(own, scores[:, :, :t, :s], jnp.ones((1, 1, t, s), bool), call)

        return apply(T, S), apply(T, 3), apply(2, S)

    whole, fewer_keys, fewer_queries = run(normal(0, 1, N, T, S))
    assert np.allclose(whole[..., :3], fewer_keys, atol=1e-6) == (record.reads == "block")
    # One that is causal may read all, but looks back only.
    assert np.allclose(whole[..., :2, :], fewer_queries, atol=1e-6) == (record.reads != "all" or record.needs_causal)


@every
def test_random(case):
    """What claims to be random differs from key to key in training, is the same in evaluation, and nothing else draws.

    What says that training is not evaluation is right, too.
    """
    record, own = _made(case)
    scores, where = normal(0, 1, N, T, S), jnp.arange(S) <= jnp.arange(T)[:, None] + OFFSET
    positions = jnp.arange(T)[None] + OFFSET, jnp.arange(S)[None]

    @jit
    def run(rngs):
        call = lambda rng, train: Call(*positions, rng=rng, train=train, max_length=DIMS.max_length)
        draw = lambda train: lambda rng: record.apply(own, scores, where[None, None], call(rng, train))
        return jax.vmap(draw(True))(rngs), jax.vmap(draw(False))(rngs)

    trained, evaluated = run(jax.random.split(jax.random.key(1)))
    assert np.allclose(*trained) != record.claims.random
    assert np.allclose(trained[0], evaluated[0]) != record.by_mode
    np.testing.assert_array_equal(*evaluated)


# Kernels.


def _streamed(monkeypatch):
    """Every row that can be is taken in blocks of 8 keys; the list notes it."""
    module, seen = importlib.import_module("attention.kernels.chunked"), []
    stream = module.attend_streamed
    monkeypatch.setattr(module, "attend_streamed", lambda problem, size: (seen.append(size), stream(problem, size))[1])
    monkeypatch.setattr(module, "STREAM_ELEMENTS", 0)
    return seen


# A kernel hands rows that it does not stream to the normalizer as they are, whatever its options.
_streams = lambda spec: attention.build("normalizer", spec).streaming is not None
KERNEL_CASES = [
    pytest.param(case, id=spec)
    for spec, (name, case) in cases("normalizer").items()
    if _streams(spec) or spec == rows("normalizer")[name].spec
]


@pytest.mark.parametrize("case", KERNEL_CASES)
def test_kernels_agree(case, small_blocks, monkeypatch):
    """Dense, chunked and streamed: the value and the gradient of queries, keys, values and every parameter; none is idle."""
    record, own = _made(case)
    valid = jnp.arange(40) < jnp.array([[40], [29]])
    where = jnp.asarray(np.random.default_rng(1).random((2, 1, 40, 40)) > 0.2).at[1, 0, 20].set(False)
    options = {
        "normalizer": case.spec,
        "mask": "causal" if record.needs_causal else "full",
        "call": Call(k_valid=valid, q_valid=valid, max_length=48),
        "where": where,
    }
    upstream = normal(6, 2, 40, 4, 8)

    def run(kernel):
        def loss(arrays):
            query, key, value, own = arrays
            output = attention.attend(query, key, value, params={"normalizer": own}, kernel=kernel, **options)
            return jnp.sum(output * upstream), output

        (_, output), gradients = jit(jax.value_and_grad(loss, has_aux=True))((*inputs(), own))
        return output, gradients

    dense = run("dense")
    assert all(np.abs(gradient).max() > 1e-5 for gradient in jax.tree.leaves(dense[1]))
    assert all(np.isfinite(gradient).all() for gradient in jax.tree.leaves(dense))
    if record.reads == "all":
        with pytest.raises(ValueError, match="one of the parts reads them all"):
            run("chunked")
        return
    assert_close(run("chunked"), dense, 5e-5)
    if record.streaming is not None:
        seen = _streamed(monkeypatch)
        assert_close(run("chunked"), dense, 5e-5)
        assert set(seen) == {8}


@over_rows("normalizer")
def test_streaming_skips_what_the_mask_leaves_out(name, row, small_blocks, monkeypatch):
    """A window bounds the keys a block reads, and a whole block without an allowed key leaves no trace."""
    case = row.evidence.cases[0]
    record, own = _made(case)
    if record.streaming is None:
        return
    seen = _streamed(monkeypatch)
    where = jnp.ones((2, 1, 64, 64), bool).at[:, :, :, 8:24].set(False)
    low = -150.0 * jnp.ones((2, 1, 64, 64))  # e^-150 is 0 in float32: the shift must be the row's own
    options = {"normalizer": case.spec, "mask": "local(window=20)", "params": {"normalizer": own}, "call": Call(max_length=64)}

    @jit
    def run(arrays, where, bias):
        attend = lambda kernel: attention.attend(*arrays, where=where, bias=bias, kernel=kernel, **options)
        return attend("chunked"), attend("dense")

    assert_close(*run(inputs(T=64, S=64), where, low))
    assert set(seen) == {8}


@over_rows("normalizer")
def test_what_reads_more_than_rows_is_refused_at_construction(name, row):
    """By a model with the chunked kernel, or with a mask that it is not defined under."""
    record = attention.build("normalizer", name)
    sizes = {"vocab_size": 5, "num_classes": 2, "max_length": 9, "dim": 8, "mixer": "attention(heads=2)"}
    if record.needs_causal:
        with pytest.raises(ValueError, match=rf"normalizer={name} with mask=full: .* use mask=causal"):
            parts_of(normalizer=name)
    elif record.reads == "all":
        with pytest.raises(ValueError, match="kernel=chunked: it holds some rows"):
            classifier(normalizer=name, kernel="chunked", **sizes)
        with pytest.raises(ValueError, match=f"normalizer={name} with mask=causal: this normalizer couples queries"):
            classifier(normalizer=name, mask="causal", **sizes)
