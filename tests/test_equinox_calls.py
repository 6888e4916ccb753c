"""Calls of the Equinox module: whose tokens the keys are, padding, caches, and what is refused."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.equinox import PositionalEncoding
from tests.support.equinox_modules import KEY, D, N, T, X, made, moved, normal
from tests.support.helpers import open_sizes


def test_keys_of_another_text():
    layer, memory = made(encoding="alibi"), normal(9, D)
    options = {"positions": jnp.arange(T), "memory_positions": jnp.arange(9), "memory_valid": jnp.arange(9) < 7}
    y = layer(X, memory, memory, **options)
    short = {"positions": jnp.arange(T), "memory_positions": jnp.arange(7)}
    np.testing.assert_allclose(y, layer(X, memory[:7], memory[:7], **short), atol=1e-6)


@pytest.mark.parametrize("parts", [{}, {"encoding": "rope"}, {"mask": "causal"}], ids=str)
def test_keys_are_the_queries_where_they_are_one_object(parts):
    """Another object is another text, under a map as without: nothing is guessed of it, and nothing of the queries is its."""
    layer, valid, places = made(**parts), jnp.arange(T) < 4, jnp.arange(T)
    apart = lambda x, memory, **given: jax.vmap(lambda x, memory: layer(x, memory, memory, **given))(x[None], memory[None])[0]
    known = {"positions": places, "memory_positions": places}
    np.testing.assert_allclose(apart(X, X, **known), layer(X, X, X), atol=1e-6)
    np.testing.assert_allclose(
        apart(X, X, valid=valid, memory_valid=valid, **known)[:4], layer(X, X, X, valid=valid)[:4], atol=1e-6
    )
    for name in ("valid", "positions", "segments"):
        with pytest.raises(ValueError, match=f"{name} is of the queries alone, and key_ is another object .* memory_{name}"):
            apart(X, X, **{name: valid if name == "valid" else places})
        with pytest.raises(ValueError, match=f"memory_{name} is of keys that are not the queries"):
            layer(X, X, X, **{f"memory_{name}": valid if name == "valid" else places})
    if parts:
        with pytest.raises(ValueError, match=r"give positions and memory_positions, or, .* one object: layer\(x, x, x\)"):
            jax.vmap(layer)(X[None], X[None], X[None])
    else:
        np.testing.assert_allclose(jax.vmap(layer)(X[None], X[None], X[None])[0], layer(X, X, X), atol=1e-6)


@pytest.mark.parametrize("parts", [{}, {"encoding": "fox", "mask": "causal"}, {"encoding": "shaw"}], ids=str)
def test_what_stands_at_padding_reaches_nothing(parts):
    """Neither what comes out of the others nor a gradient, in self-attention and in keys of another text."""
    layer, valid, other = made(use_key_bias=True, **parts), jnp.arange(T) < 4, jnp.arange(9) < 5
    places = {"positions": jnp.arange(T), "memory_positions": jnp.arange(9)}

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def run(given):
        layer, x, memory = given
        outputs = [layer(x, x, x, valid=valid)]
        if "mask" not in parts:
            outputs.append(layer(x, memory, memory + 1, valid=valid, memory_valid=other, **places))
        return sum(jnp.sum(jnp.sin(y), where=valid[:, None]) for y in outputs)

    found, wanted = (
        run((layer, jnp.where(valid[:, None], X, fill), jnp.where(other[:, None], normal(9, D), fill))) for fill in (jnp.nan, 0)
    )
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(wanted))
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


CACHED = ["encoding=none", "encoding=rope", "encoding=alibi", "encoding=shaw", "encoding=t5", "normalizer=entmax15"]
CACHED += ["score=additive", "mask=causal & document", "mask=causal & local(window=4)"]


@pytest.mark.parametrize("given", CACHED)
def test_pieces_give_what_the_whole_gives(given):
    """A prefill, then one token at a time, mapped over texts of their own lengths."""
    layer = moved(made(**{"mask": "causal", given.split("=", 1)[0]: given.split("=", 1)[1]}))
    x = normal(2, T, D)
    side = {"segments": jnp.array([[0, 0, 0, 0, 1, 1]] * 2), "valid": jnp.ones((2, T), bool).at[1, 1].set(False)}
    run = lambda x, side, cache: layer(x, x, x, cache=cache, inference=True, **side)
    step, found = jax.jit(jax.vmap(run)), []
    cache = eqx.filter_vmap(lambda _: layer.cache(8))(jnp.arange(2))
    for start, end in ((0, 3), (3, 4), (4, 5), (5, 6)):
        y, cache = step(x[:, start:end], {name: array[:, start:end] for name, array in side.items()}, cache)
        found.append(y)
    whole = jax.vmap(lambda x, side: layer(x, x, x, inference=True, **side))(x, side)
    keep = side["valid"][..., None]
    np.testing.assert_allclose(jnp.where(keep, jnp.concatenate(found, 1), 0), jnp.where(keep, whole, 0), atol=3e-6, rtol=3e-5)


def test_a_cache_that_is_full_is_refused_or_gives_nan():
    layer = made(mask="causal")
    cache = layer.cache(4)
    with pytest.raises(ValueError, match=r"room for 4 tokens, and 0 \+ 6"):
        layer(X, X, X, cache=cache)
    x = X[:3]
    _, weights, cache = layer(x, x, x, cache=cache, return_weights=True)
    assert weights.shape == (N, 3, 4)
    y, _ = jax.jit(lambda x, cache: layer(x, x, x, cache=cache))(x, cache)
    assert jnp.isnan(y).all()


NO_CACHE = [
    ({}, "wants a causal mask"),
    ({"normalizer": "selective", "mask": "causal"}, "normalizer=selective needs more"),
    ({"encoding": "fox", "mask": "causal"}, r"encoding=fox needs more .* attention\.layer\(encoding='fox', \.\.\.\)\.cache"),
]


@pytest.mark.parametrize(("options", "message"), NO_CACHE, ids=str)
def test_what_a_cache_cannot_do_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        made(**options).cache(8)


def _cached(key_=X, cache=None, **given):
    layer = made(mask="causal")
    return layer(X, key_, X, cache=layer.cache(8) if cache is None else cache, **given)


REFUSED = [
    (
        lambda: made(encoding="sinusoidal + t5"),
        "PositionalEncoding(encoding='sinusoidal') on what goes into layer 0, and encoding='t5' here",
    ),
    (lambda: made(encoding="complex_order"), "acts on embeddings"),
    (lambda: made(encoding="shaw", vo_size=3), "acts on values as wide as keys, which are 4, and they are 3"),
    (lambda: PositionalEncoding("rope", D, key=KEY), "encoding=rope acts on scores"),
    (lambda: PositionalEncoding("sinusoidal + rope", D, key=KEY), "acts on scores"),
    (lambda: made()(X[None], X, X), "batches go through jax.vmap"),
    (lambda: made()(X, X[:3], X), "want the same tokens"),
    (lambda: made(encoding="alibi")(X, X[:3], X[:3]), "reads positions"),
    (lambda: made()(X, X, X, "causal"), "mask='causal' is a spec: give it to the constructor"),
    (lambda: made()(X, X, X, np.ones((2, N, T, T))), "wants the axes of the scores"),
    (lambda: _cached(memory_valid=jnp.ones(T, bool)), "memory_valid is of keys that are not the queries"),
    (lambda: _cached(key_=X + 0, positions=jnp.arange(T), memory_positions=jnp.arange(T)), "attends to itself"),
    (lambda: _cached(process_heads=lambda *heads: heads), "its heads as projected"),
    (lambda: _cached(cache=made(mask="causal", vo_size=2).cache(8)), "of another layer than this one with 4 heads of 4 and 4"),
    (lambda: _cached(cache={"length": 0}), "cache wants what layer.cache(length) made, got {'length': 0}"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_an_array_is_no_spec():
    with open_sizes(), pytest.raises(ValueError, match=r"mask wants a spec such as .* got 'ArrayImpl'"):
        made(mask=jnp.ones((T, T)))
