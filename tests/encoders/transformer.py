"""What single encoders do: recurrences, windows, sentences, and the options of the transformer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import attention
from attention.attend import parts_of
from attention.evaluation import trained as evaluate
from attention.models.classifier import kernel_choice
from attention.records import Call, Context
from attention.tasks import _telemetry as telemetry
from attention.training import config, loop
from tests.support import toy
from tests.support.encoder_rows import DIMS, D, U, batch, built
from tests.support.helpers import jit, normal
from tests.support.models import classifier, made

# Recurrences.


def test_examples():
    """Those of the documentation."""
    zeros, gates = jnp.zeros((2, 1)), jnp.array([0.0, 0.0, 9.0, 0.0])
    np.testing.assert_allclose(
        attention.lstm(zeros, zeros[:1].repeat(4, 1), zeros[:1].repeat(4, 1), gates), [[0.2311], [0.3175]], atol=1e-4
    )
    np.testing.assert_allclose(
        attention.gru(zeros, zeros[:1].repeat(3, 1), zeros[:1].repeat(3, 1), gates[:3]), [[0.5], [0.75]], atol=1e-4
    )


GATES = {"lstm": 4, "gru": 3}


def _weights(cell):
    """W, R and b of U units over D channels."""
    columns = GATES[cell] * U
    return [normal(i, *shape, scale=0.5) for i, shape in enumerate(((D, columns), (U, columns), (columns,)))]


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("reverse", [False, True])
def test_recurrences_of_flax(cell, reverse):
    """Flax's own cells over the text alone, longer than a block, are a second witness."""
    T, weights = 21, _weights(cell)
    x, lengths = normal(5, 3, T, D), np.array([21, 1, 10])
    found = getattr(attention, cell)(x, *weights, jnp.arange(T) < lengths[:, None], reverse=reverse)
    kernel, recurrent, bias = (jnp.split(w, GATES[cell], axis=-1) for w in weights)
    if cell == "lstm":
        params = {f"i{g}": {"kernel": kernel[k]} for k, g in enumerate("ifgo")}
        params |= {f"h{g}": {"kernel": recurrent[k], "bias": bias[k]} for k, g in enumerate("ifgo")}
        layer = nn.RNN(nn.OptimizedLSTMCell(U), reverse=reverse, keep_order=True)
    else:
        params = {f"i{g}": {"kernel": kernel[k], "bias": bias[k]} for k, g in enumerate("rzn")}
        params |= {f"h{g}": {"kernel": recurrent[k]} for k, g in enumerate("rzn")}
        params["hn"]["bias"] = jnp.zeros(U)
        layer = nn.RNN(nn.GRUCell(U), reverse=reverse, keep_order=True)
    wanted = layer.apply({"params": {"cell": params}}, x, seq_lengths=jnp.asarray(lengths))
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(found[b, :n], wanted[b, :n], atol=1e-5)
        np.testing.assert_array_equal(found[b, n:], 0)


@pytest.mark.parametrize("cell", GATES)
def test_segments_and_gaps(cell):
    """A state begins anew in each segment, from either end, and padding in between is as if it were not there."""
    weights, function = _weights(cell), getattr(attention, cell)
    segments = jnp.array([4, 4, 4, 2, 2, 9])
    x, where = normal(6, 6, D), jnp.array([True, False, True, True, True, True])
    for reverse in (False, True):
        found = function(x, *weights, where, segments, reverse=reverse)
        for number in (4, 2, 9):
            mine = np.asarray((segments == number) & where)
            np.testing.assert_allclose(found[mine], function(x[mine], *weights, reverse=reverse), atol=1e-6)
        np.testing.assert_array_equal(found[1], 0)
        whole = function(x, *weights, where, reverse=reverse)
        np.testing.assert_allclose(whole[where], function(x[where], *weights, reverse=reverse), atol=1e-6)
        assert not np.allclose(whole, found)


def test_recurrence_wants_weights_of_one_size():
    with pytest.raises(ValueError, match=r"gru of 3 units wants 9 columns in kernel, recurrent and bias, got \(12, 12, 12\)"):
        attention.gru(jnp.zeros((2, D)), jnp.zeros((D, 12)), jnp.zeros((3, 12)), jnp.zeros(12))


