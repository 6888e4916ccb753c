import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import jit, normal, size, spread_out

import attention
from attention.model import classifier, embedding_table, kernel_choice
from attention.records import Call, Context, Dims, Encoding, Pooled, Pooling

V, C, L, D, N = 13, 3, 24, 8, 2
# One row per variant of the kinds that no other table tests.
ENCODERS = {"transformer": "transformer(layers=1, mlp=2)", "embeddings": "embeddings"}
MIXERS = {"attention": "attention(heads=2)"}
ENCODINGS = {
    "none": "none", "sinusoidal": "sinusoidal", "learned": "learned", "rope": "rope", "alibi": "alibi(form=asymmetric)",
    "t5": "t5(buckets=8, max_distance=12)", "shaw": "shaw(max_distance=3)",
}  # fmt: skip


def test_every_variant_has_a_row():
    assert set(ENCODERS) == set(attention.names("encoder"))
    assert set(MIXERS) == set(attention.names("mixer"))
    assert set(ENCODINGS) == set(attention.names("encoding"))


def _classifier(**specs):
    options = {"encoder": ENCODERS["transformer"], "mixer": MIXERS["attention"], "dim": D, **specs}
    if options["encoder"] == "embeddings":
        del options["mixer"]
    return classifier(vocab_size=V, num_classes=C, max_length=L, **options)


@functools.cache
def _made(seed=0, **specs):
    """The model, its parameters off their special starting values, and the compiled forward pass."""
    model = _classifier(**specs)
    tokens = jnp.zeros((1, 2), jnp.int32)
    params = jax.jit(model.init)(jax.random.key(seed), tokens, tokens == 0)["params"]
    forward = jit(lambda params, tokens, valid, **rest: model.apply({"params": params}, tokens, valid, **rest))
    return model, spread_out(params, seed, 0.2), forward


def _batch(lengths=(6, 3), length=6, seed=0):
    tokens = jnp.asarray(np.random.default_rng(seed).integers(1, V, (len(lengths), length)), jnp.int32)
    return tokens, jnp.arange(length) < jnp.asarray(lengths)[:, None]


def _combinations():
    for encoder, encoding, pooling in itertools.product(ENCODERS, ENCODINGS, attention.names("pooling")):
        if encoder == "transformer" or (encoding in ("none", "sinusoidal", "learned") and pooling != "cls"):
            yield encoder, encoding, pooling


@pytest.mark.parametrize(("encoder", "encoding", "pooling"), list(_combinations()))
def test_padding_changes_no_logits(encoder, encoding, pooling):
    """1 or 7 more columns of padding, whatever tokens they hold, and an example alone without any."""
    model, params, _ = _made(encoder=ENCODERS[encoder], encoding=ENCODINGS[encoding], pooling=pooling)
    run = lambda tokens, valid: model.apply({"params": params}, tokens, valid)[0]  # op by op: shapes repeat, programs do not
    tokens, valid = _batch()
    logits = run(tokens, valid)
    assert logits.shape == (2, C)
    assert logits.dtype == jnp.float32
    for p in (1, 7):
        more = jnp.pad(tokens, ((0, 0), (0, p)), constant_values=5)
        np.testing.assert_allclose(run(more, jnp.pad(valid, ((0, 0), (0, p)))), logits, atol=1e-5)
    np.testing.assert_array_equal(run(tokens.at[1, 3:].set(7), valid), logits)
    np.testing.assert_allclose(run(tokens[1:, :3], valid[1:, :3]), logits[1:], atol=1e-5)
    assert not np.allclose(run(tokens, valid | True)[1], logits[1], atol=1e-3) or pooling == "max"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bag_of_words(encoding):
    """Without positions, a bidirectional encoder with mean pooling sees a bag of words; any encoding ends that."""
    order, (tokens, valid) = np.array([3, 5, 0, 2, 4, 1]), _batch((6, 6))
    for encoder in ENCODERS if encoding == "none" else ["transformer"]:
        _, params, forward = _made(encoder=ENCODERS[encoder], encoding=ENCODINGS[encoding])
        logits, permuted = forward(params, tokens, valid)[0], forward(params, tokens[:, order], valid)[0]
        assert np.allclose(logits, permuted, atol=1e-5) == (encoding == "none")
        assert np.abs(logits - permuted).max() > 1e-3 or encoding == "none"


