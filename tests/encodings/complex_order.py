"""Evidence of words that turn with their position."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import D
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import DIMS, normal
from tests.support.row import Row


def embed(x, tokens, i, text, params):
    angle = params["frequencies"][tokens.astype(int)] * i[:, None]
    return x * (np.cos(angle) + np.sin(angle))


def oracles():
    from tests.support.encoding_oracles import A, F, torch
    from tests.support.witness import Witness

    def theirs(x, p, table, tokens):
        turned = torch.polar(torch.ones(()).double(), p[..., None] * F.embedding(tokens, table)) * x
        return turned.real + turned.imag

    tokens = np.random.default_rng(19).integers(0, A.V, (A.B, A.T))
    inputs = (A.normal(0, A.B, A.T, A.D), A.positions(50), A.normal(1, A.V, A.D), tokens)
    return {"torch.polar": Witness(lambda x, p, table, t: attention.complex_order(x, p, table[t]), theirs, inputs)}


def picture():
    from tools.kinds.encoding_maps import codes

    return codes("complex_order", 1.0, "a word of ones")


ROW = Row(
    "complex_order",
    {"base": "50.0"},
    EncodingEvidence(
        (EncodingCase("complex_order", embed),),
        oracles,
        ((DIMS.vocab_size or 0) * D, 0),
        moved="other",
        picture=picture,
        errors={"complex_order(base=0)": "base must be > 0, got 0.0"},
    ),
)


def test_a_word_turns_with_its_position():
    """A word turns with its position, at its own frequencies; at position 0 it is its embedding."""
    record = attention.build("encoding", "complex_order(base=50)")
    start = record.shared(jax.random.key(0), DIMS._replace(vocab_size=5, model_dim=6))["frequencies"]
    np.testing.assert_allclose(start, np.tile([50.0 ** (-2 * (c // 2) / 6) for c in range(6)], (5, 1)), rtol=1e-6)
    table, tokens, where = normal(0, 5, 6), jnp.array([[0, 3, 3], [4, 1, 0]]), np.array([[0, 2, 9], [4, 0, 1]])
    x = normal(1, 2, 3, 6)
    call = Call(jnp.asarray(where), jnp.asarray(where))
    found = record.embed({"frequencies": table}, x, tokens, call)
    for b, t, c in np.ndindex(2, 3, 6):
        wave = float(x[b, t, c]) * np.exp(1j * float(table[tokens[b, t], c]) * where[b, t])
        np.testing.assert_allclose(found[b, t, c], wave.real + wave.imag, atol=1e-5)
    np.testing.assert_array_equal(found[0, 0], x[0, 0])
    gradient = jax.grad(lambda table: record.embed({"frequencies": table}, x, tokens, call).sum())(table)
    np.testing.assert_array_equal(np.abs(gradient).max(-1) > 0, [True, False, False, True, True])
    with pytest.raises(ValueError, match=r"needs Dims\.vocab_size"):
        record.shared(jax.random.key(0), DIMS._replace(vocab_size=None))
