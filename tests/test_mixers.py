"""Every row of the table of mixers through every contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import float64, jit, normal, size
from mixer_layers import LENGTHS, VALID, T, layer, layer_of, made, of, states
from mixer_rows import ROWS, D, variant

import attention

CASES = [(name, mask) for name, row in ROWS.items() for mask in row.masks]


# What every mixer does.


def test_every_variant_has_a_row():
    assert {variant(name) for name in ROWS} == set(attention.names("mixer"))
    assert {variant(name) for name, row in ROWS.items() if row.options} == set(attention.names("mixer"))


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_reference(name, mask):
    """Texts of three lengths in one batch: each as if it were alone and without padding."""
    run, own = of(name, mask)
    x = states()
    found = run(own, x, VALID)
    assert found.shape == x.shape
    for b, n in enumerate(LENGTHS):
        text = np.float64(x[b, :n])
        wanted = ROWS[name].reference(float64(own), text, text, causal=mask == "causal")
        np.testing.assert_allclose(found[b, :n], wanted, atol=3e-5)


@pytest.mark.parametrize("name", ROWS)
def test_cross(name):
    """Keys and values of a memory, which has its own length and padding; or it is refused."""
    run, own = of(name)
    x, memory = states(), normal(5, 3, 5, D)
    k_valid = jnp.arange(5) < jnp.array([[5], [4], [2]])
    if not ROWS[name].cross:
        if ROWS[name].encoding == "none":
            with pytest.raises(ValueError, match="cannot read a memory"):
                run(own, x, VALID, memory, k_valid)
        return
    found = run(own, x, VALID, memory, k_valid)
    for b, (n, s) in enumerate(zip(LENGTHS, (5, 4, 2))):
        wanted = ROWS[name].reference(float64(own), np.float64(x[b, :n]), np.float64(memory[b, :s]))
        np.testing.assert_allclose(found[b, :n], wanted, atol=3e-5)


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_padding_changes_nothing(name, mask):
    """Neither how much of it there is, nor what stands there; its gradient is exactly zero; nor do neighbours count."""
    run, own = of(name, mask)
    x = states()
    found = np.where(VALID[..., None], run(own, x, VALID), 0)
    for p in (1, 7):
        more = jnp.pad(x, ((0, 0), (0, p), (0, 0)))
        valid = jnp.pad(VALID, ((0, 0), (0, p)))
        dirty = jnp.where(valid[..., None], more, 100.0 * normal(p, *more.shape))
        np.testing.assert_allclose(np.where(VALID[..., None], run(own, dirty, valid)[:, :T], 0), found, atol=2e-5)
    gradient = jit(jax.grad(lambda x: jnp.sum(jnp.where(VALID[..., None], layer_of(name, mask)(own, x, VALID), 0) ** 2)))(x)
    np.testing.assert_array_equal(np.where(VALID[..., None], 0, gradient), 0)
    assert np.abs(gradient[1, :3]).max() > 1e-4
    other = run(own, x.at[0].set(30.0), VALID)
    np.testing.assert_allclose(other[1, :3], found[1, :3], atol=1e-6)


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_padding_on_the_left(name, mask):
    """With positions given, tokens may stand anywhere in the array."""
    run, own = of(name, mask)
    x, found = states(), run(own, states(), VALID)
    shift = np.array([[0], [3], [2]])
    index = (np.arange(T) - shift) % T
    valid = np.take_along_axis(np.asarray(VALID), index, 1)
    positions = jnp.asarray(np.where(valid, index, 0))
    left = np.take_along_axis(np.asarray(x), index[..., None], 1)
    moved = run(own, jnp.asarray(left), jnp.asarray(valid), q_positions=positions, k_positions=positions)
    wanted = np.take_along_axis(np.asarray(found), index[..., None], 1)
    np.testing.assert_allclose(np.where(valid[..., None], moved, 0), np.where(valid[..., None], wanted, 0), atol=2e-5)


@pytest.mark.parametrize("name", [name for name, mask in CASES if mask == "causal"])
def test_causal(name):
    """No token changes what comes before it, by value and by gradient, over several chunks of a long text."""
    run, own = of(name, "causal")
    x = states(length=20, batch=1)
    valid = jnp.ones((1, 20), bool)
    before = run(own, x, valid)
    after = run(own, x.at[:, 12:].multiply(-3.0), valid)
    np.testing.assert_allclose(after[:, :12], before[:, :12], atol=2e-6)
    assert np.abs(after[:, 12] - before[:, 12]).max() > 1e-3
    gradient = jit(jax.grad(lambda x: jnp.sum(layer_of(name, "causal")(own, x, valid)[:, :12] ** 2)))(x)
    np.testing.assert_array_equal(gradient[:, 12:], 0)
    assert np.abs(gradient[:, :12]).max(-1).min() > 0


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_empty_and_single(name, mask):
    """A batch of nothing but padding is finite with finite gradients; one token alone is fine."""
    own = made(ROWS[name].spec)[2]
    loss = jit(jax.value_and_grad(lambda own, x, valid: jnp.sum(layer_of(name, mask)(own, x, valid) ** 2), (0, 1)))
    with jax.debug_nans(True):
        for length, valid in ((T, False), (1, True)):
            value, gradients = loss(own, states(length=length), jnp.full((3, length), valid))
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradients)))


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_bfloat16(name, mask):
    run, own = of(name, mask)
    x = states()
    wide, narrow = run(own, x, VALID), run(own, x.astype(jnp.bfloat16), VALID)
    assert narrow.dtype == jnp.bfloat16
    difference = np.where(VALID[..., None], np.abs(np.float32(narrow) - wide), 0)
    assert difference.max() < 4e-2 * max(1.0, np.abs(wide).max())


@pytest.mark.parametrize("name", ROWS)
def test_order(name):
    """Without an encoding, permuting the tokens permutes the outputs, unless the mixer knows their order."""
    run, own = of(name)
    order, whole = np.array([3, 5, 0, 2, 4, 1]), jnp.ones((3, T), bool)
    x = states()
    same = np.allclose(run(own, x[:, order], whole), run(own, x, whole)[:, order], atol=2e-5)
    assert same != ROWS[name].ordered


@pytest.mark.parametrize("name", ROWS)
def test_parameters(name):
    """As many as the formula says, each with a gradient."""
    row = ROWS[name]
    mixer, _, own = made(row.spec)
    assert size(own) == row.count
    assert mixer.max_length == row.max_length
    assert mixer.uses == row.uses
    gradient = jit(jax.grad(lambda own: jnp.sum(jnp.where(VALID[..., None], layer_of(name)(own, states(), VALID), 0) ** 2)))(
        own
    )
    for path, leaf in jax.tree.leaves_with_path(gradient):
        if "fixed" not in jax.tree_util.keystr(path):
            # A bias of the keys adds one number to all scores of a query.
            assert np.abs(leaf).max() > 1e-6 or "key" in jax.tree_util.keystr(path), jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.options])
def test_no_dead_options(name):
    """Every option changes the parameters or the output, of training for what acts there alone."""
    row = ROWS[name]
    known = attention.describe("mixer", variant(name)).options
    assert set(row.options) == {option.name for option in known}
    x, rest = states(), {"rng": jax.random.key(3), "train": True}

    def outcome(spec):
        mixer, dims, _ = made(spec)
        own = mixer.init(jax.random.key(0), dims)
        return jax.tree.map(jnp.shape, own), layer(spec)(own, x, VALID, **rest)

    base = dict(part.split("=", 1) for part in row.spec.partition("(")[2].rstrip(")").split(", ") if part)
    shapes, output = outcome(row.spec)
    for option, value in row.options.items():
        value, *others = value.split(", ")
        changed = {**base, option: value, **dict(other.split("=") for other in others)}
        other_shapes, other = outcome(f"{variant(name)}({', '.join(f'{key}={value}' for key, value in changed.items())})")
        assert shapes != other_shapes or not np.allclose(other, output, atol=1e-5), option
