import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from attention import specs
from attention.data import tables
from attention.data.sources import _splits, trec6
from tests.support.sources import ROWS, TSV, build, contents, error_of, write

ROOT = Path(__file__).resolve().parent.parent.parent
REAL = os.environ.get("ATTENTION_DATA_DIR")
real_data = pytest.mark.skipif(not REAL, reason="ATTENTION_DATA_DIR is not set")


# ---------------------------------------------------------------------------------------------- names and listing


def test_every_source_is_listed_with_one_line():
    assert set(specs.names("source")) >= {"listops", "files", "tfds", "sst2", "trec6", "ag_news", "imdb"}
    for name in specs.names("source"):
        assert len(specs.describe("source", name).summary) > 20


def test_sources_import_neither_tfds_nor_jax():
    program = (
        "import sys; from attention import specs;"
        "[specs.module('source', name) for name in specs.names('source')];"
        "print([name for name in ('tensorflow_datasets', 'flax', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


# ---------------------------------------------------------------------------------------------- carving and baselines


def test_carving_takes_the_share_of_every_class():
    labels = np.array([0] * 100 + [1] * 50 + [2] * 7 + [3])
    kept, carved = _splits.carve(labels, 0.2, seed=3)
    assert sorted([*kept, *carved]) == list(range(len(labels)))
    assert np.bincount(labels[carved], minlength=4).tolist() == [20, 10, 1, 0]
    assert (np.diff(kept) > 0).all()
    assert (np.diff(carved) > 0).all()
    again = _splits.carve(labels, 0.2, seed=3)[1]
    other = _splits.carve(labels, 0.2, seed=4)[1]
    assert carved.tolist() == again.tolist() != other.tolist()


def test_carving_does_not_change_with_numpy_versions_or_platforms():
    assert _splits.carve(np.arange(40) % 2, 0.2, seed=0)[1].tolist() == [13, 14, 15, 22, 23, 26, 33, 34]


def test_carving_draws_every_row_as_often():
    counts = np.zeros(20)
    for seed in range(400):
        counts[_splits.carve(np.arange(20) % 2, 0.5, seed)[1]] += 1
    assert counts.min() > 160
    assert counts.max() < 240


def test_nothing_to_carve_is_an_error():
    assert "less than one row" in error_of(lambda: _splits.carve(np.array([0, 1, 0]), 0.1, 0))


# ---------------------------------------------------------------------------------------------- files


def test_formats_and_gzip_give_the_same(tmp_path):
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("label", "text"), *((label, text) for text, label in ROWS)])
    lines = [json.dumps({"id": 1, "label": label, "text": text}) for text, label in ROWS]
    written = {"a.tsv": TSV, "a.csv": stream.getvalue(), "a.jsonl": "\n".join(lines)}
    corpora = []
    for name, text in written.items():
        path = write(tmp_path / name, text)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        corpora += [build("files", train=path).load(0), build("files", train=f"{path}.gz").load(0)]
    for corpus in corpora:
        assert contents(corpus) == contents(corpora[0])
    assert corpora[0].classes == ("bad", "good")
    assert list(corpora[0].splits) == ["train", "validation"]
    assert len(corpora[0].splits["validation"].texts) == 3
    assert sorted(text for split in corpora[0].splits.values() for text in split.texts) == sorted(t for t, _ in ROWS)
    [note] = corpora[0].notes
    assert "no validation split: 3 of 30 training examples (10 % of each class, seed 0)" in note
    assert corpora[0].resolved == f"files(train='{tmp_path / 'a.tsv'}')"


def test_all_three_splits_columns_and_share(tmp_path):
    write(tmp_path / "train.tsv", TSV.replace("text\tlabel", "review\tstars"))
    write(tmp_path / "test.tsv", "stars\tnote\treview\nbad\t-\tnew one\ngood\t-\tnew two\n")
    columns = dict(text="review", label="stars")
    corpus = build("files", train=tmp_path / "train.tsv", test=tmp_path / "test.tsv", validation_share=0.5, **columns)
    loaded = corpus.load(1)
    assert contents(loaded)["test"] == (["new one", "new two"], [0, 1])
    assert len(loaded.splits["validation"].texts) == 15
    assert loaded.baselines == {"majority": 0.5}
    given = build(
        "files", train=tmp_path / "train.tsv", validation=tmp_path / "test.tsv", test=tmp_path / "test.tsv", **columns
    ).load(1)
    assert contents(given)["validation"] == contents(given)["test"]
    assert given.notes == ()
    assert contents(specs.build("source", loaded.resolved).load(1)) == contents(loaded)


