"""Evidence of tables in files."""

import csv
import gzip
import io
import json

import pytest

import attention
from attention import specs
from attention.data import tables
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import ROWS, TSV, baselines, build, contents, error_of, real_data, write


def prepare(folder):
    """Two tables with two columns of texts and two of labels, and one with several labels and a number for each text."""
    for name, first in (("train", 0), ("other", 40)):
        lines = ["text\ttitle\tlabel\tmark"]
        lines += [f"text {n}\ttitle {n}\t{'ab'[n % 2]}\t{'xyab'[n % 4]}" for n in range(first, first + 40)]
        write(folder / f"{name}.tsv", "\n".join(lines) + "\n")
    kinds = [f"text {n}\ttitle {n}\t{('a;b+c', 'b', '', 'a+c')[n % 4]}\t{n / 8}" for n in range(40)]
    write(folder / "many.tsv", "\n".join(["text\ttitle\tkinds\tscore", *kinds]) + "\n")
    both = [f"text {n},{'ab'[n % 2]},{n};other {n};{'cd'[n % 2]}" for n in range(40)]
    write(folder / "two.csv", "\n".join(["text,label,n;text;label", *both]))
    write(folder / "quoted.csv", "text,label\n" + "".join(f'"text {n}",{"ab"[n % 2]}\n' for n in range(40)))
    write(folder / "bare.csv", "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(40)))
    write(folder / "holes.csv", "text,label\n,a\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(40)))
    (folder / "latin.csv").write_bytes(b"text,label\n" + b"".join(b"caf\xe9 %d,%d\n" % (n, n % 2) for n in range(40)))


SPEC = "files(train='$FOLDER/train.tsv')"
OPTIONS = {
    "train": "'$FOLDER/other.tsv'",
    "validation": "'$FOLDER/other.tsv'",
    "test": "'$FOLDER/other.tsv'",
    "text": ("title", "('text', 'title')"),
    "label": "mark",
    "labels": "kinds, train='$FOLDER/many.tsv'",
    "number": "score, train='$FOLDER/many.tsv'",
    "separator": "'+', labels=kinds, train='$FOLDER/many.tsv'",
    "target": "title",
    "delimiter": "';', train='$FOLDER/two.csv'",
    "quotes": "False, train='$FOLDER/quoted.csv'",
    "header": "True, train='$FOLDER/bare.csv', text=0, label=1",
    "encoding": "'latin-1', train='$FOLDER/latin.csv'",
    "skip_empty": "True, train='$FOLDER/holes.csv'",
    "validation_share": "0.25",
}
ERRORS = {
    "files": "option 'train' must be given",
    **{f"files(train='a.tsv', validation_share={share})": "between 0 and 1" for share in (0.0, 1.0, -0.5)},
    "files(train='a.csv', text=0, label=-1)": "counted from 0; got -1",
    "files(train='a.csv', header=False)": "header=False: nothing names the column 'text'; give numbers, as in text=1, label=0",
    "files(train='a.csv', delimiter='::')": "delimiter wants one sign",
    "files(train='a.csv', encoding=latin1252)": "is none that Python knows",
    "files(train=())": "a split wants at least one file",
    "files(train='a.csv', labels=x, number=y)": "labels='x' and number='y': texts have one thing to tell; give one",
    "files(train='a.csv', labels=x, label=y)": "label='y' and labels='x': texts have one thing to tell; give one",
    "files(train='a.csv', labels=x, separator=' ')": "separator stands between labels and is no blank",
    "files(train='a.csv', text='a,,b')": "a column is a name, or a number counted from 0; got ''",
    "files(train='a.csv', text='a,b', label=b)": "'b' is the column of texts and of what is to be told of them",
}
ROW = Row(SPEC, OPTIONS, SourceEvidence((SourceCase(SPEC),), prepare, errors=ERRORS))


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
    assert "no validation split: 3 of 30 training examples were carved off train (10 %, asked were 10 % of each class" in note
    assert "a larger validation_share or a file helps" in note
    assert corpora[0].resolved == f"files(train='{tmp_path / 'a.tsv'}')"


def test_all_three_splits_columns_and_share(tmp_path):
    write(tmp_path / "train.tsv", TSV.replace("text\tlabel", "review\tstars"))
    write(tmp_path / "test.tsv", "stars\tnote\treview\nbad\t-\tnew one\ngood\t-\tnew two\n")
    columns = dict(text="review", label="stars")
    corpus = build("files", train=tmp_path / "train.tsv", test=tmp_path / "test.tsv", validation_share=0.5, **columns)
    loaded = corpus.load(1)
    assert contents(loaded)["test"] == (["new one", "new two"], [0, 1])
    assert len(loaded.splits["validation"].texts) == 15
    assert baselines(loaded) == {"majority": 0.5}
    given = build(
        "files", train=tmp_path / "train.tsv", validation=tmp_path / "test.tsv", test=tmp_path / "test.tsv", **columns
    ).load(1)
    assert contents(given)["validation"] == contents(given)["test"]
    assert given.notes == ()
    assert contents(specs.build("source", loaded.resolved).load(1)) == contents(loaded)


def test_the_majority_of_train_is_scored_on_each_split(tmp_path):
    validation = write(tmp_path / "validation.tsv", "text\tlabel\na\tgood\nb\tbad\nc\tbad\nd\tbad\n")
    corpus = build("files", train=write(tmp_path / "train.tsv", TSV), validation=validation).load(0)
    assert baselines(corpus, "validation") == {"majority": 0.25}
    assert baselines(corpus, "train") == {"majority": pytest.approx(2 / 3)}


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
    assert [table.place(row)[-6:] for row in (0, 1)] == ["line 2", "line 4"]


BAD_FILES = [
    ("a.tsv", "text\tlable\nx\t1\n", "the column 'label' is missing (nearest: 'lable'); columns: text, lable"),
    ("a.tsv", "txt\tlabel\nx\t1\n", "the column 'text' is missing (nearest: 'txt'); columns: txt, label"),
    ("a.tsv", "text\ttext\tlabel\nx\ty\t1\n", "the column 'text' is there more than once"),
    ("a.tsv", "", "there is nothing in it"),
    ("a.tsv", "text\tlabel\n", "the split is empty"),
    ("a.tsv", "text\tlabel\nx\t1\n  \t2\n", "line 3: 'text' is empty"),
    ("a.tsv", "text\tlabel\nx\t1\ny\t\n", "line 3: 'label' is empty"),
    ("a.tsv", "text\tlabel\nx\t1\ny\n", "line 3: 1 fields where the header has 2"),
    ("a.tsv", "text\tlabel\nx\ty\t1\n", "line 2: 3 fields where the header has 2"),
    ("a.csv", "text,label\nx,1\ny,2,3\n", "line 3: 3 fields where the header has 2"),
    ("a.csv", 'text,label\nx,1\n"y,2\n', "line 3: not CSV: unexpected end of data"),
    ("a.csv", 'text,label\n"",1\n', "line 2: 'text' is empty"),
    ("a.jsonl", '{"text": "x", "label": 1}\n{"text": \n', "line 2: not JSON"),
    ("a.jsonl", '{"text": "x", "label": 1}\n\n{"text": "x", "label": }\n', "line 3: not JSON"),
    ("a.jsonl", "[1, 2]\n", "line 1: wanted a JSON object, got [1, 2]"),
    ("a.jsonl", '{"text": "x", "lable": 1}\n', "line 1: the field 'label' is missing (nearest: 'lable')"),
    ("a.jsonl", '{"text": 3, "label": 1}\n', "line 1: 'text' is a string, got 3"),
    ("a.jsonl", '{"text": "x", "label": 1.5}\n', "line 1: 'label' is a string, a whole number, true or false, got 1.5"),
    ("a.jsonl", '{"text": "x", "label": [1]}\n', "line 1: 'label' is a string, a whole number, true or false, got [1]"),
    ("a.jsonl", "[" * 100_000 + "\n", "line 1: not JSON"),
    ("a.tsv", "text\tlabel\nx\t1\ny\t1\n", "one class only, '1'"),
    ("a.tsv", "text\tlabel\nx\t1\ny\t2\n", "are text and label the columns that are meant?"),
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
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    assert "the environment variable 'NOT_SET_HERE' is not set" in error_of(
        lambda: build("files", train="$NOT_SET_HERE/train.tsv")
    )
    write(tmp_path / "$NOT_SET_HERE.tsv", TSV)
    assert build("files", train=tmp_path / "$NOT_SET_HERE.tsv").load(0).classes == ("bad", "good")
    assert "is one of Windows" in error_of(lambda: build("files", train="C:\\data\\train.csv"))
    assert "a backslash is written twice" in error_of(lambda: specs.build("source", r"files(train='data\train.csv')"))
    assert "give two columns" in error_of(lambda: build("files", train="a.csv", text="x", label="x"))
    monkeypatch.setenv("SET_HERE", str(tmp_path))
    for path in ("$SET_HERE/train.tsv", "${SET_HERE}/train.tsv"):
        assert build("files", train=path).load(0).resolved == f"files(train='{tmp_path / 'train.tsv'}')"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/train.tsv", "train.tsv"):
        assert build("files", train=path).load(0).resolved == f"files(train='{tmp_path / 'train.tsv'}')"


@real_data
def test_files_reads_a_set_without_test():
    corpus = build(
        "files",
        train="$ATTENTION_DATA_DIR/tnews/train.tsv.gz",
        validation="$ATTENTION_DATA_DIR/tnews/validation.tsv",
    ).load(0)
    assert corpus.classes == tuple(str(number) for number in range(15))
    assert {name: len(split.texts) for name, split in corpus.splits.items()} == {"train": 53360, "validation": 10000}
    assert baselines(corpus, "validation") == {"majority": pytest.approx(0.1089, abs=5e-5)}


def test_targets(tmp_path):
    """Targets of a file, with a validation split carved off in pairs."""
    rows = "".join(f"t{number}\tw{number}\n" for number in range(40))
    (tmp_path / "train.tsv").write_text("text\tout\n" + rows)
    corpus = attention.build("source", f"files(train='{tmp_path}/train.tsv', target='out', validation_share=0.25)").load(0)
    assert {name: len(split.texts) for name, split in corpus.splits.items()} == {"train": 30, "validation": 10}
    pairs = [pair for split in corpus.splits.values() for pair in zip(split.texts, split.targets)]
    assert sorted(pairs) == sorted((f"t{number}", f"w{number}") for number in range(40))
    [note] = corpus.notes
    assert note.startswith(
        "there is no validation split: 10 of 40 training examples were carved off train (25 %, asked were 25 %,"
    )
    with pytest.raises(ValueError, match="texts have one thing to tell; give one"):
        attention.build("source", f"files(train='{tmp_path}/train.tsv', target='out', label='out')")
    (tmp_path / "empty.tsv").write_text("text\tout\nt0\t \n")
    with pytest.raises(ValueError, match="line 2: 'out' is empty"):
        attention.build("source", f"files(train='{tmp_path}/empty.tsv', target='out')").load(0)


def test_texts_with_several_labels_are_counted(tmp_path):
    rows = [("a", 1), ("b", 2), ("A ", 2), ("c", 1), ("a", 1), ("b", 2)]
    same = "".join(f"{text}\t{label}\n" for text, label in rows)
    train = write(tmp_path / "train.tsv", "text\tlabel\n" + same)
    notes = build("files", train=train, validation=train).load(0).notes
    assert [note for note in notes if "several labels" in note] == [
        "1 texts stand in train with several labels, in 3 of its 6 rows: no classifier has all of these right; the first is 'a'"
    ]
    agreed = write(tmp_path / "agreed.tsv", "text\tlabel\na\t1\na\t1\nb\t2\n")
    assert build("files", train=agreed, validation=agreed).load(0).notes == ()
