"""Evidence of the kernel that computes blocks of queries."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of, run
from attention.encodings import combine
from attention.records import Call, Encoding, Mask
from tests.support.evidence import KernelEvidence
from tests.support.helpers import DIMS, assert_close, init, inputs, jit, normal, params_of, value_and_gradients
from tests.support.kernels import LISTS, PARTS
from tests.support.row import Row

# The numbers of keys that the groups of blocks of 16 queries read, of 72, by mask.
READ = dict(zip(PARTS["mask"], ({72}, {32, 72}, {16, 32}, {40, 72}, {48, 72})))


def spans(specs):
    """What needs whole rows takes no lists."""
    whole = attention.build("encoding", specs["encoding"]).reads == "rows" and specs["mask"] in LISTS
    return {72} if whole else READ[specs["mask"]]


ROW = Row(
    "chunked",
    {},
    KernelEvidence(
        refuses={"weights": "never holds all weights", "all": "one of the parts reads them all"},
        spans=spans,
    ),
)


@pytest.mark.parametrize(
    ("T", "S", "mask"), [(1, 40, "full"), (37, 53, "local(window=8)"), (53, 5, "causal"), (16, 16, "full")]
)
@pytest.mark.parametrize("explicit", [False, True], ids=["arange", "positions"])
def test_other_lengths(T, S, mask, explicit, small_blocks):
    """Cross-attention, lengths that are no multiple of a block, and positions that forbid static skipping."""
    query, key, value = inputs(T=T, S=S, N=2, H=4)
    where = jnp.asarray(np.random.default_rng(1).random((2, 1, T, S)) > 0.2)
    positions = (jnp.arange(T)[None] * 2, jnp.arange(S)[None] * 2) if explicit else (None, None)
    call = Call(*positions, k_valid=jnp.arange(S) < jnp.array([[S], [S - 2]]))
    params = params_of(encoding="shaw(max_distance=3)", dims=DIMS._replace(num_heads=2, kv_heads=2, head_dim=4))
    bias = normal(3, 2, 1, 1, S)

    @jit
    def both(arrays, call, where):
        parts = parts_of("shaw(max_distance=3)", normalizer="sparsemax", mask=mask)

        def loss(arrays, kernel):
            *heads, params, bias = arrays
            output, _ = run(parts, *heads, params=params, where=where, bias=bias, call=call, kernel=kernel)
            return jnp.sum(output), output

        return tuple(jax.value_and_grad(loss, has_aux=True)(arrays, kernel) for kernel in ("dense", "chunked"))

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
        moved = encoding.positions({}, call)
        options = {"encoding": encoding, "encoding_call": moved, "call": call, "mask": "local(window=6)", "x": x}
        return tuple(value_and_gradients(arrays, kernel=kernel, **options) for kernel in ("dense", "chunked"))

    dense, chunked = both((*inputs(), params_of(), jnp.zeros((1, 1, 1, 1))), normal(7, 2, 40, 4))
    assert_close(chunked, dense)
    assert small_blocks[0][1] < 40


def test_skipping_keys_does_not_change_who_is_seen(small_blocks):
    """Against the same kernel with a mask that names no blocks."""
    query, key, value = inputs(T=72, S=72, N=2, H=4)
    named = attention.build("mask", "causal & local(window=12)")
    run = jit(lambda *arrays: [attention.attend(*arrays, mask=m, kernel="chunked") for m in (named, Mask(apply=named.apply))])
    skipping, whole = run(query, key, value)
    np.testing.assert_allclose(skipping, whole, atol=1e-6)
    spans = [keys for _, keys in small_blocks]
    assert max(spans[:-1]) < spans[-1] == 72


@pytest.mark.parametrize("visited", [0, 2**13], ids=["blocks", "visits"])
def test_backward_pass_recomputes(visited):
    """What is kept for the backward pass does not grow with the number of blocks times their scores."""
    shape = jax.ShapeDtypeStruct((1, 1024, 1, 4), jnp.float32)
    loss = lambda *arrays: jnp.sum(attention.attend(*arrays, kernel="chunked") ** 2)
    with pytest.MonkeyPatch.context() as patch:
        chunked = importlib.import_module("attention.kernels.chunked")
        patch.setattr(chunked, "BLOCK_ELEMENTS", 0)
        patch.setattr(chunked, "VISIT_ELEMENTS", visited)
        compiled = jit(jax.grad(loss, (0, 1, 2))).lower(shape, shape, shape).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 1024 * 1024 / 4


def test_memory():
    """At B4 N4 T2048 H64 the gradient needs at most a tenth of the memory of jax.nn's. Compiled, not run."""
    shape = jax.ShapeDtypeStruct((4, 2048, 4, 64), jnp.float32)

    def temporary(function):
        gradient = jit(jax.grad(lambda *arrays: jnp.sum(function(*arrays) ** 2), (0, 1, 2)))
        return gradient.lower(shape, shape, shape).compile().memory_analysis().temp_size_in_bytes

    theirs = temporary(jax.nn.dot_product_attention)
    assert theirs > 2 * 4 * 4 * 2048**2  # it does hold the scores
    for encoding in ("none", "t5"):
        params = {"encoding": init(attention.build("encoding", encoding), DIMS._replace(head_dim=64))}
        ours = temporary(lambda *arrays: attention.attend(*arrays, encoding=encoding, params=params))  # noqa: B023
        assert ours <= theirs / 10
