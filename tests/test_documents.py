"""Documents in one row, by themselves: numbers, sums, public functions with segments, layers with a cache, what is drawn."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.compatibility import check_packing
from attention.documents import numbered, of_document, running, totals
from attention.models.tokens import language_model
from attention.records import Call
from tests.support.helpers import jit, normal, spread_out

SEGMENTS = np.array([[0, 0, 0, 7, 7, 2, 2, 2, 2, 9], [5, 5, 5, 5, 5, 5, 1, 1, 1, 1]], np.int32)
VALID = np.array([[1, 1, 0, 1, 1, 1, 0, 1, 1, 0], [0, 1, 1, 0, 0, 1, 1, 1, 1, 1]], bool)
SAME = SEGMENTS[:, :, None] == SEGMENTS[:, None, :]
T = SEGMENTS.shape[1]


def test_numbers():
    """From 0 on, whatever the segments are called; padding is of the document before it, in whatever segment it stands."""
    found = np.asarray(numbered(jnp.asarray(SEGMENTS), jnp.asarray(VALID)))
    np.testing.assert_array_equal(found, [[0, 0, 0, 1, 1, 2, 2, 2, 2, 2], [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]])
    noise = np.random.default_rng(0).integers(0, 99, SEGMENTS.shape).astype(np.int32)
    elsewhere = numbered(jnp.asarray(np.where(VALID, SEGMENTS, noise)), jnp.asarray(VALID))
    np.testing.assert_array_equal(elsewhere, found)
    np.testing.assert_array_equal(numbered(jnp.asarray(SEGMENTS), None)[0], [0, 0, 0, 1, 1, 2, 2, 2, 2, 3])


def test_sums():
    """Up to a token, from it on, and of its document; to the last digit, whatever stands in the document before."""
    x = np.array(normal(0, 2, T, 3))
    x[1, :6] *= 1e7
    numbers = numbered(jnp.asarray(SEGMENTS), None)
    at = np.arange(T)
    for reverse, side in ((False, at[:, None] >= at), (True, at[:, None] <= at)):
        found = np.asarray(running(jnp.add, jnp.asarray(x), numbers, reverse=reverse))
        wanted = np.einsum("bij,bjd->bid", SAME & side, np.float64(x))
        np.testing.assert_allclose(found[1, 6:], wanted[1, 6:], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        totals(jnp.asarray(x), numbers)[1, 6:], np.float64(x[1, 6:]).sum(0) + np.zeros((4, 1)), atol=2e-6
    )
    least = np.asarray(of_document(jnp.minimum, jnp.asarray(x), numbers))
    np.testing.assert_array_equal(least, np.where(SAME[..., None], x[:, None], np.inf).min(2))


# The public functions, against loops in float64 over pairs that a block-diagonal mask leaves.


def _pairs(b):
    """Which keys each query of a row reads: text of its document, up to itself."""
    return SAME[b] & np.tril(np.ones((T, T), bool)) & VALID[b]


def _linear(b, q, k, v):
    phi = lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))
    weights = np.einsum("tnh,snh->nts", phi(q), phi(k)) * _pairs(b)
    return np.einsum("nts,snh->tnh", weights / (weights.sum(-1, keepdims=True) + 1e-6), v)


def _cosformer(b, q, k, v):
    weights = np.einsum("tnh,snh->nts", np.maximum(q, 0), np.maximum(k, 0))
    count = np.cumsum(VALID[b]) - 1.0
    weights = weights * np.cos(np.pi * (count[:, None] - count) / 40) * _pairs(b)
    return np.einsum("nts,snh->tnh", weights / np.maximum(weights.sum(-1, keepdims=True), 1e-6), v)


def _aft(b, q, k, v):
    q, k, v = (x[:, 0] for x in (q, k, v))
    weights = np.where(_pairs(b)[..., None], np.exp(np.minimum(k, 700.0))[None], 0.0)
    mean = (weights * v).sum(1) / np.maximum(weights.sum(1), 1e-300)
    return (mean / (1 + np.exp(-q)))[:, None]


def _first(arrays) -> tuple[Any, Any, Any]:
    """Of the head that stands for all channels."""
    query, key, value = (x[..., 0, :] for x in arrays)
    return query, key, value


FORMS = {
    "linear": (_linear, attention.linear_attention),
    "cosformer": (
        _cosformer,
        lambda *qkv, **told: attention.cosformer_attention(*qkv, q_where=told["where"], length=20, **told),
    ),
    "aft_simple": (_aft, lambda *qkv, **told: attention.aft_simple(*_first(qkv), **told)[..., None, :]),
    "aft_full": (_aft, lambda *qkv, **told: attention.aft_full(*_first(qkv), jnp.zeros((T, T)), **told)[..., None, :]),
}


@pytest.mark.parametrize("name", FORMS)
def test_public_functions(name):
    reference, function = FORMS[name]
    arrays = [normal(seed, 2, T, 2, 4) for seed in range(3)]
    arrays[1] = arrays[1] * np.where(SEGMENTS == 5, 400.0, 1.0)[..., None, None]  # e^400 next door loses none
    told = {"where": jnp.asarray(VALID), "segments": jnp.asarray(SEGMENTS), "causal": True}
    found = jit(lambda q, k, v: function(q, k, v, **told))(*arrays)
    for b in range(2):
        text = VALID[b] & (SEGMENTS[b] != 5)
        wanted = reference(b, *[np.float64(x[b]) for x in arrays])
        np.testing.assert_allclose(np.asarray(found)[b][text], wanted[text], rtol=2e-5, atol=2e-5)
    with pytest.raises(ValueError, match="segments want causal=True"):
        function(*arrays, **{**told, "causal": False})


@pytest.mark.parametrize("causal", [False, True])
def test_convolution(causal):
    x, kernel, bias = normal(0, 2, T, 3), normal(1, 5, 3), normal(2, 3)
    told = {"valid": jnp.asarray(VALID), "segments": jnp.asarray(SEGMENTS), "causal": causal}
    found = attention.depthwise_convolution(x, kernel, bias, **told)
    wanted = np.zeros((2, T, 3)) + np.float64(bias)
    for b, i, o in np.ndindex(2, T, 5):
        j = i + o - (4 if causal else 2)
        if 0 <= j < T and VALID[b, j] and SEGMENTS[b, i] == SEGMENTS[b, j]:
            wanted[b, i] += np.float64(kernel[o]) * np.float64(x[b, j])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


# Layers.

D = 8
LAYERS = [
    {"mixer": "attention(heads=2)", "encoding": "rope"},
    {"mixer": "attention(heads=2)", "encoding": "fox"},
    {"mixer": "attention(heads=2, memory=2)", "encoding": "rope(scaling=dynamic_ntk, factor=2.0, train_length=2)"},
    {"mixer": "linear(heads=2)"},
]
PACKED = np.array([[0, 0, 0, 1, 2, 2, 2]], np.int32)
PLACES = np.array([[0, 1, 2, 0, 0, 1, 2]], np.int32)


@pytest.mark.parametrize("specs", LAYERS, ids=lambda specs: " | ".join(specs.values()))
def test_layer(specs):
    """A layer that is told segments gives each document what it gives it alone, at once and, with a cache, token by token."""
    packs, plain = (attention.layer(dim=D, max_length=9, mask=mask, **specs) for mask in ("causal & document", "causal"))
    params, x = spread_out(packs.init(jax.random.key(0))), normal(1, 1, 7, D)
    told = {"segments": jnp.asarray(PACKED), "positions": jnp.asarray(PLACES), "valid": jnp.ones((1, 7), bool)}
    found = jit(packs.apply)(params, x, **told)
    texts = jnp.stack([x[0, 0:3], x[0, 3:6], x[0, 4:7]])
    alone = jit(plain.apply)(params, texts, valid=jnp.arange(3) < jnp.array([[3], [1], [3]]))
    wanted = np.concatenate([alone[0], alone[1, :1], alone[2]])
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5, atol=1e-5)
    if "dynamic_ntk" in specs.get("encoding", ""):
        return  # whose angles go by how many tokens there are yet
    step = jit(lambda x, cache, told: packs.apply(params, x, cache=cache, **told))
    cache, pieces = packs.cache(1, 9), []
    for i in range(7):
        y, kept = step(x[:, i : i + 1], cache, {name: array[:, i : i + 1] for name, array in told.items()})
        cache, pieces = kept["cache"], [*pieces, y[0]]
    np.testing.assert_allclose(np.concatenate(pieces), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoding", ["cape", "randomized(inner=alibi, max_position=40)", "fox"])
def test_language_model(encoding):
    """Positions that are drawn for a window are the same for each document of a row as for it alone."""
    model = language_model(
        vocab_size=9, max_length=9, dim=D, mixer="attention(heads=2)", encoding=encoding, mask="causal & document"
    )
    given = {"mixer": "attention(heads=2)", "encoding": encoding, "mask": "causal & document", "encoder": "..."}
    check_packing(model.encoder, model.encoder.mixer, model.parts, given, window=True)
    tokens = jnp.array([[1, 2, 3, 4, 5, 6, 7]])
    told = {"segments": jnp.asarray(PACKED), "positions": jnp.asarray(PLACES)}
    params = jit(model.init)(jax.random.key(0), tokens, tokens > 0, **told)
    run = jit(lambda tokens, told: model.apply(params, tokens, tokens > 0, **told)[0])
    found = run(tokens, told)
    for here in (slice(0, 3), slice(3, 4), slice(4, 7)):
        alone = jnp.zeros_like(tokens).at[:, : here.stop - here.start].set(tokens[:, here])
        apart = run(alone, {"segments": jnp.zeros_like(tokens), "positions": jnp.arange(7)[None]})
        np.testing.assert_allclose(found[:, here], apart[:, : here.stop - here.start], rtol=1e-5, atol=1e-5)


def test_embeddings():
    """`embed` of a layer, where codes go by the number of tokens or by neighbours."""
    for encoding in ("index(normalize=True)", "cpe(causal=True)"):
        packs, plain = (attention.layer(dim=D, encoding=encoding, mask=mask) for mask in ("causal & document", "causal"))
        params, x = packs.init(jax.random.key(0)), normal(1, 1, 7, D)
        found = packs.embed(params, x, segments=jnp.asarray(PACKED), positions=jnp.asarray(PLACES))
        for here in (slice(0, 3), slice(3, 4), slice(4, 7)):
            np.testing.assert_allclose(found[:, here], plain.embed(params, x[:, here]), rtol=1e-6, atol=1e-6)


def test_segments_without_the_mask():
    """Sentences of a text that see each other are no documents: segments change nothing then."""
    for encoding in ("fox", "index(normalize=True)"):
        layer = attention.layer(dim=D, mixer="attention(heads=2)", encoding=encoding, mask="causal")
        params, x = spread_out(layer.init(jax.random.key(0))), normal(1, 1, 7, D)
        for apply in (layer.apply, layer.embed):
            np.testing.assert_array_equal(apply(params, x, segments=jnp.asarray(PACKED)), apply(params, x))


@pytest.mark.parametrize("spec", ["shift(inner=rope, most=1000)", "cape(local_shift=0.0, scale=1.0)"])
def test_draws(spec):
    """In training every document is moved as one, by a number of its own."""
    told = {"positions": np.tile(PLACES, (3, 1)), "valid": np.ones((3, 7), bool), "segments": np.tile(PACKED, (3, 1))}
    sides: dict[str, Any] = {f"{side}_{name}": jnp.asarray(array) for side in "qk" for name, array in told.items()}
    call = Call(**sides, packed=True)
    move = attention.build("encoding", spec).positions
    assert move is not None
    moved = jit(lambda rng: move({}, dataclasses.replace(call, rng=rng, train=True)).q_positions)(jax.random.key(0))
    by = np.asarray(moved) - np.asarray(told["positions"])
    by = by + np.where(PACKED == 1, 0.0, 1.0) * spec.startswith("cape")  # which centres those of three tokens
    starts = np.round(by[:, [0, 3, 4]], 4)
    np.testing.assert_allclose(by, starts[:, PACKED[0]], atol=1e-4)
    assert len(np.unique(starts)) == 9