def test_majority_is_measured_on_validation_without_test(tmp_path):
    validation = write(tmp_path / "validation.tsv", "text\tlabel\na\tgood\nb\tbad\nc\tbad\nd\tbad\n")
    corpus = build("files", train=write(tmp_path / "train.tsv", TSV), validation=validation).load(0)
    assert corpus.baselines == {"majority": 0.25}


def test_whole_numbers_sort_by_value(tmp_path):
    rows = "".join(f"text {n}\t{n % 12}\n" for n in range(60))
    corpus = build("files", train=write(tmp_path / "a.tsv", "text\tlabel\n" + rows)).load(0)
    assert corpus.classes == tuple(str(n) for n in range(12))
    named = build("files", train=write(tmp_path / "b.tsv", "text\tlabel\n" + rows.replace("\t11\n", "\tx\n"))).load(0)
    assert named.classes == ("0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9", "x")


def test_quotes_line_ends_and_separators_in_texts(tmp_path):
    text = 'text\tlabel\r\n"a "b\tx\r\nline\u2028sep\x85nel\ty\r\n"a "b\tx\r\nline\ty\r\n'
    table = tables.read(write(tmp_path / "a.tsv", "\ufeff" + text), text="text", label="label")
    assert table.texts == ['"a "b', "line\u2028sep\x85nel", '"a "b', "line"]
    assert table.labels == ["x", "y", "x", "y"]
    quoted = 'text,label\n"two\nlines, ""so""",x\n' + "long " * 40_000 + ",y\n"
    table = tables.read(write(tmp_path / "a.csv", quoted), text="text", label="label")
    assert table.texts[0] == 'two\nlines, "so"'
    assert len(table.texts[1]) == 200_000
    assert table.lines == [3, 4]


BAD_FILES = [
    ("a.tsv", "text\tlable\nx\t1\n", "the column 'label' is missing (nearest: 'lable'); columns: text, lable"),
    ("a.tsv", "txt\tlabel\nx\t1\n", "the column 'text' is missing (nearest: 'txt'); columns: txt, label"),
    ("a.tsv", "text\ttext\tlabel\nx\ty\t1\n", "the column 'text' is there more than once"),
    ("a.tsv", "", "the column 'text' is missing"),
    ("a.tsv", "text\tlabel\n", "the split is empty"),
    ("a.tsv", "text\tlabel\nx\t1\n  \t2\n", "line 3: 'text' is empty"),
    ("a.tsv", "text\tlabel\nx\t1\ny\t\n", "line 3: 'label' is empty"),
    ("a.tsv", "text\tlabel\nx\t1\ny\n", "line 3: 1 fields where the header has 2"),
    ("a.tsv", "text\tlabel\nx\ty\t1\n", "line 2: 3 fields where the header has 2"),
    ("a.csv", "text,label\nx,1\ny,2,3\n", "line 3: 3 fields where the header has 2"),
    ("a.csv", 'text,label\nx,1\n"y,2\n', "line 3: not CSV: unexpected end of data"),
    ("a.csv", 'text,label\n"",1\n', "line 2: 'text' is empty"),
    ("a.jsonl", '{"text": "x", "label": 1}\n{"text": \n', "line 2: not JSON"),
    ("a.jsonl", '{"text": "x", "label": 1}\n\n{"text": "x", "label": 1}\n', "line 2: not JSON"),
    ("a.jsonl", "[1, 2]\n", "line 1: wanted a JSON object, got [1, 2]"),
    ("a.jsonl", '{"text": "x", "lable": 1}\n', "line 1: the field 'label' is missing (nearest: 'lable')"),
    ("a.jsonl", '{"text": 3, "label": 1}\n', "line 1: 'text' is a string, got 3"),
    ("a.jsonl", '{"text": "x", "label": 1.5}\n', "line 1: 'label' is a string or whole number, got 1.5"),
    ("a.jsonl", '{"text": "x", "label": true}\n', "line 1: 'label' is a string or whole number, got true"),
    ("a.jsonl", "[" * 100_000 + "\n", "line 1: not JSON"),
    ("a.tsv", "text\tlabel\nx\t1\ny\t1\n", "one class only, '1'"),
    ("a.tsv", "text\tlabel\nx\t1\ny\t2\n", "less than one row"),
]


