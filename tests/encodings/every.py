"""Evidence of an encoding in most layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.encodings import rope
from tests.support.encodings import D
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import DIMS, inputs, size
from tests.support.models import batch, made
from tests.support.row import Row
from tests.support.wrappers import RAW, call


def picture():
    from tools.kinds.encoding_maps import Image, Lines, scores

    plain = scores("none", "alike")
    apart = [float(np.abs(scores("every", "alike", layer=layer) - plain).mean()) for layer in range(8)]
    return (
        Image("layers 0, 1, 2", scores("every", "alike", layer=0)[0]),
        Image("layer 3", scores("every", "alike", layer=3)[0], limit=4.0),
        Lines("change of the scores, mean", "layer", np.arange(8), {"every": np.asarray(apart)}),
    )


ROW = Row(
    "every",
    {"inner": "alibi", "layers": "2"},
    EncodingEvidence(
        (EncodingCase("every", scores=rope.form()),),
        "it is the encoding inside, or none",
        call=lambda: Call(layer=2),
        picture=picture,
        errors={
            "every(layers=0)": "layers must be >= 1, got 0",
            "every(inner=sinusoidal)": "every chooses layers, and the encoding inside acts on the embeddings alone",
            "every(inner=deberta)": "every cannot hold an encoding of 3 terms: layers without it would want another scale",
        },
    ),
)


def test_bare_layers_have_nothing_of_it():
    """Layers 3, 7, ... see nothing of the encoding and have nothing of it."""
    record = attention.build("encoding", "every(inner=shaw(max_distance=3) + rope)")
    query, key, _ = inputs(B=1, T=6, S=6, K=4)
    for number in range(9):
        params = record.init(jax.random.key(0), DIMS._replace(layer=number))
        given = call(RAW[:1], None, layer=number, scale=1.0)
        turned = record.rotate(params, query, key, given)
        prepared = record.prepare(params, None, query, key, given)
        weights = jnp.ones((1, 4, 6, 6))
        found = record.bias(params, *prepared, given), record.values(params, weights, given)
        if number % 4 == 3:
            assert params == {}
            assert found == (None, None)
            assert turned[0] is query
            assert turned[1] is key
            assert prepared == ((), (), ())
        else:
            assert size(params) == 2 * 7 * DIMS.head_dim
            assert all(np.abs(each).max() > 0 for each in found)
            assert not np.allclose(turned[0], query)
    assert record.reads == "rows"


@pytest.mark.parametrize("inner", ["alibi", "rope"])
def test_two_layers_of_a_model(inner):
    """In two layers every other one is bare: the other's weights show the encoding, the bare one's do not."""
    tokens, valid = batch()
    encoder = "transformer(layers=2, mlp=2)"
    params = made(encoder=encoder, encoding=inner)[1]
    specs = ("none", inner, f"every(inner={inner}, layers=1)", f"every(inner={inner})")
    none, plain, other, all_of_two = (made(encoder=encoder, encoding=spec)[2](params, tokens, valid)[0] for spec in specs)
    np.testing.assert_allclose(all_of_two, plain, atol=1e-6)
    assert not np.allclose(other, plain, atol=1e-4)
    assert not np.allclose(other, none, atol=1e-4)


def test_embeddings_are_handed_through():
    """What acts on the embeddings does so once, in the first layer."""
    record = attention.build("encoding", "every(inner=sinusoidal + rope, layers=1)")
    x = jnp.zeros((1, 5, D))
    found = record.embed({}, x, jnp.zeros((1, 5), jnp.int32), Call(layer=1))
    np.testing.assert_allclose(found[0], attention.sinusoidal(jnp.arange(5), D), atol=1e-6)
