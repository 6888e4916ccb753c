"""What every mixer promises: its reference, padding, causality, empty texts, precision, parameters, its place in a model."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support import models
from tests.support.helpers import assert_close, float64, jit, normal, size
from tests.support.mixers import LENGTHS, VALID, D, L, T, built, forward, layer, made, pulled, states
from tests.support.rows import cases, over_cases, over_knobs, over_rows, title

CASES = [case for _, case in cases("mixer").values()]
every = over_cases("mixer")


def over(wanted, found=CASES):
    """Runs a test with the cases that are ``wanted``."""
    return pytest.mark.parametrize("case", [case for case in found if wanted(case)], ids=title, scope="module")


# One program per case, mask and length serves the value and both gradients; all else is done on the host.
WEIGHTS = np.random.default_rng(9).normal(size=(3, T, D)).astype(np.float32) * VALID[..., None]
under_masks = pytest.mark.parametrize(
    ("case", "mask"),
    [pytest.param(case, mask, id=f"{title(case)}-{mask}") for case in CASES for mask in case.masks],
    scope="module",
)


def _shown(outputs, where=VALID):
    return np.where(where[..., None], outputs, 0)


def _all_finite(tree):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


@under_masks
def test_reference(case, mask):
    """Texts of three lengths in one batch: each as if it were alone and without padding."""
    x = np.asarray(states())
    found = pulled(case.spec, mask, case.encoding)(x, VALID, WEIGHTS)[0]
    assert found.shape == x.shape
    own = float64(made(case.spec)[2])
    for b, n in enumerate(LENGTHS):
        text = np.float64(x[b, :n])
        wanted = case.reference(own, text, text, causal=mask == "causal")
        np.testing.assert_allclose(np.asarray(found)[b, :n], wanted, atol=3e-5)


@every
def test_cross(case):
    """Keys and values of a memory, which has its own length and padding; or it is refused."""
    run, own = forward(case.spec, "full", case.encoding)
    x, memory = np.asarray(states()), np.asarray(normal(5, 3, 5, D))
    k_valid = np.arange(5) < np.array([[5], [4], [2]])
    if not case.cross:
        with pytest.raises(ValueError, match="cannot read a memory"):
            run(own, x, VALID, memory, k_valid)
        return
    found = np.asarray(run(own, x, VALID, memory, k_valid))
    for b, (n, s) in enumerate(zip(LENGTHS, (5, 4, 2))):
        wanted = case.reference(float64(own), np.float64(x[b, :n]), np.float64(memory[b, :s]))
        np.testing.assert_allclose(found[b, :n], wanted, atol=3e-5)


@under_masks
def test_padding_changes_nothing(case, mask):
    """Neither how much of it there is, nor what stands there; its gradient is exactly zero; nor do neighbours count."""
    run, own = forward(case.spec, mask, case.encoding)
    both, x = pulled(case.spec, mask, case.encoding), np.asarray(states())
    output, _, gradient = both(x, VALID, WEIGHTS)
    found = _shown(output)
    for p in (1, 7):
        valid = np.pad(VALID, ((0, 0), (0, p)))
        dirty = np.where(valid[..., None], np.pad(x, ((0, 0), (0, p), (0, 0))), 100.0 * normal(p, 3, T + p, D))
        np.testing.assert_allclose(_shown(run(own, dirty, valid)[:, :T]), found, atol=2e-5)
    np.testing.assert_array_equal(np.where(VALID[..., None], 0, gradient), 0)
    assert np.abs(gradient)[1, :3].max() > 1e-4
    other = x.copy()
    other[0] = 30.0
    np.testing.assert_allclose(np.asarray(both(other, VALID, WEIGHTS)[0])[1, :3], found[1, :3], atol=1e-6)


@under_masks
def test_padding_on_the_left(case, mask):
    """With positions given, tokens may stand anywhere in the array."""
    run, own = forward(case.spec, mask, case.encoding)
    x = np.asarray(states())
    found = np.asarray(pulled(case.spec, mask, case.encoding)(x, VALID, WEIGHTS)[0])
    index = (np.arange(T) - np.array([[0], [3], [2]])) % T
    valid = np.take_along_axis(VALID, index, 1)
    positions = np.where(valid, index, 0).astype(np.int32)
    moved = run(own, np.take_along_axis(x, index[..., None], 1), valid, q_positions=positions, k_positions=positions)
    wanted = np.take_along_axis(found, index[..., None], 1)
    np.testing.assert_allclose(_shown(moved, valid), _shown(wanted, valid), atol=2e-5)


@over(lambda case: "causal" in case.masks)
def test_causal(case):
    """No token changes what comes before it, by value and by gradient, over several chunks of a long text."""
    both = pulled(case.spec, "causal", case.encoding)
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


@under_masks
def test_empty_and_single(case, mask):
    """A batch of nothing but padding is finite with finite gradients; one token alone is fine."""
    for length, valid in ((T, False), (1, True)):
        x, weights = np.asarray(states(length=length)), normal(9, 3, length, D)
        assert _all_finite(pulled(case.spec, mask, case.encoding)(x, np.full((3, length), valid), weights))


@under_masks
def test_bfloat16(case, mask):
    run, own = forward(case.spec, mask, case.encoding)
    x = np.asarray(states())
    wide = pulled(case.spec, mask, case.encoding)(x, VALID, WEIGHTS)[0]
    narrow = run(own, x.astype(jnp.bfloat16), VALID)
    assert narrow.dtype == jnp.bfloat16
    difference = _shown(np.abs(np.float32(narrow) - wide))
    assert difference.max() < 4e-2 * max(1.0, np.abs(wide).max())


@every
def test_order(case):
    """Without an encoding, permuting the tokens permutes the outputs, unless the mixer knows their order."""
    both, order = pulled(case.spec, "full", case.encoding), np.array([3, 5, 0, 2, 4, 1])
    x, whole = np.asarray(states()), np.ones((3, T), bool)
    permuted, plain = (np.asarray(both(each, whole, WEIGHTS)[0]) for each in (x[:, order], x))
    assert np.allclose(permuted, plain[:, order], atol=2e-5) != case.ordered


@every
def test_parameters(case):
    """As many as the formula says, each with a gradient."""
    mixer, _, own = made(case.spec)
    assert size(own) == case.count
    assert mixer.max_length == case.max_length
    for path, leaf in jax.tree.leaves_with_path(pulled(case.spec, "full", case.encoding)(states(), VALID, WEIGHTS)[1]):
        if "fixed" not in jax.tree_util.keystr(path):
            # A bias of the keys adds one number to all scores of a query.
            assert np.abs(leaf).max() > 1e-6 or "key']['bias']" in jax.tree_util.keystr(path), jax.tree_util.keystr(path)


@over(lambda case: built(case.spec)[0].attends)
def test_chunked_is_dense(case, small_blocks):
    """By value and gradient, where there is a kernel to choose."""
    own, x, valid = made(case.spec)[2], states(length=23), jnp.arange(23) < jnp.array([[23], [9], [17]])
    found = {}
    for kernel in ("dense", "chunked"):
        run = functools.partial(layer(case.spec, "full", case.chunked), kernel=kernel)
        loss = lambda own, x: jnp.sum(jnp.where(valid[..., None], run(own, x, valid), 0) ** 2)  # noqa: B023
        found[kernel] = jit(jax.value_and_grad(loss, (0, 1)))(own, x)
    assert_close(found["chunked"], found["dense"], 1e-4)  # of gradients of 1e3, one of which, of the bias of keys, is 0
    assert small_blocks


@over(lambda case: case.max_length is not None)
def test_too_long(case):
    """At construction of the model, and for a text that is too long with its padding; `longest_text` knows the limit."""
    tokens = jnp.ones((1, L + 1), jnp.int32)
    model, params, _ = models.made(mixer=case.spec)
    assert model.longest_text == L
    with pytest.raises(ValueError, match=f"the mixer has {L} positions, got a sequence of {L + 1}, padding included"):
        model.apply({"params": params}, tokens, tokens > 0)


# Options and facts.


@functools.cache
def _outcome(spec):
    """The shapes of the parameters, and a function of none that gives the outputs of training."""
    (mixer, dims), apply, x, rng = built(spec), layer(spec), np.asarray(states()), jax.random.key(0)
    start = lambda rng: {} if mixer.init is None else mixer.init(rng, dims)
    run = lambda own, x, rng: apply(own, x, VALID, rng=rng, train=True)
    own = jax.eval_shape(start, rng)
    jax.eval_shape(run, own, x, rng)
    return jax.tree.map(jnp.shape, own), functools.cache(lambda: jit(run)(start(rng), x, jax.random.key(3)))


@over_knobs("mixer")
def test_no_dead_options(knob):
    """Every option changes the parameters or the output, of training for what acts there alone."""
    (shapes, output), (other_shapes, other_output) = _outcome(knob.without), _outcome(knob.with_)
    assert shapes != other_shapes or not np.allclose(output(), other_output(), atol=1e-5)


@over_rows("mixer")
def test_facts(name, row):
    """Which parts it uses, which it refuses, and whether there is a kernel to choose."""
    mixer = attention.build("mixer", row.spec)
    assert mixer.uses == row.evidence.uses
    assert (models.classifier(mixer=row.spec).kernel_at(64, 512) == "none") != mixer.attends
    for parts, message in row.evidence.parts:
        with pytest.raises(ValueError, match=message) as caught:
            models.classifier(**{"mixer": name, **parts})
        assert "\n" not in str(caught.value)


@every
def test_it_trains(case):
    """With the other parts at their defaults, which is all that some take."""
    encoding = "sinusoidal" if case.encoding == "none" else case.encoding
    models.check_training(*models.train(mixer=case.spec, encoding=encoding))
