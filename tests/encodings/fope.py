"""Evidence of Fourier position embeddings."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.encodings import FAR, N, compared
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import DIMS, float64, jit, normal
from tests.support.row import Row


def mixed(x, position, cos, sin, base=10000.0):
    """Pair g of the two halves turned by its mixtures, the others left alone."""
    y, dim = np.array(x, np.float64), len(x)
    for g in range(cos.shape[1]):
        c = sum(cos[f, g] * math.cos(position * base ** (-2 * f / dim)) for f in range(cos.shape[0]))
        s = sum(sin[f, g] * math.sin(position * base ** (-2 * f / dim)) for f in range(cos.shape[0]))
        first, second = x[g], x[g + dim // 2]
        y[g], y[g + dim // 2] = first * c - second * s, first * s + second * c
    return y


def product(q, k, i, j, params, head):
    cos, sin = params["cos"][head], params["sin"][head]
    return mixed(q, i, cos, sin, 50.0) @ mixed(k, j, cos, sin, 50.0)


def oracles():
    from tests.support.encoding_oracles import R, in_float32, torch
    from tests.support.witness import FLOAT32, Witness

    F, G = 5, 4

    def theirs(x, cos, sin):
        """The code of the authors without its padding, which is to be 0 for sines; complex numbers are torch's."""
        theta = 10000.0 ** (-torch.arange(0, R.H, 2).double() / R.H)
        wave = torch.polar(torch.ones(()).double(), torch.outer(torch.arange(R.T).double(), theta[:F]))
        mixed = torch.complex(torch.einsum("tf,nfg->tng", wave.real, cos), torch.einsum("tf,nfg->tng", wave.imag, sin))
        mixed = torch.cat([mixed, torch.ones(R.T, R.N, R.H // 2 - G, dtype=mixed.dtype)], -1)
        turned = torch.complex(x[..., : R.H // 2], x[..., R.H // 2 :]) * mixed
        return torch.cat([turned.real, turned.imag], -1)

    ours = in_float32(lambda x, cos, sin: attention.fope(x, jnp.arange(R.T), cos, sin))
    inputs = (R.normal(0, R.B, R.T, R.N, R.H), R.normal(1, R.N, F, G), R.normal(2, R.N, F, G))
    return {"torch.polar": Witness(ours, theirs, inputs, FLOAT32)}


ROW = Row(
    "fope(base=50.0)",
    {"base": "70.0", "train_length": "200", "gain": "0.6", "layout": "interleaved"},
    EncodingEvidence(
        (EncodingCase("fope(base=50.0)", scores=compared(product)),),
        oracles,
        (0, 2 * N * 3 * 2),
        moved="other",
        parameters="2 N F G",
        errors={
            "fope(base=-1)": "base must be > 0, got -1.0",
            "fope(train_length=0)": "train_length must be None or >= 1, got 0",
            "fope(gain=-1)": "gain must be a finite number >= 0, got -1.0",
        },
    ),
)


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (4, 1), (1, 1), (2, 4)])
def test_every_shape_of_mixtures(shape):
    """Far positions too; pairs without a mixture are left as they are, where the official code would double their product."""
    x, cos, sin = normal(0, 2, len(FAR), 3, 8), normal(1, 3, *shape), normal(2, 3, *shape)
    found = jit(functools.partial(attention.fope, base=70.0))(x, jnp.array(FAR), cos, sin)
    wanted = [
        [[mixed(x[b, i, n], p, float64(cos)[n], float64(sin)[n], 70.0) for n in range(3)] for i, p in enumerate(FAR)]
        for b in range(2)
    ]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    left = np.array([*range(shape[1], 4), *range(4 + shape[1], 8)], int)
    np.testing.assert_array_equal(found[..., left], x[..., left])
    order = np.array([0, 4, 1, 5, 2, 6, 3, 7])
    other = attention.fope(x[..., order], jnp.array(FAR), cos, sin, base=70.0, layout="interleaved")
    np.testing.assert_allclose(other, found[..., order], atol=1e-6)


def test_units_are_rope():
    """Each of the frequencies by itself is RoPE with the lowest ones left out."""
    x, unit = normal(0, 5, 2, 8), jnp.broadcast_to(jnp.eye(2), (2, 2, 2))
    wanted = attention.p_rope(x, jnp.arange(5), share=0.5, layout="half")
    np.testing.assert_allclose(attention.fope(x, jnp.arange(5), unit, unit), wanted, atol=1e-6)


def test_start():
    """F frequencies of at least 2π/L in G = min(F, H/4) pairs: every ⌈F/G⌉-th by itself, plus noise of each head's own."""
    dims = DIMS._replace(head_dim=32, layer=0)
    start = lambda spec, **sizes: attention.build("encoding", spec).init(jax.random.key(0), dims._replace(**sizes))["cos"]
    # base 50, H = 32: θ_f = 50^(-f/16) >= 2π/48 up to f = 8.3, nine frequencies in eight pairs: 0, 2, 4, 6, 8.
    found = start("fope(base=50, gain=0)")
    assert found.shape == (4, 9, 8)
    assert list(zip(*np.nonzero(found[1]))) == [(0, 0), (2, 1), (4, 2), (6, 3), (8, 4)]
    np.testing.assert_array_equal(start("fope(gain=0, train_length=20)")[0], np.eye(3))  # 10000^(-f/16) >= 0.314 up to f = 2.01
    assert start("fope", max_length=200).shape == (4, 7, 7)
    # train_length in the option wins over the data's.
    assert start("fope(train_length=200)").shape == (4, 7, 7)
    noise = start("fope(base=50, gain=0.5)", num_heads=300) - start("fope(base=50, gain=0)", num_heads=300)
    np.testing.assert_allclose(noise.std(), 0.5 * math.sqrt(2 / (9 + 8)), rtol=0.03)
    record = attention.build("encoding", "fope")
    both = record.init(jax.random.key(0), dims)
    assert not np.allclose(both["cos"], both["sin"])
    for sizes in ({"max_length": 6}, {"head_dim": 2}):
        with pytest.raises(ValueError, match="fope wants a head dim >= 4 and a frequency that turns within"):
            record.init(jax.random.key(0), dims._replace(**sizes))
    with pytest.raises(ValueError, match="fope needs the training length"):
        record.init(jax.random.key(0), dims._replace(max_length=None))


def test_bad_sizes():
    unit = jnp.ones((2, 1, 1))
    with pytest.raises(ValueError, match="H even: got H = 5"):
        attention.fope(jnp.ones((1, 2, 5)), jnp.arange(1), unit, unit)
    with pytest.raises(ValueError, match="3 frequencies, 1 pairs"):
        attention.fope(jnp.ones((1, 2, 4)), jnp.arange(1), jnp.ones((2, 3, 1)), jnp.ones((2, 3, 1)))
