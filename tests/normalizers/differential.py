"""Evidence of differential attention."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of
from attention.normalizers.differential import initial_mix
from attention.records import Call
from tests.support.evidence import Law, NormalizerCase, NormalizerEvidence
from tests.support.helpers import DIMS, init, inputs, params_of, unchecked
from tests.support.normalizers import HEAD_DIM
from tests.support.reference_normalizers import by_row, softmax
from tests.support.row import Row


def differential(scores, mask, own, initial=0.2):
    """Maps 2h and 2h + 1 are those of head h; λ₀ of layer 0 is 0.2."""
    mix = math.exp(sum(own["q1"] * own["k1"])) - math.exp(sum(own["q2"] * own["k2"])) + initial
    plain = by_row(softmax)(scores, mask, own)
    return plain[0::2] - mix * plain[1::2]


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    # Their heads h and h + N/2 are the two maps of one, ours 2h and 2h + 1.
    config = layers.config(layers.DiffLlamaConfig, kv=layers.N, rms_norm_eps=1e-5)
    return {
        "torch.softmax twice, by s¹, s² and λ": o.row(
            lambda s, w, t, m: attention.differential(s, s * t, w, mix=m),
            lambda z, t, m: o.torch.softmax(z, -1) - m * o.torch.softmax(z * t, -1),
            o.positive(7),
            o.positive(8),
        ),
        "transformers DiffLlama": layers.layer(
            layers.DiffLlamaAttention(config, layers.LAYER),
            "differential",
            *(layers.normal(30 + i, layers.H, scale=0.4) for i in range(4)),
            to_own=lambda *four: dict(zip(("q1", "k1", "q2", "k2"), four)),
            their_names=("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2"),
            order=[0, 2, 1, 3],
            kv_heads=layers.N,
        ),
    }


LAWS = {
    "with λ = 0 it is softmax": Law(
        lambda s, w: attention.differential(s, -s, w, mix=0.0), lambda s, w: attention.softmax(s, w)
    ),
}


def picture():
    from tools.kinds.normalizer_weights import Shown

    second = jnp.array([1.0, 0.5, 0.5, -1.0, 0.5])  # agrees with the first map on the keys 1, 3 and 4 alone
    return Shown("differential, λ = 0.8", lambda scores: attention.differential(scores, second, mix=0.8))


ROW = Row(
    "differential",
    {},
    NormalizerEvidence(
        (NormalizerCase("differential", differential, monotone=False, count=4 * HEAD_DIM),),
        oracles,
        public=lambda scores, *rest, **options: unchecked(attention.differential)(scores, -scores, *rest, **options),
        laws=LAWS,
        picture=picture,
    ),
)


def test_output():
    """Values of two heads side by side, each map pair, RMS norm per head, times 1 - λ₀ of the layer."""
    query, key, value = inputs(B=1, T=3, S=5)
    record = attention.build("normalizer", "differential")
    params = {"normalizer": init(record)}
    for layer in (0, 3):
        call = Call(layer=layer)
        output, weights = attention.attend(query, key, value, normalizer=record, params=params, call=call, return_weights=True)
        wide = np.asarray(value, np.float64).reshape(1, 5, 1, 16)
        sums = np.einsum("bnts,bsh->btnh", np.asarray(weights, np.float64), wide[:, :, 0])
        normed = sums / np.sqrt((sums**2).mean(-1, keepdims=True) + 1e-5) * (1 - initial_mix(layer))
        np.testing.assert_allclose(output, normed.reshape(1, 3, 4, 8), atol=1e-5)
    np.testing.assert_allclose([initial_mix(0), initial_mix(1)], [0.2, 0.8 - 0.6 * np.exp(-0.3)], atol=1e-6)


def test_start():
    start = attention.build("normalizer", "differential").init(jax.random.key(0), DIMS)
    assert set(start) == {"q1", "k1", "q2", "k2"}
    assert all(0.02 < np.std(leaf) < 0.3 for leaf in start.values())


def test_what_joins_heads_differently_is_refused():
    with pytest.raises(ValueError, match=r"encoding=shaw with normalizer=differential: .* joins heads"):
        parts_of("shaw", normalizer="differential")
    parts_of("shaw(values=False)", normalizer="differential")
    x = jnp.zeros((4, 3, 8))
    with pytest.raises(ValueError, match="2 score maps per head wants a multiple of 2 key heads, got 3"):
        unchecked(attention.attend)(x, x, x, normalizer="differential", params=params_of(normalizer="differential"))
