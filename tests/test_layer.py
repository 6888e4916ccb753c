"""A layer with parameters: what it is made of, what its caller gives it, and the cache."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import specs
from attention.layer import layer, stack
from attention.models.classifier import classifier
from attention.records import Call, Context, Dims, merged

KEY = jax.random.key(0)
D, N, T = 16, 4, 6


def made(**options):
    return layer(**{"dim": D, "mixer": f"attention(heads={N})", "max_length": 16, "vocab_size": 10, **options})


def states(*lead, seed=1):
    return jax.random.normal(jax.random.key(seed), (*lead, T, D))


def moved(params):
    """Away from a start at which a part may do nothing."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(KEY, len(leaves))
    return tree.unflatten([leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys)])


def by_hand(params, x, memory=None, where=None, bias=None):
    """Multi-head attention in NumPy float64, from its formula."""
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["mixer"])
    x, source = np.asarray(x, np.float64), np.asarray(x if memory is None else memory, np.float64)
    project = lambda name, x: np.einsum("btd,dnh->btnh", x, own[name]["kernel"]) + own[name]["bias"]
    query, key, value = project("query", x), project("key", source), project("value", source)
    scores = np.einsum("btnh,bsnh->bnts", query, key) / np.sqrt(query.shape[-1])
    scores = scores + (0 if bias is None else np.asarray(bias, np.float64))
    allowed = np.broadcast_to(True if where is None else where, scores.shape)
    shares = np.where(allowed, np.exp(scores - scores.max(-1, keepdims=True)), 0)
    weights = shares / np.maximum(shares.sum(-1, keepdims=True), 1e-300)
    output = np.einsum("bnts,bsnh->btnh", weights, value)
    return np.einsum("btnh,nhd->btd", output, own["output"]["kernel"]) + own["output"]["bias"], weights


@pytest.mark.parametrize("given", ["nothing", "memory", "where", "bias"])
def test_it_is_the_formula(given):
    part, x = made(), states(2)
    params = part.init(KEY)
    options = {
        "nothing": {},
        "memory": {"memory": states(2, seed=2)[:, :5]},
        "where": {"where": jax.random.bernoulli(KEY, 0.7, (2, 1, T, T)).at[:, :, 3].set(False)},
        "bias": {"bias": jax.random.normal(KEY, (1, N, T, T))},
    }[given]
    y, found = part.apply(params, x, weights=True, **options)
    wanted, weights = by_hand(params, x, **options)
    np.testing.assert_allclose(y, wanted, atol=2e-6)
    np.testing.assert_allclose(found["weights"], weights, atol=1e-6)
    np.testing.assert_array_equal(y, part.apply(params, x, **options))


@pytest.mark.parametrize("mixer", attention.names("mixer"))
def test_every_mixer_is_what_its_record_says(mixer):
    part = made(mixer=mixer)
    x, valid = states(2), jnp.arange(T) < jnp.array([[T], [4]])
    params = part.init(KEY)
    call = Call(q_valid=valid, k_valid=valid, max_length=16)
    context = Context(part.parts, {kind: params[kind] for kind in params if kind != "mixer"})
    wanted = part.mixer.apply(params.get("mixer", {}), x, context, call)
    np.testing.assert_array_equal(jnp.where(valid[..., None], part.apply(params, x, valid=valid) - wanted, 0), 0)


@pytest.mark.parametrize(
    "encoding", ["rope", "t5", "shaw(max_distance=4)", "learned", "sinusoidal + alibi", "cape(inner=sinusoidal())"]
)
def test_an_encoding_acts_as_in_a_model(encoding):
    """In `encoder=bare`, which is a layer on embeddings and nothing else, with its parameters by the names of the model."""
    model = classifier(
        encoder="bare", mixer=f"attention(heads={N})", encoding=encoding, dim=D, vocab_size=10, num_classes=2, max_length=16
    )
    tokens = jax.random.randint(KEY, (2, T), 1, 10)
    variables = model.init(KEY, tokens, tokens > 0)
    _, found = model.apply(variables, tokens, tokens > 0, capture=True)
    own = variables["params"]["encoder"]
    params = {"mixer": own["mixer"]}
    whole = merged(own.get("encoding", {}), own.get("encoding_0", {}))
    params |= {"encoding": whole} if whole else {}
    part = made(encoding=encoding)
    assert jax.tree.map(jnp.shape, part.init(KEY)) == jax.tree.map(jnp.shape, params)
    x = part.embed(params, found["embeddings"], tokens=tokens)
    np.testing.assert_array_equal(part.apply(params, x), found["states"])


