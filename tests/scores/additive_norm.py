"""Evidence of additive attention with a normalised vector."""

import math

import jax.numpy as jnp

import attention
from tests.support import reference
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.row import Row
from tests.support.scores import A, H, constant, xavier


def additive_norm(q, k, w, u, v, b, gain):
    return gain * reference.additive(q, k, w, u, v, b) / math.sqrt(reference.dot(v, v))


def oracles():
    from tests.support import oracle_scores as o

    def theirs(q, k, v, g):
        """torch's own weight normalisation of the last layer."""
        layer = o.torch.nn.utils.parametrizations.weight_norm(o.torch.nn.Linear(o.A, 1, bias=False).double())
        given = {"parametrizations.weight.original0": g[None, None], "parametrizations.weight.original1": v[None]}
        return o.torch.func.functional_call(layer, given, (o.torch.tanh(q + k),))

    own = o.normal(3, o.N, o.A), o.normal(4, o.N)
    return {"torch weight_norm": o.pairs(attention.additive_norm_scores, theirs, *own, width=o.A)}


def _reference(q, k, i, j, own):
    return additive_norm(q, k, *(own[name] for name in ("query", "key", "vector", "bias", "gain")))


LAWS = {
    "with g = |v| it is additive": Law(
        lambda q, k, o: attention.additive_norm_scores(q[..., :A], k[..., :A], o.vector, jnp.linalg.norm(o.vector, axis=-1)),
        lambda q, k, o: attention.additive_scores(q[..., :A], k[..., :A], o.vector),
        1e-5,
    ),
    "the length of v is nothing to it": Law(
        lambda q, k, o: attention.additive_norm_scores(q[..., :A], k[..., :A], 7 * o.vector),
        lambda q, k, o: attention.additive_norm_scores(q[..., :A], k[..., :A], o.vector),
    ),
}
ROW = Row(
    f"additive_norm(hidden={A})",
    {"hidden": "4"},
    ScoreEvidence(
        (ScoreCase(f"additive_norm(hidden={A})", _reference, 2 * H * A + 2 * A + 1),),
        oracles,
        laws=LAWS,
        starts={
            "additive_norm(hidden=16)": {"gain": constant(0.25), "bias": constant(0.0)},
            "additive_norm": {"query": xavier(80), "key": xavier(80), "vector": xavier(41), "bias": constant(0.0)},
        },
        errors={"additive_norm(hidden=-1)": "hidden must be None or >= 1, got -1"},
    ),
)
