"""The module of NNX: caches, what is sown, modes, transforms, and tables that layers share."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention.nnx import MultiHeadAttention, PositionalEncoding
from tests.support.flax_modules import D, N, T, moved, states

build = functools.partial(MultiHeadAttention, N, D, decode=False, max_length=8)


def made(**options):
    """A module away from its start."""
    module = build(rngs=nnx.Rngs(0), **options)
    nnx.update(module, moved(nnx.state(module, nnx.Param)))
    return module


DECODED = [{"num_kv_heads": 2}, {"encoding": "rope", "num_kv_heads": 2}, {"encoding": "alibi", "normalizer": "entmax15"}]
DECODED += [{"encoding": "shaw"}, {"encoding": "t5", "normalizer": "qk_norm"}]


@pytest.mark.parametrize("parts", DECODED, ids=str)
def test_one_token_at_a_time(parts):
    """As all at once, with padding before the text."""
    layer = made(mask="causal", **parts)
    x, valid = states(2, T), jnp.arange(T) >= jnp.array([[0], [2]])
    x = jnp.where(valid[..., None], x, jnp.nan)
    wanted = layer(x, valid=valid)
    layer.init_cache(x.shape)
    step = nnx.jit(lambda layer, x: layer(x, memory_valid=valid, decode=True))
    found = jnp.concatenate([step(layer, x[:, at : at + 1]) for at in range(T)], 1)
    keep = valid[..., None]
    assert jnp.isfinite(wanted).all()
    np.testing.assert_allclose(jnp.where(keep, found, 0), jnp.where(keep, wanted, 0), atol=3e-6)
    assert layer.cache_index[...] == T


def test_past_the_end_of_a_cache():
    layer, x = made(encoding="rope", mask="causal"), states(2, 1)
    with pytest.raises(ValueError, match="call init_cache first"):
        layer(x, decode=True)
    layer.init_cache((2, 2, D))
    step = nnx.jit(lambda layer, x: layer(x, decode=True))
    assert not jnp.isnan(step(layer, x)).any()
    assert not jnp.isnan(step(layer, x)).any()
    with pytest.raises(ValueError, match=r"room for 2 tokens, and 2 \+ 1 are to be read"):
        layer(x, decode=True)
    assert jnp.isnan(step(layer, x)).all()


def test_a_cache_refuses_what_it_cannot_remember():
    layer = made(encoding="fox", mask="causal")
    layer.init_cache((2, T, D))
    with pytest.raises(ValueError, match="encoding=fox needs more of earlier tokens"):
        layer(states(2, 1), decode=True)


def test_weights_are_sown():
    x, sown = states(2, T), []
    for layer in (build(rngs=nnx.Rngs(0)), nnx.MultiHeadAttention(N, D, decode=False, rngs=nnx.Rngs(0))):
        _, found = nnx.capture(layer, nnx.Intermediate)(x, sow_weights=True)
        sown.append(nnx.to_pure_dict(found))
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), *sown)


def test_keys_are_drawn_as_without_it():
    """What is built after a layer without parameters of its own starts as after the framework's."""
    after = []
    for layer in (build, functools.partial(nnx.MultiHeadAttention, N, D, decode=False)):
        rngs = nnx.Rngs(0)
        layer(rngs=rngs)
        after.append(nnx.Linear(D, D, rngs=rngs).kernel[...])
    np.testing.assert_array_equal(*after)


def test_modes():
    x = states(2, T)
    layer = made(normalizer="gumbel")
    with pytest.raises(ValueError, match="No `deterministic` argument"):
        layer(x)
    train, test = nnx.view(layer, deterministic=False), nnx.view(layer, deterministic=True)
    assert not np.allclose(train(x), train(x))
    np.testing.assert_array_equal(test(x), test(x))
    without = build(normalizer="gumbel", keep_rngs=False, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="keeps no rngs: give rngs to the call"):
        without(x, deterministic=False)
    assert without(x, deterministic=False, rngs=nnx.Rngs(dropout=1)).shape == x.shape