@pytest.mark.parametrize(("name", "text", "wanted"), BAD_FILES)
def test_bad_files_are_named_with_the_line(tmp_path, name, text, wanted):
    path = write(tmp_path / name, text)
    message = error_of(lambda: build("files", train=path).load(0))
    assert wanted in message
    if "line" in wanted or "column" in wanted:
        assert str(path) in message


def test_bad_bytes_are_named_with_the_line(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"text\tlabel\nfine\tx\ncaf\xe9\ty\n")
    assert f"{path}, line 3: byte 0xe9 is not UTF-8" in error_of(lambda: build("files", train=path).load(0))
    packed = tmp_path / "b.tsv.gz"
    packed.write_bytes(gzip.compress(TSV.encode())[:60])
    assert "is not a whole gzip file" in error_of(lambda: build("files", train=packed).load(0))
    packed.write_bytes(TSV.encode())
    assert "is not a whole gzip file" in error_of(lambda: build("files", train=packed).load(0))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_unseen_in_training(tmp_path, split):
    train = write(tmp_path / "train.tsv", TSV)
    other = write(tmp_path / "other.tsv", "text\tlabel\nx\tgood\ny\tgod\n")
    message = error_of(lambda: build("files", train=train, **{split: other}).load(0))
    assert f"{other}, line 3: the label 'god' does not occur in training (nearest: 'good')" in message
    assert message.endswith("labels there: bad, good")


def test_missing_files_and_variables(tmp_path, monkeypatch):
    write(tmp_path / "train.tsv", TSV)
    message = error_of(lambda: build("files", train=tmp_path / "trian.tsv").load(0))
    assert message == f"there is no file {tmp_path / 'trian.tsv'} (nearest: 'train.tsv')"
    assert "there is no file" in error_of(lambda: build("files", train=tmp_path / "no" / "such.tsv").load(0))
    assert "cannot tell the format" in error_of(lambda: build("files", train=tmp_path / "a.txt"))
    assert "cannot tell the format" in error_of(lambda: build("files", train=tmp_path / "a.gz"))
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    assert "the environment variable 'NOT_SET_HERE' is not set" in error_of(
        lambda: build("files", train="$NOT_SET_HERE/train.tsv")
    )
    monkeypatch.setenv("SET_HERE", str(tmp_path))
    for path in ("$SET_HERE/train.tsv", "${SET_HERE}/train.tsv"):
        assert build("files", train=path).load(0).resolved == f"files(train='{tmp_path / 'train.tsv'}')"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/train.tsv", "train.tsv"):
        assert build("files", train=path).load(0).resolved == f"files(train='{tmp_path / 'train.tsv'}')"


@pytest.mark.parametrize("name", ["files", "tfds", "trec6", "ag_news", "imdb"])
@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_shares_out_of_range(name, share):
    needed = {"files": {"train": "a.tsv"}, "tfds": {"name": "x"}}.get(name, {})
    assert "between 0 and 1" in error_of(lambda: build(name, validation_share=share, **needed))


# ---------------------------------------------------------------------------------------------- published sets, local folder


