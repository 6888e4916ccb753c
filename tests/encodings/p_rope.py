"""Evidence of p-RoPE."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.encodings import FAR, compared
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import jit, normal
from tests.support.rotations import frequencies, turned
from tests.support.row import Row


def form(share=0.75, base=10000.0, layout="interleaved"):
    def product(q, k, i, j, params, head):
        theta = frequencies(len(q), base)
        theta[math.floor(share * len(theta)) :] = 0
        return turned(q, i, theta, layout) @ turned(k, j, theta, layout)

    return compared(product)


def oracles():
    from tests.support.encoding_oracles import R, rope_frequencies

    def angles(share):
        """Those that p-RoPE turns by at position 1."""
        x = jnp.tile(jnp.array([1.0, 0.0]), R.H // 2)[None, None]
        turned = np.asarray(attention.p_rope(x, jnp.array([1]), share=share))[0, 0]
        return np.arctan2(turned[1::2], turned[0::2]), 1.0

    witness = lambda share: rope_frequencies("proportional", partial_rotary_factor=share, ours=angles(share))
    return {
        "transformers proportional, 0.25": witness(0.25),
        "transformers proportional, 0.75": witness(0.75),
        "transformers proportional, 1.0": witness(1.0),
    }


def picture():
    from tools.kinds.encoding_maps import rotations

    return rotations("p_rope", {"rope": "rope", "p_rope": "p_rope", "share=0.5": "p_rope(share=0.5)"})


ROW = Row(
    "p_rope",
    {"share": "0.5", "base": "50.0", "layout": "half"},
    EncodingEvidence(
        (
            EncodingCase("p_rope", scores=form()),
            EncodingCase("p_rope(share=0.5, base=50.0, layout=half)", scores=form(0.5, 50.0, "half")),
        ),
        oracles,
        picture=picture,
        errors={
            "p_rope(share=1.5)": r"share must be in \[0, 1\], got 1.5",
            "p_rope(share=-0.1)": r"share must be in \[0, 1\], got -0.1",
            "p_rope(base=0)": "base must be > 0, got 0.0",
        },
    ),
)


@pytest.mark.parametrize("layout", ["interleaved", "half"])
@pytest.mark.parametrize(("dim", "share", "kept"), [(8, 0.75, 3), (8, 0.7, 2), (8, 0.2, 0), (12, 0.5, 3), (200, 0.29, 29)])
def test_every_share(dim, share, kept, layout):
    """⌊p·d/2⌋ frequencies of those of the whole width, and no rounding of decimal shares."""
    theta = frequencies(dim, 70.0)
    theta[kept:] = 0
    x = normal(0, len(FAR), 1, dim)
    found = jit(functools.partial(attention.p_rope, share=share, base=70.0, layout=layout))(x, jnp.array(FAR))
    wanted = [turned(x[i, 0], p, theta, layout) for i, p in enumerate(FAR)]
    np.testing.assert_allclose(found[:, 0], wanted, atol=6e-6)


def test_limits():
    """p = 1 is RoPE and p = 0 no positions; it is not RoPE on a part of the channels."""
    x = normal(0, 5, 1, 8)
    np.testing.assert_array_equal(attention.p_rope(x, jnp.arange(5), share=1.0), attention.rope(x, jnp.arange(5)))
    np.testing.assert_array_equal(attention.p_rope(x, jnp.arange(5), share=0.0), x)
    assert not np.allclose(attention.p_rope(x, jnp.arange(5), share=0.5), attention.rope(x, jnp.arange(5), fraction=0.5))


def test_pairs_of_channels():
    with pytest.raises(ValueError, match="turns pairs of channels"):
        attention.p_rope(jnp.ones((1, 2, 5)), jnp.arange(1))
