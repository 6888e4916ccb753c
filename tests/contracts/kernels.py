import dataclasses
import importlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import kernels
from attention.compatibility import check_parts
from attention.encodings import combine
from attention.records import Call, Encoding, Mask
from tests.support.helpers import DIMS, assert_close, init, inputs, jit, normal, params_of, value_and_gradients

# Those that stand for their kinds, masks for what a kernel has to do: skip nothing, read runs, lists, or lists of each text.
# All others go through the kernels in the tests of their own tables, and masks below.
ROWS = {
    "encoding": ["none", "rope", "alibi", "t5(buckets=8, max_distance=12)", "shaw(max_distance=3)"],
    "score": ["dot", "scaled_dot", "additive(hidden=3)", "cosine"],
    "normalizer": ["softmax", "softmax(temperature='learned')", "sparsemax", "sigmoid", "sigmoid(bias=-1)"],
    "mask": ["full", "causal", "local(window=6)", "longformer(window=4)", "bigbird(block=8, random_blocks=0)"],
}
# The numbers of keys that the groups of blocks of 16 queries read, of 72.
READ = dict(zip(ROWS["mask"], ({72}, {32, 72}, {16, 32}, {40, 72}, {48, 72})))
LISTS = ROWS["mask"][3:]


def _compatible(combination):
    try:
        check_parts(attention.Parts(*(attention.build(kind, spec) for kind, spec in zip(ROWS, combination))))
    except ValueError:
        return False
    return True


def _pairwise():
    """Few combinations that hold every compatible pair of rows: each next one is that with the most pairs still missing."""
    pairs = lambda combination: set(itertools.combinations(enumerate(combination), 2))
    everything = [c for c in itertools.product(*ROWS.values()) if _compatible(c)]
    missing = set().union(*map(pairs, everything))
    while missing:
        best = max(everything, key=lambda combination: len(pairs(combination) & missing))
        missing -= pairs(best)
        yield best


@pytest.mark.parametrize("combination", list(_pairwise()), ids=" | ".join)
def test_chunked_is_dense(combination, small_blocks):
    """Value and the gradient of every input and parameter, with padding, ragged blocks and skipped keys."""
    specs = dict(zip(ROWS, combination))
    params = params_of(**{kind: spec for kind, spec in specs.items() if kind != "mask"})
    call = Call(k_valid=jnp.arange(72) < jnp.array([[72], [59]]))
    arrays = (*inputs(T=72, S=72), params, normal(5, 1, 4, 72, 72))
    upstream = normal(6, 2, 72, 4, 8)

    @jit
    def both(arrays, upstream, call):
        options = {"call": call, **specs}
        return tuple(value_and_gradients(arrays, upstream, kernel=kernel, **options) for kernel in ("dense", "chunked"))

    dense, chunked = both(arrays, upstream, call)
    assert_close(chunked, dense)
    assert all(np.abs(gradient).max() > 1e-4 for gradient in jax.tree.leaves(dense[1][:3]))
    assert {queries for queries, _ in small_blocks} == {16}
    # What needs whole rows takes no lists.
    whole = attention.build("encoding", specs["encoding"]).reads == "rows" and specs["mask"] in LISTS
    assert {keys for _, keys in small_blocks} == ({72} if whole else READ[specs["mask"]])


@pytest.mark.parametrize(
    ("T", "S", "mask"), [(1, 40, "full"), (37, 53, "local(window=8)"), (53, 5, "causal"), (16, 16, "full")]
)
@pytest.mark.parametrize("explicit", [False, True], ids=["arange", "positions"])
def test_chunked_is_dense_at_other_lengths(T, S, mask, explicit, small_blocks):
    """Cross-attention, lengths that are no multiple of a block, and positions that forbid static skipping."""
    query, key, value = inputs(T=T, S=S, N=2, H=4)
    where = jnp.asarray(np.random.default_rng(1).random((2, 1, T, S)) > 0.2)
    positions = {"q_positions": jnp.arange(T)[None] * 2, "k_positions": jnp.arange(S)[None] * 2} if explicit else {}
    call = Call(k_valid=jnp.arange(S) < jnp.array([[S], [S - 2]]), **positions)
    params = params_of(encoding="shaw(max_distance=3)", dims=DIMS._replace(num_heads=2, kv_heads=2, head_dim=4))
    bias = normal(3, 2, 1, 1, S)

    @jit
    def both(arrays, call, where):
        options = {"encoding": "shaw(max_distance=3)", "normalizer": "sparsemax", "mask": mask, "call": call, "where": where}
        return tuple(value_and_gradients(arrays, kernel=kernel, **options) for kernel in ("dense", "chunked"))

    dense, chunked = both((query, key, value, params, bias), call, where)
    assert_close(chunked, dense)
    if explicit:
        assert small_blocks[0][1] == S


