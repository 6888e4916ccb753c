"""Evidence of the temperature by position."""

import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support.evidence import NormalizerEvidence
from tests.support.helpers import inputs, normal
from tests.support.normalizers import case
from tests.support.reference_normalizers import sparsemax
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizer_layers as layers

    # The layers without rotations, where queries are scaled by position.
    tuned = {"attn_temperature_tuning": True, "attn_scale": 0.3, "floor_scale": 3, "no_rope_layers": [0]}
    config = layers.config(layers.Llama4TextConfig, **tuned, num_hidden_layers=1)
    module = layers.Llama4TextAttention(config, 0)
    spec, own = "pos_temp(scale=0.3, floor=3)", {"to_own": dict, "their_names": ()}
    return {"transformers Llama4": layers.layer(module, spec, **own, tolerance=1e-11)}


def picture():
    """The query at position 131,071: the scale is 1 + 0.1 log 17."""
    from tools.kinds.normalizer_weights import Shown

    scale = attention.pos_temp(jnp.ones((1, 1, 1)), jnp.array([131_071]))[0, 0, 0]
    return Shown("pos_temp, position 131,071", lambda scores: attention.softmax(scale * scores))


ROW = Row(
    "pos_temp(floor=2, inner=sparsemax)",
    {"scale": "0.3", "floor": "3", "inner": "softmax"},
    NormalizerEvidence(
        (case("pos_temp(floor=2, inner=sparsemax)", sparsemax),),
        oracles,
        public=None,
        errors={"pos_temp(floor=0)": "floor must be a finite number > 0, got 0"},
        picture=picture,
    ),
)


def test_queries():
    """q (1 + c log(1 + ⌊(i+1)/F⌋)): the first F - 1 positions are left alone; per example; the model's positions count."""
    query, positions = normal(0, 2, 5, 1, 3), jnp.array([[0, 6, 7, 15, 8191], [0, 1, 2, 3, 4]])
    found = attention.pos_temp(query, positions, scale=0.1, floor=8)
    factor = 1 + 0.1 * np.log(1 + np.floor((np.asarray(positions) + 1) / 8))
    np.testing.assert_allclose(found, np.asarray(query) * factor[..., None, None], atol=1e-5)
    np.testing.assert_array_equal(found[1], query[1])
    q, k, v = inputs(B=1, T=4, S=4)
    late = Call(q_positions=jnp.arange(4)[None] + 100, k_positions=jnp.arange(4)[None])
    run = lambda call: attention.attend(q, k, v, normalizer="pos_temp(floor=50)", call=call)
    np.testing.assert_allclose(run(Call()), attention.attend(q, k, v), atol=1e-6)
    np.testing.assert_allclose(run(late), attention.attend(q * (1 + 0.1 * np.log(3)), k, v), atol=1e-5)
