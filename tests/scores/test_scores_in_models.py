"""Every score in a classifier: what the whole model does with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.helpers import jit
from tests.support.models import L, batch, made
from tests.support.scores import ROWS

SPECS = [spec for spec, _, _ in ROWS.values()]


@pytest.mark.parametrize("spec", SPECS)
def test_every_parameter_has_a_gradient(spec):
    """With sigmoid weights, through which no shift of the scores is lost; and seven columns of padding change no logits."""
    model, params, _ = made(score=spec, normalizer="sigmoid", encoding="none")
    tokens, valid = batch((L, L - 1), L, seed=1)
    loss = lambda p, tokens, valid: (lambda logits: (jnp.sum(logits**2), logits))(model.apply({"params": p}, tokens, valid)[0])
    run = jit(jax.value_and_grad(loss, has_aux=True))
    (_, logits), gradient = run(params, tokens, valid)
    for path, leaf in jax.tree.leaves_with_path(gradient):
        assert np.abs(leaf).max() > 1e-6, jax.tree_util.keystr(path)
    cut = slice(0, L - 7)
    shorter, _ = model.apply({"params": params}, tokens[:, cut], valid[:, cut])
    masked, _ = model.apply({"params": params}, tokens, valid & (jnp.arange(L) < L - 7))
    np.testing.assert_allclose(masked, shorter, atol=1e-5)
    assert not np.allclose(masked, logits, atol=1e-4)


@pytest.mark.parametrize(("spec", "unread"), [("location", {"key"}), ("synthesizer(form=random)", {"query", "key"})])
def test_what_nothing_reads_is_not_there(spec, unread):
    """Neither in the parameters nor in the program; an encoding that reads queries and keys keeps both projections."""
    projections = {"query", "key", "value", "output"}
    parameters = lambda **specs: set(made(score=spec, **specs)[1]["encoder"]["block_0"]["mixer"])
    assert parameters(encoding="t5") == projections - unread
    assert parameters(encoding="shaw(max_distance=3)") == projections
    assert parameters(encoding="none", mixer="attention(heads=2, kv_heads=1)") == projections - unread
    tokens, valid = batch()
    _, params, forward = made(score=spec, encoding="none", mixer="attention(heads=2, kv_heads=1, head_dim=3)")
    assert np.isfinite(forward(params, tokens, valid)[0]).all()


@pytest.mark.parametrize("spec", ["location", "synthesizer", "synthesizer(form=random)"])
def test_too_long(spec):
    model, params, forward = made(score=spec, encoding="none", pooling="cls")
    tokens = jnp.ones((1, L + 1), jnp.int32)
    assert np.isfinite(forward(params, tokens[:, :L], tokens[:, :L] > 0)[0]).all()
    with pytest.raises(ValueError, match=f"the score has {L + 1} positions, got a sequence of {L + 2}, padding included"):
        model.apply({"params": params}, tokens, tokens > 0)


@pytest.mark.parametrize("spec", ["location", "synthesizer", "synthesizer(form=random)"])
def test_positions_of_padding_on_the_left(spec):
    """The positions that are given count, not the columns; what those of padding say does not matter."""
    _, params, forward = made(score=spec, encoding="none")
    tokens, valid = batch()
    logits = forward(params, tokens, valid)[0]
    shift = np.array([[0], [3]])
    left = jnp.asarray(np.take_along_axis(np.asarray(tokens), (np.arange(6) - shift) % 6, 1))
    positions = jnp.asarray(np.where(np.arange(6) >= shift, np.arange(6) - shift, -77))
    np.testing.assert_allclose(forward(params, left, positions >= 0, positions=positions)[0], logits, atol=1e-5)


def test_scores_by_position_see_the_order():
    """Without an encoding, a location score makes the model no bag of words, and a content score does not."""
    tokens, valid = batch((6, 6))
    order = np.array([3, 5, 0, 2, 4, 1])
    for spec, sees in [("location", True), ("synthesizer(form=random)", True), ("general", False), ("l2", False)]:
        _, params, forward = made(score=spec, encoding="none")
        logits, permuted = (forward(params, tokens[:, o], valid)[0] for o in (slice(None), order))
        assert np.allclose(logits, permuted, atol=1e-5) != sees
