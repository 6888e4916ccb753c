"""Mixers together: chunks of prefix sums, what the public functions refuse, positions past a table, and the benchmark."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from benchmarks import mixers as benchmark
from tests.support import models
from tests.support.helpers import assert_close, jit, unchecked
from tests.support.mixers import VALID, L, T, layer, made, states


@pytest.mark.parametrize("spec", ["linear(heads=2)", "performer(heads=2, features=6)", "cosformer(heads=2, length=400)"])
def test_chunks_of_prefix_sums(spec, monkeypatch):
    """As in one chunk, by value and gradient, where the last chunk is not full."""
    from attention.mixers import _features

    own, x = made(spec)[2], states(length=37, batch=1)
    loss = lambda run: jit(jax.value_and_grad(lambda x: jnp.sum(run(own, x, jnp.ones((1, 37), bool)) ** 2)))(x)
    whole = loss(layer(spec, "causal"))
    monkeypatch.setattr(_features, "CHUNK", 8)
    chunked = loss(layer(spec, "causal"))
    assert_close(chunked, whole, 1e-5)


@pytest.mark.parametrize("T", [1, 2])
@pytest.mark.parametrize("name", ["linear_attention", "cosformer_attention", "aft_simple", "aft_full"])
def test_causal_forms_want_as_many_keys_as_queries(name, T):
    """As users call them, without the checks of the hook."""
    x, options = jnp.ones((3, 1, 4)), {"length": 9} if name == "cosformer_attention" else {}
    arrays = (x[:T], x, x) if name.endswith("attention") else (x[:T, 0], x[:, 0], x[:, 0])
    arrays += (jnp.zeros((T, 3)),) if name == "aft_full" else ()
    with pytest.raises(ValueError, match=f"the causal form wants as many keys as queries, got 3 and {T}"):
        unchecked(getattr(attention, name))(*arrays, causal=True, **options)


@pytest.mark.parametrize("spec", ["linformer(heads=2, rank=3)", "aft", "fnet"])
def test_positions_past_the_table(spec):
    """Refused where they can be read, NaN under a trace; those of padding do not count."""
    own, x, valid = made(spec)[2], states(), VALID
    at = lambda last: {side: jnp.tile(jnp.arange(T).at[5].set(last), (3, 1)) for side in ("q_positions", "k_positions")}
    with pytest.raises(ValueError, match=f"the mixer has {L} positions, got position {L}"):
        layer(spec)(own, x, valid, **at(L))
    found = jit(layer(spec))(own, x, valid, **at(L))
    assert np.isnan(found[0, :5]).any() or np.isnan(found[0, 5]).all()
    np.testing.assert_allclose(found[1, :3], jit(layer(spec))(own, x, valid, **at(5))[1, :3], atol=1e-6)


@pytest.mark.parametrize("spec", ["linformer(heads=2)", "aft", "fnet", "cosformer(heads=2, length=24)"])
def test_a_lone_mixer_refuses_too_long_a_text(spec):
    with pytest.raises(ValueError, match=f"{L} (positions|tokens), got"):
        layer(spec)(made(spec)[2], states(length=L + 1), jnp.ones((3, L + 1), bool))


@pytest.mark.parametrize("spec", ["fnet(length=3)", "cosformer(heads=2, length=3)"])
def test_too_short_for_the_model(spec):
    with pytest.raises(ValueError, match="the mixer has 3 positions, got a sequence of 24"):
        models.classifier(mixer=spec)


def test_the_benchmark_from_end_to_end(capsys):
    benchmark.main(["--lengths=8,16", "--only=linear/causal", "--repetitions=2"])
    printed = capsys.readouterr().out
    assert all(words in printed for words in ("linear/causal, forward and backward", "T = 16", "exponents of"))
    assert benchmark.exponent({1024: 100.0, 2048: 1.0, 4096: 4.0, 8192: 16.0}) == pytest.approx(2.0)
    assert benchmark.exponent({8: 1.0, 16: 2.0}) == pytest.approx(1.0)
    assert benchmark.step("synthesizer(form='random')", 8192) is None


@pytest.mark.parametrize("spec", benchmark.specs())
def test_every_case_of_the_benchmark_has_gradients(spec):
    """Traced only."""
    gradient, params, x = benchmark.step(spec, 8)
    own, states = jax.eval_shape(gradient, params, x)
    assert jax.tree.map(jnp.shape, own) == jax.tree.map(jnp.shape, params)
    assert states.shape == x.shape
