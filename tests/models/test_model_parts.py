import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.attend import parts_of
from attention.models import classifier as attention_model
from attention.records import Call, Context, Dims, Encoding, Normalizer, Pooled, Pooling
from tests.support.helpers import jit, normal, spread_out
from tests.support.models import C, D, L, batch, classifier, made


def _with(model, **parts):
    return model.clone(parts=model.parts._replace(**parts))


# Randomness.


def test_dropout():
    """Off in evaluation and without a rate; a rate of 0 is the identity; a traced rate; keys and rates change the outcome."""
    model, params, forward = made(encoding="t5")
    tokens, valid = batch()
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
    """Where all tokens are equal, noise alone tells positions and texts from each other, after either layer."""
    model, params, _ = made(encoder="transformer(layers=2, mlp=1)", encoding="none")
    tokens = jnp.ones((2, 8), jnp.int32)
    run = lambda dropout: model.apply(
        {"params": params}, tokens, tokens > 0, rng=jax.random.key(0), train=True, dropout=dropout, capture=True
    )[1]
    noisy, plain = run(0.4), run(None)
    for name in ("layer_0/output", "layer_1/output"):
        assert np.abs(noisy[name] - noisy[name][:, :1]).max() > 1e-2
        assert np.abs(plain[name] - plain[name][:, :1]).max() < 1e-5
        assert not np.allclose(noisy[name][0], noisy[name][1], atol=1e-3)


def test_each_layer_has_its_own_key():
    """Of the normalizer's noise, of the positions and of dropout: none is used twice."""
    seen = []
    note = lambda rng: seen.append(tuple(np.asarray(jax.random.key_data(rng)).tolist()))

    def apply(params, scores, mask, call):
        note(call.rng)
        return attention.softmax(scores, mask)

    encoding = Encoding(positions=lambda params, call: (note(call.rng), call)[1])
    model = _with(classifier(encoder="transformer(layers=3, mlp=1)"), normalizer=Normalizer(apply), encoding=encoding)
    tokens, valid = batch()
    params = model.init(jax.random.key(0), tokens, valid, rng=jax.random.key(5))["params"]
    for seed in (1, 2):
        model.apply({"params": params}, tokens, valid, rng=jax.random.key(seed), train=True)
    assert len(seen) == len(set(seen)) == 12


# Kernels.


def test_chunked_model():
    specs = {"encoding": "shaw(max_distance=3) + rope", "normalizer": "sparsemax", "mask": "local(window=8)", "pooling": "cls"}
    tokens, valid = batch((20, 13), 20)
    found = {}
    for kernel in ("dense", "chunked"):
        model, params, _ = made(kernel=kernel, **specs)
        found[kernel] = jit(jax.value_and_grad(lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))(params)  # noqa: B023
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=3e-5), *found.values())


def test_kernel_choice():
    assert classifier().kernel_at(2, 16) == "dense"
    assert classifier().kernel_at(64, 512) == "chunked"
    assert classifier(kernel="dense").kernel_at(64, 512) == "dense"
    assert classifier(encoder="embeddings").kernel_at(64, 512) == "none"
    # 2^22 scores are the last that fit: the added token of cls is counted.
    assert classifier().kernel_at(2, 1024) == "dense"
    assert classifier(pooling="cls").kernel_at(2, 1024) == "chunked"


# Hooks no shipped variant uses yet.


def test_loss_of_a_pooling():
    model, params, _ = made()
    tokens, valid = batch()
    counting = Pooling(lambda params, x, call: Pooled(x[:, 0], loss=call.q_valid.sum(-1)))
    _, aux = model.clone(pooling=counting).apply({"params": params}, tokens, valid)
    np.testing.assert_array_equal(aux["loss"], [6, 3])
    np.testing.assert_array_equal(made()[2](params, tokens, valid)[1]["loss"], [0, 0])