def test_causal_order_shows_without_positions():
    """Haviv et al. 2022: with a causal mask NoPE is no bag of words."""
    _, params, forward = _made(encoding="none", mask="causal")
    tokens, valid = _batch((6, 6))
    assert np.abs(forward(params, tokens, valid)[0] - forward(params, tokens[:, ::-1], valid)[0]).max() > 1e-3


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_positions(encoding, pooling):
    """Explicit positions 0, 1, ... are None; with them, padding may stand on the left."""
    _, params, forward = _made(encoding=ENCODINGS[encoding], pooling=pooling, mask="causal & local(window=6)")
    tokens, valid = _batch()
    logits, _ = forward(params, tokens, valid)
    np.testing.assert_allclose(forward(params, tokens, valid, positions=jnp.tile(jnp.arange(6), (2, 1)))[0], logits, atol=1e-5)
    shift = np.array([[0], [3]])
    left = np.take_along_axis(np.asarray(tokens), (np.arange(6) - shift) % 6, 1)
    positions = np.where(np.arange(6) >= shift, np.arange(6) - shift, -77)
    found, _ = forward(params, jnp.asarray(left), jnp.asarray(positions >= 0), positions=jnp.asarray(positions))
    np.testing.assert_allclose(found, logits, atol=1e-5)


def test_no_valid_token():
    """Finite logits and gradients, whatever the normalizer and the pooling."""
    tokens, _ = _batch()
    for normalizer, pooling in zip(("softmax", "sparsemax", "sigmoid", "softmax"), attention.names("pooling"), strict=True):
        model, params, _ = _made(normalizer=normalizer, pooling=pooling, encoding="shaw(max_distance=3)")
        loss = jit(jax.value_and_grad(lambda p, valid: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))  # noqa: B023
        with jax.debug_nans(True):
            value, gradient = jax.block_until_ready(loss(params, jnp.zeros((2, 6), bool)))
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("encoding", ["rope", "learned + shaw(max_distance=3)"])
def test_bfloat16(encoding):
    model, params, forward = _made(encoding=encoding)
    narrow = _made(encoding=encoding, compute_dtype="bfloat16")[2]
    tokens, valid = _batch()
    (logits, _), (near, aux) = forward(params, tokens, valid), narrow(params, tokens, valid)
    assert near.dtype == aux["loss"].dtype == jnp.float32
    np.testing.assert_allclose(near, logits, atol=0.05)
    assert not np.array_equal(near, logits)
    assert {leaf.dtype for leaf in jax.tree.leaves(model.init(jax.random.key(0), tokens, valid))} == {jnp.dtype("float32")}
    captured = _classifier(encoding=encoding, compute_dtype="bfloat16").apply({"params": params}, tokens, valid, capture=True)[1]
    assert captured["layer_0/output"].dtype == jnp.bfloat16
    assert captured["layer_0/weights"].dtype == jnp.float32


@pytest.mark.parametrize("normalizer", attention.names("normalizer"))
def test_capture(normalizer):
    """Intermediate results in a plain dict, the same logits, and weights that sum to one where the normalizer says so."""
    specs = {"encoder": "transformer(layers=2, mlp=1)", "normalizer": normalizer, "pooling": "additive(hidden=3)"}
    model, params, forward = _made(**specs)
    tokens, valid = _batch()
    logits, aux = jit(lambda p: model.apply({"params": p}, tokens, valid, capture=True))(params)
    np.testing.assert_allclose(logits, forward(params, tokens, valid)[0], atol=1e-5)
    shapes = {
        "loss": (), "embeddings": (2, 6, D), "states": (2, 6, D), "pooling": (2, 6), "pooled": (2, D),
        "layer_0/weights": (2, N, 6, 6), "layer_0/output": (2, 6, D), "layer_1/weights": (2, N, 6, 6), "layer_1/output": (2, 6, D),
    }  # fmt: skip
    assert jax.tree.map(jnp.shape, aux) == shapes
    assert set(forward(params, tokens, valid)[1]) == {"loss"}
    for layer in range(2):
        weights = aux[f"layer_{layer}/weights"]
        np.testing.assert_array_equal(weights[1, :, :, 3:], 0)
        sums = np.allclose(weights.sum(-1), 1, atol=1e-5)
        assert sums == (attention.build("normalizer", normalizer).row_sum == "one")
    np.testing.assert_allclose(aux["pooling"].sum(-1), 1, atol=1e-6)


# Sizes.


