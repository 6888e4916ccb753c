"""Every encoder, row by row of a table: reference, padding, neighbours, gradients, sizes, and precision."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.encoder_rows import LENGTHS, ROWS, SEGMENTS, D, batch, built, over_rows, texts
from tests.support.helpers import float64, jit, normal, size


def test_every_encoder_has_a_row():
    assert {row.name for row in ROWS} == set(attention.names("encoder"))


@over_rows
def test_reference(row):
    encoder, params, run = built(row.spec)
    x, valid, segments = batch()
    states, there = run(params, x, valid, segments)
    assert states.shape[-1] == encoder.width(D) == row.width
    assert states.dtype == x.dtype
    exact = float64(params)
    for b, (found, n) in enumerate(zip(texts(states, there), LENGTHS)):
        wanted = row.reference(np.asarray(x[b, :n], np.float64), SEGMENTS[:n].tolist(), exact)
        np.testing.assert_allclose(found, np.stack(wanted), atol=2e-5)


@over_rows
def test_padding_changes_nothing(row):
    """Behind the text and before it, whatever stands there."""
    encoder, params, run = built(row.spec)
    states, there = run(params, *batch())
    for pad, left in ((1, 0), (7, 0), (0, 3), (2, 5)):
        found, counts = run(params, *batch(pad=pad, left=left))
        for one, other in zip(texts(states, there), texts(found, counts)):
            np.testing.assert_allclose(other, one, atol=1e-5)
        if "mixer" not in encoder.uses and row.name != "embeddings":
            np.testing.assert_array_equal(np.asarray(found)[~np.asarray(counts)], 0)


@over_rows
def test_neighbours_change_nothing(row):
    _, params, run = built(row.spec)
    states, there = run(params, *batch())
    other, _ = run(params, *(jnp.concatenate([one[:2], two[2:]]) for one, two in zip(batch(), batch(seed=5))))
    np.testing.assert_array_equal(other[:2], states[:2])
    assert not np.allclose(other[2], states[2])
    x, valid, segments = batch()
    for b, n in enumerate(LENGTHS):
        alone, counts = run(params, x[b : b + 1, :n], valid[b : b + 1, :n], segments[b : b + 1, :n])
        np.testing.assert_allclose(texts(alone, counts)[0], texts(states, there)[b], atol=1e-5)


@over_rows
def test_gradients(row):
    """Of every parameter, none from padding, and none that is not finite where a text is empty."""
    _, params, run = built(row.spec)
    x, valid, segments = batch()
    weights = normal(3, 3, x.shape[1], row.width)

    def loss(params, x, valid):
        states, there = run.__wrapped__(params, x, valid, segments)
        return jnp.sum(jnp.where(there[..., None], jnp.sin(states) * weights, 0))

    gradient = jit(jax.grad(loss, argnums=(0, 1)))
    of_params, of_x = gradient(params, x, valid)
    np.testing.assert_array_equal(np.asarray(of_x)[~np.asarray(valid)], 0)
    assert (np.abs(of_x).max(-1) > 1e-6)[np.asarray(valid)].all()
    for path, leaf in jax.tree.leaves_with_path(of_params):
        name = jax.tree_util.keystr(path)
        assert np.abs(leaf).max() > 1e-4 or name.endswith(row.dead), name
    with jax.debug_nans(True):
        of_params, of_x = gradient(params, x, valid.at[0].set(False))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((of_params, of_x)))


@over_rows
def test_bfloat16(row):
    _, params, run = built(row.spec)
    x, valid, segments = batch()
    narrow, _ = run(params, x.astype(jnp.bfloat16), valid, segments)
    states, there = run(params, x, valid, segments)
    assert narrow.dtype == jnp.bfloat16
    near = jnp.where(there[..., None], narrow.astype(jnp.float32) - states, 0)
    assert np.abs(near).max() < 0.03 * max(1, float(jnp.abs(states).max()))


@over_rows
def test_parameter_count(row):
    assert size(built(row.spec)[1]) == row.count


@over_rows
def test_dropout(row):
    """Other noise with another key, none at a rate of 0, and a traced rate."""
    _, params, run = built(row.spec)
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
