"""Evidence of the location score."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.row import Row
from tests.support.scores import H, L, xavier


def location(q, j, w):
    """(W q)_j with W of shape [L H]."""
    return (w @ q)[j]


def oracles():
    from tests.support import oracle_scores as o

    def theirs(query, table, positions):
        return o.at(o.torch.stack([o.F.linear(query[:, :, n], table[n]) for n in range(o.N)], 2), positions)

    inputs = o.normal(0, o.B, o.T, o.N, o.H), o.normal(3, o.N, o.L, o.H), o.K_POSITIONS
    return {"torch F.linear, gather": o.Witness(attention.location_scores, theirs, inputs)}


KEYS = np.array([3, 0, 5, 1])
LAWS = {
    "with W = I it is the query": Law(
        lambda q, k, o: attention.location_scores(q, o.eye, jnp.asarray(KEYS)), lambda q, k, o: jnp.moveaxis(q[..., KEYS], 2, 1)
    ),
    "it is general, the keys one-hot positions": Law(
        lambda q, k, o: attention.location_scores(q, jnp.swapaxes(o.W, -1, -2), jnp.arange(4)),
        lambda q, k, o: attention.general_scores(q, jnp.tile(jnp.eye(4, H)[:, None], (2, 1, 2, 1)), o.W),
    ),
}
ROW = Row(
    "location",
    {},
    ScoreEvidence(
        (ScoreCase("location", lambda q, k, i, j, own: location(q, j, own["table"]), L * H),),
        oracles,
        laws=LAWS,
        starts={"location": {"table": xavier(90)}},
        by_position=True,
    ),
)