@pytest.mark.parametrize(
    ("specs", "count"),
    [
        # table, per block: attention 4(D²+D), MLP 2·FD+F+D, two norms 4D; final norm 2D; head C(D+1)
        ({}, V * D + 4 * (D * D + D) + (2 * 2 * D * D + 3 * D) + 4 * D + 2 * D + C * (D + 1)),
        ({"encoder": "transformer(layers=1, mlp=2, norm=post)"}, "-2*D"),
        ({"encoder": "transformer(layers=1, mlp=2, activation=swiglu)"}, "+2*D*D+2*D"),
        ({"encoder": "transformer(layers=1, mlp=0.5)"}, "-3*D*D-1.5*D"),
        ({"encoder": "transformer(layers=3, mlp=2)"}, "+2*(4*(D*D+D)+4*D*D+3*D+4*D)"),
        ({"encoder": "embeddings"}, V * D + C * (D + 1)),
        ({"mixer": "attention(heads=4, kv_heads=1)"}, "-2*(D*D+D)*3//4"),
        ({"mixer": "attention(heads=2, bias=False)"}, "-4*D"),
        ({"mixer": "attention(heads=2, head_dim=6)"}, "+4*D*(12-D)+3*(12-D)"),
        ({"pooling": "cls"}, "+D"),
        ({"pooling": "additive(hidden=5)"}, "+5*D+10"),
        ({"encoding": "learned"}, "+L*D"),
        ({"encoding": "learned", "pooling": "cls"}, "+(L+1)*D+D"),
        ({"encoding": "learned(max_length=30)"}, "+30*D"),
        ({"encoding": "t5"}, "+32*N"),
        ({"encoding": "shaw"}, "+2*33*D//N"),
        ({"encoding": "learned + t5 + shaw", "encoder": "transformer(layers=2, mlp=2)"},
         "+4*(D*D+D)+4*D*D+3*D+4*D+L*D+32*N+2*2*33*D//N"),
        ({"score": "cosine"}, "+N"),
        ({"score": "additive(hidden=3)"}, "+2*D*3+2*3*N"),
        ({"normalizer": "sparsemax(temperature=learned)"}, "+N"),
        ({"encoding": "sinusoidal(learned_scale=True)"}, "+1"),
    ],
    ids=str,
)  # fmt: skip
def test_parameter_count(specs, count):
    base = V * D + 4 * (D * D + D) + (4 * D * D + 3 * D) + 4 * D + 2 * D + C * (D + 1)
    wanted = base + eval(count) if isinstance(count, str) else count
    tokens = jnp.zeros((1, 2), jnp.int32)
    params = jax.eval_shape(_classifier(**specs).init, jax.random.key(0), tokens, tokens == 0)["params"]
    assert size(params) == wanted


def test_every_parameter_has_a_gradient():
    specs = {"encoding": "learned + t5(buckets=4, max_distance=3) + shaw(max_distance=1)", "score": "additive(hidden=3)"}
    specs |= {"normalizer": "sigmoid(temperature=learned)", "pooling": "cls", "encoder": "transformer(layers=2, mlp=1, activation=swiglu)"}
    for specs in (specs, {"score": "cosine", "pooling": "additive(hidden=3)", "encoding": "sinusoidal(learned_scale=True)"}):
        model, params, _ = _made(**specs)
        tokens, valid = _batch((6, 5, 4), seed=1)
        loss = lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)  # noqa: B023
        for path, gradient in jax.tree.leaves_with_path(jit(jax.grad(loss))(params)):
            assert np.abs(gradient).max() > 1e-5, jax.tree_util.keystr(path)


def test_frozen_embeddings():
    """No gradient for the table and its own for everything else; a tuned table has one for the tokens it was asked for."""
    tokens, valid = _batch()
    gradients = {}
    for frozen in (True, False):
        model, params, _ = _made(frozen_embeddings=frozen)
        gradients[frozen] = jit(jax.grad(lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))(params)  # noqa: B023
    np.testing.assert_array_equal(gradients[True]["embedding"]["table"], 0)
    seen = np.isin(np.arange(V), np.asarray(tokens)[np.asarray(valid)])
    np.testing.assert_array_equal(np.abs(gradients[False]["embedding"]["table"]).max(-1) > 1e-7, seen)
    for name in set(gradients[True]) - {"embedding"}:
        jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), gradients[True][name], gradients[False][name])


