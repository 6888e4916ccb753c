"""Sources of texts to be turned into others: what is written is right, in splits of their own, and reaches the batches."""

import datetime
import re

import numpy as np
import pytest

import attention
from attention.data import batches, dataset
from attention.data.sources import dates

RULES = {"copy": lambda text: text, "reverse": lambda text: text[::-1], "sort": lambda text: "".join(sorted(text))}
# How `datetime` reads each way of writing a date, in the order of `dates.WAYS`.
FORMATS = ("%d of %B %Y", "%B %d, %Y", "%B %d, %Y", "%d %B %Y", "%d %B, %Y", "%A, %d %B %Y", "%a %b %d %Y", "%d %b %Y")
FORMATS += ("%m/%d/%Y", "%d.%m.%Y")


@pytest.mark.parametrize("name", RULES)
def test_symbols(name):
    corpus = attention.build("source", f"{name}(train=400, test=300, min_length=2, max_length=5, symbols=3)").load(0)
    for split in corpus.splits.values():
        for text, target in zip(split.texts, split.targets):
            assert target.replace(" ", "") == RULES[name](text.replace(" ", ""))
            assert re.fullmatch("[abc]( [abc]){1,4}", text)
        lengths = np.array([len(text.split()) for text in split.texts])
        assert (np.abs(np.bincount(lengths, minlength=6)[2:] / len(lengths) - 1 / 4) < 0.08).all()
    same = np.mean([text == target for text, target in zip(corpus.splits["test"].texts, corpus.splits["test"].targets)])
    assert corpus.baselines == {"the_source_itself": same}
    assert len({split.texts[0] + split.texts[1] + split.texts[2] for split in corpus.splits.values()}) == 3


def test_dates():
    """Each is read again by `datetime`, and each of the ten ways occurs."""
    corpus = attention.build("source", "dates(train=1000)").load(1)
    split, seen = corpus.splits["train"], set()
    for text, target in zip(split.texts, split.targets):
        date = datetime.date.fromisoformat(target)
        assert dates.FIRST <= date <= dates.LAST
        plain = re.sub(r"(\d)(st|nd|rd|th)\b", r"\1", text)
        ways = [way for way in range(dates.WAYS) if dates.written(date, way) == text]
        assert len(ways) == 1
        seen.add(ways[0])
        assert datetime.datetime.strptime(plain, FORMATS[ways[0]]).date() == date
    assert seen == set(range(dates.WAYS))


@pytest.mark.parametrize(
    ("day", "ending"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (22, "22nd")]
)
def test_ordinals(day, ending):
    assert dates.written(datetime.date(1998, 5, day), 0) == f"{ending} of May 1998"


def test_draws_are_the_seeds():
    load = lambda spec, seed: attention.build("source", spec).load(seed).splits
    assert load("reverse", 0) == load("reverse", 0)
    assert load("reverse", 0)["train"] != load("reverse", 1)["train"]
    assert load("reverse(train=10)", 0)["test"] == load("reverse", 0)["test"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("copy(train=0)", "train must be at least 1, got 0"),
        ("copy(min_length=9, max_length=8)", "want 1 <= min_length <= max_length, got 9 and 8"),
        ("sort(symbols=27)", "symbols must be 2 to 26, got 27"),
        ("dates(test=0)", "test must be at least 1, got 0"),
    ],
)
def test_refused(spec, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        attention.build("source", spec)


def test_files(tmp_path):
    """Targets of a file, with a validation split carved off in pairs."""
    rows = "".join(f"t{number}\tw{number}\n" for number in range(40))
    (tmp_path / "train.tsv").write_text("text\tout\n" + rows)
    corpus = attention.build("source", f"files(train='{tmp_path}/train.tsv', target='out', validation_share=0.25)").load(0)
    assert {name: len(split.texts) for name, split in corpus.splits.items()} == {"train": 30, "validation": 10}
    pairs = [pair for split in corpus.splits.values() for pair in zip(split.texts, split.targets)]
    assert sorted(pairs) == sorted((f"t{number}", f"w{number}") for number in range(40))
    assert corpus.notes == ("there is no validation split: 10 of 40 training examples (25 % seed 0) were carved off train",)
    with pytest.raises(ValueError, match="texts have classes or texts to write; give one"):
        attention.build("source", f"files(train='{tmp_path}/train.tsv', target='out', label='out')")
    (tmp_path / "empty.tsv").write_text("text\tout\nt0\t \n")
    with pytest.raises(ValueError, match="line 2: 'out' is empty"):
        attention.build("source", f"files(train='{tmp_path}/empty.tsv', target='out')").load(0)


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