def test_starts():
    """Orthogonal recurrences, the forget gate's bias where the option says, the other biases at 0."""
    x = jnp.zeros((1, 2, D))
    encoder, context = attention.build("encoder", "bilstm(forget_bias=2)"), Context(parts_of("none"), {}, tokens=x[..., 0])
    params = encoder.init(jax.random.key(0), x, context, Call(), DIMS)["params"]["layer_0"]
    for own in params.values():
        np.testing.assert_array_equal(own["bias"].reshape(4, U), np.outer([0, 2, 0, 0], np.ones(U)))
        for matrix in np.split(np.asarray(own["recurrent"]), 4, axis=1):
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(U), atol=1e-5)
        limit = np.sqrt(6 / (D + U))
        assert 0.7 * limit < np.abs(own["kernel"]).max() <= limit
    assert not np.allclose(params["forward"]["recurrent"], params["backward"]["recurrent"])


# Convolutions.


def test_an_even_window_looks_ahead():
    """A window of two holds a token and the next one, and nothing beyond the text."""
    _, params, run = built("cnn(widths=(1, 2), filters=5)")
    params = jax.tree.map(jnp.zeros_like, params)
    params["width_2"]["kernel"] = params["width_2"]["kernel"].at[D, 0].set(1.0)  # the first channel of the second token
    x, valid, _ = batch()
    states, _ = run(params, x, valid)
    np.testing.assert_allclose(states[0, :8, 5], np.maximum(x[0, 1:9, 0], 0), atol=1e-6)
    np.testing.assert_array_equal(states[2, 3:, 5], 0)


# Sentences.


def test_sentences_of_a_hierarchy():
    """As many as there are, the others masked and zero; numbers that no sentence can have give NaN, for their text alone."""
    _, params, run = built("hierarchical")
    x, valid, segments = batch()
    states, there = run(params, x, valid, segments)
    np.testing.assert_array_equal(there, np.arange(9) < np.array([[4], [1], [2]]))
    np.testing.assert_array_equal(np.asarray(states)[~np.asarray(there)], 0)
    for wrong in (9, -1):
        found, _ = run(params, x, valid, segments.at[2, 1].set(wrong))
        assert np.isnan(found[2]).all()
        np.testing.assert_array_equal(found[:2], states[:2])
    none, _ = run(params, x, valid.at[1].set(False), segments)
    np.testing.assert_array_equal(none[1], 0)
    gap, there = run(params, x, valid.at[0, 3].set(False), segments)  # the second sentence of the first text is all padding
    np.testing.assert_array_equal(there[0], [True, False, True, True] + [False] * 5)
    kept = np.array([0, 1, 2, 4, 5, 6, 7, 8])
    other, _ = run(params, x[:1, kept], valid[:1, kept], jnp.array([[0, 0, 0, 1, 1, 2, 2, 2]]))
    np.testing.assert_allclose(np.asarray(gap)[0, [0, 2, 3]], other[0, :3], atol=1e-5)