def test_embeddings_at_the_start():
    """Unit variance after the multiplication with √D, and pretrained vectors are seen as they are."""
    model = classifier(encoder="embeddings", encoding="none", vocab_size=400, num_classes=2, max_length=4, dim=D)
    tokens = jnp.arange(400)[None]
    params = model.init(jax.random.key(0), tokens[:, :4], tokens[:, :4] >= 0)["params"]
    seen = model.apply({"params": params}, tokens, tokens >= 0, capture=True)[1]["embeddings"]
    np.testing.assert_allclose(seen.std(), 1.0, atol=0.05)
    vectors = normal(0, 400, D)
    params = {**params, "embedding": {"table": embedding_table(vectors)}}
    np.testing.assert_allclose(
        model.apply({"params": params}, tokens, tokens >= 0, capture=True)[1]["embeddings"][0], vectors, atol=1e-6
    )


# Randomness.


def test_dropout():
    """Off in evaluation and without a rate; a rate of 0 is the identity; a traced rate; keys and rates change the outcome."""
    model, params, forward = _made(encoding="t5")
    tokens, valid = _batch()
    plain, _ = forward(params, tokens, valid)
    train = jit(lambda rng, rate: model.apply({"params": params}, tokens, valid, rng=rng, train=True, dropout=rate)[0])
    one, two = jax.random.key(1), jax.random.key(2)
    np.testing.assert_allclose(train(one, 0.0), plain, atol=1e-5)
    np.testing.assert_array_equal(train(one, 0.3), train(one, 0.3))
    assert not np.allclose(train(one, 0.3), train(two, 0.3))
    assert not np.allclose(train(one, 0.3), train(one, 0.1))
    evaluated, _ = model.apply({"params": params}, tokens, valid, rng=one, train=False, dropout=0.9)
    np.testing.assert_allclose(evaluated, plain, atol=1e-5)
    without = model.apply({"params": params}, tokens, valid, rng=one, train=True)[0]
    np.testing.assert_allclose(without, plain, atol=1e-5)
    with pytest.raises(ValueError, match="dropout in training needs rng"):
        model.apply({"params": params}, tokens, valid, train=True, dropout=0.1)


def test_dropout_reaches_every_layer():
    """Each place draws from its own key: the weights of both layers, what they add, embeddings and the pooled vector."""
    model, params, _ = _made(encoder="transformer(layers=2, mlp=1)", encoding="none")
    tokens = jnp.ones((2, 8), jnp.int32)  # equal tokens: without noise all positions are alike
    run = lambda dropout: model.apply(
        {"params": params}, tokens, tokens > 0, rng=jax.random.key(0), train=True, dropout=dropout, capture=True
    )[1]
    noisy, plain = run(0.4), run(None)
    for name in ("layer_0/output", "layer_1/output"):
        assert np.abs(noisy[name] - noisy[name][:, :1]).max() > 1e-2
        assert np.abs(plain[name] - plain[name][:, :1]).max() < 1e-5
        assert not np.allclose(noisy[name][0], noisy[name][1], atol=1e-3)


# Kernels.


def test_chunked_model():
    specs = {"encoding": "shaw(max_distance=3) + rope", "normalizer": "sparsemax", "mask": "local(window=8)", "pooling": "cls"}
    tokens, valid = _batch((20, 13), 20)
    found = {}
    for kernel in ("dense", "chunked"):
        model, params, _ = _made(kernel=kernel, **specs)
        found[kernel] = jit(jax.value_and_grad(lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))(params)  # noqa: B023
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=3e-5), *found.values())


def test_kernel_choice():
    assert kernel_choice(_classifier(), 2, 16) == "dense"
    assert kernel_choice(_classifier(), 64, 512) == "chunked"
    assert kernel_choice(_classifier(kernel="dense"), 64, 512) == "dense"
    assert kernel_choice(_classifier(encoder="embeddings"), 64, 512) == "none"
    # 2^22 scores are the last that fit: the added token of cls is counted.
    assert kernel_choice(_classifier(), 2, 1024) == "dense"
    assert kernel_choice(_classifier(pooling="cls"), 2, 1024) == "chunked"


# Hooks no shipped variant uses yet.


def _with(model, **parts):
    return model.clone(parts=model.parts._replace(**parts))


def test_loss_of_a_pooling():
    model, params, _ = _made()
    tokens, valid = _batch()
    counting = Pooling(lambda params, x, call: Pooled(x[:, 0], loss=call.q_valid.sum(-1)))
    logits, aux = model.clone(pooling=counting).apply({"params": params}, tokens, valid)
    assert aux["loss"] == 4.5  # mean over the batch
    assert _made()[2](params, tokens, valid)[1]["loss"] == 0.0


