"""What every encoder promises: its reference, padding, neighbours, gradients, sizes, precision, and its place in a model."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import models
from tests.support.encoders import LENGTHS, SEGMENTS, D, batch, built, texts
from tests.support.helpers import float64, jit, normal, size
from tests.support.rows import over_cases, over_knobs, over_rows

every = over_cases("encoder")


@every
def test_reference(case):
    encoder, params, run = built(case.spec)
    x, valid, segments = batch()
    states, there = run(params, x, valid, segments)
    assert states.shape[-1] == encoder.width(D) == case.width
    assert states.dtype == x.dtype
    exact = float64(params)
    for b, (found, n) in enumerate(zip(texts(states, there), LENGTHS)):
        wanted = case.reference(np.asarray(x[b, :n], np.float64), SEGMENTS[:n].tolist(), exact)
        np.testing.assert_allclose(found, np.stack(wanted), atol=2e-5)


@every
def test_padding_changes_nothing(case):
    """Behind the text and before it, whatever stands there."""
    _, params, run = built(case.spec)
    states, there = run(params, *batch())
    for pad, left in ((1, 0), (7, 0), (0, 3), (2, 5)):
        found, counts = run(params, *batch(pad=pad, left=left))
        for one, other in zip(texts(states, there), texts(found, counts)):
            np.testing.assert_allclose(other, one, atol=1e-5)
        if case.zeros:
            np.testing.assert_array_equal(np.asarray(found)[~np.asarray(counts)], 0)


@every
def test_neighbours_change_nothing(case):
    _, params, run = built(case.spec)
    states, there = run(params, *batch())
    other, _ = run(params, *(jnp.concatenate([one[:2], two[2:]]) for one, two in zip(batch(), batch(seed=5))))
    np.testing.assert_array_equal(other[:2], states[:2])
    assert not np.allclose(other[2], states[2])
    x, valid, segments = batch()
    for b, n in enumerate(LENGTHS):
        alone, counts = run(params, x[b : b + 1, :n], valid[b : b + 1, :n], segments[b : b + 1, :n])
        np.testing.assert_allclose(texts(alone, counts)[0], texts(states, there)[b], atol=1e-5)


@every
def test_gradients(case):
    """Of every parameter, none from padding, and none that is not finite where a text is empty."""
    _, params, run = built(case.spec)
    x, valid, segments = batch()
    weights = normal(3, 3, x.shape[1], case.width)

    def loss(params, x, valid):
        states, there = run.__wrapped__(params, x, valid, segments)
        return jnp.sum(jnp.where(there[..., None], jnp.sin(states) * weights, 0))

    gradient = jit(jax.grad(loss, argnums=(0, 1)))
    of_params, of_x = gradient(params, x, valid)
    np.testing.assert_array_equal(np.asarray(of_x)[~np.asarray(valid)], 0)
    assert (np.abs(of_x).max(-1) > 1e-6)[np.asarray(valid)].all()
    for path, leaf in jax.tree.leaves_with_path(of_params):
        name = jax.tree_util.keystr(path)
        assert np.abs(leaf).max() > 1e-4 or name.endswith(case.dead), name
    with jax.debug_nans(True):
        of_params, of_x = gradient(params, x, valid.at[0].set(False))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((of_params, of_x)))


@every
def test_bfloat16(case):
    _, params, run = built(case.spec)
    x, valid, segments = batch()
    narrow, _ = run(params, x.astype(jnp.bfloat16), valid, segments)
    states, there = run(params, x, valid, segments)
    assert narrow.dtype == jnp.bfloat16
    near = jnp.where(there[..., None], narrow.astype(jnp.float32) - states, 0)
    assert np.abs(near).max() < 0.03 * max(1, float(jnp.abs(states).max()))


@every
def test_parameter_count(case):
    assert size(built(case.spec)[1]) == case.count


@every
def test_dropout(case):
    """Other noise with another key, none at a rate of 0, and a traced rate."""
    _, params, run = built(case.spec)
    given = batch()
    plain, there = run(params, *given)
    one, two = jax.random.split(jax.random.key(0))
    np.testing.assert_allclose(
        *(np.where(there[..., None], s, 0) for s in (run(params, *given, one, 0.0)[0], plain)), atol=1e-5
    )
    noisy = run(params, *given, one, 0.4)[0]
    np.testing.assert_array_equal(run(params, *given, one, 0.4)[0], noisy)
    for other in (run(params, *given, two, 0.4)[0], plain):
        assert np.abs(np.where(there[..., None], noisy - other, 0)).max() > 1e-2


@functools.cache
def _outcome(spec):
    """The shapes of the parameters, and the logits of training."""
    tokens, valid = models.batch()
    model = models.classifier(encoder=spec)
    given = {"tokens": tokens, "valid": valid, "segments": tokens * 0, "rng": jax.random.key(1), "train": True}
    params = model.init(jax.random.key(0), **given)["params"]
    return jax.tree.map(jnp.shape, params), model.apply({"params": params}, **given)[0]


@over_knobs("encoder")
def test_no_dead_options(knob):
    """Every option changes the parameters or the logits."""
    (shapes, logits), (other_shapes, other) = _outcome(knob.without), _outcome(knob.with_)
    assert shapes != other_shapes or not np.allclose(logits, other, atol=1e-5)


@over_rows("encoder")
def test_parts_that_do_not_go(name, row):
    for parts, message in row.evidence.parts:
        with pytest.raises(ValueError, match=message) as caught:
            models.classifier(**{"encoder": name, **parts})
        assert "\n" not in str(caught.value)


@over_rows("encoder")
def test_it_trains(name, row):
    models.check_training(*models.train(encoder=row.spec, pooling=row.evidence.pooling))
