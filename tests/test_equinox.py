"""The modules for Equinox: what its own layer gives, and what the parts give in a layer."""

import copy
import functools
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import specs
from attention.equinox import MultiheadAttention, PositionalEncoding, _dropped
from attention.projected import attended, parts_of_layer
from tests.support.equinox_modules import KEY, D, N, T, X, made, moved, normal

ENCODINGS = {name: specs.build("encoding", name) for name in attention.names("encoding")}
INPUTS = tuple(name for name, record in ENCODINGS.items() if record.embed is not None)


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
