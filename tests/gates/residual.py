"""Evidence of the residual gate."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import GateCase, GateEvidence
from tests.support.helpers import normal
from tests.support.row import Row

CASE = GateCase(
    "residual",
    lambda x, own: np.stack([row + own["weight"] * row for row in x]),
    count=lambda D: D,
    start=None,
    opened=lambda D: {"weight": np.zeros(D)},
)
ROW = Row("residual", {}, GateEvidence((CASE,)))


def test_it_is_one_family_with_mult():
    """w of mult is 1 + w of residual; what differs is where decay pulls to: the identity or nothing."""
    x, weight = normal(0, 2, 3, 8), normal(3, 8)
    np.testing.assert_allclose(attention.mult_gate(x, 1.0 + weight), attention.residual_gate(x, weight), rtol=1e-6)
    np.testing.assert_array_equal(attention.residual_gate(x, 0.0 * weight), x)
    np.testing.assert_array_equal(attention.mult_gate(x, 0.0 * weight), 0.0)


def test_the_trap_of_mult():
    """A start at 0, as the residual form has it, passes nothing and no gradient to what made the input."""
    loss = lambda gate: jax.grad(lambda x, w: jnp.sum(gate(x, w) ** 2), (0, 1))(normal(0, 2, 3, 8), jnp.zeros(8))
    for gradient in loss(attention.mult_gate):
        np.testing.assert_array_equal(gradient, 0.0)
    assert all(np.abs(gradient).min() > 1e-6 for gradient in loss(attention.residual_gate))