CACHED = ["mixer=attention", "mixer=attention(heads=4, kv_heads=2)", "mixer=attention(memory=2)", "mixer=linear", "mixer=aft"]
CACHED += ["mixer=latent_attention(head_dim=4, rope_dim=2), encoding=rope", "encoding=cpe(causal=True)"]
CACHED += ["encoding=shaw + fox", "mask=causal & local(window=4)", "mask=causal & document"]
ENCODINGS = {name: specs.build("encoding", name) for name in attention.names("encoding")}
NORMALIZERS = {name: specs.build("normalizer", name) for name in attention.names("normalizer")}
CACHED += [f"encoding={name}" for name, record in ENCODINGS.items() if not record.redraws and name != "cpe"]
CACHED += [f"normalizer={name}" for name, record in NORMALIZERS.items() if record.reads != "all" or record.needs_causal]


@pytest.mark.parametrize("given", CACHED)
def test_pieces_give_what_the_whole_gives(given):
    """A prefill, then one token at a time, under jit."""
    options = {"mask": "causal", **{one.split("=", 1)[0]: one.split("=", 1)[1] for one in _split(given)}}
    part = made(**options)
    params, x = moved(part.init(KEY)), states(2)
    side = {"segments": jnp.array([[0, 0, 0, 0, 1, 1]] * 2), "valid": jnp.ones((2, T), bool).at[1, 1].set(False)}
    x = part.embed(params, x, tokens=jnp.ones((2, T), jnp.int32))
    step = jax.jit(lambda params, x, cache, side: part.apply(params, x, cache=cache, **side))
    cache, found = part.cache(2, 8), []
    for start, end in ((0, 3), (3, 4), (4, 5), (5, 6)):
        y, more = step(params, x[:, start:end], cache, {name: array[:, start:end] for name, array in side.items()})
        cache = more["cache"]
        found.append(y)
    assert int(cache["length"]) == T
    whole = part.apply(params, x, **side)
    keep = side["valid"][..., None]
    np.testing.assert_allclose(jnp.where(keep, jnp.concatenate(found, 1), 0), jnp.where(keep, whole, 0), atol=3e-6, rtol=3e-5)


@pytest.mark.parametrize("encoding", ["rope", "fox"])
def test_masks_biases_and_weights_of_pieces_are_rows_of_those_of_the_whole(encoding):
    """Of keys that are remembered, and of inputs."""
    part = made(encoding=encoding, mask="causal")
    params, x, L = moved(part.init(KEY)), states(2), 8
    where, bias = jax.random.bernoulli(KEY, 0.7, (2, 1, L, L)), jax.random.normal(KEY, (2, N, L, L))
    whole, found = part.apply(params, x, where=where[:, :, :T, :T], bias=bias[:, :, :T, :T], weights=True)
    cache = part.cache(2, L)
    for start, end in ((0, 4), (4, 6)):
        rows = {"where": where[:, :, start:end], "bias": bias[:, :, start:end]}
        y, more = part.apply(params, x[:, start:end], cache=cache, weights=True, **rows)
        cache = more["cache"]
        np.testing.assert_allclose(y, whole[:, start:end], atol=3e-6)
        np.testing.assert_allclose(more["weights"][..., :T], found["weights"][:, :, start:end], atol=1e-6)
        np.testing.assert_array_equal(more["weights"][..., T:], 0)


NO_CACHE = [
    ({"memory": states(2)}, "a memory is all there"),
    ({"cache": {}}, "cache wants what layer.cache"),
    ({"cache": made(mask="causal").cache(3, 8)}, r"of a batch of shape \(3,\), and x of \(2,\)"),
    ({"cache": made(mask="causal", mixer="attention(heads=2)").cache(2, 8)}, "the cache is of another layer"),
    ({"cache": made(mask="causal").cache(2, 5)}, r"room for 5 tokens, and 0 \+ 6 are to be read"),
    ({"where": np.ones((2, 1, T, T), bool)}, "does not broadcast"),
]


@pytest.mark.parametrize(("given", "message"), NO_CACHE, ids=[message[:30] for _, message in NO_CACHE])
def test_what_does_not_go_with_a_cache_is_refused(given, message):
    part = made(mask="causal")
    with pytest.raises(ValueError, match=message):
        part.apply(part.init(KEY), states(2), **{"cache": part.cache(2, 8), **given})