def test_features_and_moved_positions(small_blocks):
    """Hooks no shipped variant uses yet: features of keys are cut with the keys, `rest` is not, and each term of a sum has
    its own positions, some of them none."""

    def positions(params, call):
        return dataclasses.replace(call, q_positions=3 * jnp.arange(40)[None] + 1, k_positions=3 * jnp.arange(40)[None])

    def bias(params, q_features, k_features, rest, call):
        distance = (call.q_positions[..., :, None] - call.k_positions[..., None, :])[..., None, :, :]
        return jnp.einsum("...tnh,...snh->...nts", q_features, k_features["k"]) * rest[0] - 0.01 * distance**2

    mine = Encoding(
        positions=positions,
        prepare=lambda params, x, query, key, call: (query, {"k": jnp.sin(key)}, (x.mean(),)),
        bias=bias,
        modify=lambda params, scores, q_features, k_features, rest, call: (
            scores
            * jax.nn.sigmoid(
                q_features.sum(-1).swapaxes(-1, -2)[..., None] + k_features["k"].sum(-1).swapaxes(-1, -2)[..., None, :]
            )
        ),
        reads="rows",
    )
    encoding = combine(mine, attention.build("encoding", "alibi"))
    call = Call(k_valid=jnp.arange(40) < jnp.array([[40], [30]]))

    @jit
    def both(arrays, x):
        moved = encoding.positions(({}, {}), call)
        options = {"encoding": encoding, "encoding_call": moved, "call": call, "mask": "local(window=6)", "x": x}
        return tuple(value_and_gradients(arrays, kernel=kernel, **options) for kernel in ("dense", "chunked"))

    dense, chunked = both((*inputs(), params_of(), jnp.zeros((1, 1, 1, 1))), normal(7, 2, 40, 4))
    assert_close(chunked, dense)
    assert small_blocks[0][1] < 40


def test_backward_pass_recomputes():
    """What is kept for the backward pass does not grow with the number of blocks times their scores."""
    shape = jax.ShapeDtypeStruct((1, 1024, 1, 4), jnp.float32)
    loss = lambda *arrays: jnp.sum(attention.attend(*arrays, kernel="chunked") ** 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("attention.kernels.chunked"), "BLOCK_ELEMENTS", 0)
        compiled = jit(jax.grad(loss, (0, 1, 2))).lower(shape, shape, shape).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 1024 * 1024 / 4


def test_skipping_keys_does_not_change_who_is_seen(small_blocks, monkeypatch):
    """Against the same kernel with a mask that names no blocks."""
    query, key, value = inputs(T=72, S=72, N=2, H=4)
    named = attention.build("mask", "causal & local(window=12)")
    run = jit(lambda *arrays: [attention.attend(*arrays, mask=m, kernel="chunked") for m in (named, Mask(apply=named.apply))])
    skipping, whole = run(query, key, value)
    np.testing.assert_allclose(skipping, whole, atol=1e-6)
    spans = [keys for _, keys in small_blocks]
    assert max(spans[:-1]) < spans[-1] == 72


# Dropout.


