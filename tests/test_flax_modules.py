"""The modules of Linen and NNX: equal to the framework's own layer, with parts equal to those of `attention.layer`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import specs
from tests.support.flax_modules import FRAMEWORKS, KEY, D, N, T, layer, moved, of_layer, plain, states
from tests.support.helpers import open_sizes

MASK = jax.random.bernoulli(KEY, 0.7, (2, 1, T, T)).at[..., 0].set(True)
SAME = {
    "nothing": ({}, {}),
    "boolean mask": ({}, {"mask": MASK}),
    "mask of floats": ({}, {"mask": MASK.astype(jnp.float32)}),
    "mask of numbers": ({}, {"mask": 3 * MASK.astype(jnp.int32)}),
    "mask of heads": ({}, {"mask": jnp.broadcast_to(MASK, (2, N, T, T)).at[:, 1].set(True)}),
    "mask for all": ({}, {"mask": MASK[:1]}),
    "without biases": ({"use_bias": False}, {}),
    "norms": ({"normalize_qk": True}, {"mask": MASK}),
    "widths": ({"qkv_features": 8, "out_features": 6}, {}),
    "precision": ({"precision": jax.lax.Precision.HIGHEST}, {}),
    "dropout": ({"dropout_rate": 0.4, "kernel": "dense"}, {"deterministic": False, "rng": KEY}),
    "dropout of each": ({"dropout_rate": 0.4, "broadcast_dropout": False}, {"deterministic": False, "rng": KEY}),
    "no dropout": ({"dropout_rate": 0.4, "deterministic": True}, {}),
}
ONLY_NNX = {
    "causal": ({}, {"is_causal": True}),
    "groups": ({"num_kv_heads": 2}, {"mask": MASK}),
    "dropout of groups": (
        {"num_kv_heads": 2, "dropout_rate": 0.4, "broadcast_dropout": False},
        {"deterministic": False, "rng": KEY},
    ),
}
CASES = [(framework, *case) for framework in FRAMEWORKS for case in SAME.values()]
CASES += [("nnx", *case) for case in ONLY_NNX.values()]
NAMES = [f"{framework}: {name}" for framework in FRAMEWORKS for name in SAME] + list(ONLY_NNX)


def both(framework, options):
    """The framework's layer and ours, each as (parameters, apply)."""
    _, params, theirs = layer(framework, False, **{name: given for name, given in options.items() if name != "kernel"})
    _, own, ours = layer(framework, **options)
    return (params, theirs), (own, ours)


