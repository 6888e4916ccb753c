"""Evidence of the activated score."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support import reference
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.helpers import jit, unchecked
from tests.support.row import Row
from tests.support.scores import KEY, QUERY, H, Own, constant, one_head, xavier

ACTIVATIONS = {"sigmoid": lambda x: 1 / (1 + math.exp(-x)), "tanh": math.tanh, "relu": lambda x: max(x, 0.0)}


def activated(q, k, own, activation):
    return ACTIVATIONS[activation](reference.bilinear(q, k, own["kernel"]) + reference.linear(q, k, own["weight"], own["bias"]))


def oracles():
    from tests.support import oracle_scores as o

    def witness(activation, function):
        return o.pairs(
            lambda q, k, w, u, b: attention.activated_scores(q, k, w, u, b, activation=activation),
            lambda q, k, w, u, b: function(o.F.bilinear(q, k, w[None], b[None]) + o.F.linear(o.torch.cat([q, k], -1), u[None])),
            o.normal(3, o.N, o.H, o.H),
            o.normal(4, o.N, 2 * o.H),
            o.normal(5, o.N),
        )

    return {
        "torch F.bilinear, F.linear, sigmoid": witness("sigmoid", o.torch.sigmoid),
        "torch F.bilinear, F.linear, tanh": witness("tanh", o.torch.tanh),
        "torch F.bilinear, F.linear, relu": witness("relu", o.F.relu),
    }


LAWS = {
    "tanh is tanh of general + linear": Law(
        lambda q, k, o: attention.activated_scores(q, k, o.W, o.linear, 0.3, activation="tanh"),
        lambda q, k, o: jnp.tanh(attention.general_scores(q, k, o.W) + attention.linear_scores(q, k, o.linear, 0.3)),
    ),
    "sigmoid is tanh of the half": Law(
        lambda q, k, o: attention.activated_scores(q, k, o.W, o.linear, 0.3),
        lambda q, k, o: 0.5 + 0.5 * attention.activated_scores(q, k, o.W / 2, o.linear / 2, 0.15, activation="tanh"),
    ),
}
ROW = Row(
    "activated(activation=sigmoid)",
    {"activation": ("tanh", "relu")},
    ScoreEvidence(
        tuple(
            ScoreCase(
                f"activated(activation={name})",
                lambda q, k, i, j, own, name=name: activated(q, k, own, name),
                H * H + 2 * H + 1,
            )
            for name in ACTIVATIONS
        ),
        oracles,
        laws=LAWS,
        starts={"activated": {"kernel": xavier(80), "weight": xavier(81), "bias": constant(0.0)}},
        errors={"activated(activation=gelu)": "option 'activation' wants one of 'sigmoid', 'tanh', 'relu'.*, got 'gelu'"},
    ),
)


def test_published_numbers():
    """allennlp, bilinear_attention_test.py, with a relu."""
    query, key = one_head([[1.0, 1.0]], np.eye(2))
    kernel = jnp.array([[[-0.3, 0.5], [2.0, -1.0]]])
    relu = attention.activated_scores(query, key, kernel, jnp.zeros((1, 4)), 0.1, activation="relu")
    np.testing.assert_allclose(relu[0, 0], [1.8, 0.0], atol=1e-6)


def test_sigmoid_makes_nearly_a_mean():
    """The largest weight of a softmax is at most e times the smallest, however large query and key are."""
    run = jit(lambda q, k, own: attention.softmax(attention.activated_scores(q, k, own.W, own.linear)))
    weights = run(100 * QUERY, KEY, Own())
    ratio = weights.max(-1) / weights.min(-1)
    assert (ratio <= math.e * (1 + 1e-6)).all()
    assert ratio.max() > 2.7


def test_an_unknown_activation():
    one = jnp.ones((1, 1, 1))
    with pytest.raises(ValueError, match=r"activation must be one of sigmoid, tanh, relu .nearest: 'tanh'., got 'tan'"):
        unchecked(attention.activated_scores)(one, one, one, jnp.ones((1, 2)), activation="tan")
