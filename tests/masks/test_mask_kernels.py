"""What kernels skip under masks, and that nothing else comes of it."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import completed, parts_of, run
from attention.kernels import Problem
from attention.positions import last_key
from attention.records import Call, Mask
from tests.support.helpers import inputs, jit, normal, params_of
from tests.support.mask_kernels import LENGTHS, T, dense_and_chunked
from tests.support.rows import rows

READERS = ["ssmax", "stick_breaking", "sparsemax", "topk(k=3)", "log_length(train_length=20)", "budget", "differential"]


@pytest.mark.parametrize("normalizer", READERS)
@pytest.mark.parametrize("mask", ["causal & longformer(window=4, globals=2)", "causal & bigbird(block=8, random_blocks=0)"])
def test_rows_of_normalizers(normalizer, mask, small_blocks):
    """Rows made of lists of keys have the same keys, in the same order, and as many."""
    arrays = (*inputs(T=T, S=T, B=2), params_of(normalizer=normalizer))
    dense_and_chunked(arrays, normalizer=normalizer, mask=mask, call=Call(k_valid=jnp.arange(T) < LENGTHS))
    assert min(keys for _, keys in small_blocks) < T


MORE = ["alibi(form=split_heads)", "fox(direction=both)", "cope(max_position=8, direction=both)"]
BLOCKWISE = [row.spec for row in rows("encoding").values() if attention.build("encoding", row.spec).on_scores]


@pytest.mark.parametrize("encoding", [*BLOCKWISE, *MORE])
def test_encodings_of_lists(encoding, small_blocks):
    """Distances, features and positions of keys that do not follow each other; those that lie between are not left out."""
    n = 45  # tables have 48 rows
    record = attention.build("encoding", encoding)
    mask = "causal & longformer(window=2)" if record.needs_causal else "longformer(window=2)"
    arrays = (*inputs(T=n, S=n), params_of(encoding=encoding))
    call = Call(k_valid=jnp.arange(n) < jnp.array([[n], [31]]))
    dense = dense_and_chunked(arrays, encoding=encoding, mask=mask, call=call, x=normal(9, 2, n, 32))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(dense))
    assert record.reads == "rows" or min(keys for _, keys in small_blocks) < n


AXES = [((), ()), ((3,), ()), ((3,), (1,)), ((3,), (3,))]
AXES += [((2, 3), valid) for valid in ((), (1,), (3,), (1, 3), (2, 1))]


@pytest.mark.parametrize(("batch", "valid"), AXES, ids=str)
def test_axes_of_the_batch(batch, valid, small_blocks):
    """Lists that differ by text, whatever axes the texts have and padding shares."""
    lengths = jnp.asarray(np.random.default_rng(0).integers(20, T + 1, (*valid, 1)))
    query, key, value = (normal(i, *batch, T, 2, 4) for i in range(3))
    call = Call(k_valid=jnp.arange(T) < lengths, q_segments=jnp.arange(T) // 50, k_segments=jnp.arange(T) // 50)
    dense_and_chunked((query, key, value, {}), mask="bigbird(block=8, random_blocks=0) & document", call=call)
    assert {keys for _, keys in small_blocks} == {48, T}


def test_members_of_a_cohort(small_blocks):
    """Under vmap, as members are trained."""
    query, key, value = (normal(i, 3, 2, T, 2, 4) for i in range(3))
    valid = jnp.arange(T) < jnp.arange(30, 90, 10).reshape(3, 2, 1)
    attend = lambda q, k, v, valid: attention.attend(
        q, k, v, mask="bigbird(block=8, random_blocks=0)", kernel="chunked", call=Call(k_valid=valid)
    )
    run = jit(lambda *arrays: (jax.vmap(attend)(*arrays), jnp.stack([attend(*(x[i] for x in arrays)) for i in range(3)])))
    members, alone = run(query, key, value, valid)
    np.testing.assert_allclose(members, alone, atol=1e-6)


@pytest.mark.parametrize("mask", ["longformer(window=4)", "bigbird(block=8, random_blocks=0)"])
def test_streamed_lists(mask, small_blocks, monkeypatch):
    """Where even few rows are too many, lists are read in blocks of keys too."""
    monkeypatch.setattr(importlib.import_module("attention.kernels.chunked"), "STREAM_ELEMENTS", 0)
    arrays = (*inputs(T=T, S=T), params_of(encoding="alibi"))
    dense_and_chunked(arrays, encoding="alibi", mask=mask, call=Call(k_valid=jnp.arange(T) < LENGTHS))
    assert small_blocks == []


def test_cross_attention(small_blocks):
    for mask in ("longformer(window=4)", "bigbird(block=8, random_blocks=0)"):
        query, key, value = inputs(T=37, S=T)
        call = Call(k_valid=jnp.arange(T) < LENGTHS)
        run_both = jit(
            lambda *arrays, mask=mask, call=call: [
                run(parts_of(mask=mask), *arrays, params={}, call=call, kernel=kernel)[0] for kernel in ("dense", "chunked")
            ]
        )
        np.testing.assert_allclose(*run_both(query, key, value), atol=1e-6)
    assert min(keys for _, keys in small_blocks) < T


def test_positions_forbid_skipping(small_blocks):
    """Of texts padded on the left: what is at a place in the array is at another one in the text."""
    ends = jnp.array([[0], [29]])
    positions = jnp.maximum(jnp.arange(T) - ends, 0)
    call = Call(positions, positions, k_valid=jnp.arange(T) >= ends)
    for mask in ("longformer(window=4)", "bigbird(block=8)"):
        dense_and_chunked((*inputs(T=T, S=T), {}), mask=mask, call=call)
    assert {keys for _, keys in small_blocks} == {T}


# Plans.


def _planned(mask, length, valid=None, encoding="none", **others):
    parts = parts_of(encoding, mask=mask, **others)
    call = completed(Call(k_valid=valid), length, length)
    call = dataclasses.replace(call, k_last=last_key(call, length))
    x = jax.ShapeDtypeStruct((1, length, 2, 16), jnp.float32)
    problem = Problem(x, x, x, (), (), (), None, None, call, call, {}, None, parts, ordered=True)
    return attention.build("kernel", "chunked").plan(problem).plan


LINEAR = [
    "local(window=64)", "dilated(window=64, dilation=2)", "block_local(size=64, neighbours=1)", "longformer(window=64)",
    "bigbird(block=32, random_blocks=1)", "causal & longformer(window=64)",
]  # fmt: skip


@pytest.mark.parametrize("mask", LINEAR)
def test_scores_grow_with_the_length(mask):
    """And not with its square: four times the length, a little more than four times the scores."""
    short, long = (_planned(mask, length).scores for length in (2048, 8192))
    assert long < 4.4 * short
    assert long < 8192**2 / 12


@pytest.mark.parametrize("mask", ["strided(stride=64, form=fixed)", "dilated(window=64, dilation=64)"])
def test_small_blocks_of_keys_find_holes(mask):
    assert _planned(mask, 4096, normalizer="sparsemax").scores < 0.25 * 4096**2  # which no kernel visits


@pytest.mark.parametrize("mask", [*LINEAR, "causal", "prefix_lm", "strided"])
def test_every_block_is_in_one_group(mask):
    plan = _planned(mask, 1000, jnp.arange(1000) < 700, normalizer="sparsemax")  # which no kernel visits
    numbers = np.concatenate([np.asarray(group.queries) for group in plan.groups], axis=-1)
    np.testing.assert_array_equal(np.sort(numbers.ravel()), np.arange(-(-1000 // plan.rows)))


def test_what_sums_over_keys_between_reads_runs():
    lists, runs = (_planned("causal & longformer(window=64)", 4096, encoding=encoding) for encoding in ("none", "cope"))
    assert any(np.ndim(group.keys) > 1 for group in lists.groups)
    assert all(np.ndim(group.keys) < 2 for group in runs.groups)


def test_a_mask_without_a_pair():
    """A mask whose blocks leave no key."""
    nothing = Mask(
        apply=lambda call, lengths: jnp.zeros((1, *lengths), bool),
        blocks=lambda T, S, bq, bk, last: np.zeros((-(-T // bq), -(-S // bk)), bool),
    )
    assert not attention.attend(*inputs(), mask=nothing, kernel="chunked").any()