@pytest.mark.parametrize(("framework", "options", "given"), CASES, ids=NAMES)
def test_it_is_the_frameworks_layer(framework, options, given):
    """The parameters to the bit at the same key; what it gives, and the gradient, to 1e-6, at parameters of theirs."""
    (params, theirs), (own, ours) = both(framework, options)
    jax.tree.map(np.testing.assert_array_equal, own, params)
    x = states(2, T)

    def loss(apply):
        return lambda params, x: jnp.sum(jnp.sin(y := apply(params, x, **given))) + 0 * jnp.sum(y)

    np.testing.assert_allclose(ours(params, x, **given), theirs(params, x, **given), atol=1e-6)
    wanted, found = (jax.grad(loss(apply), (0, 1))(params, x) for apply in (theirs, ours))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6, rtol=1e-5), found, wanted)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_other_keys_and_values(framework):
    (params, theirs), (_, ours) = both(framework, {})
    inputs = states(2, T), states(2, 7, seed=2), states(2, 7, seed=3)
    for given in (inputs, inputs[:2]):
        np.testing.assert_allclose(ours(params, *given), theirs(params, *given), atol=1e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("lead", [(), (2, 3)], ids=["no batch", "two axes of it"])
def test_any_number_of_examples(framework, lead):
    (params, theirs), (_, ours) = both(framework, {})
    x = states(*lead, T)
    np.testing.assert_allclose(ours(params, x), theirs(params, x), atol=1e-6)
    mask = jnp.tril(jnp.ones((T, T)))
    np.testing.assert_allclose(ours(params, x, mask=mask)[..., :1, :], ours(params, x[..., :1, :]), atol=1e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("types", [("bfloat16", None), (None, "bfloat16")], ids=str)
def test_types(framework, types):
    dtypes = {name: jnp.dtype(given) for name, given in zip(("dtype", "param_dtype"), types) if given}
    (params, theirs), (own, ours) = both(framework, dtypes)
    assert jax.tree.map(jnp.result_type, own) == jax.tree.map(jnp.result_type, params)
    x = states(2, T)
    wanted, found = theirs(params, x), ours(params, x)
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found.astype(jnp.float32), wanted.astype(jnp.float32), atol=2e-2)
    _, own, apply = layer(framework, **dtypes, encoding="shaw", normalizer="softmax(temperature='learned')")
    assert {leaf.dtype for leaf in jax.tree.leaves(own)} == {dtypes.get("param_dtype", jnp.dtype("float32"))}
    assert apply(own, x).dtype == wanted.dtype


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_row_without_an_allowed_key_is_zero(framework):
    _, params, apply = layer(framework, use_bias=False)
    y = apply(params, states(2, T), mask=MASK.at[:, :, 2].set(False))
    assert jnp.all(y[:, 2] == 0)
    assert jnp.all(y[:, 3] != 0)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_dropout_in_blocks_has_the_same_mean(framework):
    options = {"dropout_rate": 0.5, "broadcast_dropout": False}
    x = states(2, T)
    means = []
    for kernel in ("dense", "chunked"):
        _, params, apply = layer(framework, kernel=kernel, **options)
        run = jax.jit(lambda rng, apply=apply, params=params: apply(params, x, deterministic=False, rng=rng))
        many = jnp.stack([run(rng) for rng in jax.random.split(KEY, 200)])
        means.append(many.mean(0))
        error = many.std(0) / 200**0.5
    assert jnp.all(jnp.abs(means[0] - means[1]) < 7 * error)


# Parts.

PARTS = [{"encoding": name} for name in ("xpos", "cope", "transformer_xl", "fire", "randomized")]
PARTS += [{"normalizer": name} for name in ("sparsemax", "ssmax", "selective", "stick_breaking", "sinkhorn", "log_length")]
PARTS += [{"score": name} for name in ("general", "location", "trilinear")]
FEW = [{"encoding": "shaw + t5", "normalizer": "entmax15"}, {"encoding": "fox", "mask": "causal"}]
FEW += [{"encoding": "rope", "mask": "causal & document"}, {"score": "additive", "normalizer": "sink"}]
FEW += [{"normalizer": "differential", "score": "cosine"}, {"encoding": "alibi", "normalizer": "qk_norm"}]


def _completed(parts):
    causal = [specs.build(kind, name).needs_causal for kind, name in parts.items() if kind in ("encoding", "normalizer")]
    return {**({"mask": "causal"} if any(causal) else {}), **parts, "max_length": 16}


@pytest.mark.parametrize(
    ("framework", "parts"),
    [*[("linen", parts) for parts in PARTS], *[(each, parts) for each in FRAMEWORKS for parts in FEW]],
    ids=str,
)
def test_parts_are_those_of_the_layer(framework, parts):
    """With padding, segments, positions that are no 0, 1, ..., and a bias: a second way through the same parts."""
    options = _completed(parts)
    _, params, apply = layer(framework, **options)
    params = moved(params)
    given = {
        "valid": jnp.arange(T) < jnp.array([[T], [3]]),
        "segments": jnp.array([[0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]),
        "positions": jnp.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]) + 2,
        "bias": jax.random.normal(KEY, (1, N, T, T)),
    }
    deterministic = {"deterministic": True}
    second = attention.layer(dim=D, mixer=f"attention(heads={N})", **options)
    own = {kind: tree for kind, tree in of_layer(params).items() if kind == "mixer" or kind in second.init(KEY)}
    mixer = {name: tree for name, tree in own["mixer"].items() if name in second.init(KEY)["mixer"]}
    wanted = second.apply({**own, "mixer": mixer}, states(2, T), **given)
    found = apply(params, states(2, T), **given, **deterministic)
    keep = given["valid"][..., None]
    np.testing.assert_allclose(jnp.where(keep, found, 0), jnp.where(keep, wanted, 0), atol=3e-6, rtol=3e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_parts_without_parameters_own_nothing(framework):
    _, params, _ = layer(framework, encoding="alibi", normalizer="entmax15", mask="causal & local(window=4)")
    assert sorted(plain(params)) == ["key", "out", "query", "value"]
    _, params, _ = layer(framework, encoding="shaw", normalizer="sink", score="cosine")
    assert sorted(plain(params)) == ["encoding", "key", "normalizer", "out", "query", "score", "value"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_memory(framework):
    """Keys that are not the queries, with what is known of them."""
    options = {"encoding": "alibi(form=symmetric)", "mask": "document"}
    _, params, apply = layer(framework, **options)
    memory = states(2, 7, seed=2)
    of_memory = {
        "valid": jnp.arange(7) < jnp.array([[7], [5]]),
        "positions": jnp.arange(7)[None],
        "segments": jnp.ones((2, 7), int),
    }
    given = {"positions": jnp.arange(T)[None] + 1, "segments": jnp.ones((2, T), int).at[0, 0].set(0)}
    given |= {f"memory_{name}": array for name, array in of_memory.items()}
    second = attention.layer(dim=D, mixer=f"attention(heads={N})", **options)
    wanted = second.apply(of_layer(params), states(2, T), memory=memory, **given)
    np.testing.assert_allclose(apply(params, states(2, T), memory, **given), wanted, atol=2e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("parts", [{}, {"encoding": "fox", "mask": "causal"}, {"encoding": "shaw"}], ids=str)
def test_what_stands_at_padding_reaches_nothing(framework, parts):
    """Neither what comes out of the others nor a gradient, in self-attention and in keys of another text."""
    _, params, apply = layer(framework, max_length=16, **parts)
    valid, other = jnp.arange(T) < jnp.array([[T], [3]]), jnp.arange(7) < jnp.array([[7], [2]])
    places = {"positions": jnp.arange(T), "memory_positions": jnp.arange(7)}

    @jax.jit
    def run(params, x, memory):
        outputs = [apply(params, x, valid=valid)]
        if "mask" not in parts:
            outputs.append(apply(params, x, memory, memory + 1, valid=valid, memory_valid=other, **places))
        return sum(jnp.sum(jnp.sin(y), where=valid[..., None]) for y in outputs)

    found, wanted = (
        jax.value_and_grad(run, (0, 1, 2))(
            params,
            jnp.where(valid[..., None], states(2, T), fill),
            jnp.where(other[..., None], states(2, 7, seed=2), fill),
        )
        for fill in (jnp.nan, 0)
    )
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(wanted))
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("parts", [{"encoding": "rope"}, {"mask": "causal"}], ids=str)
def test_keys_are_the_queries_where_they_are_one_object(framework, parts):
    _, params, apply = layer(framework, **parts)
    x, places = states(2, T), jnp.arange(T)
    y = apply(params, x)
    np.testing.assert_array_equal(apply(params, x, x), y)
    np.testing.assert_array_equal(apply(params, x, x, x, valid=jnp.ones((2, T), bool)), y)
    np.testing.assert_allclose(apply(params, x, x + 0, positions=places, memory_positions=places), y, atol=1e-6)
    for given in ({}, {"memory_positions": places}, {"positions": places}):
        with pytest.raises(ValueError, match="positions"):
            apply(params, x, x + 0, **given)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_packed_row_is_its_documents(framework):
    _, params, apply = layer(framework, encoding="rope", mask="document")
    a, b = states(1, 3), states(1, 4, seed=2)
    segments, positions = jnp.array([[0, 0, 0, 1, 1, 1, 1]]), jnp.array([[0, 1, 2, 0, 1, 2, 3]])
    packed = apply(params, jnp.concatenate([a, b], 1), segments=segments, positions=positions)
    apart = [apply(params, x, segments=jnp.zeros(x.shape[:-1], int)) for x in (a, b)]
    np.testing.assert_allclose(packed, jnp.concatenate(apart, 1), atol=1e-6)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    "parts", [{"normalizer": "gumbel"}, {"encoding": "cape(inner=rope)"}, {"encoding": "randomized"}], ids=str
)
def test_what_draws_in_training(framework, parts):
    """It draws from the stream of dropout, is off in evaluation, and has to be told which it is."""
    _, params, apply = layer(framework, max_length=16, **parts)
    x = states(2, T)
    run = lambda seed, deterministic: apply(params, x, deterministic=deterministic, rng=jax.random.key(seed))
    assert not np.allclose(run(0, False), run(1, False))
    np.testing.assert_array_equal(run(0, False), run(0, False))
    np.testing.assert_array_equal(run(0, True), run(1, True))
    with pytest.raises(ValueError, match="deterministic"):
        apply(params, x, rng=KEY)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_another_in_training_is_told(framework):
    _, params, apply = layer(framework, normalizer="adaptive_temp")
    _, plain_params, theirs = layer(framework, False)
    x = 4 * states(2, T)
    np.testing.assert_allclose(apply(params, x, deterministic=False, rng=KEY), theirs(plain_params, x), atol=2e-6)
    assert not np.allclose(apply(params, x, deterministic=True), theirs(plain_params, x))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_layers_share_may_be_given(framework):
    part = attention.layer(dim=D, mixer=f"attention(heads={N})", encoding="t5", max_length=16)
    options = {"encoding": "t5", "max_length": 16}
    _, alone, apply = layer(framework, **options)
    shared = {"encoding": plain(alone)["encoding"]}
    assert jax.tree.map(jnp.shape, shared) == jax.tree.map(jnp.shape, part.shared(KEY))
    if framework == "linen":  # which goes by the call
        without = {name: tree for name, tree in alone.items() if name != "encoding"}
        given = apply
    else:
        _, without, given = layer(framework, shared=True, **options)
        assert "encoding" not in without
        with pytest.raises(ValueError, match="shared by the layers and owned by one"):
            apply(alone, states(2, T), shared=shared)
    x = states(2, T)
    np.testing.assert_array_equal(given(without, x, shared=shared), apply(alone, x))


WRONG = [
    ({"encoding": "ropee"}, {}, "nearest: 'rope'"),
    ({"encoding": "rope", "score": "additive"}, {}, "encoding=rope with score=additive"),
    ({"encoding": "learned", "max_length": None}, {}, r"use PositionalEncoding\(encoding='learned'\)"),
    ({"encoding": "t5 + sinusoidal"}, {}, r"use PositionalEncoding\(encoding='sinusoidal'\).*and encoding='t5' here"),
    ({"attention_fn": attention.attention_fn()}, {}, "attention_fn is what this module is in place of"),
    ({"precision": ("high", "highest")}, {}, "precision wants one for both operands"),
    ({"layer": 2, "layers": 2}, {}, "number is that of one of 2 layers"),
    ({}, {"valid": jnp.ones((2, T))}, "wants booleans"),
    ({}, {"bias": jnp.ones((T, T), int)}, "bias wants floating point numbers"),
    ({}, {"bias": jnp.ones((2, 3, T, T))}, "bias of shape .* does not broadcast"),
    ({}, {"memory_valid": jnp.ones((2, T), bool)}, "memory_valid is of keys that are not the queries"),
    ({}, {"inputs_k": states(2, 7), "valid": jnp.ones((2, T), bool)}, "give memory_valid of the keys, too"),
    ({}, {"inputs_k": states(2, 7), "memory_segments": jnp.ones((2, 7), int)}, "give segments of the queries, too"),
    ({"encoding": "rope"}, {"inputs_k": states(2, 7)}, "give positions and memory_positions, or, .* leave inputs_k out"),
    ({"mask": "causal"}, {"inputs_k": states(2, T)}, "mask=causal reads positions, and of other keys"),
    ({}, {"mask": "causal"}, "mask='causal' is a spec: give it to the constructor"),
    ({}, {"mask": attention.build("mask", "document")}, "mask='document' is a spec"),
    ({}, {"valid": jnp.ones((3, T), bool)}, r"valid of shape \(3, 5\) is not of the tokens \(2, 5\)"),
]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("options", "given", "message"), WRONG, ids=[message[:40] for *_, message in WRONG])
def test_what_does_not_fit_is_refused(framework, options, given, message):
    def all_of_it():
        _, params, apply = layer(framework, **{"max_length": 16, **options})
        apply(params, states(2, T), **given)

    with pytest.raises(ValueError, match=message):
        all_of_it()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_array_is_no_spec(framework):
    with open_sizes(), pytest.raises(ValueError, match=r"mask wants a spec such as .* got 'ArrayImpl'"):
        layer(framework, mask=jnp.ones((T, T)))
