"""Evidence of random features."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.helpers import jit, normal
from tests.support.mixers import BOTH, HEADS, MHA, VALID, H, layer, made, means, of_heads, states, torch_out, torch_qkv, witness
from tests.support.row import Row


@functools.cache
def omega(features):
    """What the first layer of a performer of seed 0 uses."""
    return np.float64(attention.orthogonal_gaussian(jax.random.fold_in(jax.random.key(0), 0), features, H))


@of_heads
def reference(q, k, v, causal, epsilon=1e-4):
    y, z = q / q.shape[-1] ** 0.25, k / k.shape[-1] ** 0.25
    a, b = y @ omega(6).T, z @ omega(6).T
    a = np.exp(a - (y**2).sum(-1, keepdims=True) / 2 - a.max(-1, keepdims=True)) + epsilon
    b = np.exp(b - (z**2).sum(-1, keepdims=True) / 2 - (0.0 if causal else b.max())) + epsilon
    return means(lambda i, j: a[i] @ b[j], q, k, v, causal)


def oracles():
    from tests.support.oracle_mixer_packages import performer
    from tests.support.oracle_packages import torch

    def theirs(x, p):
        q, k, v = torch_qkv(x, p)
        options = {"projection_matrix": torch.tensor(omega(6))}
        q, k = (performer.softmax_kernel(each, is_query=i == 0, **options) for i, each in enumerate((q, k)))
        return torch_out(performer.linear_attention(q, k, v), p)

    return {"performer-pytorch": witness("performer(heads=2, features=6)", theirs)}


CASES = (MixerCase("performer(heads=2, features=6)", reference, MHA, masks=BOTH),)
REFUSED = (({"encoding": "rope"}, "mixer=performer with encoding=rope: this encoding acts on scores"),)
ERRORS = {
    "performer(features=0)": "features must be >= 1, got 0",
    "performer(epsilon=-1)": "epsilon must be a finite number >= 0",
}
ROW = Row(
    "performer(heads=2, features=6)",
    {**HEADS, "features": "3", "epsilon": "0.1", "seed": "1", "redraw": "True"},
    MixerEvidence(CASES, oracles, parts=REFUSED, errors=ERRORS),
)


def test_it_tends_to_attention():
    """With an error that falls as m^(-1/2) on average over draws, without bias."""
    query, key, value = (0.5 * normal(i, 1, 12, 1, 8) for i in range(3))
    where = jnp.arange(12) < 9
    wanted = jax.nn.dot_product_attention(query, key, value, mask=where[None, None, None])
    sizes, errors = (32, 128, 512, 2048), []
    for m in sizes:

        def of_draw(rng, m=m):
            omega = attention.orthogonal_gaussian(rng, m, 8)
            found = attention.performer_attention(query, key, value, omega, where[None], epsilon=0.0)
            return jnp.mean((found - wanted) ** 2)

        squares = jit(lambda rngs, of_draw=of_draw: jax.lax.map(of_draw, rngs))(jax.random.split(jax.random.key(m), 48))
        errors.append(np.sqrt(np.mean(squares)))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -0.65 < slope < -0.35
    assert errors[-1] < 0.02


def test_directions_are_orthogonal_and_gaussian():
    omega = np.asarray(attention.orthogonal_gaussian(jax.random.key(0), 11, 4))
    for first in (0, 4, 8):
        gram = omega[first : first + 4] @ omega[first : first + 4].T
        np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-4)
    many = np.asarray(attention.orthogonal_gaussian(jax.random.key(1), 8000, 4))
    np.testing.assert_allclose(many.T @ many / 8000, np.eye(4), atol=0.05)
    np.testing.assert_allclose(many.mean(0), 0, atol=0.05)
    with pytest.raises(ValueError, match="features and dim must be >= 1, got 0 and 4"):
        attention.orthogonal_gaussian(jax.random.key(0), 0, 4)


def test_redraw():
    """Another ω in each training step, and that of the seed in evaluation; layers have their own."""
    spec = "performer(heads=2, features=6, redraw=True)"
    own, x = made(spec)[2], states()
    run = lambda **rest: layer(spec)(own, x, VALID, **rest)
    one, two = jax.random.key(1), jax.random.key(2)
    np.testing.assert_array_equal(run(rng=one, train=True), run(rng=one, train=True))
    assert not np.allclose(run(rng=one, train=True), run(rng=two, train=True), atol=1e-4)
    np.testing.assert_array_equal(run(rng=one), run(rng=two))
    assert not np.allclose(run(), run(layer=1), atol=1e-4)
    with pytest.raises(ValueError, match=r"redraw=True draws from call\.rng"):
        run(train=True)
