import functools
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.models import classifier as attention_model
from attention.models.seq2seq import seq2seq
from tests.support.helpers import jit, normal, size
from tests.support.models import ENCODINGS, C, D, L, N, V, batch, classifier, made
from tests.support.rows import rows

ENCODERS = {name: row.spec for name, row in rows("encoder").items()}
BAGS = ("transformer", "embeddings")  # encoders that know no order but that of the encoding


def _combinations():
    """Every encoding and every pooling with the common ones of the other kind, and every encoder with a few."""
    for encoder, encoding, pooling in itertools.product(ENCODERS, ENCODINGS, attention.names("pooling")):
        record, scores = attention.build("encoder", encoder), encoding not in ("none", "sinusoidal", "learned")
        if (pooling == "cls" and not record.sees_all) or (scores and "mixer" not in record.uses):
            continue
        few = (encoding, pooling) in (("sinusoidal", "mean"), ("none", "cls"), ("none", "additive"))
        if few or (encoder in BAGS and (encoding == "sinusoidal" or pooling in ("mean", "cls"))):
            yield encoder, encoding, pooling


@pytest.mark.parametrize(("encoder", "encoding", "pooling"), list(_combinations()))
def test_padding_changes_no_logits(encoder, encoding, pooling):
    """1 or 7 more columns of padding, whatever tokens they hold; nor does what the neighbours are."""
    model, params, _ = made(encoder=ENCODERS[encoder], encoding=ENCODINGS[encoding], pooling=pooling)
    # Op by op: shapes repeat, programs do not.
    run = lambda tokens, valid: model.apply({"params": params}, tokens, valid, segments=jnp.cumsum(valid, -1) // 2)[0]
    tokens, valid = batch((6 - model.pooling.extra_tokens, 3), 6 - model.pooling.extra_tokens)
    logits = run(tokens, valid)
    assert logits.shape == (2, C)
    assert logits.dtype == jnp.float32
    for p in (1, 7):
        more = jnp.pad(jnp.where(valid, tokens, 4 + p), ((0, 0), (0, p)), constant_values=5)
        np.testing.assert_allclose(run(more, jnp.pad(valid, ((0, 0), (0, p)))), logits, atol=1e-5)
    other = run(tokens.at[0].set(7), valid)
    np.testing.assert_array_equal(other[1], logits[1])
    assert not np.allclose(other[0], logits[0], atol=1e-3)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_bag_of_words(encoding):
    """Without positions, a bidirectional encoder with mean pooling sees a bag of words; any encoding ends that."""
    order, (tokens, valid) = np.array([3, 5, 0, 2, 4, 1]), batch((6, 6))
    for encoder in BAGS if encoding == "none" else ["transformer"]:
        _, params, forward = made(encoder=ENCODERS[encoder], encoding=ENCODINGS[encoding])
        logits, permuted = forward(params, tokens, valid)[0], forward(params, tokens[:, order], valid)[0]
        assert np.allclose(logits, permuted, atol=1e-5) == (encoding == "none")
        assert np.abs(logits - permuted).max() > 1e-3 or encoding == "none"


def test_causal_order_shows_without_positions():
    """Haviv et al. 2022: with a causal mask NoPE is no bag of words."""
    _, params, forward = made(encoding="none", mask="causal")
    tokens, valid = batch((6, 6))
    assert np.abs(forward(params, tokens, valid)[0] - forward(params, tokens[:, ::-1], valid)[0]).max() > 1e-3


@pytest.mark.parametrize(("encoding", "pooling"), [*((encoding, "cls") for encoding in ENCODINGS), ("learned", "mean")])
def test_positions(encoding, pooling):
    """Explicit positions 0, 1, ... are None; with them, padding may stand on the left."""
    _, params, forward = made(encoding=ENCODINGS[encoding], pooling=pooling, mask="causal & local(window=6)")
    tokens, valid = batch()
    logits, _ = forward(params, tokens, valid)
    np.testing.assert_allclose(forward(params, tokens, valid, positions=jnp.tile(jnp.arange(6), (2, 1)))[0], logits, atol=1e-5)
    shift = np.array([[0], [3]])
    left = np.take_along_axis(np.asarray(tokens), (np.arange(6) - shift) % 6, 1)
    positions = np.where(np.arange(6) >= shift, np.arange(6) - shift, -77)
    found, _ = forward(params, jnp.asarray(left), jnp.asarray(positions >= 0), positions=jnp.asarray(positions))
    np.testing.assert_allclose(found, logits, atol=1e-5)


def test_no_valid_token():
    """Finite logits and gradients, with several normalizers and poolings."""
    tokens, _ = batch()
    normalizers = ("softmax", "sparsemax", "sigmoid", "softmax", "softmax")
    poolings = ("additive", "cls", "structured", "map", "gem")
    for normalizer, pooling in zip(normalizers, poolings, strict=True):
        model, params, _ = made(normalizer=normalizer, pooling=pooling, encoding="shaw(max_distance=3)")
        loss = jit(jax.value_and_grad(lambda p, valid: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))  # noqa: B023
        with jax.debug_nans(True):
            value, gradient = jax.block_until_ready(loss(params, jnp.zeros((2, 6), bool)))
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("encoding", ["rope", "learned + shaw(max_distance=3)"])
def test_bfloat16(encoding):
    model, params, forward = made(encoding=encoding)
    narrow = made(encoding=encoding, compute_dtype="bfloat16")[2]
    tokens, valid = batch()
    (logits, _), (near, aux) = forward(params, tokens, valid), narrow(params, tokens, valid)
    assert near.dtype == aux["loss"].dtype == jnp.float32
    np.testing.assert_allclose(near, logits, atol=0.05)
    assert not np.array_equal(near, logits)
    assert {leaf.dtype for leaf in jax.tree.leaves(model.init(jax.random.key(0), tokens, valid))} == {jnp.dtype("float32")}
    captured = classifier(encoding=encoding, compute_dtype="bfloat16").apply({"params": params}, tokens, valid, capture=True)[1]
    assert captured["layer_0/output"].dtype == jnp.bfloat16
    assert captured["layer_0/weights"].dtype == jnp.float32


@pytest.mark.parametrize("normalizer", ["softmax", "sparsemax", "sigmoid"])
def test_capture(normalizer):
    """Intermediate results in a plain dict, the same logits, and weights that sum to one where the normalizer says so."""
    specs = {"encoder": "transformer(layers=2, mlp=1)", "normalizer": normalizer, "pooling": "additive(hidden=3)"}
    model, params, forward = made(**specs)
    tokens, valid = batch()
    logits, aux = jit(lambda p: model.apply({"params": p}, tokens, valid, capture=True))(params)
    np.testing.assert_allclose(logits, forward(params, tokens, valid)[0], atol=1e-5)
    shapes = {
        "loss": (2,), "embeddings": (2, 6, D), "states": (2, 6, D), "pooling": (2, 6), "pooled": (2, D),
        "layer_0/weights": (2, N, 6, 6), "layer_0/output": (2, 6, D),
        "layer_1/weights": (2, N, 6, 6), "layer_1/output": (2, 6, D),
    }  # fmt: skip
    assert jax.tree.map(jnp.shape, aux) == shapes
    assert set(forward(params, tokens, valid)[1]) == {"loss"}
    for layer in range(2):
        weights = aux[f"layer_{layer}/weights"]
        np.testing.assert_array_equal(weights[1, :, :, 3:], 0)
        sums = np.allclose(weights.sum(-1), 1, atol=1e-5)
        assert sums == (attention.build("normalizer", normalizer).claims.row_sum == "one")
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
        ({"encoder": "bilstm(hidden=3)"}, V * D + 24 * (D + 4) + C * (6 + 1)),
        ({"encoder": "cnn(filters=4)", "pooling": "additive(hidden=5)"},
         V * D + 4 * (12 * D + 3) + 12 * 5 + 10 + C * (12 + 1)),
        ({"mixer": "attention(heads=4, kv_heads=1)"}, "-2*(D*D+D)*3//4"),
        ({"mixer": "attention(heads=2, bias=False)"}, "-4*D"),
        ({"mixer": "attention(heads=2, head_dim=6)"}, "+4*D*(12-D)+3*(12-D)"),
        ({"mixer": "attention(heads=2, gate=element)"}, "+D*D"),
        ({"mixer": "attention(heads=2, gate=head)"}, "+D*N"),
        ({"encoder": "transformer(layers=1, mlp=2, gate=residual)"}, "+D"),
        ({"encoder": "transformer(layers=1, mlp=2, gate=input)"}, "+D*D+D"),
        ({"head_gate": "mult"}, "+D"),
        ({"head_gate": "input"}, "+D*D+D"),
        ({"head_softmax": True}, "+0"),
        ({"head_hidden": 5}, "+5*(D+1)+3*(5-D)"),
        ({"encoder": "bare", "mixer": "attention(heads=2, projections=qkv)"}, V * D + 3 * (D * D + D) + C * (D + 1)),
        ({"encoder": "bare", "mixer": "attention(heads=2, projections=none)"}, V * D + C * (D + 1)),
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
        ({"score": "general(bias=True)"}, "+D*D//N+N"),
        # no projection of what the score does not read, but where the encoding reads it
        ({"score": "location"}, "+L*D-(D*D+D)"),
        ({"score": "location", "pooling": "cls"}, "+D+(L+1)*D-(D*D+D)"),
        ({"score": "synthesizer"}, "+L*D+L*N-(D*D+D)"),
        ({"score": "synthesizer(form=random)"}, "+L*L*N-2*(D*D+D)"),
        ({"score": "synthesizer(form=random, trainable=False)", "encoding": "t5"}, "+32*N+L*L*N-2*(D*D+D)"),
        ({"score": "location", "encoding": "shaw"}, "+L*D+2*33*D//N"),
        ({"normalizer": "sparsemax(temperature=learned)"}, "+N"),
        ({"encoding": "sinusoidal(learned_scale=True)"}, "+1"),
    ],
    ids=str,
)  # fmt: skip
def test_parameter_count(specs, count):
    base = V * D + 4 * (D * D + D) + (4 * D * D + 3 * D) + 4 * D + 2 * D + C * (D + 1)
    wanted = base + eval(count, {"D": D, "L": L, "N": N}) if isinstance(count, str) else count
    tokens = jnp.zeros((1, 2), jnp.int32)
    params = jax.eval_shape(classifier(**specs).init, jax.random.key(0), tokens, tokens == 0)["params"]
    assert size(params) == wanted


