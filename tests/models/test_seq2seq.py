"""Encoder and decoder: against NumPy, place by place against all at once, and what may not matter."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
import tests.support.reference_decoders as reference
from attention import decoding
from attention.models.seq2seq import seq2seq, write
from tests.support.helpers import jit

V, D, S, U = 11, 8, 6, 8
RECURRENT = {"encoder": "bilstm", "encoding": "none", "decoder": "recurrent", "score": "additive"}
GRU = {**RECURRENT, "encoder": "bigru(hidden=3)", "decoder": "recurrent(cell=gru)"}
LAYERS = {"encoder": "transformer(layers=1)", "decoder": "transformer(layers=2, mlp=2)", "mixer": "attention(heads=2)"}
# One for each way in which a place may depend on those before it.
ROWS = {
    "transformer": LAYERS,
    "transformer, plain": {**LAYERS, "encoding": "none", "decoder": "transformer(layers=2, mlp=2, activation=relu)"},
    "transformer, rope": {
        **LAYERS,
        "encoding": "rope",
        "mixer": "attention(heads=2, kv_heads=1, gate=head, talking_heads=True)",
    },
    "transformer, alibi": {**LAYERS, "encoding": "alibi", "mask": "causal", "normalizer": "ssmax"},
    "transformer, shaw": {**LAYERS, "encoding": "shaw(max_distance=2)"},
    "transformer, cpe": {**LAYERS, "encoding": "cpe(causal=True)", "decoder": "transformer(layers=1)"},
    "transformer, randomized": {**LAYERS, "encoding": "randomized(inner=sinusoidal, max_position=40)"},
    "transformer, local": {**LAYERS, "mask": "local(window=4)", "normalizer": "sparsemax", "score": "cosine"},
    "transformer, narrow source": {
        **LAYERS,
        "encoder": "bilstm(hidden=3)",
        "encoding": "none",
        "mixer": "attention(heads=2, memory=2)",
    },
    "recurrent": RECURRENT,
    "recurrent, gru": GRU,
    "recurrent, dot": {**RECURRENT, "encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "score": "scaled_dot"},
}


@functools.cache
def made(name):
    """The model, parameters drawn with NumPy, and in one program: logits, the same place by place, and what is written."""
    model = seq2seq(dim=D, vocab_size=V, max_length=U, **ROWS[name])
    shapes = jax.eval_shape(lambda rng: model.init(rng, **model.example()), jax.random.key(0))["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.4, leaf.shape), leaf.dtype), shapes)
    key = jax.random.key(3)

    @jit
    def run(params, tokens, valid, targets):
        logits, extra = model.apply({"params": params}, tokens, valid, targets=targets, rng=key, capture=True)
        rngs = jax.random.split(key)
        apply = lambda method, *args, **rest: model.apply({"params": params}, *args, **rest, method=method)
        remembered = apply("begin", apply("encode", tokens, valid, rng=rngs[0]), U)
        before = decoding.shifted(targets)

        def step(remembered, place):
            known = jnp.where(jnp.arange(U) <= place, before, 7)  # what stands behind has no meaning
            logits, remembered = apply("advance", known, place, remembered, rngs[1])
            return remembered, logits

        _, each = jax.lax.scan(step, remembered, jnp.arange(U))
        greedy = write(model, params, tokens, valid, length=U, rng=key)
        return logits, each.swapaxes(0, 1), extra, greedy, write(model, params, tokens, valid, length=U, width=3, rng=key)

    return model, params, run


def given(lengths=(6, 3, 1), seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, V - 1, (len(lengths), S)).astype(np.int32)
    return tokens, np.arange(S) < np.array(lengths)[:, None], rng.integers(1, V, (len(lengths), U)).astype(np.int32)


@pytest.mark.parametrize("name", ROWS)
def test_place_by_place_is_all_at_once(name):
    _, params, run = made(name)
    logits, each, *_ = run(params, *given())
    np.testing.assert_allclose(each, logits, atol=2e-5)


@pytest.mark.parametrize("name", ROWS)
def test_what_is_written_is_the_likeliest_each_time(name):
    """Greedy decoding, checked by asking the model, all at once, about what it wrote."""
    model, params, run = made(name)
    tokens, valid, _ = given()
    *_, (written, log_p), (beams, scores) = run(params, tokens, valid, given()[2])
    written = np.asarray(written[:, 0])
    logits = np.asarray(run(params, tokens, valid, written)[0], np.float64)
    each = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    allowed = np.where(np.arange(V) == decoding.START, -np.inf, each)
    inside = written != decoding.START
    assert (allowed.argmax(-1) == written)[inside].all()
    total = np.where(inside, np.take_along_axis(each, written[..., None], -1)[..., 0], 0).sum(-1)
    np.testing.assert_allclose(log_p[:, 0], total, rtol=1e-4)
    ends = (written == model.end).argmax(-1)
    assert not any(row[end + 1 :].any() for row, end in zip(written, ends) if row[end] == model.end)
    assert (np.diff(scores, axis=-1) <= 0).all()
    assert (scores[:, 0] > -np.inf).all()
    assert not (beams[:, 0] == beams[:, 1]).all(-1).any()


@pytest.mark.parametrize("name", ROWS)
def test_neither_padding_nor_what_follows_matters(name):
    """Nor the other texts of the batch, where nothing is drawn for a batch."""
    _, params, run = made(name)
    tokens, valid, targets = given()
    logits = np.asarray(run(params, tokens, valid, targets)[0])
    other = np.where(valid, tokens, 9)
    later = np.where(np.arange(U) < 4, targets, 5)
    changed = np.asarray(run(params, other, valid, later)[0])
    np.testing.assert_allclose(changed[:, :5], logits[:, :5], atol=1e-5)
    assert np.abs(changed[:, 5:] - logits[:, 5:]).max() > 1e-3
    if name != "transformer, randomized":
        order = [2, 0, 1]
        moved = np.asarray(run(params, tokens[order], valid[order], targets[order])[0])
        np.testing.assert_allclose(moved, logits[order], atol=1e-5)
    assert np.abs(np.asarray(run(params, np.roll(tokens, 1, 1), valid, targets)[0]) - logits).max() > 1e-3


def _float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("recurrent", reference.recurrent(reference.lstm_cell, 2)),
        ("recurrent, gru", reference.recurrent(reference.gru_cell, 1)),
        ("transformer, plain", reference.transformer(2)),
    ],
)
def test_decoders_are_those_of_numpy(name, theirs):
    _, params, run = made(name)
    tokens, valid, targets = given()
    logits, _, extra, *_ = run(params, tokens, valid, targets)
    found, own = _float64((logits, extra["source"])), _float64(params)
    table, before = own["embedding"]["table"] * np.sqrt(D), np.asarray(decoding.shifted(jnp.asarray(targets)))
    for row, length in enumerate((6, 3, 1)):
        states, weights = theirs(found[1][row, :length], table[before[row]], own["decoder"])
        wanted = states @ own["head"]["kernel"] + own["head"]["bias"]
        np.testing.assert_allclose(found[0][row], wanted, rtol=2e-4, atol=2e-5)
        last = "decoder/layer_1/cross/weights" if name == "transformer, plain" else "decoder/layer_0/cross/weights"
        kept = np.asarray(extra[last][row])[..., :length].swapaxes(0, 1)
        np.testing.assert_allclose(kept, np.array(weights).reshape(kept.shape), atol=1e-5)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"mixer": "linear"}, "mixer=linear: a decoder wants one that can attend to a source, mixer=attention"),
        ({"normalizer": "sinkhorn"}, "normalizer=sinkhorn with mask=causal & full: this normalizer couples queries"),
        ({"mask": "causal", "normalizer": "stick_breaking"}, "normalizer=stick_breaking with mask=full (to the source)"),
        ({"encoding": "fox"}, "encoding=fox with mask=full: this encoding is defined for earlier keys only"),
        ({**RECURRENT, "mixer": "attention(heads=2)"}, "encoder=bilstm with mixer=attention(heads=2): it uses no mixer"),
        ({**RECURRENT, "encoding": "rope", "score": "scaled_dot"}, "encoder=bilstm with encoding=rope"),
        ({**RECURRENT, "normalizer": "differential"}, "normalizer=differential joins heads, and the recurrent decoder has one"),
        ({"decoder": "recurrent(cell=gru, forget_bias=2)"}, "forget_bias is for cell='lstm', got cell='gru'"),
        ({"decoder": "transformer(layers=0)"}, "layers must be >= 1, got 0"),
        ({"decoder": "recurent"}, "unknown decoder 'recurent' (nearest: 'recurrent')"),
        ({"dim": 0}, "dim must be >= 1, got 0"),
        ({"kernel": "flash"}, "unknown kernel 'flash'"),
        ({"mixer": "attention(heads=3)"}, "mixer=attention(heads=3): dim 8 is not a multiple of its 3 heads"),
        ({**RECURRENT, "encoder": "bilstm", "dim": 7}, "each direction has half of the model's channels, got 7"),
        ({"encoding": "learned(max_length=7)"}, "the encoding has 7 positions, got a sequence of 8"),
        ({"compute_dtype": "float16"}, "compute_dtype must be one of float32, bfloat16"),
    ],
)
def test_refused(specs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        seq2seq(**{"dim": 8, "vocab_size": V, "max_length": U, **specs})


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("transformer(layers=1)", ["transformer(layers=2)", "transformer(layers=1, mlp=2)",
         "transformer(layers=1, norm_type=rms)", "transformer(layers=1, activation=relu)",
         "transformer(layers=1, activation=swiglu)"]),
        ("recurrent", ["recurrent(cell=gru)", "recurrent(forget_bias=0)"]),
    ],
)  # fmt: skip
def test_no_dead_knobs(base, changes):
    """Every option of a decoder changes the parameters or the logits: no two of the specs have the same ones."""
    tokens, valid, targets = map(jnp.asarray, given())
    shapes, starts = {}, {}
    for spec in (base, *changes):
        mixer = {"mixer": "attention(heads=2)"} if "transformer" in base else {}
        model = seq2seq(encoder="embeddings", decoder=spec, dim=D, vocab_size=V, max_length=U, **mixer)
        starts[spec] = functools.partial(model.init_with_output, jax.random.key(0), tokens, valid, targets=targets)
        shapes[spec] = jax.eval_shape(starts[spec])[1]["params"]
    for one, two in itertools.combinations(shapes, 2):
        if shapes[one] == shapes[two]:
            (logits, _), (other, _) = (jit(starts[spec])()[0] for spec in (one, two))
            assert not np.allclose(logits, other, atol=1e-5), (one, two)
    options = attention.describe("decoder", base.split("(")[0]).options
    assert all(any(re.search(rf"\b{o.name}=", spec) for spec in changes) for o in options)


@pytest.mark.parametrize("name", ["transformer", "recurrent"])
def test_dropout(name):
    """In training alone, with a key; a traced rate; a rate of 0 is none."""
    model, params, _ = made(name)
    tokens, valid, targets = map(jnp.asarray, given())
    apply = lambda **rest: model.apply({"params": params}, tokens, valid, targets=targets, **rest)[0]
    run = jit(lambda rng, rate: [apply(rng=rng, train=train, dropout=rate) for train in (False, True)])
    one, two = jax.random.split(jax.random.key(0))
    plain, noisy = run(one, 0.4)
    for other in (plain, run(two, 0.4)[1]):
        assert np.abs(noisy - other).max() > 1e-2
    for same in (*run(one, 0.0), jit(apply)()):
        np.testing.assert_allclose(same, plain, atol=1e-5)
    with pytest.raises(ValueError, match="dropout in training needs rng"):
        apply(train=True, dropout=0.1)


def test_targets_past_the_positions_are_refused():
    model = seq2seq(dim=D, vocab_size=V, max_length=U, encoding="learned")
    tokens = jnp.ones((1, U), jnp.int32)
    with pytest.raises(ValueError, match="the encoding has 8 positions, got a sequence of 9"):
        jax.eval_shape(lambda: model.init(jax.random.key(0), tokens, tokens > 0, targets=jnp.ones((1, U + 1), jnp.int32)))
