"""The module of Linen: caches, what is sown, lifted transforms, and tables that layers share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import attention
from attention.linen import MultiHeadAttention, MultiHeadDotProductAttention, PositionalEncoding
from tests.support.flax_modules import KEY, D, N, T, moved, states

DECODED = [
    {},
    {"encoding": "rope"},
    {"encoding": "alibi", "normalizer": "entmax15"},
    {"encoding": "shaw"},
    {"score": "general"},
]
DECODED += [{"encoding": "t5", "normalizer": "qk_norm"}, {"normalizer": "log_length(train_length=8)"}]


@pytest.mark.parametrize("parts", DECODED, ids=str)
def test_one_token_at_a_time(parts):
    """As all at once, with padding before the text; the cache is the framework's."""
    options = {"mask": "causal", "max_length": 8, **parts}
    whole, one = MultiHeadAttention(N, **options), MultiHeadAttention(N, decode=True, **options)
    x, valid = states(2, T), jnp.arange(T) >= jnp.array([[0], [2]])
    variables = one.init(KEY, x)
    params, cache = moved(variables["params"]), variables["cache"]
    theirs = nn.MultiHeadDotProductAttention(N, decode=True).init(KEY, x)["cache"]
    x = jnp.where(valid[..., None], x, jnp.nan)
    jax.tree.map(np.testing.assert_array_equal, cache, theirs)

    @jax.jit
    def step(cache, x):
        return one.apply({"params": params, "cache": cache}, x, memory_valid=valid, mutable=["cache"])

    found = []
    for at in range(T):
        y, after = step(cache, x[:, at : at + 1])
        cache = after["cache"]
        found.append(y)
    wanted = whole.apply({"params": params}, x, valid=valid)
    keep = valid[..., None]
    assert jnp.isfinite(wanted).all()
    np.testing.assert_allclose(jnp.where(keep, jnp.concatenate(found, 1), 0), jnp.where(keep, wanted, 0), atol=3e-6)


def test_past_the_end_of_a_cache():
    layer, x = MultiHeadAttention(N, encoding="rope", mask="causal", decode=True), states(2, 1)
    variables = layer.init(KEY, states(2, 2))
    step = functools.partial(layer.apply, mutable=["cache"])
    for _ in range(2):
        y, cache = step(variables, x)
        assert not jnp.isnan(y).any()
        variables |= cache
    with pytest.raises(ValueError, match=r"room for 2 tokens, and 2 \+ 1 are to be read"):
        step(variables, x)
    assert jnp.isnan(jax.jit(step)(variables, x)[0]).all()


def test_a_cache_refuses_what_it_cannot_remember():
    for options, message in [
        ({"encoding": "fox"}, r"encoding=fox needs more of earlier tokens .* attention.layer\(encoding='fox'"),
        ({"normalizer": "selective"}, "normalizer=selective needs more of earlier tokens"),
    ]:
        layer = MultiHeadAttention(N, decode=True, mask="causal", max_length=8, **options)
        variables = layer.init(KEY, states(2, T))
        with pytest.raises(ValueError, match=message):
            layer.apply(variables, states(2, 1), mutable=["cache"])
    layer = MultiHeadAttention(N, decode=True)
    with pytest.raises(ValueError, match=r"valid is of the queries alone, and a cache holds more: give memory_valid"):
        layer.apply(layer.init(KEY, states(2, T)), states(2, 1), valid=jnp.ones((2, 1), bool), mutable=["cache"])


def test_weights_are_sown():
    x = states(2, T)
    params = MultiHeadAttention(N).init(KEY, x)
    sown = []
    for layer in (MultiHeadAttention(N), nn.MultiHeadDotProductAttention(N)):
        _, found = layer.apply(params, x, sow_weights=True, mutable=["intermediates"])
        sown.append(found)
        assert layer.apply(params, x, mutable=["intermediates"])[1] == {}
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), *sown)


def test_names_of_a_model_stay():
    """A model of the framework's layers loads into one of ours."""

    class Model(nn.Module):
        layer: type

        @nn.compact
        def __call__(self, x):
            return self.layer(N)(nn.LayerNorm()(self.layer(N)(x)))

    x = states(2, T)
    for theirs, ours in (
        (nn.MultiHeadDotProductAttention, MultiHeadDotProductAttention),
        (nn.MultiHeadAttention, MultiHeadAttention),
    ):
        variables = Model(theirs).init(KEY, x)
        np.testing.assert_allclose(Model(ours).apply(variables, x), Model(theirs).apply(variables, x), atol=1e-6)


