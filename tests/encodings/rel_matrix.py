"""Evidence of the matrix of distances."""

import dataclasses
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import D, H, N, added, biased, built, layer, pairs, positions, shows_direction, starts, whole
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import init, inputs, jit, normal, params_of
from tests.support.row import Row

EMBEDDING = "rel_matrix(form=embedding, max_distance=3)"


def form(name):
    def bias(params, h, i, j, heads, last):
        return -abs(i - j) * (1 if name == "raw" else params["slopes"][h])

    return biased(bias)


def clipped(q, k, params, i, j, scale, x, text):
    return pairs(q, k, lambda n, a, b: scale * q[a, n] @ params["table"][min(abs(int(i[a] - j[b])), 3)])


def oracles():
    from tests.support.encoding_oracles import A, F, biased_attention, slopes_times, torch

    def clipped(query, distance, table):
        rows = F.embedding(distance.clamp(max=3), table)
        return torch.einsum("bnth,btsh->bnts", query, rows) / math.sqrt(A.H)

    def rows(counted):
        return biased_attention(EMBEDDING, "table", (A.normal(5, 4, A.H),), clipped, counted=counted)

    raw = lambda q, d: slopes_times(q, d, torch.ones(A.N, dtype=q.dtype))
    return {
        "torch.cdist, SDPA (bias)": biased_attention("rel_matrix", "slopes", (A.normal(4, A.N),), slopes_times),
        "torch.cdist, SDPA (raw)": biased_attention("rel_matrix(form=raw)", "", (), raw),
        "torch.cdist, F.embedding, SDPA (embedding, explicit)": rows(counted=False),
        "torch.cdist, F.embedding, SDPA (embedding, counted)": rows(counted=True),
    }


def picture():
    from tools.kinds.encoding_maps import Image, added, of_distance, per_head

    sloped = added("rel_matrix", change=lambda params: {"slopes": jnp.array([0.5, 0.2, -0.2, 0.05])})
    return (
        Image("form=raw", added("rel_matrix(form=raw)")[0]),
        Image("form=embedding, random", added("rel_matrix(form=embedding)", "random")[0]),
        of_distance("form=bias, four slopes", per_head(sloped), lowest=-20.0),
    )


ROW = Row(
    "rel_matrix",
    {"form": ("raw", "embedding"), "max_distance": "3, form='embedding'", "scale": "0.5"},
    EncodingEvidence(
        (
            EncodingCase("rel_matrix", scores=form("bias")),
            EncodingCase("rel_matrix(form=raw)", scores=form("raw")),
            EncodingCase(EMBEDDING, scores=added(clipped)),
        ),
        oracles,
        (0, N),
        directed=False,
        picture=picture,
        errors={
            "rel_matrix(form=table)": "'form' wants one of 'bias', 'embedding', 'raw'",
            "rel_matrix(form=embedding, max_distance=0)": "max_distance must be >= 1, got 0",
            "rel_matrix(max_distance=3)": "max_distance is for form='embedding', got form='bias'",
            "rel_matrix(scale=0)": "scale must be a finite number other than 0, got 0.0",
        },
    ),
)


@pytest.mark.parametrize("form", ["bias", "raw", "embedding"])
def test_scale(form):
    """Multiplies what is added."""
    query, key, call = normal(0, 1, 5, N, H), normal(1, 1, 5, N, H), positions([0, 1, 5, 2, 9])
    call = dataclasses.replace(call, scale=1.0)

    def bias(scale):
        record, params = built(f"rel_matrix(form={form}, scale={scale})")
        prepared = ((), (), ()) if record.prepare is None else record.prepare(params, None, query, key, call)
        return record.bias(params, *prepared, call)

    np.testing.assert_allclose(bias(0.5), 0.5 * bias(1.0), rtol=1e-6, atol=1e-6)


def test_limits():
    """Slopes of ALiBi make it ALiBi, -1 makes it the raw matrix, the start does nothing; far distances are exact."""
    far = jnp.array([1_000_000, 999_997, 0])
    np.testing.assert_array_equal(attention.rel_matrix(far, far), np.abs(np.subtract.outer(np.array(far), np.array(far))))
    slopes = jnp.asarray(attention.alibi_slopes(N))
    for call in (positions([1_000_000, 999_997, 0]), Call(jnp.arange(7), jnp.arange(7), consecutive=True)):
        bias = lambda spec, call=call, **own: attention.build("encoding", spec).bias(own, (), (), (), call)
        alibi = attention.alibi_bias(call.q_positions, call.k_positions, slopes)
        np.testing.assert_array_equal(bias("rel_matrix", slopes=slopes), alibi)
        raw = bias("rel_matrix(form=raw)")
        np.testing.assert_array_equal(bias("rel_matrix", slopes=jnp.ones(1)), raw)
        np.testing.assert_array_equal(raw[..., 0, :, :], -attention.rel_matrix(call.q_positions, call.k_positions))
    assert not starts("rel_matrix")["slopes"].any()
    table = starts("rel_matrix(form=embedding)")["table"]
    assert table.shape == (17, H)
    np.testing.assert_allclose(table.std(), 0.02, rtol=0.3)
    floats = Call(jnp.arange(3.0), jnp.arange(3.0))
    with pytest.raises(ValueError, match="rel_matrix has a row per whole position, got positions of type float32"):
        attention.attend(*inputs(1, 3, 3), encoding=EMBEDDING, params=params_of(encoding=EMBEDDING), call=floats)


@pytest.mark.parametrize("form", ["form=raw", "form=embedding, max_distance=3"])
def test_other_forms(form):
    """As the row has it of the bias: reading backwards changes nothing, permuting does; every row of the table is used."""
    spec = f"rel_matrix({form})"
    assert not shows_direction(spec)
    record, run = layer(spec)
    params, x, order = init(record), normal(0, 2, 9, D), np.array([4, 2, 8, 0, 1, 7, 3, 6, 5])
    assert not np.allclose(run(params, x[:, order], whole()), run(params, x, whole())[:, order], atol=1e-4)
    used = jit(jax.grad(lambda params: jnp.sum(inspect.unwrap(run)(params, x, Call()) ** 2)))(params)
    assert all((np.abs(leaf).max(-1) > 1e-6).all() for leaf in jax.tree.leaves(used))
