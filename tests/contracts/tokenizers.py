"""What every tokenizer promises: ids of a vocabulary, the same in every process, and files that are checked."""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from attention.data.contracts import PADDING, UNKNOWN
from tests.support.rows import knobs, over_knobs, over_rows, rows
from tests.support.tokenizers import TEXTS, build, ids

every = over_rows("tokenizer")


@every
def test_ids_vocabulary_and_files(name, row, tmp_path):
    """Ids are those of the vocabulary; one text at a time gives the same as all at once; what is saved is what is loaded."""
    tokenizer = build(row.spec)
    state = tokenizer.train(TEXTS)
    vocabulary = tokenizer.vocabulary(state)
    assert len(vocabulary) == tokenizer.size(state)
    assert tuple(vocabulary[:2]) == ("<padding>", "<unknown>")
    encoded = tokenizer.encode(state, TEXTS)
    for array in encoded:
        assert array.dtype == np.int32
        assert array.min() > PADDING
        assert array.max() < tokenizer.size(state)
        assert array.size > 5
        assert UNKNOWN not in array or row.evidence.unknown
    assert all(np.array_equal(ids(tokenizer, state, text), array) for text, array in zip(TEXTS, encoded))
    assert (UNKNOWN in ids(tokenizer, state, "Ω Ω")) == (row.evidence.unseen == "unknown")
    tokenizer.save(state, tmp_path / "t")
    assert tokenizer.load(tmp_path / "t") == state
    assert [path.suffix for path in (tmp_path / "t").iterdir()] == [".json"]
    with pytest.raises(ValueError, match="not in a vocabulary of"):
        tokenizer.decode(state, [tokenizer.size(state)])
    assert tokenizer.decode(state, [*encoded[1], PADDING, PADDING]) == tokenizer.decode(state, encoded[1])


@every
def test_ids_in_the_order_of_the_text_go_on_with_it(name, row):
    """Whole words, since pieces may be of several letters."""
    for spec in (row.spec, name):
        tokenizer = build(spec)
        state = tokenizer.train(TEXTS)
        whole, words = ids(tokenizer, state, TEXTS[1]), TEXTS[1].split(" ")
        begun = [ids(tokenizer, state, " ".join(words[:count])) for count in range(1, len(words))]
        assert all(np.array_equal(whole[: len(own)], own) for own in begun) == tokenizer.in_order


@every
def test_text_cannot_forge_the_special_tokens(name, row):
    tokenizer = build(row.spec)
    state = tokenizer.train([*TEXTS, "a <padding> b <unknown> c"])
    for text in ("a <padding> b", "a <unknown> b", "<padding>", "<unknown>"):
        found = ids(tokenizer, state, text)
        assert PADDING not in found
        assert found.tolist() != [UNKNOWN]


@every
def test_half_surrogates_do_not_stop(name, row):
    tokenizer = build(row.spec)
    assert len(ids(tokenizer, tokenizer.train(TEXTS), "a\ud800")) > 0


ODD = [
    "ΟΔΟΣ ΣΑΣ Σ.",
    "İstanbul ǅ ſ x² Ⅷ ½ a\u0301b हिन्दी",
    "a\x1cb\x1fc\x85d\xa0e\u3000f\u200bg",
    "'s 'S ’ll don't 'ſ &amp; #39; ١٢",
]
ODD += ["ΚΑΛΟ\u0301Σ Α'Σ ΣΑΣ' कΣ ʰΣ Σ", "<a b>\n<br /> <unknown> <padding> 😀", "", "  "]


@every
def test_the_package_tokenizers_gives_the_same_ids(name, row):
    """What leaves for processes without this one; written as JSON and read again."""
    pairs = []
    for spec in (row.spec, name, *(knob.with_ for knob in knobs("tokenizer") if knob.name == name)):
        tokenizer = build(spec)
        state = tokenizer.train([*TEXTS, *ODD])
        if tokenizer.packaged is None:
            assert row.evidence.alone
            assert row.evidence.alone in spec
        else:
            packaged = tokenizers.Tokenizer.from_str(tokenizer.packaged(state).to_str())
            pairs.append((functools.partial(ids, tokenizer, state), packaged))
    if not pairs:
        return

    sigmas = st.sampled_from("ΣΣΑ'\u0301ʰक ")  # what a sigma is at the end of a word depends on what stands beside it

    @given(text=st.text(st.characters(exclude_categories=["Cs", "Cn"]) | sigmas, max_size=20))
    def alike(text):
        assert all(packaged.encode(text).ids == own(text).tolist() for own, packaged in pairs)

    alike()
    for text in (*TEXTS, *ODD):
        assert [packaged.encode(text).ids for _, packaged in pairs] == [own(text).tolist() for own, _ in pairs], text


PROGRAM = """
import hashlib, json, pathlib, sys
from attention import specs
texts, folder = json.loads(sys.stdin.read()), pathlib.Path(sys.argv[1])
for spec in sys.argv[2:]:
    tokenizer = specs.build("tokenizer", spec)
    state = tokenizer.train(texts)
    found = [state == tokenizer.load(folder / spec), list(tokenizer.vocabulary(state)),
             [array.tolist() for array in tokenizer.encode(tokenizer.load(folder / spec), texts)]]
    print(hashlib.sha256(json.dumps(found).encode()).hexdigest(), found[0])
"""


def test_another_process_with_another_hash_seed_gives_the_same(tmp_path):
    rng = np.random.default_rng(0)
    # Many words of the same count: an order taken from a set or a hash map would differ.
    texts = TEXTS + [" ".join(f"w{rng.integers(400)}é" for _ in range(60)) for _ in range(20)]
    given = [row.spec.replace("300", "400") for row in rows("tokenizer").values()] + ["words(pattern=whitespace,max_size=50)"]
    for spec in given:
        tokenizer = build(spec)
        tokenizer.save(tokenizer.train(texts), tmp_path / spec)
    printed = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), *given]
        done = subprocess.run(command, input=json.dumps(texts), env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert done.stdout.count("True") == len(given)
        printed.add(done.stdout)
    assert len(printed) == 1


@over_knobs("tokenizer")
def test_no_dead_options(knob):
    """Every option changes the vocabulary or the ids."""

    def outcome(spec):
        tokenizer = build(spec)
        state = tokenizer.train(TEXTS)
        return tokenizer.vocabulary(state), [array.tolist() for array in tokenizer.encode(state, TEXTS)]

    assert outcome(knob.without) != outcome(knob.with_)


@pytest.mark.parametrize("content", [None, "{", '{"tokens": [1]}', '{"tokens": ["a", "a"]}', "[]", '{"model": {"type": "x"}}'])
@every
def test_damaged_files_are_named(name, row, content, tmp_path):
    tokenizer = build(row.spec)
    tokenizer.save(tokenizer.train(TEXTS), tmp_path)
    (file,) = tmp_path.iterdir()
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    with pytest.raises(ValueError, match=file.name):
        tokenizer.load(tmp_path)