def test_a_mask_of_one_head_goes_with_is_causal():
    layer, mask = made(dropout_rate=0.1, deterministic=True), jnp.ones((2, 1, 1, T)).at[1, ..., 3:].set(0)
    found = layer(states(2, T), mask=mask, is_causal=True)
    wanted = layer(states(2, T), mask=mask * jnp.tril(jnp.ones((T, T))))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_an_owner_of_what_is_shared():
    """One parameter, wherever the model is cut."""
    first = made(encoding="t5")
    second = build(encoding="t5", shared=first, rngs=nnx.Rngs(1))
    assert second.encoding["table"] is first.encoding["table"]
    model = nnx.List([first, second])
    assert len(jax.tree.leaves(nnx.state(model, nnx.Param))) == 17
    run = lambda model, x: model[1](model[0](x))
    x = states(2, T)
    y = run(model, x)
    np.testing.assert_allclose(nnx.jit(run)(model, x), y, atol=1e-6)
    np.testing.assert_allclose(run(nnx.merge(*nnx.split(model)), x), y, atol=1e-6)
    gradient = nnx.grad(lambda model: jnp.sum(run(model, x) ** 2))(model)
    assert jnp.abs(gradient[0]["encoding"]["table"][...]).max() > 0
    with pytest.raises(ValueError, match="shared=True says that calls give what layers share"):
        build(encoding="t5", shared=True, rngs=nnx.Rngs(0))(x)


OWNERS = [
    (lambda: build(rngs=nnx.Rngs(0)), "owns the table of encoding=t5, and the one given has 4 heads and encoding=none"),
    (lambda: build(encoding="t5", shared=True, rngs=nnx.Rngs(0)), "encoding=t5, whose calls give what is shared"),
    (lambda: build(encoding="t5(buckets=16)", rngs=nnx.Rngs(0)), r"with encoding=t5, and the one .* encoding=t5\(buckets=16\)"),
    (lambda: MultiHeadAttention(2, D, encoding="t5", rngs=nnx.Rngs(0)), "wants a module of 4 heads .* given has 2 heads"),
    (lambda: nnx.MultiHeadAttention(N, D, rngs=nnx.Rngs(0)), "wants an attention.nnx.MultiHeadAttention, or True, got .*flax"),
]


@pytest.mark.parametrize(("owner", "message"), OWNERS, ids=[message[:30] for _, message in OWNERS])
def test_a_wrong_owner_is_refused(owner, message):
    with pytest.raises(ValueError, match=message):
        build(encoding="t5", shared=owner(), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="encoding=shaw has nothing that layers share"):
        build(encoding="shaw", shared=build(encoding="shaw", rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))


def test_scanned_mapped_and_copied():
    x = states(2, T)

    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=0, out_axes=0)
    def stacked(rngs):
        return build(encoding="shaw", normalizer="sparsemax", rngs=rngs)

    layers = stacked(nnx.Rngs(0))
    assert layers.query.kernel.shape == (3, D, N, D // N)
    assert layers.encoding["keys"].shape[0] == 3

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def all_of_them(x, layer):
        return x + nnx.remat(lambda layer, x: layer(x))(layer, x)

    one_by_one = x
    graph, state = nnx.split(layers)
    for number in range(3):
        one_by_one += nnx.merge(graph, jax.tree.map(lambda leaf, number=number: leaf[number], state))(one_by_one)
    np.testing.assert_allclose(all_of_them(x, layers), one_by_one, atol=3e-6)
    layer = made(encoding="shaw")
    y = layer(x)
    np.testing.assert_allclose(jax.vmap(layer)(x), y, atol=2e-6)
    np.testing.assert_array_equal(copy.deepcopy(layer)(x), y)
    np.testing.assert_array_equal(nnx.clone(layer)(x), y)


def test_donated():
    x = states(2, T)
    graph, params = nnx.split(made(encoding="shaw"))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(params):
        loss = lambda params: jnp.mean(jnp.square(nnx.merge(graph, params)(x) - 1))
        value, gradient = jax.value_and_grad(loss)(params)
        return jax.tree.map(lambda leaf, slope: leaf - 0.05 * slope, params, gradient), value

    losses = []
    for _ in range(5):
        params, loss = step(params)
        losses.append(float(loss))
    assert losses == sorted(losses, reverse=True)


def test_positional_encoding():
    x = states(2, T)
    encode = PositionalEncoding("learned", D, max_length=8, rngs=nnx.Rngs(0))
    table = encode.encoding["table"][...]
    np.testing.assert_allclose(encode(x) - x, jnp.broadcast_to(table[:T], x.shape), atol=1e-6)
    drawn = PositionalEncoding("cape(inner=sinusoidal)", D, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="No `deterministic` argument"):
        drawn(x)
    assert not np.allclose(drawn(x, deterministic=False), drawn(x, deterministic=False))
    np.testing.assert_array_equal(nnx.view(drawn, deterministic=True)(x), drawn(x, deterministic=True))
