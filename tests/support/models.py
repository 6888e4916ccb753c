"""Small classifiers, shared by the tests of the model."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import attention
from attention.models import classifier as model
from tests.support.helpers import jit

V, C, L, D, N = 13, 3, 24, 8, 2
# Encodings that stand for the rest.
ENCODINGS = {
    "none": "none", "sinusoidal": "sinusoidal", "learned": "learned", "rope": "rope", "alibi": "alibi(form=asymmetric)",
    "t5": "t5(buckets=8, max_distance=12)", "shaw": "shaw(max_distance=3)",
}  # fmt: skip


def classifier(**specs):
    """A classifier of 13 tokens, 3 classes and 8 channels; specs as in `attention.models.classifier.classifier`."""
    options = {"encoder": "transformer(layers=1, mlp=2)", "mixer": "attention(heads=2)", "dim": D, **specs}
    if "mixer" not in attention.build("encoder", options["encoder"]).uses:
        del options["mixer"]
    return model.classifier(vocab_size=V, num_classes=C, max_length=L, **options)


@functools.cache
def made(**specs):
    """The model, random parameters of the shapes of `init` (drawn with NumPy: nothing to compile), and the forward pass."""
    made = classifier(**specs)
    tokens = jnp.zeros((1, 2), jnp.int32)
    shapes = jax.eval_shape(made.init, jax.random.key(0), tokens, tokens == 0, segments=tokens)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.4, leaf.shape), leaf.dtype), shapes)
    forward = jit(lambda params, tokens, valid, **rest: made.apply({"params": params}, tokens, valid, **rest))
    return made, params, forward


def batch(lengths=(6, 3), length=6, seed=0):
    """Tokens and which of them are valid."""
    tokens = jnp.asarray(np.random.default_rng(seed).integers(1, V, (len(lengths), length)), jnp.int32)
    return tokens, jnp.arange(length) < jnp.asarray(lengths)[:, None]


def train(updates=12, **specs):
    """Losses of Adam on one batch, and how far each parameter moved."""
    model = classifier(**{"mixer": "attention(heads=2)", "encoding": "sinusoidal", **specs})
    tokens, valid = batch((6, 5, 6, 4, 6, 3), 6)
    labels = jnp.arange(6) % C
    segments = jnp.broadcast_to(jnp.arange(6) // 2, (6, 6)) if model.encoder.needs_segments else None
    start = model.init(jax.random.key(0), tokens, valid, segments=segments)["params"]  # op by op: most variants share shapes
    optimizer = optax.adam(1e-2)

    def loss(params, rng):
        logits, extra = model.apply({"params": params}, tokens, valid, segments=segments, rng=rng, train=True)
        return (optax.softmax_cross_entropy_with_integer_labels(logits, labels) + extra["loss"]).mean()

    def update(carry, rng):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, rng)
        moves, state = optimizer.update(gradient, state)
        return (optax.apply_updates(params, moves), state), value

    @jit
    def run(start, rngs):
        (params, _), losses = jax.lax.scan(update, (start, optimizer.init(start)), rngs)
        return losses, jax.tree.map(lambda new, old: jnp.abs(new - old).max(), params, start)

    return jax.tree.map(np.asarray, run(start, jax.random.split(jax.random.key(1), updates)))


def check_training(losses, moved):
    assert np.isfinite(losses).all()
    assert losses[-3:].mean() < 0.8 * losses[0]
    for path, distance in jax.tree.leaves_with_path(moved):
        name = jax.tree_util.keystr(path)
        assert distance > 1e-4, name
