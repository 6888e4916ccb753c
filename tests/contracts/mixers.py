"""Every row of the table of mixers through every contract."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.helpers import float64, jit, normal, size
from tests.support.mixer_layers import LENGTHS, VALID, T, built, layer, made, of, pulled, states
from tests.support.mixer_rows import ROWS, D, variant

CASES = [(name, mask) for name, row in ROWS.items() for mask in row.masks]


# What every mixer does.


def test_every_variant_has_a_row():
    assert {variant(name) for name in ROWS} == set(attention.names("mixer"))
    assert {variant(name) for name, row in ROWS.items() if row.options} == set(attention.names("mixer"))


# One program per row, mask and length serves the value and both gradients; all else is done on the host.
HERE = np.asarray(VALID)
WEIGHTS = np.asarray(normal(9, 3, T, D)) * HERE[..., None]


def _shown(outputs, where=HERE):
    return np.where(where[..., None], outputs, 0)


def _all_finite(tree):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_reference(name, mask):
    """Texts of three lengths in one batch: each as if it were alone and without padding."""
    x = np.asarray(states())
    found = pulled(name, mask)(x, HERE, WEIGHTS)[0]
    assert found.shape == x.shape
    own = float64(made(ROWS[name].spec)[2])
    for b, n in enumerate(LENGTHS):
        text = np.float64(x[b, :n])
        wanted = ROWS[name].reference(own, text, text, causal=mask == "causal")
        np.testing.assert_allclose(np.asarray(found)[b, :n], wanted, atol=3e-5)


@pytest.mark.parametrize("name", ROWS)
def test_cross(name):
    """Keys and values of a memory, which has its own length and padding; or it is refused."""
    run, own = of(name)
    x, memory = np.asarray(states()), np.asarray(normal(5, 3, 5, D))
    k_valid = np.arange(5) < np.array([[5], [4], [2]])
    if not ROWS[name].cross:
        with pytest.raises(ValueError, match="cannot read a memory"):
            run(own, x, HERE, memory, k_valid)
        return
    found = np.asarray(run(own, x, HERE, memory, k_valid))
    for b, (n, s) in enumerate(zip(LENGTHS, (5, 4, 2))):
        wanted = ROWS[name].reference(float64(own), np.float64(x[b, :n]), np.float64(memory[b, :s]))
        np.testing.assert_allclose(found[b, :n], wanted, atol=3e-5)


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_padding_changes_nothing(name, mask):
    """Neither how much of it there is, nor what stands there; its gradient is exactly zero; nor do neighbours count."""
    run, own = of(name, mask)
    both, x = pulled(name, mask), np.asarray(states())
    output, _, gradient = both(x, HERE, WEIGHTS)
    found = _shown(output)
    for p in (1, 7):
        valid = np.pad(HERE, ((0, 0), (0, p)))
        dirty = np.where(valid[..., None], np.pad(x, ((0, 0), (0, p), (0, 0))), 100.0 * normal(p, 3, T + p, D))
        np.testing.assert_allclose(_shown(run(own, dirty, valid)[:, :T]), found, atol=2e-5)
    np.testing.assert_array_equal(np.where(HERE[..., None], 0, gradient), 0)
    assert np.abs(gradient)[1, :3].max() > 1e-4
    other = x.copy()
    other[0] = 30.0
    np.testing.assert_allclose(np.asarray(both(other, HERE, WEIGHTS)[0])[1, :3], found[1, :3], atol=1e-6)


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_padding_on_the_left(name, mask):
    """With positions given, tokens may stand anywhere in the array."""
    run, own = of(name, mask)
    x = np.asarray(states())
    found = np.asarray(pulled(name, mask)(x, HERE, WEIGHTS)[0])
    index = (np.arange(T) - np.array([[0], [3], [2]])) % T
    valid = np.take_along_axis(HERE, index, 1)
    positions = np.where(valid, index, 0).astype(np.int32)
    moved = run(own, np.take_along_axis(x, index[..., None], 1), valid, q_positions=positions, k_positions=positions)
    wanted = np.take_along_axis(found, index[..., None], 1)
    np.testing.assert_allclose(_shown(moved, valid), _shown(wanted, valid), atol=2e-5)


@pytest.mark.parametrize("name", [name for name, mask in CASES if mask == "causal"])
def test_causal(name):
    """No token changes what comes before it, by value and by gradient, over several chunks of a long text."""
    both = pulled(name, "causal")
    x, valid = np.asarray(states(length=20, batch=1)), np.ones((1, 20), bool)
    later = np.arange(20)[:, None] >= 12
    weights = np.where(later, 0, normal(9, 1, 20, D))
    before, _, gradient = both(x, valid, weights)
    before, gradient = np.asarray(before), np.asarray(gradient)
    after = np.asarray(both(np.where(later, -3.0 * x, x), valid, weights)[0])
    np.testing.assert_allclose(after[:, :12], before[:, :12], atol=2e-6)
    assert np.abs(after[:, 12] - before[:, 12]).max() > 1e-3
    np.testing.assert_array_equal(gradient[:, 12:], 0)
    assert np.abs(gradient[:, :12]).max(-1).min() > 0


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_empty_and_single(name, mask):
    """A batch of nothing but padding is finite with finite gradients; one token alone is fine."""
    for length, valid in ((T, False), (1, True)):
        x, weights = np.asarray(states(length=length)), normal(9, 3, length, D)
        assert _all_finite(pulled(name, mask)(x, np.full((3, length), valid), weights))


@pytest.mark.parametrize(("name", "mask"), CASES)
def test_bfloat16(name, mask):
    run, own = of(name, mask)
    x = np.asarray(states())
    wide, narrow = pulled(name, mask)(x, HERE, WEIGHTS)[0], run(own, x.astype(jnp.bfloat16), HERE)
    assert narrow.dtype == jnp.bfloat16
    difference = _shown(np.abs(np.float32(narrow) - wide))
    assert difference.max() < 4e-2 * max(1.0, np.abs(wide).max())


@pytest.mark.parametrize("name", ROWS)
def test_order(name):
    """Without an encoding, permuting the tokens permutes the outputs, unless the mixer knows their order."""
    both, order, whole = pulled(name), np.array([3, 5, 0, 2, 4, 1]), np.ones((3, T), bool)
    x = np.asarray(states())
    permuted, plain = (np.asarray(both(each, whole, WEIGHTS)[0]) for each in (x[:, order], x))
    assert np.allclose(permuted, plain[:, order], atol=2e-5) != ROWS[name].ordered


@pytest.mark.parametrize("name", ROWS)
def test_parameters(name):
    """As many as the formula says, each with a gradient."""
    row = ROWS[name]
    mixer, _, own = made(row.spec)
    assert size(own) == row.count
    assert mixer.max_length == row.max_length
    assert mixer.uses == row.uses
    for path, leaf in jax.tree.leaves_with_path(pulled(name)(states(), HERE, WEIGHTS)[1]):
        if "fixed" not in jax.tree_util.keystr(path):
            # A bias of the keys adds one number to all scores of a query.
            assert np.abs(leaf).max() > 1e-6 or "key']['bias']" in jax.tree_util.keystr(path), jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.options])
def test_no_dead_options(name):
    """Every option changes the parameters or the output, of training for what acts there alone."""
    row = ROWS[name]
    known = attention.describe("mixer", variant(name)).options
    assert set(row.options) == {option.name for option in known}
    x, rng = np.asarray(states()), jax.random.key(0)

    @functools.cache
    def outcome(spec):
        (mixer, dims), apply = built(spec), layer(spec)
        start = lambda rng: mixer.init(rng, dims)
        run = lambda own, x, rng: apply(own, x, VALID, rng=rng, train=True)
        own = jax.eval_shape(start, rng)
        jax.eval_shape(run, own, x, rng)
        return jax.tree.map(jnp.shape, own), lambda: jit(run)(start(rng), x, jax.random.key(3))

    output = functools.cache(lambda spec: outcome(spec)[1]())
    base = dict(part.split("=", 1) for part in row.spec.partition("(")[2].rstrip(")").split(", ") if part)
    for option, value in row.options.items():
        value, *others = value.split(", ")
        changed = {**base, option: value, **dict(other.split("=") for other in others)}
        other = f"{variant(name)}({', '.join(f'{key}={value}' for key, value in changed.items())})"
        same = outcome(row.spec)[0] == outcome(other)[0] and np.allclose(output(row.spec), output(other), atol=1e-5)
        assert not same, option
