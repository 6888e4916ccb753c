"""The modules for Equinox: what its own layer gives, and what the parts give in a layer."""

import copy
import functools
import pickle
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import specs
from attention.equinox import MultiheadAttention, PositionalEncoding, _dropped
from attention.projected import attended, parts_of_layer

KEY = jax.random.key(0)
D, N, T = 16, 4, 6
X = jax.random.normal(jax.random.key(1), (T, D))
ENCODINGS = {name: specs.build("encoding", name) for name in attention.names("encoding")}
INPUTS = tuple(name for name, record in ENCODINGS.items() if record.embed is not None)


def made(**options):
    return MultiheadAttention(N, D, key=KEY, **{"max_length": 16, **options})


def normal(*shape, seed=2):
    return jax.random.normal(jax.random.key(seed), shape)


def value_and_gradients(module, query, key, value, mask=None):
    """What a module gives, and the gradients of its parameters and its inputs."""

    @eqx.filter_jit
    @eqx.filter_value_and_grad(has_aux=True)
    def run(given):
        y = given[0](*given[1:], mask)
        return jnp.sum(jnp.sin(y).astype(jnp.float32)), y

    (_, y), gradients = run((module, query, key, value))
    return y, jax.tree.leaves(gradients)


MASKS = {
    "none": None,
    "bool": np.tril(np.ones((T, T), bool)),
    "per head": np.broadcast_to(np.tril(np.ones((T, T), bool)), (N, T, T)),
    "whole numbers": np.tril(np.ones((T, T), np.int32)),
    "numbers": np.tril(np.full((T, T), 0.5, np.float32)),
    "one row": np.arange(T)[None] < 4,
    "one row of a head": (np.arange(T) < 4)[None, None],
}


@pytest.mark.parametrize("mask", MASKS)
def test_it_is_the_frameworks_layer(mask):
    given = MASKS[mask]
    theirs = None if given is None else jnp.broadcast_to(given != 0, (N, T, T) if given.ndim == 3 else (T, T))
    wanted = value_and_gradients(eqx.nn.MultiheadAttention(N, D, key=KEY), X, X, X, theirs)
    y, gradients = value_and_gradients(made(), X, X, X, given)
    np.testing.assert_allclose(y, wanted[0], atol=1e-6)
    for found, leaf in zip(gradients, wanted[1], strict=True):
        np.testing.assert_allclose(found, leaf, atol=1e-6)


SIZES = [
    {"use_query_bias": True, "use_key_bias": True, "use_value_bias": True, "use_output_bias": True},
    {"key_size": 8, "value_size": 10, "output_size": 12, "qk_size": 6, "vo_size": 3},
    {"dtype": jnp.bfloat16},
]


@pytest.mark.parametrize("options", SIZES, ids=str)
def test_sizes_and_types_are_the_frameworks(options):
    """Other keys than queries, more of them."""
    arrays = (X, normal(9, options.get("key_size", D)), normal(9, options.get("value_size", D), seed=3))
    low = options.get("dtype") == jnp.bfloat16
    arrays = tuple(array.astype(jnp.bfloat16) for array in arrays) if low else arrays
    wanted = value_and_gradients(eqx.nn.MultiheadAttention(N, D, key=KEY, **options), *arrays)
    y, gradients = value_and_gradients(made(**options), *arrays)
    assert y.dtype == wanted[0].dtype
    np.testing.assert_allclose(y, wanted[0], atol=2e-2 if low else 1e-6)
    for found, leaf in zip(gradients, wanted[1], strict=True):
        assert found.dtype == leaf.dtype
        np.testing.assert_allclose(found, leaf, atol=0.25 if low else 1e-6)


def test_types_that_differ_give_the_wider_one():
    x, low = X, X.astype(jnp.bfloat16)
    theirs = eqx.nn.MultiheadAttention(N, D, key=KEY, dtype=jnp.bfloat16)
    for arrays in ((x, low, low), (low, low, x)):
        assert made(dtype=jnp.bfloat16)(*arrays).dtype == theirs(*arrays).dtype == jnp.float32


def test_a_file_of_the_frameworks_layer_is_read(tmp_path):
    theirs = eqx.nn.MultiheadAttention(N, D, use_query_bias=True, key=jax.random.key(7))
    eqx.tree_serialise_leaves(tmp_path / "layer.eqx", theirs)
    for parts in ({}, {"encoding": "alibi", "normalizer": "sparsemax"}):
        ours = eqx.tree_deserialise_leaves(tmp_path / "layer.eqx", made(use_query_bias=True, **parts))
        assert eqx.tree_equal(jax.tree.leaves(ours), jax.tree.leaves(theirs))
    ours = eqx.tree_at(lambda layer: layer.query_proj, made(use_query_bias=True), theirs.query_proj)
    np.testing.assert_array_equal(ours.query_proj.weight, theirs.query_proj.weight)


def test_it_is_copied_and_pickled():
    layer = made(encoding="t5", normalizer="entmax15")
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(again(X, X, X), layer(X, X, X))


