"""What the tests of sources share: building one, its error, its contents, small tables and folders, and published counts."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from attention import specs
from attention.data import rules


def build(name, /, **options):
    values = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
    return specs.build("source", specs.Spec(name, tuple(values.items())))


def error_of(action):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (every caller looks at the message)
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


def contents(corpus):
    return {name: (list(split.texts), split.labels.tolist()) for name, split in corpus.splits.items()}


def baselines(corpus, name="test"):
    """The accuracy of each rule of a corpus's source on a split; what they learn of train has been through JSON."""
    known = specs.build("source", corpus.resolved).rules
    learned = json.loads(json.dumps(rules.fitted(known, corpus.splits["train"])))
    return rules.scores(known, learned, corpus.splits[name])


def write(path, text):
    path.write_text(text, encoding="utf-8", newline="")
    return path


ROWS = [(f"text number {number}", "good" if number % 3 else "bad") for number in range(30)]
TSV = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS)
REAL = os.environ.get("ATTENTION_DATA_DIR")
real_data = pytest.mark.skipif(not REAL, reason="ATTENTION_DATA_DIR is not set")

# The options that tasks with lengths share: small sizes, and another value of each.
SIZES = "train=400, validation=50, test=200, lengths=120, max_length=12, data_dir='$FOLDER'"
OTHER_SIZES = {
    "train": "401",
    "validation": "51",
    "test": "201",
    "lengths": "0",
    "min_length": "5",
    "max_length": "13",
    "test_length": "20",
    "data_dir": "'$FOLDER/other'",
}
# Of symbols that become others.
SYMBOLS = "train=400, test=300, min_length=2, max_length=5, symbols=3"
OTHER_SYMBOLS = {
    "train": "401",
    "validation": "400",
    "test": "301",
    "min_length": "3",
    "max_length": "6",
    "symbols": "4",
}
# Of texts that are asked at places.
OTHER_ASKED = {"train": "301", "validation": "41", "test": "51", "lengths": "0"}
NUMBERS = "train=300, validation=40, test=50, lengths=60, min_length=2, max_length=5, test_length=12, symbols=5"
OTHER_NUMBERS = {**OTHER_ASKED, "min_length": "3", "max_length": "6", "test_length": "13", "symbols": "6"}
TAPES = "train=300, validation=40, test=50, lengths=60, max_length=12, test_length=40"
OTHER_TAPES = {**OTHER_ASKED, "min_length": "5", "max_length": "13", "test_length": "41"}
# Of published sets.
OTHER_PLACES = {"path": "'$FOLDER/other'", "mirror": "'http://127.0.0.1:1', path=None", "data_dir": "'$FOLDER/data', path=None"}


def digest(corpus):
    """Of names, texts and labels, or what is wanted."""
    right = lambda split: split.labels.tolist() if split.wanted is None else list(split.wanted)
    return hashlib.sha256(repr([(n, list(s.texts), right(s)) for n, s in corpus.splits.items()]).encode()).hexdigest()


def answered(text, answer):
    """What is wanted of ``bos x sep y``, where y is ``answer(x)``, words from words."""
    begin, *words = text.split()
    between = words.index("sep")
    told = [*answer(words[:between])]
    assert (begin, words[between + 1 :]) == ("bos", told)
    return " ".join(["_"] * (between + 1) + told + ["eos"])


def taped(text, output):
    """What is wanted of a string and its dots, where ``output`` gives symbols of a string; nothing at dots behind them."""
    words = text.split()
    string = words[: words.index(".")]
    assert set(words[len(string) :]) == {"."}
    wanted = ["_"] * len(string) + output(" ".join(string))
    return " ".join(wanted + ["_"] * (len(words) - len(wanted)))


def rows_of(labels, count):
    """A table of ``count`` rows whose labels take turns."""
    return "text\tlabel\n" + "".join(f"question {number}\t{number % labels}\n" for number in range(count))


def labelled_folder(folder, classes, **files):
    """A local folder of a published set; ``files`` replace or, where None, leave out."""
    folder.mkdir(exist_ok=True)
    for name, text in {"train.tsv": rows_of(len(classes), 120), "labels.txt": "\n".join(classes), **files}.items():
        if text is not None:
            write(folder / name, text)
    return folder


def check_published(name, folder, counts, majority):
    """The local folder of a set has the published numbers of each class; returns the notes."""
    corpus = build(name, path=f"$ATTENTION_DATA_DIR/{folder}").load(0)
    found = {split: np.bincount(rows.labels) for split, rows in corpus.splits.items()}
    if "validation" not in counts:
        assert any("no validation split" in note for note in corpus.notes)
        found["train"] = found["train"] + found.pop("validation")
    assert {split: count.tolist() for split, count in found.items()} == counts
    scored = "test" if counts.get("test") else "validation"
    assert baselines(corpus, scored) == {"majority": pytest.approx(majority)}
    assert corpus.resolved == f"{name}(path='{Path(REAL or '') / folder}')"
    return corpus.notes
