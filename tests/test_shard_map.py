"""Attention under ``shard_map``: split over examples for every part, and over heads where their numbers matter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import attention
from attention.records import Call
from tests.support import sharded
from tests.support.helpers import init, normal

T = 6


@pytest.mark.parametrize(("kind", "name"), sharded.ALL, ids=lambda each: each)
def test_examples(kind, name):
    """Forward and backward trace: what loops carry varies as what they read."""
    apply, own, arrays = sharded.case(kind, name)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    split = jax.shard_map(apply, mesh=mesh, in_specs=(P(), *[P("data")] * len(arrays)), out_specs=P("data"))
    floats = tuple(i for i, array in enumerate(arrays, 1) if array.dtype == jnp.float32)
    jax.eval_shape(jax.grad(lambda *given: jnp.sum(split(*given) ** 2), (0, *floats)), own, *arrays)


@pytest.mark.parametrize("encoding", ["alibi", "alibi(form=split_heads)", "alibi(form=asymmetric)", "sandwich", "alibi + rope"])
@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_numbers_of_heads(encoding, kernel):
    """Some heads alone give what they give among all, where they are told which they are."""
    query, key = normal(0, 2, T, 6, 8), normal(1, 2, T, 6, 8)
    attend = functools.partial(attention.attend, encoding=encoding, kernel=kernel)
    whole = attend(query, key, key)
    for numbers in ([0, 1], [4, 2, 5]):
        at = jnp.array(numbers)
        found = attend(*[x[:, :, at] for x in (query, key, key)], call=Call(heads=at, num_heads=6))
        np.testing.assert_allclose(found, whole[:, :, at], atol=1e-6)


@pytest.mark.parametrize(
    "parts", [{"normalizer": "selective", "mask": "causal"}, {"encoding": "dape"}, {"normalizer": "qk_norm(form=rms_full)"}]
)
def test_what_reads_all_heads(parts):
    kinds = {kind: init(attention.build(kind, spec)) for kind, spec in parts.items() if kind != "mask" and spec != "selective"}
    x = normal(0, 1, T, 4, 8)
    y = x[:, :, :2] if "qk_norm" in str(parts) else x
    with pytest.raises(ValueError, match="reads all heads of a layer"):
        attention.attend(x, y, y, params=kinds, call=Call(heads=jnp.arange(4), num_heads=8), **parts)


def test_numbers_want_a_total():
    x = normal(0, 1, T, 2, 8)
    with pytest.raises(ValueError, match=r"call\.heads wants the number of each of 2 heads, and call\.num_heads of all"):
        attention.attend(x, x, x, encoding="alibi", call=Call(heads=jnp.arange(2)))
