"""Evidence of the hierarchy of words and sentences."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from attention.evaluation import trained as evaluate
from attention.training import config, loop, recipe
from tests.support import toy
from tests.support.encoders import SEGMENTS, D, U, batch, both, built, gru, packed, witness
from tests.support.evidence import EncoderCase, EncoderEvidence
from tests.support.helpers import jit
from tests.support.models import made
from tests.support.row import Row


def reference(rows, sentences, params):
    vectors = []
    for s in sorted(set(sentences)):
        states = both(gru, rows[np.asarray(sentences) == s], params["words"])
        scores = [
            np.tanh(h @ params["attention"]["kernel"] + params["attention"]["bias"]) @ params["vector"][:, 0] for h in states
        ]
        shares = [math.exp(score) for score in scores]
        vectors.append(sum(share * h for share, h in zip(shares, states)) / sum(shares))
    return both(gru, vectors, params["sentences"])


def oracles():
    from tests.support.oracle_packages import F, torch

    def theirs(texts, params):
        """Sentence by sentence, as lists."""
        found, run = [], packed(torch.nn.GRU)
        for rows in texts:
            numbers = SEGMENTS[: len(rows)]
            sentences = [rows[torch.tensor(numbers == s)] for s in range(numbers.max() + 1)]
            vectors = []
            for h in run(sentences, {"layer_0": params["words"]}):
                u = torch.tanh(F.linear(h, params["attention"]["kernel"].T, params["attention"]["bias"]))
                vectors.append(torch.softmax(u @ params["vector"][:, 0], dim=0) @ h)
            found += run([torch.stack(vectors)], {"layer_0": params["sentences"]})
        return found

    return {"torch.nn.GRU, sentence by sentence": witness("hierarchical(attention=5)", theirs)}


WORDS, SENTENCES = 2 * 3 * U * (D + U + 1), 2 * 3 * U * (3 * U + 1)
CASES = (
    EncoderCase("hierarchical", reference, WORDS + SENTENCES + 2 * U * 2 * U + 2 * 2 * U),
    EncoderCase("hierarchical(hidden=4, attention=5)", reference, 24 * (D + 5) + 24 * 13 + 8 * 5 + 10, 8),
)
REFUSED = (
    ({"pooling": "cls"}, "encoder=hierarchical with pooling=cls"),
    ({"dim": 7}, "each direction has half of the model's channels, got 7; give hidden"),
)
ROW = Row(
    "hierarchical",
    {"hidden": "5", "attention": "5"},
    EncoderEvidence(CASES, oracles, parts=REFUSED, errors={"hierarchical(attention=0)": "attention must be >= 1, got 0"}),
)


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
    with pytest.raises(ValueError, match=r"config.model.encoder=hierarchical wants config.data.segments=sentences, lines"):
        recipe.checked_model(settings)
    settings = config.from_dict({"model": {"encoder": "hierarchical"}, "data": {"segments": "lines"}})
    recipe.checked_model(settings)


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