def test_pooling_may_change_the_width():
    model = _classifier().clone(pooling=Pooling(lambda params, x, call: Pooled(jnp.concatenate([x[:, 0], x[:, 1]], -1)), width=lambda D: 2 * D))
    tokens, valid = _batch()
    params = model.init(jax.random.key(0), tokens, valid)["params"]
    assert params["head"]["kernel"].shape == (2 * D, C)


def test_positions_hook():
    """Called once per pass, with its own key; layers see what it made, masks the positions as they came."""
    calls, seen = [], []

    def positions(params, call):
        calls.append((params, call.rng, call.train))
        moved = jnp.arange(6)[None] + 100
        return dataclasses.replace(call, q_positions=moved, k_positions=moved)

    def bias(params, q_features, k_features, rest, call):
        seen.append(np.asarray(call.q_positions))
        return None

    encoding = Encoding(
        init=lambda rng, dims: {"layer": jnp.float32(-1 if dims.layer is None else dims.layer)},
        positions=positions,
        embed=lambda params, x, tokens, call: (seen.append(np.asarray(call.q_positions)), x)[1],
        bias=bias,
        reads="block",
    )
    model = _with(_classifier(encoder="transformer(layers=2, mlp=1)", mask="causal"), encoding=encoding)
    tokens, valid = _batch()
    params = model.init(jax.random.key(0), tokens, valid)["params"]
    assert {name: float(params["encoder"][name]["layer"]) for name in ("encoding", "encoding_0", "encoding_1")} == {
        "encoding": -1.0, "encoding_0": 0.0, "encoding_1": 1.0,
    }  # fmt: skip
    calls.clear(), seen.clear()
    weights = model.apply({"params": params}, tokens, valid, rng=jax.random.key(1), train=True, capture=True)[1]["layer_1/weights"]
    ((hook_params, rng, train),) = calls
    assert hook_params == ({"layer": -1.0}, {})
    assert rng is not None
    assert train
    assert len(seen) == 3
    assert all((positions == np.arange(6) + 100).all() for positions in seen)
    np.testing.assert_array_equal(np.triu(weights[0, 0], 1), 0)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_depth(depth):
    """`embed` acts before block `depth`, or after the last."""
    encoding = Encoding(embed=lambda params, x, tokens, call: x + 1000.0, depth=depth)
    model = _with(_classifier(encoder="transformer(layers=2, mlp=1, norm=post)"), encoding=encoding)
    tokens, valid = _batch()
    params = model.init(jax.random.key(0), tokens, valid)["params"]
    plain = _classifier(encoder="transformer(layers=2, mlp=1, norm=post)", encoding="none")
    with_it, without = (m.apply({"params": params}, tokens, valid, capture=True)[1] for m in (model, plain))
    same = [np.allclose(with_it[f"layer_{i}/output"], without[f"layer_{i}/output"], atol=1e-6) for i in range(2)]
    # A shift of all channels is what layer norm takes away: look where it would be seen, before the norm of the next block.
    assert same[:depth] == [True] * depth
    if depth == 2:
        np.testing.assert_allclose(with_it["states"], without["states"] + 1000.0, rtol=1e-5)
    with pytest.raises(ValueError, match="acts before block 3, the encoder has 2"):
        _with(model, encoding=Encoding(depth=3)).init(jax.random.key(0), tokens, valid)


def test_cross_attention():
    """A mixer with memory: keys and values come from there, with positions, padding and lengths of their own."""
    mixer = attention.build("mixer", "attention(heads=2, kv_heads=1)")
    dims = Dims(num_heads=2, kv_heads=1, head_dim=4, model_dim=D, layer=0)
    own = spread_out(mixer.init(jax.random.key(0), dims))
    x, memory, k_valid = normal(1, 2, 3, D), normal(2, 2, 5, D), jnp.arange(5) < jnp.array([[5], [2]])
    from attention.attend import parts_of

    parts = parts_of("alibi", mask="local(window=4)")
    empty = dict.fromkeys(("encoding", "score", "normalizer"), ({}, {}))
    context = Context(parts, empty, memory=memory)
    call = Call(jnp.array([[4, 0, 1]]), None, None, k_valid)
    found = jit(lambda own, x, memory: mixer.apply(own, x, context._replace(memory=memory), call))(own, x, memory)
    dense = lambda params, x: jnp.einsum("btd,dnh->btnh", x, params["kernel"]) + params["bias"]
    query, key, value = dense(own["query"], x), dense(own["key"], memory), dense(own["value"], memory)
    distance = np.abs(np.array([4, 0, 1])[:, None] - np.arange(5))
    where = jnp.asarray(distance <= 2)[None, None] & k_valid[:, None, None]
    bias = jnp.asarray(-distance * attention.alibi_slopes(2)[:, None, None], jnp.float32)[None]
    output = jax.nn.dot_product_attention(query, key, value, bias, where)
    empty_rows = ~where.any(-1)[:, 0]
    wanted = jnp.einsum("btnh,nhd->btd", jnp.where(empty_rows[..., None, None], 0, output), own["output"]["kernel"])
    np.testing.assert_allclose(found, wanted + own["output"]["bias"], atol=1e-5)


