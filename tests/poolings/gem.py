"""Evidence of the generalised mean."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.poolings import VALID, plain, states, witness
from tests.support.row import Row


def reference(p=None, epsilon=1e-6):
    def apply(x, valid, params):
        power = float(params["p"]) if p is None else p
        mean = lambda rows: (sum(np.maximum(row, epsilon) ** power for row in rows) / len(rows)) ** (1 / power)
        return plain(mean)(x, valid, params)

    return apply


def oracles():
    from tests.support.oracle_packages import F, torch

    return {
        "torch: Radenović et al., by x and p": witness(
            lambda x, w, p: attention.gem_pool(x, w, p=p),
            lambda z, p: torch.mean(torch.clamp(z, min=1e-6) ** p, dim=0) ** (1 / p),
            np.asarray(2.7),
        ),
        "torch lp_pool1d of |x|": witness(
            lambda x, w: attention.gem_pool(jnp.abs(x), w, p=3.0),
            lambda z: F.lp_pool1d(z.T[None].abs(), 3.0, len(z))[0, :, 0] / len(z) ** (1 / 3),
        ),
    }


ROW = Row(
    "gem",
    {"p": "2", "epsilon": "0.1"},
    PoolingEvidence(
        (
            PoolingCase("gem", reference(), 1, single=lambda x: np.maximum(x, 1e-6)),
            PoolingCase("gem(p=2, epsilon=0.1)", reference(2, 0.1), single=lambda x: np.maximum(x, 0.1)),
        ),
        oracles,
        errors={
            "gem(p=-1)": "p must be a finite number > 0, got -1.0",
            "gem(epsilon=0)": "epsilon must be a finite number > 0, got 0.0",
        },
    ),
)


def test_between_the_mean_and_the_maximum():
    """p = 1 is the mean, p → ∞ the maximum, p → 0 the geometric mean, 2 the root of the mean square, -1 the harmonic mean."""
    x = jnp.abs(states()) + 0.1
    rows = np.float64(x[:3])
    pool = lambda p: attention.gem_pool(x, jnp.asarray(VALID), p=p)
    np.testing.assert_allclose(pool(1.0), rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(pool(2.0), np.sqrt((rows**2).mean(0)), rtol=1e-6)
    np.testing.assert_allclose(pool(1e4), rows.max(0), rtol=2e-4)
    np.testing.assert_allclose(pool(1e-4), np.exp(np.log(rows).mean(0)), rtol=2e-4)
    np.testing.assert_allclose(pool(jnp.float32(-1.0)), 1 / (1 / rows).mean(0), rtol=1e-6)  # where a learned p may go
    found = np.stack([pool(p) for p in (0.5, 1.0, 2.0, 3.0, 8.0)])
    assert (np.diff(found, axis=0) > 0).all()


def test_negative_states():
    """They count as ε and get no gradient, with none of the NaNs of powers at 0."""
    x = jnp.array([[-1.0, 2.0], [0.0, 2.0], [-3.0, 1e-6], [5.0, 5.0]])
    with jax.debug_nans(True):
        value, gradient = jax.value_and_grad(lambda x: jnp.sum(attention.gem_pool(x, jnp.asarray(VALID))))(x)
    np.testing.assert_allclose(value, 1e-6 + (16 / 3) ** (1 / 3), rtol=1e-5)
    np.testing.assert_array_equal(gradient == 0, [[True, False], [True, False], [True, True], [True, True]])