@pytest.mark.parametrize("mask", [None, "bool", "per head"])
def test_dropout_draws_the_frameworks_bits(mask):
    ours, theirs = made(dropout_p=0.5), eqx.nn.MultiheadAttention(N, D, dropout_p=0.5, key=KEY)
    given = None if mask is None else jnp.asarray(MASKS[mask])
    y = ours(X, X, X, given, key=KEY)
    np.testing.assert_allclose(y, theirs(X, X, X, given, key=KEY), atol=1e-6)
    assert not np.allclose(y, ours(X, X, X, given, key=jax.random.key(3)), atol=0.1)
    np.testing.assert_array_equal(ours(X, X, X, given, inference=True), made()(X, X, X, given))
    np.testing.assert_array_equal(eqx.nn.inference_mode(ours)(X, X, X, given), made()(X, X, X, given))
    with pytest.warns(UserWarning, match="deterministic"):
        np.testing.assert_array_equal(ours(X, X, X, given, deterministic=True), made()(X, X, X, given))
    with pytest.raises(RuntimeError, match="requires a key"):
        ours(X, X, X, given)
    traced = eqx.tree_at(lambda layer: layer.dropout.p, made(), 0.5)
    np.testing.assert_array_equal(traced(X, X, X, given, key=KEY), y)


@pytest.mark.parametrize("streams", [False, True])
def test_dropout_in_blocks_differs_from_block_to_block(streams, small_blocks, monkeypatch):
    """Every query sees every key as often, and no two blocks of queries lose the same keys."""
    monkeypatch.setattr("attention.kernels.chunked.STREAM_ELEMENTS", 0 if streams else 2**22)
    part, one = parts_of_layer(1, 1, 1, 1, kernel="chunked"), jnp.zeros((64, 1, 1))
    drop = functools.partial(_dropped, eqx.nn.Dropout(0.5), KEY)
    output, _ = attended(part, {}, one, one, jnp.eye(64)[:, None], sides={}, drop=drop)
    kept = np.asarray(output[:, 0]) > 0
    assert 0.4 < kept.mean() < 0.6
    assert len({row.tobytes() for row in kept}) == 64


def test_heads_are_processed():
    rotate = eqx.nn.RotaryPositionalEmbedding(D // N)

    def process(q, k, v):
        turn = jax.vmap(rotate, in_axes=1, out_axes=1)
        return turn(q), turn(k), v

    theirs = eqx.nn.MultiheadAttention(N, D, key=KEY)(X, X, X, process_heads=process)
    np.testing.assert_allclose(made()(X, X, X, process_heads=process), theirs, atol=1e-6)
    with pytest.raises(ValueError, match="must not change the shape"):
        made()(X, X, X, process_heads=lambda q, k, v: (q[:, :1], k, v))


# The parts.


def as_layer(module, **options):
    """A layer with the parameters of a module."""
    layer = attention.layer(dim=D, mixer=f"attention(heads={N}, bias=False)", max_length=16, **options)
    into = lambda name: getattr(module, f"{name}_proj").weight.T
    mixer = {name: {"kernel": into(name).reshape(D, N, -1)} for name in (*layer.dims.reads, "value")}
    mixer["output"] = {"kernel": into("output").reshape(N, -1, D)}
    own = {kind: getattr(module, kind) for kind in ("encoding", "score", "normalizer")}
    return layer, {"mixer": mixer, **{kind: tree for kind, tree in own.items() if tree is not None}}


def moved(tree):
    """Parameters away from a start at which a part may do nothing."""
    shift = lambda leaf: leaf + 0.3 * jax.random.normal(KEY, leaf.shape) if eqx.is_array(leaf) else leaf
    return jax.tree.map(shift, tree)


PARTS = [("encoding", name) for name in ENCODINGS if name not in INPUTS]
PARTS += [("encoding", "rope + t5"), ("encoding", "randomized(inner=alibi, max_position=64)")]
PARTS += [(kind, name) for kind in ("normalizer", "score", "mask") for name in attention.names(kind)]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_a_part_is_what_it_is_in_a_layer(kind, name):
    """Mapped over examples here, in batches there, with padding, documents, a mask and a bias."""
    options = {kind: name}
    causal = kind != "mask" and getattr(specs.build(kind, name), "needs_causal", False)
    options |= {"mask": "causal"} if causal else {}
    module = moved(made(**options))
    layer, params = as_layer(module, **options)
    x, bias, mask = normal(2, T, D), normal(N, T, T), jnp.arange(T)[:, None] != jnp.arange(T) - 2
    side = {"valid": jnp.arange(T) < jnp.array([[T], [4]]), "segments": jnp.array([[0, 0, 0, 1, 1, 1]] * 2)}

    @eqx.filter_jit
    def both(module, params):
        one = lambda x, side: module(x, x, x, mask, bias=bias, inference=True, **side)
        there = layer.apply(params, x, where=mask[None, None], bias=bias[None], **side)
        return jax.vmap(one)(x, side), there

    found, wanted = both(module, params)
    keep = side["valid"][..., None]
    np.testing.assert_allclose(jnp.where(keep, found, 0), jnp.where(keep, wanted, 0), atol=3e-6, rtol=3e-5)


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "cpe"] + ["cpe(causal=True)"])
def test_an_encoding_of_embeddings_is_what_it_is_in_a_layer(name):
    place = moved(PositionalEncoding(name, D, max_length=16, vocab_size=10, key=KEY))
    layer = attention.layer(dim=D, encoding=name, max_length=16, vocab_size=10)
    tokens, valid = jnp.array([1, 2, 3, 1, 0, 9]), jnp.arange(T) < 5
    params = {} if place.encoding is None else {"encoding": place.encoding}
    wanted = layer.embed(params, X, tokens=tokens, valid=valid)
    np.testing.assert_allclose(place(X, tokens, valid=valid, inference=True), wanted, atol=1e-6)
    assert not np.allclose(wanted, X)


