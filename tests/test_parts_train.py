"""Every normalizer and every score in a small classifier: a few updates lower the loss and move every parameter."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import jit
from models import C, batch, classifier

import attention

UPDATES = 12
# Learned options beside the defaults.
LEARNED = ["softmax(temperature=learned)", "entmax(alpha=learned)", "sigmoid(bias=learned)", "gumbel(hard=True)"]
LEARNED += [f"qk_norm(form={form})" for form in ("l2_scale", "l2_head_clamp", "rms_full", "layernorm")]


def train(**specs):
    """Losses of Adam on one batch, and how far each parameter moved."""
    model = classifier(**{"mixer": "attention(heads=2)", "encoding": "sinusoidal", **specs})
    tokens, valid = batch((6, 5, 6, 4, 6, 3), 6)
    labels = jnp.arange(6) % C
    start = model.init(jax.random.key(0), tokens, valid)["params"]
    optimizer = optax.adam(1e-2)

    def loss(params, rng):
        logits = model.apply({"params": params}, tokens, valid, rng=rng, train=True)[0]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def update(carry, rng):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, rng)
        moves, state = optimizer.update(gradient, state)
        return (optax.apply_updates(params, moves), state), value

    rngs = jax.random.split(jax.random.key(1), UPDATES)
    (params, _), losses = jit(lambda params: jax.lax.scan(update, (params, optimizer.init(params)), rngs))(start)
    return losses, jax.tree.map(lambda new, old: np.abs(new - old).max(), params, start)


def check(losses, moved):
    assert np.isfinite(losses).all()
    assert losses[-3:].mean() < 0.8 * losses[0]
    for path, distance in jax.tree.leaves_with_path(moved):
        name = jax.tree_util.keystr(path)
        assert distance > 1e-4, name


@pytest.mark.parametrize("spec", [*attention.names("normalizer"), *LEARNED])
def test_normalizer(spec):
    causal = attention.build("normalizer", spec).needs_causal
    # Adam moves what has any gradient at all, rounding included: a bias that softmax ignores moves too.
    check(*train(normalizer=spec, mask="causal" if causal else "full"))


@pytest.mark.parametrize("spec", attention.names("score"))
def test_score(spec):
    """With sigmoid weights, through which no shift of the scores is lost."""
    check(*train(score=spec, normalizer="sigmoid"))
