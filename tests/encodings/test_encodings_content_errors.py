"""What content-dependent encodings refuse, and with which words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.helpers import DIMS, init, jit, normal

N, H, D, L = DIMS.num_heads, DIMS.head_dim, DIMS.model_dim, DIMS.max_length


def _built(spec):
    record = attention.build("encoding", spec)
    return record, init(record)


@pytest.mark.parametrize("spec", ["music", "tupe", "tupe(untie_cls=True)"])
def test_past_the_table(spec):
    """An error where lengths are static or positions concrete, NaN in the row alone under a trace, never another row."""
    record, params = _built(spec)
    options = {"encoding": record, "params": {"encoding": params}, "mask": "causal" if spec == "music" else "full"}
    query, key, value = (normal([7, seed], 1, L + 1, N, H) for seed in range(3))
    with pytest.raises(ValueError, match=rf"has {L} positions, got a sequence of {L + 1}"):
        attention.attend(query, key, value, **options)
    q, k, v = (each[:, :3] for each in (query, key, value))
    at = jnp.array([[0, 1, L]])
    with pytest.raises(ValueError, match=rf"has {L} positions, got (distance|position) {L}"):
        attention.attend(q, k, v, call=Call(at, at), **options)
    loss = jit(lambda at: attention.attend(q, k, v, call=Call(at, at), **options))
    with jax.debug_nans(False):
        found = np.isnan(loss(at)).all((0, 2, 3))
    assert found[-1]
    assert spec != "music" or not found[:-1].any()
    assert np.isfinite(loss(jnp.array([[0, 1, L - 1]]))).all()
    with pytest.raises(ValueError, match=r"needs Dims\.max_length"):
        record.init(jax.random.key(0), DIMS._replace(max_length=None, layer=0 if spec == "music" else None))


@pytest.mark.parametrize("spec", ["music", "tupe", "deberta"])
def test_no_row_between_positions(spec):
    at, x = jnp.arange(3.0), jnp.ones((3, N, H))
    record, params = _built(spec)
    with pytest.raises(ValueError, match="has a row per whole number, got positions of type float32"):
        record.prepare(params, None, x, x, Call(at, at))


def test_fox_reads_the_input():
    record, params = _built("fox")
    x = jnp.ones((3, N, H))
    with pytest.raises(ValueError, match=r"fox reads the layer's input: give attend its x \[\*B T D\]"):
        attention.attend(x, x, x, encoding=record, params={"encoding": params}, mask="causal")


@pytest.mark.parametrize("spec", ["fox", "cope"])
def test_one_sequence(spec):
    record, params = _built(spec)
    x = jnp.ones((3, N, H))
    options = {"encoding": record, "params": {"encoding": params}, "mask": "causal", "x": jnp.ones((3, D))}
    with pytest.raises(ValueError, match="3 queries and 2 keys"):
        attention.attend(x, x[:2], x[:2], **options)


@pytest.mark.parametrize(
    ("spec", "dims", "message"),
    [
        ("transformer_xl", {"model_dim": 7}, "the model's dimension must be even, got 7"),
        ("tener", {"head_dim": 7}, "the dimension of a head must be even, got 7"),
    ],
)
def test_odd_dimensions(spec, dims, message):
    with pytest.raises(ValueError, match=message):
        attention.build("encoding", spec).init(jax.random.key(0), DIMS._replace(layer=0, **dims))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("deberta(max_distance=0, buckets=none)", "max_distance must be >= 1, got 0"),
        ("deberta(max_distance=10)", "max_distance must be a multiple of 4 and >= 8 with buckets='log', got 10"),
        ("deberta(max_distance=4)", ">= 8 with buckets='log', got 4"),
        ("deberta(buckets=linear)", "'log', 'none'.*got 'linear'"),
        ("deberta(p2c=coda)", "nearest: 'code'"),
        ("tupe(relative=alibi)", "'none', 't5'"),
        ("tupe(untie_cls=1)", "True or False, got 1"),
        ("cope(max_position=1)", "max_position must be >= 2, got 1"),
        ("cope(scaling=none)", "'paper', 'official'"),
        ("cope(direction=left)", "'causal', 'both'"),
        ("fox(direction=left)", "'causal', 'both'"),
        ("fox(bias=much)", "a number, got 'much'"),
        ("music(per_head=2)", "True or False, got 2"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("encoding", spec)


def test_bad_arguments():
    with pytest.raises(ValueError, match="buckets must be an even number >= 4, got 5"):
        attention.deberta_buckets(jnp.arange(3), buckets=5)
    with pytest.raises(ValueError, match="max_distance must be > 129 with 256 buckets, got 129"):
        attention.deberta_buckets(jnp.arange(3), max_distance=129)


@pytest.mark.parametrize("spec", ["music", "cope", "fox"])
def test_causal_alone(spec):
    x = jnp.ones((3, N, H))
    with pytest.raises(ValueError, match="defined for earlier keys only; use mask=causal"):
        attention.attend(x, x, x, encoding=spec)
