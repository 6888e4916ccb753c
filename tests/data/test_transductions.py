"""Texts to be turned into others: how they are drawn, and how their targets reach the batches."""

import re

import numpy as np
import pytest

import attention
from attention.data import batches, dataset
from tests.support.sources import SYMBOLS, baselines

_OPTIONS = {name: {option.name for option in attention.describe("source", name).options} for name in attention.names("source")}
OF_SYMBOLS = [name for name, options in _OPTIONS.items() if "symbols" in options and "lengths" not in options]


@pytest.mark.parametrize("name", OF_SYMBOLS)
def test_lengths_and_symbols_are_drawn_evenly(name):
    corpus = attention.build("source", f"{name}({SYMBOLS})").load(0)
    for split in corpus.splits.values():
        assert all(re.fullmatch("[abc]( [abc]){1,4}", text) for text in split.texts)
        lengths = np.array([len(text.split()) for text in split.texts])
        assert (np.abs(np.bincount(lengths, minlength=6)[2:] / len(lengths) - 1 / 4) < 0.08).all()
    same = np.mean([text == target for text, target in zip(corpus.splits["test"].texts, corpus.splits["test"].targets)])
    assert baselines(corpus) == {"the_source_itself": same}
    assert len({split.texts[0] + split.texts[1] + split.texts[2] for split in corpus.splits.values()}) == 3


def test_draws_are_the_seeds():
    load = lambda spec, seed: attention.build("source", spec).load(seed).splits
    assert load("reverse", 0) == load("reverse", 0)
    assert load("reverse", 0)["train"] != load("reverse", 1)["train"]
    assert load("reverse(train=10)", 0)["test"] == load("reverse", 0)["test"]


def test_targets_reach_the_batches(tmp_path):
    options = {"max_length": 8, "truncate": "head", "seed": 0, "cache_dir": tmp_path}
    data = dataset.load("sort(train=50, validation=5, test=5, max_length=7, symbols=4)", "words", **options)
    end, found = data.vocab_size - 1, data.splits["train"]
    assert end == data.tokenizer.size(data.tokenizer_state) == 6
    batch = batches.gather(found, np.array([3, -1, 7]), 8)
    for row, index in ((0, 3), (2, 7)):
        ids = batch["targets"][row]
        assert ids[ids != 0][-1] == end
        assert data.tokenizer.decode(data.tokenizer_state, ids[ids != end]) == data.targets["train"][index]
    assert not batch["targets"][1].any()
    assert set(batches.inputs(batch)) == {"tokens", "valid", "targets"}
    assert (found.extents == found.lengths + 1).all()
    with pytest.raises(ValueError, match=r"train target .* has 8 tokens with its end, max_length is 7"):
        dataset.load("sort(train=50, min_length=7, max_length=7)", "words", **{**options, "max_length": 7})


def test_hashes_see_the_targets():
    split = attention.build("source", "reverse(train=5)").load(0).splits["train"]
    other = split._replace(targets=[*split.targets[:-1], "z"])
    assert dataset.content_hash(split) != dataset.content_hash(other)
    assert dataset.content_hash(split) != dataset.content_hash(split._replace(targets=None))
