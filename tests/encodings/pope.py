"""Evidence of polar position embeddings."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.encodings import H, N, compared, softplus
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import inputs, jit, params_of
from tests.support.row import Row


def score(q, k, distance, phase, base=10000.0):
    """Σ_c softplus(q_c) softplus(k_c) cos(Δ ϑ_c - δ_c)."""
    waves = (math.cos(distance * base ** (-c / len(q)) - phase[c]) for c in range(len(q)))
    return sum(softplus(a) * softplus(b) * wave for a, b, wave in zip(q, k, waves))


def form(base=10000.0):
    """The scale is that of the head dim, though queries and keys are twice as wide."""
    return compared(lambda q, k, i, j, params, head: score(q, k, i - j, params["phase"][head], base))


def oracles():
    from tests.support.encoding_oracles import R, rotated_scores, torch, x_transformers

    def polar(query, key, phase):
        """Their phase is kept within [-2π, 0]."""
        angles, _ = x_transformers.PolarEmbedding(R.H, R.N)(torch.arange(R.T))
        turn = x_transformers.apply_polar_pos_emb
        turned = turn(key, angles[:, None] + phase[:, None])
        return turn(query, angles[:, None]) @ turned.transpose(-1, -2).double()

    return {"x-transformers PolarEmbedding": rotated_scores("pope", polar, -(R.normal(3, R.N, R.H) ** 2))}


ROW = Row(
    "pope",
    {"base": "50.0"},
    EncodingEvidence(
        (EncodingCase("pope", scores=form()), EncodingCase("pope(base=70.0)", scores=form(70.0))),
        oracles,
        (0, N * H),
        errors={"pope(base=0)": "base must be > 0, got 0.0"},
    ),
)


def test_channels():
    """Odd and single channels, the type of the input, and large entries, whose softplus is themselves."""
    x = jnp.array([[[-200.0, 0.0, 200.0]]])
    found = attention.pope(x, jnp.array([1]))[0, 0]
    size = np.array([0.0, math.log(2), 200.0])
    angle = 10000.0 ** (-np.arange(3) / 3)
    np.testing.assert_allclose(found, [*(size * np.cos(angle)), *(size * np.sin(angle))], rtol=1e-6, atol=1e-7)
    assert attention.pope(jnp.ones((2, 1, 1), jnp.bfloat16), jnp.arange(2)).dtype == jnp.bfloat16


@pytest.mark.parametrize("score", ["dot", "general", "cosine", "l2"])
def test_scores_of_wider_vectors(score):
    """Scores that know two vectors alone do not mind how wide they are."""
    params = params_of(encoding="pope", score=score)
    query, key, value = inputs(T=5, S=5)
    output = jit(lambda: attention.attend(query, key, value, encoding="pope", score=score, params=params))()
    assert output.shape == query.shape
    assert np.isfinite(output).all()
