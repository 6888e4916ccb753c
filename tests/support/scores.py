"""The table of scores: one row per variant and per option that is a formula of its own, shared by the tests of scores."""

import jax.numpy as jnp
import numpy as np

from attention.records import Call
from tests.support import reference
from tests.support.helpers import DIMS as PADDED_DIMS

H, L = 6, 5
DIMS = PADDED_DIMS._replace(num_heads=2, kv_heads=2, head_dim=H, max_length=L)
# With its reference of the query, the key, their positions and the parameters of the head, and its number of parameters per
# head and layer.
A, R = 3, 4
ROWS = {
    "dot": ("dot", lambda q, k, i, j, own: reference.dot(q, k), 0),
    "scaled_dot": ("scaled_dot", lambda q, k, i, j, own: reference.scaled_dot(q, k), 0),
    "scaled_dot_learned": (
        "scaled_dot(learned_scale=True)",
        lambda q, k, i, j, own: own["gain"] * reference.scaled_dot(q, k),
        1,
    ),
    "cosine": ("cosine(gain=3)", lambda q, k, i, j, own: reference.cosine(q, k, own["gain"]), 1),
    "general": ("general", lambda q, k, i, j, own: reference.bilinear(q, k, own["kernel"]), H * H),
    "general_bias": (
        "general(bias=True)",
        lambda q, k, i, j, own: reference.bilinear(q, k, own["kernel"]) + own["bias"],
        H * H + 1,
    ),
    "low_rank": (
        f"low_rank(rank={R})",
        lambda q, k, i, j, own: reference.low_rank(q, k, own["query"], own["key"]),
        2 * H * R,
    ),
    "additive": (
        f"additive(hidden={A})",
        lambda q, k, i, j, own: reference.additive(q, k, own["query"], own["key"], own["vector"], own["bias"]),
        2 * H * A + 2 * A,
    ),
    "additive_norm": (
        f"additive_norm(hidden={A})",
        lambda q, k, i, j, own: reference.additive_norm(
            q, k, own["query"], own["key"], own["vector"], own["bias"], own["gain"]
        ),
        2 * H * A + 2 * A + 1,
    ),
    "concat": (
        f"concat(hidden={A})",
        lambda q, k, i, j, own: reference.concat(q, k, own["kernel"], own["vector"]),
        2 * H * A + A,
    ),
    "linear": ("linear", lambda q, k, i, j, own: reference.linear(q, k, own["weight"], own["bias"]), 2 * H + 1),
    "trilinear": ("trilinear", lambda q, k, i, j, own: reference.trilinear(q, k, own["weight"]), 3 * H),
    **{
        f"activated_{name}": (
            f"activated(activation={name})",
            lambda q, k, i, j, own, name=name: reference.activated(q, k, own["kernel"], own["weight"], own["bias"], name),
            H * H + 2 * H + 1,
        )
        for name in ("sigmoid", "tanh", "relu")
    },
    "l2": ("l2", lambda q, k, i, j, own: reference.l2(q, k), 0),
    "location": ("location", lambda q, k, i, j, own: reference.location(q, j, own["table"]), L * H),
    "synthesizer_dense": (
        "synthesizer",
        lambda q, k, i, j, own: reference.dense_synthesizer(q, j, own["table"], own["bias"]),
        L * H + L,
    ),
    "synthesizer_random": ("synthesizer(form=random)", lambda q, k, i, j, own: own["table"][i, j], L * L),
}
# Positions in no order, other ones for each example, and one of them twice.
Q_POSITIONS, K_POSITIONS = np.array([[4, 0, 2], [1, 3, 0]]), np.array([[1, 4, 0, 3], [2, 2, 1, 0]])


def call_of(record, **positions):
    return Call(scale=H**-0.5 if record.scaled else 1.0, **positions)


def scores_of(record, params, query, key, **positions):
    call = call_of(record, **positions)
    return record.apply(params, *record.project(params, query, key, call), call)


def at(function):
    """The scores at Q_POSITIONS and K_POSITIONS."""
    return lambda *a: function(*a, q_positions=jnp.asarray(Q_POSITIONS), k_positions=jnp.asarray(K_POSITIONS))