def test_every_parameter_has_a_gradient():
    specs = {"encoding": "learned + t5(buckets=4, max_distance=3) + shaw(max_distance=1)", "score": "additive(hidden=3)"}
    specs |= {
        "normalizer": "sigmoid(temperature=learned)",
        "pooling": "cls",
        "encoder": "transformer(layers=2, mlp=1, activation=swiglu)",
    }
    for chosen in (specs, {"score": "cosine", "pooling": "additive(hidden=3)", "encoding": "sinusoidal(learned_scale=True)"}):
        model, params, _ = made(**chosen)
        tokens, valid = batch((6, 5, 4), seed=1)
        loss = lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)  # noqa: B023
        for path, gradient in jax.tree.leaves_with_path(jit(jax.grad(loss))(params)):
            assert np.abs(gradient).max() > 1e-5, jax.tree_util.keystr(path)


def test_frozen_embeddings():
    """No gradient for the table and its own for everything else; a tuned table has one for the tokens it was asked for."""
    tokens, valid = batch()
    gradients = {}
    for frozen in (True, False):
        model, params, _ = made(frozen_embeddings=frozen)
        gradients[frozen] = jit(jax.grad(lambda p: jnp.sum(model.apply({"params": p}, tokens, valid)[0] ** 2)))(params)  # noqa: B023
    np.testing.assert_array_equal(gradients[True]["embedding"]["table"], 0)
    seen = np.isin(np.arange(V), np.asarray(tokens)[np.asarray(valid)])
    np.testing.assert_array_equal(np.abs(gradients[False]["embedding"]["table"]).max(-1) > 1e-7, seen)
    for name in set(gradients[True]) - {"embedding"}:
        jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), gradients[True][name], gradients[False][name])


