"""RoPE for texts longer than those of training: its scalings and their frequencies."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support import rotations
from tests.support.encodings import layer
from tests.support.helpers import DIMS, inputs, jit, normal

SCALED = [
    {"scaling": "none"},
    {"scaling": "pi", "factor": 4.0},
    {"scaling": "ntk", "factor": 4.0},
    {"scaling": "dynamic_ntk", "factor": 2.0, "train_length": 64},
    {"scaling": "dynamic_ntk", "factor": 2.0, "train_length": 64, "length": 20},
    {"scaling": "dynamic_ntk", "factor": 2.0, "train_length": 64, "length": 300},
    {"scaling": "yarn", "factor": 8.0, "train_length": 512},
    {"scaling": "yarn", "factor": 8.0, "train_length": 512, "truncate": False},
    {"scaling": "yarn", "factor": 8.0, "train_length": 512, "beta_fast": 9.0, "beta_slow": 3.0},
    {"scaling": "llama3", "factor": 8.0, "train_length": 512},
    {"scaling": "llama3", "factor": 8.0, "train_length": 512, "low": 0.5, "high": 20.0},
]


@pytest.mark.parametrize("options", SCALED, ids=str)
@pytest.mark.parametrize(("dim", "base"), [(4, 10000.0), (8, 50.0), (64, 500000.0)])
def test_frequencies(options, dim, base):
    found, _ = attention.rope_frequencies(dim, base=base, **options)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, rotations.frequencies(dim, base, **options), rtol=1e-13)


def test_gain():
    """yarn and longrope sharpen the scores, by the square of what queries and keys are multiplied by."""
    gain = lambda **options: attention.rope_frequencies(4, **options)[1]
    assert all(gain(**options) == 1.0 for options in SCALED if options["scaling"] != "yarn")
    np.testing.assert_allclose(gain(scaling="yarn", factor=8.0, train_length=512), 0.1 * math.log(8) + 1)
    longrope = {"scaling": "longrope", "train_length": 512, "factors": (1.5, 40.0)}
    np.testing.assert_allclose(gain(factor=8.0, **longrope), math.sqrt(1 + math.log(8) / math.log(512)))
    np.testing.assert_array_equal(attention.rope_frequencies(4, **longrope)[0], [1 / 1.5, 0.01 / 40])
    assert gain(factor=8.0, attention_factor=1.25, **longrope) == 1.25
    assert gain(scaling="yarn", factor=8.0, train_length=512, attention_factor=2.0) == 2.0
    x = normal(0, 3, 1, 6)
    twice = attention.rope(x, jnp.arange(3), fraction=2 / 3, gain=2.0)
    np.testing.assert_allclose(twice[..., :4], 2 * attention.rope(x[..., :4], jnp.arange(3)), rtol=1e-6)
    np.testing.assert_array_equal(twice[..., 4:], x[..., 4:])  # channels that are not turned are not multiplied either


def test_interpolation_golden():
    """keras-hub, rotary_embedding_test.py."""
    frequencies, _ = attention.rope_frequencies(4, scaling="pi", factor=2.0)
    found = attention.rope(jnp.ones((1, 1, 4)), jnp.array([1]), frequencies=frequencies, layout="half")
    np.testing.assert_allclose(found[0, 0], [0.398157001, 0.994987488, 1.357008100, 1.004987478], atol=1e-6)


def test_llama3_golden():
    """By hand for d = 4, L = 512, s = 8: the second wave of 628 positions is longer than the text, the first turns often."""
    found, _ = attention.rope_frequencies(4, scaling="llama3", factor=8.0, train_length=512)
    np.testing.assert_allclose(found, [1.0, 0.01 / 8])
    found, _ = attention.rope_frequencies(4, scaling="llama3", factor=8.0, train_length=1257)  # 2.0006 turns
    smooth = (1257 * 0.01 / (2 * math.pi) - 1) / 3
    np.testing.assert_allclose(found, [1.0, 0.01 * ((1 - smooth) / 8 + smooth)])


@pytest.mark.parametrize("scaling", ["pi", "ntk", "dynamic_ntk", "yarn", "llama3", "longrope"])
def test_scale_of_one_is_rope(scaling):
    more = ", factors=(1, 1, 1, 1)" if scaling == "longrope" else ""
    (_, plain), (_, scaled) = layer("rope"), layer(f"rope(scaling={scaling}{more})")
    x = normal(0, 2, 9, DIMS.model_dim)
    np.testing.assert_allclose(scaled({}, x, Call()), plain({}, x, Call()), atol=1e-6)


def test_yarn_of_short_training():
    """Where the ramp ends before it starts, what turns less than once within the text is divided all the same."""
    found, _ = attention.rope_frequencies(8, scaling="yarn", factor=4.0, train_length=4)
    np.testing.assert_allclose(found, 10.0 ** -np.arange(4) / [1, 4, 4, 4])
    found, _ = attention.rope_frequencies(8, base=2.0, scaling="yarn", factor=4.0, train_length=2**20)
    np.testing.assert_allclose(found, 2.0 ** (-np.arange(4) / 4))


def test_options_of_scalings_reach_the_model():
    """Each by itself, against the rotation by the frequencies it asks for; L is by default the longest text of training."""
    query, key, _ = inputs(T=5, S=5)
    where = jnp.array([[0, 3, 40, 1, 100]])
    for text, options in [
        ("scaling=pi, factor=3", {"scaling": "pi", "factor": 3.0}),
        ("scaling=ntk, factor=3, base=50", {"scaling": "ntk", "factor": 3.0, "base": 50.0}),
        ("scaling=yarn, factor=3", {"scaling": "yarn", "factor": 3.0, "train_length": 48}),
        ("scaling=yarn, factor=3, train_length=20", {"scaling": "yarn", "factor": 3.0, "train_length": 20}),
        (
            "scaling=yarn, factor=3, truncate=False, beta_fast=4, beta_slow=0.5, attention_factor=3",
            {"scaling": "yarn", "factor": 3.0, "train_length": 48, "truncate": False, "beta_fast": 4.0, "beta_slow": 0.5}
            | {"attention_factor": 3.0},
        ),
        (
            "scaling=llama3, factor=3, low=0.5, high=9",
            {"scaling": "llama3", "factor": 3.0, "train_length": 48, "low": 0.5, "high": 9.0},
        ),
        (
            "scaling=longrope, factor=3, factors=(1, 2, 5, 9), layout=half",
            {"scaling": "longrope", "factor": 3.0, "train_length": 48, "factors": (1.0, 2.0, 5.0, 9.0)},
        ),
    ]:
        record = attention.build("encoding", f"rope({text})")
        found = jit(record.rotate)({}, query, key, Call(where, where, max_length=48))
        frequencies, gain = attention.rope_frequencies(8, **options)
        layout = "half" if "half" in text else "interleaved"
        for x, turned in zip((query, key), found):
            for t, position in enumerate(where[0].tolist()):
                wanted = rotations.turned(x[0, t, 0], position, frequencies, layout, gain)
                np.testing.assert_allclose(turned[0, t, 0], wanted, atol=1e-5)
        assert record.claims.extrapolates


def test_dynamic_ntk_counts_valid_keys():
    """Each example has the frequencies of its own length, exact at position a million; padding and batch change nothing."""
    L, T = 8, 30
    record = attention.build("encoding", "rope(scaling=dynamic_ntk, factor=2)")
    valid = jnp.asarray([[True] * 30, [False] * 7 + [True] * 20 + [False] * 3, [True] * 5 + [False] * 25])
    first = np.array([[0], [1_000_000 - 7], [3]])
    where = jnp.asarray(first + np.arange(T))
    query, key = normal(0, 3, T, 1, 8), normal(1, 3, T, 1, 8)
    turned = jit(record.rotate)({}, query, key, Call(where, where, valid, valid, max_length=L))
    for b, length in enumerate((30, 20, 5)):
        theta = rotations.frequencies(8, scaling="dynamic_ntk", factor=2.0, train_length=L, length=length)
        for x, found in zip((query, key), turned):
            wanted = [rotations.turned(x[b, t, 0], int(where[b, t]), theta) for t in range(T)]
            np.testing.assert_allclose(found[b, :, 0], wanted, atol=5e-6)
    rotate, part = jit(record.rotate), where[1:2, 7:27]
    alone = rotate({}, query[1:2, 7:27], key[1:2, 7:27], Call(part, part, max_length=L))
    np.testing.assert_allclose(turned[0][1:2, 7:27], alone[0], atol=1e-6)
    short = jit(attention.build("encoding", "rope").rotate)({}, query, key, Call(where, where))
    np.testing.assert_array_equal(turned[0][2], short[0][2])  # within L it is RoPE
    one_mask = rotate({}, query[0], key[0], Call(k_valid=valid[1], max_length=L))
    many = rotate({}, query[:1], key[:1], Call(k_valid=valid[1:2], max_length=L))
    np.testing.assert_allclose(one_mask[0], many[0][0], atol=1e-6)


def test_what_scalings_need():
    query, key, _ = inputs(T=3, S=3)
    for options, message in [
        ("scaling=yarn, factor=2", "yarn needs the training length: give train_length, or max_length in Call"),
        ("scaling=dynamic_ntk", "dynamic_ntk needs the training length"),
        ("scaling=longrope, factors=(1, 2), train_length=9", "longrope wants a factor for each of 4 pairs, got 2"),
        ("scaling=ntk, fraction=0.25", "ntk wants at least 4 rotated channels, got 2"),
        ("scaling=yarn, base=1, train_length=9", "yarn wants a base > 1, got 1.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            attention.build("encoding", f"rope({options})").rotate({}, query, key, Call())
    with pytest.raises(ValueError, match="length is for scaling=dynamic_ntk, got scaling=pi"):
        attention.rope_frequencies(4, scaling="pi", length=9)
    with pytest.raises(ValueError, match=r"take the place of base and want shape \(4,\), got \(3,\)"):
        attention.rope(query, jnp.arange(3), frequencies=np.ones(3))
    with pytest.raises(ValueError, match="take the place of base"):
        attention.rope(query, jnp.arange(3), frequencies=np.ones(4), base=50.0)