def test_weights_of_words():
    """They sum to one in each sentence, in the order of the tokens."""
    tokens = jnp.tile(jnp.arange(1, 7), (2, 1))
    valid, segments = jnp.arange(6) < jnp.array([[6], [4]]), jnp.array([[0, 0, 1, 1, 1, 2]] * 2)
    model, params, _ = made(encoder="hierarchical", pooling="additive(hidden=3)")
    captured = jit(lambda params: model.apply({"params": params}, tokens, valid, segments=segments, capture=True)[1])(params)
    weights = np.asarray(captured["word_weights"])
    np.testing.assert_allclose(weights[0, :2].sum(), 1, atol=1e-6)
    np.testing.assert_allclose(weights[1, 2:4].sum(), 1, atol=1e-6)
    np.testing.assert_allclose(weights.sum(1), [3, 2], atol=1e-6)
    np.testing.assert_allclose(captured["pooling"].sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(captured["pooling"][:, 3:], 0)


def test_hierarchy_wants_segments():
    model, params, _ = made(encoder="hierarchical")
    tokens = jnp.ones((1, 3), jnp.int32)
    with pytest.raises(ValueError, match=r"encoder=hierarchical reads sentences; give segments, or config.data.segments=sent"):
        model.apply({"params": params}, tokens, tokens > 0)
    settings = config.from_dict({"model": {"encoder": "hierarchical"}})
    with pytest.raises(ValueError, match=r"config.model.encoder=hierarchical wants config.data.segments=sentences or lines"):
        evaluate.build_model(settings, vocab_size=5, num_classes=2)
    settings = config.from_dict({"model": {"encoder": "hierarchical"}, "data": {"segments": "lines"}})
    evaluate.build_model(settings, vocab_size=5, num_classes=2)


def test_a_run_over_sentences_is_trained_and_read_again(tmp_path, monkeypatch):
    """It learns what only the sentences tell: the same words are another class where the full stop stands elsewhere."""
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    texts = [("Plum fig. Pear!", "Plum. Fig pear!")[n % 2] for n in range(24)]
    lines = ["text\tlabel", *(f"{text}\t{n % 2}" for n, text in enumerate(texts))]
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    source = ", ".join(f"{name}='{tmp_path}/{name}.tsv'" for name in ("train", "validation", "test"))
    fields = toy.fields(f"files({source})", steps=40, learning_rate=0.05, eval_every=40)
    fields["data"] |= {"segments": "sentences", "tokenizer": "words"}
    fields["model"] = {"encoder": "hierarchical", "encoding": "none", "pooling": "additive", "dim": 8}
    result = loop.train(config.from_dict(fields), tmp_path / "run")
    assert result["members"][0]["test"]["accuracy"] == 1
    trained = evaluate.load(tmp_path / "run")
    assert trained.evaluate().members[0]["nll"] == result["members"][0]["test"]["nll"]
    assert trained.predict(texts[:2]).labels == ["0", "1"]


# Transformers.


def test_depth_scaled_start():
    """The output projections of mixer and MLP times 1/√(2L), and nothing else; a mixer without one is refused."""
    x = jnp.zeros((1, 2, D))
    plain, scaled = (_start(f"transformer(layers=3, mlp=2, init={init})", x) for init in ("plain", "depth"))
    for (path, one), two in zip(jax.tree.leaves_with_path(plain), jax.tree.leaves(scaled)):
        name = jax.tree_util.keystr(path)
        factor = 6**-0.5 if "['output']" in name or "['out']" in name else 1.0
        np.testing.assert_allclose(two, factor * one, rtol=1e-6, err_msg=name)
    with pytest.raises(
        ValueError, match="init=depth scales the mixer's output projection at the start, and this mixer has none"
    ):
        _start("transformer(init=depth)", x, mixer="fnet")


def _start(spec, x, mixer="attention(heads=2)"):
    encoder = dataclasses.replace(attention.build("encoder", spec), mixer=attention.build("mixer", mixer))
    context = Context(parts_of("none"), {}, tokens=jnp.zeros(x.shape[:-1], jnp.int32))
    return encoder.init(jax.random.key(0), x, context, Call(), DIMS)["params"]


def test_stochastic_depth():
    """Whole branches of single examples are left out, the later ones more often; nothing is at test; the mean is kept."""
    count, p = 400, 0.6
    model, params, _ = made(encoder=f"transformer(layers=2, mlp=1, stochastic_depth={p})", encoding="none")
    for block in ("block_0", "block_1"):  # what is added does not depend on the input: the mixer adds 1, the MLP 10
        own = params["encoder"][block]
        params["encoder"][block] = {
            **own,
            "mixer": jax.tree.map(jnp.zeros_like, own["mixer"]),
            "mlp": jax.tree.map(jnp.zeros_like, own["mlp"]),
        }
        params["encoder"][block]["mixer"]["output"]["bias"] += 1.0
        params["encoder"][block]["mlp"]["out"]["bias"] += 10.0
    tokens = jnp.ones((count, 2), jnp.int32)
    apply = lambda rng=None, train=False: model.apply(
        {"params": params}, tokens, tokens > 0, capture=True, rng=rng, train=train
    )
    run = jit(lambda **rest: apply(**rest)[1], static_argnames="train")
    found, plain = run(rng=jax.random.key(0), train=True), run(rng=jax.random.key(0))
    for layer, rate in enumerate((p / 2, p)):
        before = found["embeddings" if layer == 0 else "layer_0/output"]
        added = np.asarray(found[f"layer_{layer}/output"] - before)
        np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-3)
        mixed, passed = np.divmod(np.round(added[:, 0, 0] * (1 - rate)), 10)
        assert set(mixed) == set(passed) == {0.0, 1.0}
        for kept in (mixed, passed):
            assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / count)
        assert 0.05 < np.mean((mixed == 1) & (passed == 0)) < 0.5  # each branch draws for itself
    np.testing.assert_allclose(plain["layer_1/output"], plain["embeddings"] + 22.0, atol=1e-4)
    np.testing.assert_allclose(run(train=False)["layer_1/output"], plain["layer_1/output"])
    with pytest.raises(ValueError, match="stochastic_depth in training needs rng"):
        run(train=True)


