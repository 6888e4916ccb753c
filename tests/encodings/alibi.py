"""Evidence of ALiBi."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import reference
from tests.support.encodings import N, biased, fixed_bias, shows_direction, softplus
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, inputs, jit
from tests.support.row import Row


def form(name):
    def bias(params, h, i, j, heads, last):
        if name == "split_heads":
            half = heads // 2
            hidden = j > i if h < half else j < i
            return math.nan if hidden else reference.alibi(i, j, reference.alibi_slopes(half)[h % half])
        if name == "learned":
            return -softplus(params["slopes"][h]) * abs(i - j)
        if name == "learned_lr":
            return -softplus(params["left" if j < i else "right"][h]) * abs(i - j)
        return reference.alibi(i, j, reference.alibi_slopes(heads)[h], name)

    return biased(bias)


def oracles():
    from tests.support.encoding_oracles import POSITIONS, B, F, bias_of, x_alibi
    from tests.support.witness import Witness

    def left_right(distance, left, right):
        apart = distance.double()[..., None]
        return -F.softplus(left) * F.relu(apart) - F.softplus(right) * F.relu(-apart)

    return {
        "x-transformers AlibiPositionalBias": Witness(
            lambda p: attention.alibi_bias(p, p, jnp.asarray(attention.alibi_slopes(B.N), jnp.float64)),
            lambda p: x_alibi(),
            (POSITIONS,),
            gradient=False,
        ),
        "torch: softplus slopes, left and right": bias_of(
            "alibi(form=learned_lr)", left_right, ("left", "right"), B.normal(1, B.N), B.normal(2, B.N)
        ),
    }


def picture():
    from tools.kinds.encoding_maps import Image, added, of_distance, per_head

    symmetric = added("alibi")
    return (
        Image("head 1, symmetric", symmetric[0]),
        Image("head 1, split_heads", added("alibi(form=split_heads)")[0]),
        of_distance("symmetric, by distance", per_head(symmetric), lowest=-20.0),
    )


FORMS = ("asymmetric", "split_heads", "learned", "learned_lr")
ROW = Row(
    "alibi",
    {"form": FORMS},
    EncodingEvidence(
        (
            EncodingCase("alibi", scores=form("symmetric")),
            *(EncodingCase(f"alibi(form={each})", scores=form(each)) for each in FORMS),
        ),
        oracles,
        directed=False,
        picture=picture,
        errors={"alibi(form=split)": r"'split_heads'.*got 'split'|wants one of"},
    ),
)


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 31, 64])
def test_slopes(heads):
    np.testing.assert_allclose(attention.alibi_slopes(heads), reference.alibi_slopes(heads), rtol=1e-6)


def test_published():
    """keras-hub, alibi_bias_test.py (last of three queries), and the powers of the paper."""
    np.testing.assert_array_equal(attention.alibi_slopes(4), [2**-2, 2**-4, 2**-6, 2**-8])
    np.testing.assert_array_equal(attention.alibi_slopes(8), 0.5 ** np.arange(1, 9))
    np.testing.assert_allclose(attention.alibi_slopes(12)[8:], [0.70710678, 0.35355339, 0.17677670, 0.08838835], rtol=1e-6)
    bias = attention.alibi_bias(jnp.array([2]), jnp.arange(3), jnp.asarray(attention.alibi_slopes(14)))
    np.testing.assert_allclose(bias[:2, 0], [[-1, -0.5, 0], [-0.5, -0.25, 0]])
    np.testing.assert_allclose(bias[8, 0], [-1.4142135, -0.70710677, 0], rtol=1e-6)
    with pytest.raises(ValueError, match="num_heads must be >= 1, got 0"):
        attention.alibi_slopes(0)


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_bias_of_positions_per_example(form):
    q, k, slopes = np.array([[0, 5, 9], [2, 2, 700]]), np.array([[3, 9], [0, 2]]), attention.alibi_slopes(3)
    found = jit(functools.partial(attention.alibi_bias, form=form))(q, k, slopes)
    wanted = [[[[reference.alibi(i, j, m, form) for j in k[b]] for i in q[b]] for m in slopes] for b in range(2)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert (found[0, 0, 1, 0] == found[0, 0, 1, 1] * 0.5) == (form == "symmetric")  # Δ = 2 and Δ = -4


@pytest.mark.parametrize("form", ["learned", "learned_lr"])
def test_learned_slopes_start_at_the_papers(form):
    call = Call(jnp.arange(9), jnp.arange(9))
    fixed = attention.build("encoding", "alibi")
    record = attention.build("encoding", f"alibi(form={form})")
    found = fixed_bias(record, init(record, spread=0.0), call)[0]
    np.testing.assert_allclose(found, fixed_bias(fixed, {}, call)[0], rtol=1e-5, atol=1e-6)


def test_asymmetric_slopes_show_direction():
    assert shows_direction("alibi(form=asymmetric)")


@pytest.mark.parametrize("normalizer", ["softmax", "sparsemax", "sigmoid"])
def test_heads_split_by_side(normalizer):
    """The first half of the heads is causal attention, the other the same backwards; with a mask no row is left empty."""
    options = {"normalizer": normalizer}
    found = _weights("alibi(form=split_heads)", **options)
    slopes = jnp.tile(jnp.asarray(attention.alibi_slopes(N // 2)), 2)
    bias = attention.alibi_bias(jnp.arange(9), jnp.arange(9), slopes)[None]
    early = np.tri(9, dtype=bool)
    for half, where in ((slice(0, 2), early), (slice(2, 4), early.T)):
        wanted = _weights("none", bias=bias, where=jnp.asarray(where)[None, None], **options)
        np.testing.assert_allclose(found[:, half], wanted[:, half], atol=1e-6)
        assert not found[:, half][..., ~where].any()
    if normalizer == "softmax":
        under_mask = _weights("alibi(form=split_heads)", "causal")
        np.testing.assert_allclose(under_mask[:, 2:], np.broadcast_to(np.eye(9), (2, 2, 9, 9)), atol=1e-6)


def _weights(encoding, mask="full", **options):
    query, key, value = inputs(T=9, S=9)
    return attention.attend(query, key, value, encoding=encoding, mask=mask, return_weights=True, **options)[1]


def test_heads_are_even_to_be_split():
    x = jnp.zeros((4, 3, 5))
    with pytest.raises(ValueError, match="heads split by side want an even number >= 2, got 3"):
        attention.attend(x, x, x, encoding="alibi(form=split_heads)")
