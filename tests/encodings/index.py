"""Evidence of the index as a code."""

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.encodings import coded, embedded
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import normal
from tests.support.row import Row


def form(scale=1.0, parity=0):
    return coded(lambda i, dim, params: np.array([scale * i if c % 2 == parity else 0.0 for c in range(dim)]))


def normalized(x, tokens, i, text, params):
    return x + np.where(np.arange(x.shape[-1]) % 2 == 0, i[:, None] / max(text.sum() - 1, 1), 0.0)


def oracles():
    from tests.support.encoding_oracles import A, fixed, torch

    theirs = lambda p: torch.stack([p, 0 * p], -1).double().repeat(1, 1, A.D // 2)
    return {"torch.stack": fixed(lambda p: attention.index_positions(p, A.D), theirs)}


ROW = Row(
    "index(scale=0.05)",
    {"parity": "'odd'", "normalize": "True", "scale": "0.1", "combine": "concat"},
    EncodingEvidence(
        (
            EncodingCase("index(scale=0.05)", form(0.05)),
            EncodingCase("index(parity='odd')", form(parity=1)),
            EncodingCase("index(normalize=True)", normalized),
        ),
        oracles,
        moved="other",
        errors={
            "index(scale=0)": "scale must be a finite number other than 0, got 0.0",
            "index(parity=both)": "'parity' wants one of 'even', 'odd', got 'both'",
            "index(combine=stack)": "'combine' wants one of 'add', 'concat', got 'stack'",
        },
    ),
)


@pytest.mark.parametrize("dim", [2, 5, 8])
@pytest.mark.parametrize("parity", ["even", "odd"])
def test_every_width(dim, parity):
    positions = np.array([[0, 1, 5], [2, 77, 1_000_000]])
    wanted = [[[i if c % 2 == (parity == "odd") else 0 for c in range(dim)] for i in row] for row in positions]
    np.testing.assert_array_equal(attention.index_positions(jnp.asarray(positions), dim, parity=parity), wanted)
    found = attention.index_positions(jnp.asarray(positions), dim, parity=parity, length=jnp.array([6, 1]))
    np.testing.assert_allclose(found, np.array(wanted) / np.array([5, 1])[:, None, None], rtol=1e-6)


def test_the_number_of_valid_tokens():
    """The index runs from 0 to 1 over the text, not over its padding, wherever that is."""
    valid = jnp.array([[True] * 5, [True] * 3 + [False] * 2, [False] * 4 + [True]])
    explicit = jnp.array([[0, 1, 2, 3, 4], [0, 1, 2, 9, 9], [9, 9, 9, 9, 0]])
    found = embedded("index(normalize=True, scale=6)", jnp.zeros((3, 5, 2)), Call(explicit, explicit, valid, valid))[..., 0]
    np.testing.assert_allclose(found[0], [0, 1.5, 3, 4.5, 6], atol=1e-6)
    np.testing.assert_allclose(found[1, :3], [0, 3, 6], atol=1e-6)
    assert found[2, 4] == 0
    np.testing.assert_allclose(embedded("index(normalize=True)", jnp.zeros((4, 2)))[:, 0], np.arange(4) / 3, atol=1e-6)
    assert embedded("index(normalize=True)", jnp.zeros((1, 2)))[0, 0] == 0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_concatenation_keeps_the_width(dtype):
    """The first channels make room for the code behind the others; terms of a sum do not overwrite one another."""
    x = normal(0, 2, 3, 6).astype(dtype)
    found = embedded("index(parity='odd', combine=concat)", x)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[..., :4], x[..., 2:])
    np.testing.assert_array_equal(found[1, :, 4:], [[0, 0], [0, 1], [0, 2]])
    both = embedded("index(combine=concat) + sin_half_period(max_length=4, combine=concat)", x)
    np.testing.assert_array_equal(both[..., :3], x[..., 3:])
    np.testing.assert_array_equal(both[0, :, 3], [0, 1, 2])
    np.testing.assert_allclose(both[0, :, 5].astype(jnp.float32), np.sin(np.arange(3) * np.pi / 8), atol=4e-3)
    with pytest.raises(ValueError, match="combine='concat' takes 2 of the model's channels, and it has 2"):
        embedded("index(combine=concat)", x[..., :2])


def test_dimension():
    with pytest.raises(ValueError, match="dim must be >= 2, got 1"):
        attention.index_positions(jnp.arange(2), 1)