@real_data
@pytest.mark.parametrize(
    ("name", "folder", "counts", "majority"),
    [
        ("sst2", "sst2", {"train": [3310, 3610], "validation": [428, 444], "test": [912, 909]}, 909 / 1821),
        ("trec6", "trec6", {"train": [86, 1162, 1250, 1223, 835, 896], "test": [9, 138, 94, 65, 81, 113]}, 94 / 500),
        ("ag_news", "ag_news_subset", {"train": [10504, 10448, 10483, 11803], "test": [1900] * 4}, 0.25),
        ("imdb", "imdb", {"train": [12500, 12500], "test": [12500, 12500]}, 0.5),
    ],
)
def test_published_counts(name, folder, counts, majority):
    corpus = build(name, path=f"$ATTENTION_DATA_DIR/{folder}").load(0)
    found = {split: np.bincount(rows.labels) for split, rows in corpus.splits.items()}
    if "validation" not in counts:
        assert any("no validation split" in note for note in corpus.notes)
        found["train"] = found["train"] + found.pop("validation")
    assert {split: count.tolist() for split, count in found.items()} == counts
    assert corpus.baselines == {"majority": pytest.approx(majority)}
    assert corpus.resolved == f"{name}(path='{Path(REAL or '') / folder}')"
    assert any("43238 rows, the published one 120000" in note for note in corpus.notes) == (name == "ag_news")


@real_data
def test_files_reads_a_set_without_test():
    corpus = build(
        "files",
        train="$ATTENTION_DATA_DIR/tnews/train.tsv.gz",
        validation="$ATTENTION_DATA_DIR/tnews/validation.tsv",
    ).load(0)
    assert corpus.classes == tuple(str(number) for number in range(15))
    assert {name: len(split.texts) for name, split in corpus.splits.items()} == {"train": 53360, "validation": 10000}
    assert corpus.baselines == {"majority": pytest.approx(0.1089, abs=5e-5)}


def trec_folder(folder, **files):
    folder.mkdir()
    rows = "".join(f"question {number}\t{number % 6}\n" for number in range(120))
    for name, text in {"train.tsv": "text\tlabel\n" + rows, "labels.txt": "\n".join(trec6.CLASSES), **files}.items():
        if text is not None:
            write(folder / name, text)
    return folder


def test_a_local_folder(tmp_path):
    corpus = build("trec6", path=trec_folder(tmp_path / "a"), validation_share=0.25).load(0)
    assert corpus.classes == trec6.CLASSES
    assert np.bincount(corpus.splits["validation"].labels).tolist() == [5] * 6
    assert "test" not in corpus.splits
    assert corpus.resolved == f"trec6(path='{tmp_path / 'a'}', validation_share=0.25)"
    assert "the train split of the folder has 120 rows, the published one 5452" in corpus.notes


def folder_error(name, folder):
    return error_of(lambda: build(name, path=folder).load(0))


def test_a_wrong_folder_says_what_is_missing(tmp_path):
    files = {"train.tsv": None, "train2.tsv": "x"}
    wanted = "wanted: train.tsv[.gz] [validation.tsv[.gz]] [test.tsv[.gz]] labels.txt"
    assert f"lacks train.tsv[.gz]; {wanted}" in folder_error("trec6", trec_folder(tmp_path / "a", **files))
    assert f"lacks labels.txt; {wanted}" in folder_error("trec6", trec_folder(tmp_path / "b", **{"labels.txt": None}))
    assert "there is no folder" in folder_error("trec6", tmp_path / "trec")
    message = folder_error("sst2", trec_folder(tmp_path / "c"))
    assert "has the classes ABBR, DESC" in message
    assert "those of sst2 are negative, positive" in message
    files = {"test.tsv": "text\tlabel\nx\t5\ny\t6\n"}
    assert "test.tsv, line 3: the label '6' is no index into labels.txt, 0 to 5" in folder_error(
        "trec6", trec_folder(tmp_path / "d", **files)
    )
    files = {"train.tsv": "text\tlabel\n" + "x\t0\ny\t1\n" * 20, "labels.txt": "negative\npositive\n"}
    assert "there is no validation split" in folder_error("sst2", trec_folder(tmp_path / "e", **files))
    assert "downloads nothing" in error_of(lambda: build("trec6", path=tmp_path, mirror="http://localhost"))
    assert "leave out path=" in error_of(lambda: build("sst2", path=tmp_path, phrases=True))
