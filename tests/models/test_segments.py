"""Texts cut into sentences or lines: the cuts, their numbers and positions through batches, model, training and evaluation."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention import specs
from attention.data.batches import gather, inputs
from attention.data.encode import encode_texts
from attention.data.segments import cut, renumbered, restarted
from attention.evaluation import trained as evaluate
from attention.models.classifier import classifier
from attention.training import config, loop
from tests.support import toy

SENTENCES = {
    "It rained. We left! Why? 3 reasons.": ["It rained.", " We left!", " Why?", " 3 reasons."],
    'He said "Go." Then (he left.) So what?': ['He said "Go."', " Then (he left.)", " So what?"],
    "e.g. this is one, at 3.5 each": ["e.g. this is one, at 3.5 each"],
    "Wait... what? Élan vital. 'Tis": ["Wait... what?", " Élan vital.", " 'Tis"],
    "Bad.<br /><br />Good film.": ["Bad.", "<br />", "<br />Good film."],
    "我来了。你呢？好": ["我来了。", "你呢？", "好"],
    "one\ntwo\n\n three\n": ["one", "\ntwo", "\n\n three\n"],
    "": [""],
}


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences(text):
    assert cut(text, "sentences") == SENTENCES[text]


def test_lines_and_none():
    assert cut("A b. C\nd\n\ne", "lines") == ["A b. C", "\nd", "\n\ne"]
    assert cut("A b. C\nd", "none") == ["A b. C\nd"]


@given(st.text(alphabet="aB .!?\n'\")。3", max_size=40))
def test_a_cut_loses_nothing(text):
    for how in ("sentences", "lines"):
        pieces = cut(text, how)
        assert "".join(pieces) == text
        assert len(pieces) == 1 or all(pieces)


def encode(texts, **policy):
    tokenizer = specs.build("tokenizer", "words")
    state = tokenizer.train(["a b c d e f . ! ?"])
    return encode_texts(tokenizer, state, texts, **{"max_length": 99, "truncate": "head", "segments": "sentences", **policy})


def test_tokens_are_numbered_by_segment():
    found = encode(["A b c. D e!\n \nF", "A"], positions="segment")
    assert found.segments.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 0]
    assert found.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 0]
    assert encode(["A b c. D e!\n \nF", "A"]).positions is None
    whole = encode(["A b c. D e!\n \nF", "A"], segments="none")
    assert whole.segments is None
    assert whole.positions is None
    np.testing.assert_array_equal(whole.flat, found.flat)


@pytest.mark.parametrize(
    ("truncate", "segments", "positions"),
    [("head", [0, 0, 0, 1], [0, 1, 2, 0]), ("tail", [0, 0, 1, 1], [0, 1, 0, 1]), ("middle", [0, 0, 1, 1], [0, 1, 0, 1])],
)
def test_what_is_left_of_a_text_is_numbered_anew(truncate, segments, positions):
    found = encode(["A b. C d. E f"], max_length=4, truncate=truncate, positions="segment")
    assert found.segments.tolist() == segments
    assert found.positions.tolist() == positions


def test_numbers_and_restarts():
    assert renumbered(np.array([3, 3, 5, 9, 9], np.int32)).tolist() == [0, 0, 1, 2, 2]
    assert renumbered(np.zeros(0, np.int32)).tolist() == []
    assert restarted(np.array([0, 0, 1, 1, 1, 0]), np.array([0, 3, 5, 6])).tolist() == [0, 1, 0, 0, 1, 0]


def test_bad_policies():
    with pytest.raises(
        ValueError, match=r"unknown segments 'sentence' \(nearest: 'sentences'\); known: none, sentences, lines"
    ):
        encode(["a"], segments="sentence")
    with pytest.raises(ValueError, match="positions='segment' wants texts cut into segments"):
        encode(["a"], segments="none", positions="segment")
    with pytest.raises(ValueError, match="windows='stream' are of whole texts: segments wants 'none', got 'lines'"):
        encode(["a"], segments="lines", windows="stream")
    with pytest.raises(
        ValueError, match=r"config.data.positions=segment wants config.data.segments=sentences, lines or columns, got none"
    ):
        config.from_dict({"data": {"positions": "segment"}})


def test_batches_carry_them():
    found = encode(["A b. C", "A"], positions="segment")
    batch = gather(found, np.array([1, 0, -1]), 6)
    assert batch["segments"].tolist() == [[0] * 6, [0, 0, 0, 1, 0, 0], [0] * 6]
    assert batch["positions"].tolist() == [[0] * 6, [0, 1, 2, 0, 0, 0], [0] * 6]
    assert set(inputs(batch)) == {"tokens", "valid", "segments", "positions"}
    some = found.only(np.array([False, True]))
    assert (some.segments.tolist(), some.positions.tolist()) == ([0], [0])
    assert set(inputs(gather(encode(["A"], segments="none"), np.array([0]), 8))) == {"tokens", "valid"}


def test_the_call_of_a_model_with_an_extra_token():
    model = classifier(pooling="cls", vocab_size=5, num_classes=2, max_length=8)
    valid = jnp.array([[True, True, True, False]])
    call = model.call_of(valid, positions=jnp.array([[0, 1, 0, 7]]), segments=jnp.array([[0, 0, 1, 1]]))
    assert call.q_segments.tolist() == [[0, 0, 0, 1, 1]] == call.k_segments.tolist()
    assert call.q_positions.tolist() == [[0, 1, 2, 1, 0]]
    assert call.q_valid.tolist() == [[True, True, True, True, False]]


def test_positions_of_segments_reach_the_encoding():
    """Two sentences of the same words are the same bag of positioned words, in either order."""
    model = classifier(
        encoder="transformer(layers=1)", encoding="sinusoidal", dim=8, vocab_size=20, num_classes=3, max_length=8
    )
    found = encode(["A b. C d", "C d. A b", "A b. C d"], positions="segment")
    batch = inputs(gather(found, np.arange(3), 8))
    batch["tokens"] = np.where(batch["tokens"] == found.flat[2], 0, batch["tokens"])  # the full stop, wherever it stands
    batch["valid"] &= batch["tokens"] > 0
    batch = jax.tree.map(jnp.asarray, batch)
    params = model.init(jax.random.key(0), **batch)
    logits = model.apply(params, **batch)[0]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-6)
    del batch["positions"]
    assert np.abs(np.diff(model.apply(params, **batch)[0][:2], axis=0)).max() > 1e-3


def test_a_run_with_segments_is_trained_evaluated_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    lines = ["text\tlabel", *(f"Oslo {'is ' * (n % 4)}here. {'Plum' if n % 2 else 'Rome'} too!\t{n % 2}" for n in range(24))]
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    fields = toy.fields(
        f"files(train='{tmp_path}/train.tsv', validation='{tmp_path}/validation.tsv', test='{tmp_path}/test.tsv')"
    )
    fields["data"] |= {"segments": "sentences", "positions": "segment", "tokenizer": "words"}
    fields["model"] = {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8}
    result = loop.train(config.from_dict(fields), tmp_path / "run")
    trained = evaluate.load(tmp_path / "run")
    again = trained.evaluate()
    assert again.members[0]["nll"] == result["members"][0]["test"]["nll"]
    assert json.loads((tmp_path / "run/config.json").read_text())["data"]["segments"] == "sentences"
    # The same words in one sentence are other positions, and another answer.
    one, two = trained.predict(["Oslo is here. Plum too!"]), trained.predict(["Oslo is here . plum too!"])
    assert np.abs(one.probabilities - two.probabilities).max() > 1e-6