def test_a_table_is_shared_or_its_own():
    alone, one = made(encoding="t5"), made(encoding="t5", shared=True)
    shared = one.shared(KEY)
    assert one.encoding is None
    assert jax.tree.map(jnp.shape, shared) == {"encoding": jax.tree.map(jnp.shape, alone.encoding)}
    own = eqx.tree_at(lambda layer: layer.encoding, alone, shared["encoding"])
    np.testing.assert_array_equal(one(X, X, X, shared=shared), own(X, X, X))
    with pytest.raises(ValueError, match=r"has parameters: .* as its init and shared make them"):
        one(X, X, X)
    with pytest.raises(ValueError, match="is shared by the layers and owned by one, too"):
        alone(X, X, X, shared=shared)


DRAWING = [{"normalizer": "gumbel"}, {"encoding": "cape(inner=alibi)"}, {"encoding": "shift(inner=tisa)"}]
DRAWING += [{"encoding": "randomized(inner=alibi, max_position=640)"}]


@pytest.mark.parametrize("options", DRAWING[:2] + DRAWING[3:], ids=str)
def test_parts_draw_in_training_alone(options):
    layer = moved(made(**options))
    first, second = (layer(X, X, X, valid=jnp.ones(T, bool), key=jax.random.key(seed)) for seed in (1, 2))
    assert not np.allclose(first, second, atol=1e-4)
    still = layer(X, X, X, inference=True)
    np.testing.assert_array_equal(layer(X, X, X, inference=True, key=KEY), still)


@pytest.mark.parametrize("options", DRAWING[:3], ids=str)
def test_training_without_a_key_is_refused(options):
    with pytest.raises(ValueError, match="in training"):
        made(**options)(X, X, X, valid=jnp.ones(T, bool))


def test_weights_and_rows_without_a_key():
    layer = made(normalizer="sparsemax")
    y, weights = layer(X, X, X, jnp.arange(T)[:, None] != 2, return_weights=True)
    assert weights.shape == (N, T, T)
    assert weights.dtype == jnp.float32
    np.testing.assert_allclose(weights.sum(-1), np.broadcast_to(np.arange(T) != 2, (N, T)), atol=1e-6)
    np.testing.assert_array_equal(y[2], jnp.zeros(D))
    np.testing.assert_allclose(
        made()(X, X, X, bias=jnp.where(MASKS["bool"], 0, -jnp.inf)), made(mask="causal")(X, X, X), atol=1e-6
    )


def test_packed_texts_are_as_alone():
    layer = made(encoding="alibi", mask="document")
    positions, segments = jnp.array([0, 1, 2, 0, 1, 2]), jnp.array([0, 0, 0, 1, 1, 1])
    packed = layer(X, X, X, segments=segments, positions=positions)
    alone = [made(encoding="alibi")(part, part, part) for part in (X[:3], X[3:])]
    np.testing.assert_allclose(packed, jnp.concatenate(alone), atol=1e-6)


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
    assert jnp.isfinite(wanted[0])
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
    (lambda: made()(X, X, X, np.ones((2, N, T, T))), "does not broadcast"),
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


def test_it_is_transformed():
    """Layers made under a map and run by a scan, each recomputed, with donated buffers: as one after the other."""
    make = lambda key: MultiheadAttention(N, D, key=key, encoding="shaw", normalizer="entmax15")
    keys = jax.random.split(KEY, 3)
    arrays, rest = eqx.partition(eqx.filter_vmap(make)(keys), eqx.is_array)

    @eqx.filter_jit(donate="all")
    def run(arrays, x):
        def step(x, own):
            layer = eqx.combine(own, rest)
            return x + eqx.filter_checkpoint(lambda layer, x: layer(x, x, x, valid=jnp.arange(T) < 5))(layer, x), None

        loss = lambda arrays: jnp.sum(jax.lax.scan(step, x, arrays)[0] ** 2)
        return jax.value_and_grad(loss)(arrays)

    x = X
    for key in keys:
        x = x + make(key)(x, x, x, valid=jnp.arange(T) < 5)
    value, gradients = run(arrays, X + 0)
    np.testing.assert_allclose(value, jnp.sum(x**2), rtol=1e-5)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients))