@pytest.mark.parametrize("encoding", ["sinusoidal", "rope", "learned + t5", "cpe", "randomized(inner=rope, max_position=99)"])
def test_registers(encoding):
    """They are seen by the text, not by the pooling, and the text keeps its positions: numbered from 0, or as it is told."""
    specs = {"encoder": "transformer(layers=2, mlp=1, registers=3)", "encoding": encoding, "pooling": "max"}
    model, params, _ = made(**specs)
    tokens, valid = jnp.tile(jnp.arange(1, 7), (2, 1)), jnp.arange(6) < jnp.array([[6], [4]])

    @jit
    def run(params, positions=None):
        rng = jax.random.key(0)
        return model.apply({"params": params}, tokens, valid, capture=True, rng=rng, positions=positions)

    logits, captured = run(params)
    assert captured["states"].shape[1] == 6
    assert captured["layer_0/weights"].shape[-2:] == (9, 9)
    assert (captured["layer_0/weights"][..., :3] > 0).all()
    np.testing.assert_array_equal(captured["layer_0/weights"][1, :, :, 7:], 0)
    if not encoding.startswith("randomized"):
        np.testing.assert_allclose(run(params, positions=jnp.tile(jnp.arange(6), (2, 1)))[0], logits, atol=1e-5)
    moved = dict(params["encoder"], registers=params["encoder"]["registers"] + jnp.arange(8) % 3)
    assert not np.allclose(run({**params, "encoder": moved})[0], logits, atol=1e-3)
    few = model.clone(encoder=dataclasses.replace(model.encoder, registers=0))
    without = {name: leaf for name, leaf in params["encoder"].items() if name != "registers"}
    without = {**params, "encoder": without}
    plain = jit(lambda p: few.apply({"params": p}, tokens, valid, capture=True, rng=jax.random.key(0))[1])(without)
    scores = lambda weights: np.log(weights[0, :, 1:, 1:]) - np.log(weights[0, :, 1:, :1])  # what softmax leaves of the scores
    ours = captured["layer_0/weights"][:, :, 3:, 3:]
    if encoding != "cpe":
        np.testing.assert_allclose(scores(ours), scores(plain["layer_0/weights"]), atol=2e-4)


def test_registers_beside_other_parts():
    """The measured weights, the size of the problem, masks by segment, a mixer with a place for each token, an added token."""
    encoder = "transformer(layers=1, mlp=1, registers=2)"
    model, params, _ = made(encoder=encoder, mask="document & local(window=4)", pooling="cls")
    tokens, valid = jnp.tile(jnp.arange(1, 7), (2, 1)), jnp.arange(6) < jnp.array([[6], [4]])
    segments = jnp.array([[0, 0, 1, 1, 1, 1]] * 2)
    weights = model.apply({"params": params}, tokens, valid, segments=segments, capture=True)[1]["layer_0/weights"]
    allowed = telemetry.allowed_pairs(model, valid, segments=segments)
    wanted = np.broadcast_to(allowed, weights.shape)
    np.testing.assert_array_equal(wanted[0], weights[0] > 0)
    np.testing.assert_array_equal(wanted[1, :, :7], weights[1, :, :7] > 0)  # what padding asks for has no meaning
    assert allowed.shape == (2, 1, 9, 9)
    # Registers, the added token and the first two tokens, at 0, 0, 0, 1 and 2, are in the first segment.
    np.testing.assert_array_equal(allowed[0, 0, :5, :5].sum(), 25)
    np.testing.assert_array_equal(allowed[0, 0, 5:, :5], False)
    assert kernel_choice(classifier(), 2, 1024) == "dense"
    assert kernel_choice(classifier(encoder=encoder), 2, 1024) == "chunked"
    model, params, forward = made(encoder=encoder, mixer="linformer(heads=2, rank=3)", encoding="none")
    assert np.isfinite(forward(params, jnp.ones((1, 24), jnp.int32), jnp.ones((1, 24), bool))[0]).all()