def test_dropout_function():
    x = normal(0, 200, 101)
    drop = jit(attention.dropout)
    np.testing.assert_array_equal(drop(x, 0.0, jax.random.key(0)), x)
    dropped = np.asarray(drop(x, 0.3, jax.random.key(0)))
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], np.asarray(x)[kept] / (1 - round(0.3 * 65536) / 65536), rtol=1e-6)
    assert abs(kept.mean() - 0.7) < 4 * (0.21 / x.size) ** 0.5
    # Neighbours share one random word: their fates must not.
    assert abs(np.corrcoef(kept.ravel()[: x.size // 2], kept.ravel()[-(x.size // 2) :])[0, 1]) < 0.03
    assert not np.array_equal(kept, np.asarray(drop(x, 0.3, jax.random.key(1))) != 0)
    assert drop(x.astype(jnp.bfloat16), 0.3, jax.random.key(0)).dtype == jnp.bfloat16
    for rate in (-0.1, 1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="rate"):
            attention.dropout(x, rate, jax.random.key(0))


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_dropout_of_weights(kernel, small_blocks):
    query, key, value = inputs(B=1, T=64, S=24, N=2, H=4)
    query = jnp.broadcast_to(query[:, :1], query.shape)  # equal queries: only the noise tells blocks apart

    @jit
    def run(rate, seeds):
        attend = lambda rng, **options: attention.attend(query, key, value, call=Call(rng=rng), kernel=kernel, **options)
        plain = attend(None)
        outputs = jax.lax.map(lambda seed: attend(jax.random.key(seed), dropout=rate), seeds)
        return plain, outputs

    seeds = jnp.arange(300)
    plain, outputs = run(0.25, seeds)
    error = np.asarray(outputs.std(0)) / len(seeds) ** 0.5
    z = np.abs(outputs.mean(0) - plain) / error
    assert z.max() < 5.5
    assert (z < 1).mean() > 0.6
    np.testing.assert_allclose(run(0.0, seeds[:1])[1][0], plain, atol=1e-6)
    blocks = np.asarray(outputs[0, 0]).reshape(4, 16, -1)
    assert all(not np.allclose(blocks[a], blocks[b]) for a, b in itertools.combinations(range(4), 2))
    assert not np.allclose(outputs[0], outputs[1])


def test_weights_are_returned_before_dropout():
    query, key, value = inputs(T=6, S=6)
    call = Call(rng=jax.random.key(0))
    run = jit(lambda *arrays: attention.attend(*arrays, call=call, dropout=0.5, return_weights=True)[1])
    np.testing.assert_allclose(run(query, key, value).sum(-1), 1.0, atol=1e-6)


def test_kernel_choice():
    limit = kernels.AUTO_ELEMENTS
    assert kernels.choose("auto", (limit,), reads="rows") == "dense"
    assert kernels.choose("auto", (2, limit), reads="rows") == "chunked"
    assert kernels.choose("auto", (2, limit), reads="all") == "dense"
    assert kernels.choose("auto", (2, limit), reads="rows", weights=True) == "dense"
    with pytest.raises(ValueError, match=r"unknown kernel 'chunk' \(nearest: 'chunked'\); known: auto, dense, chunked"):
        kernels.choose("chunk", (1,), reads="rows")
    with pytest.raises(ValueError, match="never holds all weights"):
        kernels.choose("chunked", (1,), reads="rows", weights=True)


def test_chunked_memory():
    """At B4 N4 T2048 H64 the gradient needs at most a tenth of the memory of jax.nn's. Compiled, not run."""
    shape = jax.ShapeDtypeStruct((4, 2048, 4, 64), jnp.float32)

    def temporary(function):
        gradient = jit(jax.grad(lambda *arrays: jnp.sum(function(*arrays)), (0, 1, 2)))
        return gradient.lower(shape, shape, shape).compile().memory_analysis().temp_size_in_bytes

    theirs = temporary(jax.nn.dot_product_attention)
    assert theirs > 2 * 4 * 4 * 2048**2  # it does hold the scores
    for encoding in ("none", "t5"):
        dims = DIMS._replace(head_dim=64)
        params = {"encoding": init(attention.build("encoding", encoding), dims)}
        ours = temporary(lambda *arrays: attention.attend(*arrays, encoding=encoding, params=params))  # noqa: B023
        assert ours <= theirs / 10
