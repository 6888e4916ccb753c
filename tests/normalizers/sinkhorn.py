"""Evidence of Sinkhorn attention."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import Law, NormalizerCase, NormalizerEvidence
from tests.support.helpers import normal
from tests.support.reference_normalizers import by_row, divided, softmax
from tests.support.row import Row


def sinkhorn(scores, mask, own, steps=3):
    """Rows and columns divided by their sums in turn, without logarithms."""
    weights = np.where(mask, np.exp(scores), 0.0)
    for step in range(steps):
        weights = divided(weights, -1 if step % 2 == 0 else -2)
    return weights


def oracles():
    """Not sinkformers, whose code leaves the columns' steps out of the gradient."""
    from tests.support import oracle_normalizers as o

    def transport(s):
        """Uniform marginals, at convergence; times n so that rows sum to 1."""
        n = len(s)
        uniform = o.torch.full((n,), 1 / n, dtype=s.dtype)
        return n * o.ot.sinkhorn(uniform, uniform, -s, 1.0, method="sinkhorn_log", numItermax=50, stopThr=0.0, warn=False)

    def alternate(s, iterations):
        p = s.exp()
        for i in range(iterations):
            p = p / p.sum(-1 if i % 2 == 0 else -2, keepdim=True)
        return p

    ours = lambda iterations: lambda s, w: attention.sinkhorn(s, w, iterations=iterations)
    return {
        "torch.softmax, 1 iteration": o.matrix(ours(1), lambda s: o.torch.softmax(s, -1)),
        "torch: rows and columns in turn": o.matrix(ours(5), lambda s: alternate(s, 5)),
        "POT ot.sinkhorn, converged": o.matrix(ours(41), transport, tolerance=1e-9),
    }


LAWS = {
    "one iteration is softmax": Law(lambda s, w: attention.sinkhorn(s, w, iterations=1), lambda s, w: attention.softmax(s, w)),
}
ERRORS = {
    "sinkhorn(iterations=2)": "iterations must be odd and >= 1, so that rows are normalised last, got 2",
    "sinkhorn(iterations=-1)": "iterations must be odd and >= 1",
}


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("sinkhorn", "sinkhorn, 3 iterations")


ROW = Row(
    "sinkhorn",
    {"iterations": "1"},
    NormalizerEvidence(
        (
            NormalizerCase("sinkhorn", sinkhorn, monotone=False),
            NormalizerCase("sinkhorn(iterations=1)", by_row(softmax)),
        ),
        oracles,
        laws=LAWS,
        errors=ERRORS,
        picture=picture,
    ),
)


def test_doubly_stochastic_in_the_end():
    square = normal(1, 5, 5, scale=3.0)
    for iterations, tolerance in ((3, 1.0), (2001, 1e-4)):
        weights = attention.sinkhorn(square, iterations=iterations)
        np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-5)
        assert np.abs(weights.sum(-2) - 1).max() < tolerance
    assert np.abs(attention.softmax(square).sum(-2) - 1).max() > 0.3
    # Padded queries and keys leave the problem.
    valid = jnp.arange(8) < 5
    padded = attention.sinkhorn(jnp.pad(square, (0, 3)), valid[:, None] & valid, iterations=2001)
    np.testing.assert_allclose(padded[:5, :5], weights, atol=1e-5)