def test_pooling_may_change_the_width():
    model = classifier().clone(
        pooling=Pooling(lambda params, x, call: Pooled(jnp.concatenate([x[:, 0], x[:, 1]], -1)), width=lambda D: 2 * D)
    )
    tokens, valid = batch()
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
        shared=lambda rng, dims: {"stack": jnp.float32(-1)},
        init=lambda rng, dims: {"layer": jnp.float32(dims.layer)},
        positions=positions,
        embed=lambda params, x, tokens, call: (seen.append(np.asarray(call.q_positions)), x)[1],
        bias=bias,
        reads="block",
    )
    model = _with(classifier(encoder="transformer(layers=2, mlp=1)", mask="causal"), encoding=encoding)
    tokens, valid = batch()
    params = model.init(jax.random.key(0), tokens, valid)["params"]
    own = {name: params["encoder"][name] for name in ("encoding", "encoding_0", "encoding_1")}
    assert own == {"encoding": {"stack": -1.0}, "encoding_0": {"layer": 0.0}, "encoding_1": {"layer": 1.0}}
    calls.clear(), seen.clear()
    weights = model.apply({"params": params}, tokens, valid, rng=jax.random.key(1), train=True, capture=True)[1][
        "layer_1/weights"
    ]
    ((hook_params, rng, train),) = calls
    assert hook_params == {"stack": -1.0}
    assert rng is not None
    assert train
    assert len(seen) == 3
    assert all((positions == np.arange(6) + 100).all() for positions in seen)
    np.testing.assert_array_equal(np.triu(weights[0, 0], 1), 0)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_depth(depth):
    """`embed` acts before block `depth`, or after the last."""
    encoding = Encoding(embed=lambda params, x, tokens, call: x + 1000.0, depth=depth)
    model = _with(classifier(encoder="transformer(layers=2, mlp=1, norm=post)"), encoding=encoding)
    tokens, valid = batch()
    params = model.init(jax.random.key(0), tokens, valid)["params"]
    plain = classifier(encoder="transformer(layers=2, mlp=1, norm=post)", encoding="none")
    with_it, without = (m.apply({"params": params}, tokens, valid, capture=True)[1] for m in (model, plain))
    same = [np.allclose(with_it[f"layer_{i}/output"], without[f"layer_{i}/output"], atol=1e-6) for i in range(2)]
    assert same == [True] * depth + [False] * (2 - depth)
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
    parts = parts_of("alibi", mask="local(window=4)")
    empty: dict = {}
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


def test_added_token():
    """It stands before the text, is seen by all of it, and is what cls returns."""
    model, params, _ = made(pooling="cls", encoding="none")
    tokens, valid = batch()
    captured = model.apply({"params": params}, tokens, valid, capture=True)[1]
    np.testing.assert_array_equal(captured["embeddings"][:, 0], np.tile(params["extra_tokens"], (2, 1)))
    assert captured["layer_0/weights"].shape == (2, 2, 7, 7)
    assert (captured["layer_0/weights"][..., 0] > 0).all()
    np.testing.assert_array_equal(captured["pooled"], captured["states"][:, 0])


# Options and errors.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoder": "transfomer"},
            "unknown encoder 'transfomer' .nearest: 'transformer'.; known: bare, bigru, bilstm, .*, transformer",
        ),
        ({"encoding": "rope(base=-1)"}, "base must be > 0"),
        ({"encoding": "rope", "score": "additive"}, "encoding=rope with score=additive"),
        ({"mixer": "attention(heads=3)"}, r"mixer=attention\(heads=3\): dim 8 is not a multiple of its 3 heads"),
        ({"encoding": "learned(max_length=23)"}, "the encoding has 23 positions, got a sequence of 24"),
        ({"encoding": "learned(max_length=24)", "pooling": "cls"}, "has 24 positions, got a sequence of 25"),
        ({"dim": 0}, "dim must be >= 1, got 0"),
        ({"compute_dtype": "float16"}, "compute_dtype must be one of float32, bfloat16 .nearest: '.*float.*'., got 'float16'"),
        ({"kernel": "flash"}, "unknown kernel 'flash'"),
    ],
)
def test_errors_at_construction(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        classifier(**options)
    assert "\n" not in str(caught.value)


def test_odd_heads_cannot_rotate():
    tokens, valid = batch()
    with pytest.raises(ValueError, match=r"rope turns pairs of channels: fraction 1\.0 of 1 is 1"):
        classifier(encoding="rope", mixer="attention(heads=8)").init(jax.random.key(0), tokens, valid)


@pytest.mark.parametrize("name", ["vocab_size", "num_classes", "max_length"])
def test_sizes_at_construction(name):
    sizes = {"vocab_size": 3, "num_classes": 2, "max_length": 4, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be >= 1, got 0"):
        attention_model.classifier(**sizes)


def test_too_long():
    tokens = jnp.ones((1, L + 1), jnp.int32)
    model, params, _ = made(encoding="learned + t5")
    with pytest.raises(ValueError, match=f"the encoding has {L} positions, got a sequence of {L + 1}"):
        model.apply({"params": params}, tokens, tokens > 0)
    _, params, forward = made(encoding="rope", pooling="cls")
    assert np.isfinite(forward(params, tokens, tokens > 0)[0]).all()
    _, params, forward = made(encoding="learned", pooling="cls")
    assert np.isfinite(forward(params, tokens[:, :L], tokens[:, :L] > 0)[0]).all()
