"""Evidence of double normalisation."""

import functools

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import NormalizerCase, NormalizerEvidence
from tests.support.reference_normalizers import slot
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizers as o

    theirs = lambda s: o.F.normalize(o.torch.softmax(s, -2), p=1, dim=-1)
    return {"torch.softmax, F.normalize(p=1)": o.matrix(attention.double_norm, theirs)}


ROW = Row(
    "double_norm",
    {},
    NormalizerEvidence((NormalizerCase("double_norm", functools.partial(slot, epsilon=0.0), monotone=False),), oracles),
)


def test_a_query_that_lost_all_keys_shares_them():
    """Where a softmax of far lower scores is 0 in float32, logarithms keep their ratio."""
    scores = jnp.array([[300.0, 300.0, 300.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(attention.double_norm(scores), np.full((2, 3), 1 / 3), atol=1e-6)
