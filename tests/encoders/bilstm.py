"""Evidence of the bidirectional LSTM."""

import operator

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.attend import parts_of
from attention.records import Call, Context
from tests.support.encoders import DIMS, D, U, lstm, packed, recurrent, witness
from tests.support.evidence import EncoderCase, EncoderEvidence
from tests.support.row import Row


def oracles():
    from tests.support.oracle_packages import torch

    two = packed(torch.nn.LSTM, 2)
    one = packed(torch.nn.LSTM)
    added = lambda texts, params: [sum(rows.chunk(2, dim=-1)) for rows in one(texts, params)]
    return {
        "torch.nn.LSTM, packed": witness("bilstm", one),
        "torch.nn.LSTM, packed, two layers": witness("bilstm(layers=2, hidden=4)", two),
        "torch.nn.LSTM, packed, directions added": witness("bilstm(combine=sum)", added),
    }


CASES = (
    EncoderCase("bilstm", recurrent(lstm), 2 * 4 * U * (D + U + 1)),
    EncoderCase("bilstm(layers=2, hidden=4)", recurrent(lstm, 2), 2 * 16 * (D + 4 + 1) + 2 * 16 * (8 + 4 + 1), 8),
    EncoderCase("bilstm(combine=sum)", recurrent(lstm, combine=operator.add), 2 * 4 * D * (D + D + 1)),
)
REFUSED = (
    ({"dim": 7}, "each direction has half of the model's channels, got 7; give hidden"),
    ({"score": "dot"}, "encoder=bilstm with score=dot: it uses no score"),
)
ROW = Row(
    "bilstm",
    {"hidden": "5", "layers": "2", "combine": "sum", "forget_bias": "0"},
    EncoderEvidence(CASES, oracles, parts=REFUSED, errors={"bilstm(hidden=0)": "hidden must be >= 1, got 0"}),
)


def test_starts():
    """Orthogonal recurrences, the forget gate's bias where the option says, the other biases at 0."""
    x = jnp.zeros((1, 2, D))
    encoder, context = attention.build("encoder", "bilstm(forget_bias=2)"), Context(parts_of("none"), {}, tokens=x[..., 0])
    params = encoder.init(jax.random.key(0), x, context, Call(), DIMS)["params"]["layer_0"]
    for own in params.values():
        np.testing.assert_array_equal(own["bias"].reshape(4, U), np.outer([0, 2, 0, 0], np.ones(U)))
        for matrix in np.split(np.asarray(own["recurrent"]), 4, axis=1):
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(U), atol=1e-5)
        limit = np.sqrt(6 / (D + U))
        assert 0.7 * limit < np.abs(own["kernel"]).max() <= limit
    assert not np.allclose(params["forward"]["recurrent"], params["backward"]["recurrent"])