class Two(nn.Module):
    """Two layers, and one table of which the first is the owner."""

    remat: bool = False

    @nn.compact
    def __call__(self, x):
        build = functools.partial(
            (nn.remat if self.remat else lambda layer: layer)(MultiHeadAttention), N, encoding="t5", max_length=8
        )
        first = build(name="first")
        x = x + first(x)
        return x + build(shared=first, name="second")(x)


def test_an_owner_of_what_is_shared():
    x = states(2, T)
    variables = Two().init(KEY, x)
    assert "encoding" in variables["params"]["first"]
    assert "encoding" not in variables["params"]["second"]
    moved_table = jax.tree.map(lambda leaf: leaf, variables)
    moved_table["params"]["first"]["encoding"]["table"] += jax.random.normal(KEY, (32, N))
    y = Two().apply(moved_table, x)
    gradient = jax.grad(lambda variables: jnp.sum(Two(remat=True).apply(variables, x) ** 2))(moved_table)
    np.testing.assert_allclose(Two(remat=True).apply(moved_table, x), y, atol=1e-6)
    assert jnp.abs(gradient["params"]["first"]["encoding"]["table"]).max() > 0
    part = MultiHeadAttention(N, encoding="t5", max_length=8)
    first, second = (dict(moved_table["params"][name]) for name in ("first", "second"))
    middle = x + part.apply({"params": first}, x)
    wanted = middle + part.apply({"params": {**second, "encoding": first["encoding"]}}, middle)
    np.testing.assert_allclose(y, wanted, atol=1e-6)


class Scanned(nn.Module):
    """Layers under ``nn.scan``, with a table that all share."""

    @nn.compact
    def __call__(self, x, valid):
        part = attention.layer(dim=D, mixer=f"attention(heads={N})", encoding="t5", max_length=8)
        shared = self.param("shared", part.shared)

        class Block(nn.Module):
            @nn.compact
            def __call__(self, x, shared):
                layer = nn.remat(MultiHeadAttention)(N, encoding="t5", normalizer="sparsemax", max_length=8)
                return x + layer(nn.LayerNorm()(x), valid=valid, shared=shared), None

        layers = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3, in_axes=nn.broadcast)
        return layers()(x, shared)[0]


def test_scanned_mapped_and_donated():
    x, valid = states(2, T), jnp.arange(T) < jnp.array([[T], [3]])
    variables = Scanned().init(KEY, x, valid)
    layers = variables["params"]["ScanBlock_0"]["CheckpointMultiHeadAttention_0"]
    assert layers["query"]["kernel"].shape == (3, D, N, D // N)
    assert "encoding" not in layers
    y = Scanned().apply(variables, x, valid)
    mapped = jax.vmap(Scanned().apply, (None, 0, 0))(variables, x[:, None], valid[:, None])
    np.testing.assert_allclose(mapped[:, 0], y, atol=2e-6)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(variables):
        loss = lambda variables: jnp.mean(jnp.square(Scanned().apply(variables, x, valid)[0] - 1))
        value, gradient = jax.value_and_grad(loss)(variables)
        return jax.tree.map(lambda leaf, slope: leaf - 0.01 * slope, variables, gradient), value

    losses = []
    for _ in range(5):
        variables, loss = step(variables)
        losses.append(float(loss))
    assert losses == sorted(losses, reverse=True)


def test_positional_encoding():
    x, valid = states(2, T), jnp.arange(T) < jnp.array([[T], [3]])
    encode = PositionalEncoding("learned", max_length=8)
    variables = encode.init(KEY, x)
    table = variables["params"]["encoding"]["table"]
    np.testing.assert_allclose(encode.apply(variables, x) - x, jnp.broadcast_to(table[:T], x.shape), atol=1e-6)
    positions = jnp.array([[2, 3, 4, 5, 6], [0, 1, 2, 0, 0]])
    found = encode.apply(variables, x, valid=valid, positions=positions)
    np.testing.assert_allclose((found - x)[0], table[2:7], atol=1e-6)
    with pytest.raises(ValueError, match="encoding=t5 acts on scores: give it to the attention module"):
        PositionalEncoding("t5", max_length=8).init(KEY, x)
    drawn = PositionalEncoding("cape(inner=sinusoidal)")
    with pytest.raises(ValueError, match="deterministic"):
        drawn.init(KEY, x)
    run = lambda seed: drawn.apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(seed)})
    assert not np.allclose(run(0), run(1))