# Options and errors.


@pytest.mark.parametrize(
    ("kind", "base", "changes"),
    [
        ("encoder", "transformer(layers=1)", ["transformer(layers=2)", "transformer(layers=1, mlp=2)",
         "transformer(layers=1, activation=relu)", "transformer(layers=1, activation=swiglu)", "transformer(layers=1, norm=post)"]),
        ("mixer", "attention(heads=2)", ["attention(heads=4)", "attention(heads=2, kv_heads=1)",
         "attention(heads=2, head_dim=3)", "attention(heads=2, bias=False)"]),
    ],
)  # fmt: skip
def test_no_dead_knobs(kind, base, changes):
    """Every option changes the parameters or the logits."""
    tokens, valid = _batch()

    def outcome(spec):
        model = _classifier(**{kind: spec})
        params = model.init(jax.random.key(0), tokens, valid)["params"]
        return jax.tree.map(jnp.shape, params), model.apply({"params": params}, tokens, valid)[0]

    shapes, logits = outcome(base)
    for spec in changes:
        other_shapes, other = outcome(spec)
        assert shapes != other_shapes or not np.allclose(logits, other, atol=1e-5), spec
    tried = {change.split(base.split("(")[0])[1] for change in changes}
    assert all(any(o.name in spec for spec in tried) for o in attention.describe(kind, base.split("(")[0]).options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "transfomer"}, "unknown encoder 'transfomer' .nearest: 'transformer'.; known: embeddings, transformer"),
        ({"encoding": "rope(base=-1)"}, "base must be > 0"),
        ({"encoding": "rope", "score": "additive"}, "encoding=rope with score=additive"),
        ({"mixer": "attention(heads=3)"}, r"mixer=attention\(heads=3\): dim 8 is not a multiple of its 3 heads"),
        ({"encoding": "learned(max_length=23)"}, "the encoding has 23 positions, got a sequence of 24"),
        ({"encoding": "learned(max_length=24)", "pooling": "cls"}, "has 24 positions, got a sequence of 25"),
        ({"dim": 0}, "dim must be >= 1, got 0"),
        ({"compute_dtype": "float16"}, "compute_dtype must be one of float32, bfloat16 .nearest: '.*float.*'., got 'float16'"),
        ({"kernel": "flash"}, "unknown kernel 'flash'"),
        ({"encoder": "embeddings", "pooling": "cls"}, "encoder=embeddings with pooling=cls: .* never sees the text"),
    ],
)
def test_errors_at_construction(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        _classifier(**options)
    assert "\n" not in str(caught.value)


def test_odd_heads_cannot_rotate():
    tokens, valid = _batch()
    with pytest.raises(ValueError, match="rope turns pairs of channels: fraction 1.0 of 1 is 1"):
        _classifier(encoding="rope", mixer="attention(heads=8)").init(jax.random.key(0), tokens, valid)


@pytest.mark.parametrize("name", ["vocab_size", "num_classes", "max_length"])
def test_sizes_at_construction(name):
    sizes = {"vocab_size": 3, "num_classes": 2, "max_length": 4, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be >= 1, got 0"):
        classifier(**sizes)


def test_too_long():
    tokens = jnp.ones((1, L + 1), jnp.int32)
    model, params, _ = _made(encoding="learned + t5")
    with pytest.raises(ValueError, match=f"the encoding has {L} positions, got a sequence of {L + 1}"):
        model.apply({"params": params}, tokens, tokens > 0)
    _, params, forward = _made(encoding="rope", pooling="cls")
    assert np.isfinite(forward(params, tokens, tokens > 0)[0]).all()
    _, params, forward = _made(encoding="learned", pooling="cls")
    assert np.isfinite(forward(params, tokens[:, :L], tokens[:, :L] > 0)[0]).all()
