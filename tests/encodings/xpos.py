"""Evidence of xPos."""

import cmath
import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import compared
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import inputs, jit, normal
from tests.support.row import Row


def score(q, k, distance, base=10000.0, scale_base=512.0):
    """Σ_t ζ_t^{Δ/512} Re(q_t k̄_t e^{iΔθ_t}) of interleaved pairs, Δ = i - j."""
    dim, total = len(q), 0.0
    for t in range(dim // 2):
        zeta = (2 * t + 0.4 * dim) / (1.4 * dim)
        product = complex(q[2 * t], q[2 * t + 1]) * complex(k[2 * t], -k[2 * t + 1])
        total += zeta ** (distance / scale_base) * (product * cmath.exp(1j * distance * base ** (-2 * t / dim))).real
    return total


def form(base=10000.0, scale_base=512.0, layout="interleaved"):
    def product(q, k, i, j, params, head):
        order = np.arange(len(q)).reshape(2, -1).T.ravel() if layout == "half" else slice(None)
        return score(q[order], k[order], i - j, base, scale_base)

    return compared(product)


def oracles():
    from tests.support.encoding_oracles import R, RotaryEmbedding, rotated_scores, x_transformers

    def x_xpos(query, key):
        module = x_transformers.RotaryEmbedding(R.H, use_xpos=True, scale_base=20)
        angles, scale = module.forward_from_seq_len(R.T)
        turn = x_transformers.apply_rotary_pos_emb
        return turn(query, angles, scale) @ turn(key, angles, scale**-1).transpose(-1, -2)

    def torch_xpos(query, key):
        module = RotaryEmbedding(R.H, use_xpos=True, xpos_scale_base=20, cache_if_possible=False)
        query, key = module.rotate_queries_and_keys(query, key)
        return query @ key.transpose(-1, -2)

    return {
        "x-transformers": rotated_scores("xpos(scale_base=20)", x_xpos, causal=True),
        "rotary-embedding-torch": rotated_scores("xpos(scale_base=20)", torch_xpos, causal=True),
    }


ROW = Row(
    "xpos",
    {"base": "50.0", "scale_base": "20.0", "layout": "half"},
    EncodingEvidence(
        (
            EncodingCase("xpos", scores=form(), mask="causal", far=False),
            EncodingCase(
                "xpos(base=50.0, scale_base=20.0, layout=half)", scores=form(50.0, 20.0, "half"), mask="causal", far=False
            ),
        ),
        oracles,
        mask="causal",
        errors={
            "xpos(base=0)": "base must be > 0, got 0.0",
            "xpos(scale_base=0)": "scale_base must be > 0, got 0.0",
        },
    ),
)


def _xpos_scores(q, k, where, **options):
    origin = where.shape[0] // 2 + where[0]
    turned = attention.xpos(q, where, origin, **options), attention.xpos(k, where, origin, keys=True, **options)
    return jnp.einsum("inh,jnh->ij", *turned)


@pytest.mark.parametrize("shift", [0, 1_000_000])
def test_scores_depend_on_the_distance_alone(shift):
    """Scores of pairs depend on the distance alone, a million positions away too."""
    q, k = normal(0, 6, 1, 8), normal(1, 6, 1, 8)
    where = jnp.array([0, 1, 2, 50, 51, 400]) + shift
    found = jit(functools.partial(_xpos_scores, base=70.0, scale_base=40.0))(q, k, where)
    wanted = [[score(q[i, 0], k[j, 0], int(where[i] - where[j]), 70.0, 40.0) for j in range(6)] for i in range(6)]
    below = np.tri(6, dtype=bool)
    np.testing.assert_allclose(np.asarray(found)[below], np.array(wanted)[below], atol=1e-5)


def test_packed_and_far_texts():
    """Against scores of pairs, with packed and far positions; what stands at padding does not overflow anything."""
    query, key, value = inputs(B=1, T=7, S=7, N=1, K=1)
    where = jnp.array([[2_000_000_000, 5, 6, 40, 41, 300, -7]])
    valid = jnp.array([[False, True, True, True, True, True, False]])

    @jit
    def run(query, where):
        call = Call(where, where, valid, valid)
        output = attention.attend(query, key, value, encoding="xpos", mask="causal", call=call)[:, 1:6]
        return jnp.sum(output**2), output

    wanted = np.zeros((5, 8))
    for i in range(1, 6):
        scores = [score(query[0, i, 0], key[0, j, 0], int(where[0, i] - where[0, j])) for j in range(1, i + 1)]
        weights = np.exp(np.array(scores) / math.sqrt(8))
        wanted[i - 1] = weights / weights.sum() @ np.asarray(value[0, 1 : i + 1, 0])
    gradient = jit(jax.grad(inspect.unwrap(run), has_aux=True))
    for by in (0, 900_000):
        np.testing.assert_allclose(run(query, where + by)[1][0, :, 0], wanted, atol=1e-5)
        assert np.isfinite(gradient(query, where + by)[0]).all()


def test_origin():
    """Half way between the ends of the valid tokens, so that texts of 60,000 positions stay finite; and it does not matter."""
    q, k = normal(0, 2, 1, 8), normal(1, 2, 1, 8)
    record = attention.build("encoding", "xpos")
    rotate = jit(record.rotate)
    ends, none = jnp.array([1_000_000, 1_060_000]), jnp.array([False, False])
    turned = rotate({}, q, k, Call(ends, ends))
    empty = rotate({}, q, k, Call(ends, ends, none, none))
    assert all(np.isfinite(each).all() for each in (*turned, *empty))
    np.testing.assert_allclose(turned[0][1, 0] @ turned[1][1, 0], q[1, 0] @ k[1, 0], rtol=1e-4)
    floats = rotate({}, q, k, Call(jnp.array([0.5, 3.5]), jnp.array([0.5, 3.5])))
    wanted = rotate({}, q, k, Call(jnp.array([0, 3]), jnp.array([0, 3])))
    np.testing.assert_allclose(floats[0][1, 0] @ floats[1][0, 0], wanted[0][1, 0] @ wanted[1][0, 0], rtol=1e-4)
    with pytest.raises(ValueError, match=r"encoding=xpos with mask=full: this encoding is defined for earlier keys only"):
        attention.attend(q, k, k, encoding="xpos")


def test_decay():
    """Equal vectors at Δ = 512 have ζ_t of their product; no decay at a scale without end is RoPE."""
    ones = jnp.ones((2, 1, 2))
    where = jnp.array([0, 512])
    size = jnp.linalg.norm(attention.xpos(ones, where), axis=-1)[:, 0]
    np.testing.assert_allclose(size, [math.sqrt(2), math.sqrt(2) * 0.8 / 2.8], rtol=1e-6)
    x = normal(0, 2, 1, 8)
    np.testing.assert_allclose(attention.xpos(x, where, scale_base=1e12), attention.rope(x, where), atol=1e-6)


def test_pairs_of_channels():
    with pytest.raises(ValueError, match="xpos turns pairs of channels: want an even head dim, got 5"):
        attention.xpos(jnp.ones((1, 2, 5)), jnp.arange(1))