def _split(given):
    """`a=f(x, y), b=g` at the commas between kinds."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(given):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and not depth:
            parts.append(given[start:place])
            start = place + 1
    return [part.strip() for part in [*parts, given[start:]]]


def test_a_cache_that_is_full_is_refused_or_gives_nan():
    part = made(mask="causal")
    params, cache = part.init(KEY), part.cache(2, 4)
    with pytest.raises(ValueError, match=r"the cache has room for 4 tokens, and 0 \+ 6 are to be read"):
        part.apply(params, states(2), cache=cache)
    _, found = part.apply(params, states(2)[:, :3], cache=cache)
    y, _ = jax.jit(lambda cache: part.apply(params, states(2)[:, :3], cache=cache))(found["cache"])
    assert jnp.isnan(y).all()


def test_positions_of_a_cache_may_be_the_callers():
    part = made(mask="causal", encoding="rope")
    params, x, positions = part.init(KEY), states(2), jnp.array([[5, 6, 7, 9, 10, 12]] * 2)
    whole = part.apply(params, x, positions=positions)
    y, found = part.apply(params, x[:, :4], positions=positions[:, :4], cache=part.cache(2, T))
    z, _ = part.apply(params, x[:, 4:], positions=positions[:, 4:], cache=found["cache"])
    np.testing.assert_allclose(jnp.concatenate([y, z], 1), whole, atol=2e-6)


def test_a_stack_shares_one_table():
    layers = stack(layers=2, dim=D, mixer=f"attention(heads={N})", encoding="t5", normalizer="adaptive_temp", max_length=16)
    params = layers.init(KEY)
    assert [sorted(own) for own in params["layers"]] == [sorted(layers.layers[0].own(KEY))] * 2
    assert sorted(params["shared"]) == ["encoding"]
    x = layers.embed(params, states(2))
    alone = merged(params["shared"], params["layers"][1])
    np.testing.assert_array_equal(layers.apply(params, x, 1), layers.layers[1].apply(alone, x))


def test_dropout_acts_in_training_alone():
    part = made()
    params, x = part.init(KEY), states(2)
    plain = part.apply(params, x)
    np.testing.assert_array_equal(part.apply(params, x, dropout=0.5, rng=KEY), plain)
    assert not np.allclose(part.apply(params, x, dropout=0.5, rng=KEY, train=True), plain)
    traced = jax.jit(lambda rate: part.apply(params, x, dropout=rate, rng=KEY, train=True))
    np.testing.assert_allclose(traced(0.0), plain, atol=1e-6)
    with pytest.raises(ValueError, match="dropout in training wants rng"):
        part.apply(params, x, dropout=0.5, train=True)


WRONG = [
    ({"dim": 10}, "dim 10 is not a multiple of its 4 heads"),
    ({"encoding": "ropee"}, "nearest: 'rope'"),
    ({"encoding": "rope", "score": "additive"}, "encoding=rope with score=additive"),
    ({"mixer": "linear", "normalizer": "sparsemax"}, "mixer=linear with normalizer=sparsemax"),
    ({"mixer": 3}, "mixer wants a spec"),
    ({"encoding": "learned", "max_length": None}, "encoding=learned has a table of positions: give max_length"),
    ({"number": 2, "layers": 2}, "number is that of one of 2 layers, from 0, got 2"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_what_cannot_be_made_is_refused(options, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        made(**options)


REFUSED = [
    ({}, {"x": np.ones((2, T, D), int)}, "x wants floating point numbers"),
    ({}, {"x": jnp.ones((2, T, D + 1))}, r"x wants \[\*B T D\] with D = 16, got \(2, 6, 17\)"),
    ({}, {"valid": jnp.ones((2, T))}, "valid wants booleans"),
    ({}, {"valid": jnp.ones((2, T + 1), bool)}, "valid of shape .* is not of the tokens"),
    ({}, {"memory_valid": jnp.ones((2, T), bool)}, "memory_valid is of a memory, and none is given"),
    ({}, {"memory": jnp.ones((3, T, D))}, "want one batch"),
    ({}, {"where": jnp.ones((2, 1, T, T))}, "where must be boolean"),
    ({}, {"where": jnp.ones((2, 1, 2, T), bool)}, "does not broadcast to scores"),
    ({}, {"where": jnp.ones((T, T), bool)}, r"give where.reshape\(\(1, 1, 6, 6\)\)"),
    ({"encoding": "alibi"}, {"memory": jnp.ones((2, T, D))}, "reads positions"),
    ({"mask": "causal"}, {"memory": jnp.ones((2, T, D))}, "reads positions"),
    ({}, {"params": {}}, "lacks"),
    ({}, {"params": {"mixer": {}, "encodng": {}}}, "nearest: 'encoding'"),
    ({"mixer": "linear"}, {"bias": jnp.ones((2, N, T, T))}, "bias is of scores, and mixer=linear has none"),
    ({"mixer": "linear"}, {"weights": True}, "weights is of scores, and mixer=linear has none"),
    ({"encoding": "alibi"}, {"memory": jnp.ones((2, 3, D))}, "reads positions"),
]


@pytest.mark.parametrize(("options", "given", "message"), REFUSED, ids=[message[:40] for *_, message in REFUSED])
def test_what_does_not_fit_is_refused(options, given, message):
    part = made(**options)
    given = {"params": part.init(KEY), "x": states(2), **given}
    with pytest.raises(ValueError, match=message):
        part.apply(given.pop("params"), given.pop("x"), **given)


def test_a_cache_wants_a_causal_mask_and_positions_that_stay():
    with pytest.raises(ValueError, match="mask=full lets a token see later ones"):
        made().cache(2, 8)
    with pytest.raises(ValueError, match="makes positions of how many tokens there are"):
        made(mask="causal", encoding="randomized").cache(2, 8)


def test_equal_arguments_make_equal_layers():
    assert made(encoding="rope") == made(encoding="rope")
    assert hash(made(encoding="rope")) == hash(made(encoding="rope"))
    assert made(encoding="rope") != made(encoding="alibi")


@pytest.mark.parametrize("kind", ["encoding", "normalizer", "score", "mixer"])
def test_parameters_without_leaves_are_not_there(kind):
    for name in attention.names(kind):
        try:
            part = made(**{kind: name, "mask": "causal"})
        except ValueError:
            part = made(**{kind: name}) if kind != "encoding" else made(**{kind: "none"})
        params = jax.eval_shape(part.init, KEY)
        assert all(jax.tree.leaves(tree) for tree in params.values()), name
        assert ("mixer" in params) == (part.mixer.init is not None), name


def test_it_is_traced_and_mapped():
    part = made(encoding="rope", normalizer="sparsemax")
    params, x = part.init(KEY), states(3)
    whole = jax.jit(part.apply)(params, x)
    np.testing.assert_allclose(jax.vmap(functools.partial(part.apply, params))(x), whole, atol=1e-6)
    loss = lambda params, x: jnp.sum(part.apply(params, x) ** 2)
    gradient = jax.grad(loss)(params, x)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient["mixer"]["value"]))


def test_sizes_are_those_of_the_mixer():
    part = layer(dim=D, mixer="attention(heads=4, kv_heads=2, head_dim=8)")
    assert part.dims == Dims(4, 2, 8, D, reads=("query", "key"))
    assert part.given == {
        "mixer": specs.canonical("mixer", "attention(heads=4, kv_heads=2, head_dim=8)"),
        **{kind: specs.canonical(kind, spec) for kind, spec in [("encoding", "none"), ("score", "scaled_dot")]},
        **{kind: specs.canonical(kind, spec) for kind, spec in [("normalizer", "softmax"), ("mask", "full")]},
    }


@pytest.mark.parametrize("given", ["self", "memory"])
def test_what_stands_at_padding_reaches_no_output_and_no_gradient(given):
    part, valid = made(normalizer="entmax15"), jnp.arange(T) < jnp.array([[T], [4]])
    params, x = part.init(KEY), states(2)

    def run(fill):
        filled = jnp.where(valid[..., None], x, fill)
        options = {"valid": valid} if given == "self" else {"memory": filled, "memory_valid": valid}
        apply = lambda params: part.apply(params, filled if given == "self" else x, **options)
        keep = valid[..., None] if given == "self" else True
        loss = lambda params: jnp.sum(jnp.where(keep, apply(params), 0) ** 2)
        return jnp.where(keep, apply(params), 0), jax.grad(loss)(params)

    for wanted, found in zip(jax.tree.leaves(run(0.0)), jax.tree.leaves(run(jnp.nan))):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("number", [-1, 2])
def test_a_stack_has_the_layers_that_it_has(number):
    layers = stack(layers=2, dim=D, mixer=f"attention(heads={N})")
    with pytest.raises(ValueError, match="number "):
        layers.apply(layers.init(KEY), states(2), number)