def test_embeddings_at_the_start():
    """Unit variance after the multiplication with √D, and pretrained vectors are seen as they are."""
    model = attention_model.classifier(
        encoder="embeddings", encoding="none", vocab_size=400, num_classes=2, max_length=4, dim=D
    )
    tokens = jnp.arange(400)[None]
    params = model.init(jax.random.key(0), tokens[:, :4], tokens[:, :4] >= 0)["params"]
    seen = model.apply({"params": params}, tokens, tokens >= 0, capture=True)[1]["embeddings"]
    np.testing.assert_allclose(seen.std(), 1.0, atol=0.05)
    vectors = normal(0, 400, D)
    params = {**params, "embedding": {"table": model.embedding_table(vectors)}}
    np.testing.assert_allclose(
        model.apply({"params": params}, tokens, tokens >= 0, capture=True)[1]["embeddings"][0], vectors, atol=1e-6
    )


def test_ids_outside_the_vocabulary():
    """Refused where they are known; under jit the numbers that the docstring promises."""
    model, params, forward = made()
    run = lambda tokens: model.apply({"params": params}, tokens, tokens == tokens)
    for wrong in (V, -1):
        with pytest.raises(ValueError, match=rf"tokens want ids in \[0, {V}\), got {wrong}\b"):
            run(jnp.array([[1, wrong]]))
    with pytest.raises(ValueError, match="tokens want whole numbers, the ids of a tokenizer, got float32"):
        run(jnp.ones((1, 2)))
    of = lambda last: forward(params, jnp.array([[1, last]]), jnp.ones((1, 2), bool))[0]
    for outside in (V, V + 7, -1):
        np.testing.assert_array_equal(of(outside), of(V - 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid": jnp.ones(3, bool)}, r"valid wants the shape of the tokens, \(2, 3\), got \(3,\)"),
        ({"valid": jnp.ones((1, 3), bool)}, r"valid wants the shape of the tokens, \(2, 3\), got \(1, 3\)"),
        ({"valid": jnp.ones((2, 3))}, r"valid wants booleans .*: give valid != 0, got float32"),
        ({"positions": jnp.arange(3)}, r"positions wants the shape of the tokens"),
        ({"segments": jnp.zeros((2, 3))}, "segments wants whole numbers, got float32"),
    ],
)
def test_what_is_said_of_tokens_is_of_their_shape(changes, message):
    given = {"valid": jnp.ones((2, 3), bool)} | changes
    for model, more in ((classifier(), {}), (seq2seq(vocab_size=V, max_length=L), {"targets": jnp.ones((2, 3), jnp.int32)})):
        with pytest.raises(ValueError, match=message):
            model.init(jax.random.key(0), jnp.ones((2, 3), jnp.int32), **given, **more)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frozen_embeddings": "False"}, "frozen_embeddings must be True or False, got 'False'"),
        ({"head_softmax": "no"}, "head_softmax must be True or False, got 'no'"),
        ({"head_hidden": 2.5}, r"head_hidden must be a whole number, got 2\.5"),
        ({"dim": 16.0}, r"dim must be a whole number, got 16\.0"),
        ({"dim": "16"}, "dim must be a whole number, got '16'"),
        ({"num_classes": True}, "num_classes must be a whole number, got True"),
        ({"embedding_init": "1"}, "embedding_init must be a number > 0, got '1'"),
        ({"compute_dtype": jnp.bfloat16}, "compute_dtype must be one of float32, bfloat16 .nearest: 'bfloat16'., got "),
    ],
)
def test_arguments_of_a_wrong_type(changes, message):
    sizes = {"vocab_size": V, "max_length": L}
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(attention_model.classifier)(**{**sizes, "num_classes": C, **changes})
    if changes.keys() & inspect.signature(seq2seq).parameters.keys():
        with pytest.raises(ValueError, match=message):
            inspect.unwrap(seq2seq)(**{**sizes, **changes})
