import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import reference

import attention
from attention.records import Call

# One row per variant, with who may attend to whom.
ROWS = {
    "full": ("full", lambda i, j: True),
    "causal": ("causal", reference.causal),
    "local": ("local(window=4)", lambda i, j: reference.local(i, j, 4)),
    "causal & local": ("causal & local(window=6)", lambda i, j: reference.causal(i, j) and reference.local(i, j, 6)),
    "self": ("local(window=0)", lambda i, j: i == j),
    "two": ("local(window=10) & local(window=4)", lambda i, j: reference.local(i, j, 4)),
}


def test_every_variant_has_a_row():
    assert set(attention.names("mask")) <= set(ROWS)


def _matrix(allowed, q, k):
    return np.array([[allowed(i, j) for j in k] for i in q]).reshape(len(q), len(k))


@pytest.mark.parametrize("row", ROWS)
def test_apply(row):
    spec, allowed = ROWS[row]
    mask = attention.build("mask", spec)
    for T, S in [(1, 1), (7, 7), (3, 9)]:
        found = mask.apply(Call(), (T, S))
        found = np.ones((1, T, S), bool) if found is None else found
        assert found.dtype == bool
        np.testing.assert_array_equal(found, _matrix(allowed, range(T), range(S))[None])
    q, k = np.array([[4, 2, 100], [0, 1, 2]]), np.array([[3, 99, 2, 4], [2, 0, 7, 1]])
    found = mask.apply(Call(jnp.asarray(q), jnp.asarray(k)), (3, 4))
    wanted = np.stack([_matrix(allowed, *each) for each in zip(q, k)])[:, None]
    np.testing.assert_array_equal(np.broadcast_to(True if found is None else found, wanted.shape), wanted)


@pytest.mark.parametrize("row", ROWS)
def test_blocks(row):
    """A block is named if and only if it holds an allowed pair; an intersection may name more, never fewer."""
    spec, allowed = ROWS[row]
    mask = attention.build("mask", spec)
    for T, S, bq, bk in itertools.product((1, 5, 16), (4, 11), (1, 4), (3, 16)):
        found = mask.blocks(T, S, bq, bk)
        pairs = _matrix(allowed, range(T), range(S))
        wanted = np.array([[pairs[a : a + bq, b : b + bk].any() for b in range(0, S, bk)] for a in range(0, T, bq)])
        found = np.ones_like(wanted) if found is None else found
        assert found.shape == wanted.shape
        assert (found >= wanted).all()
        if "&" not in spec:
            np.testing.assert_array_equal(found, wanted)


def test_facts_and_options():
    causal = {row: attention.build("mask", spec).causal for row, (spec, _) in ROWS.items()}
    assert causal == {"full": False, "causal": True, "local": False, "causal & local": True, "self": False, "two": False}
    for window in (-2, 3):
        with pytest.raises(ValueError, match=f"window must be an even number >= 0, got {window}"):
            attention.build("mask", f"local(window={window})")
        with pytest.raises(ValueError, match="window"):
            attention.local_mask(jnp.arange(3), jnp.arange(3), window=window)
