"""Texts of several columns, any number of labels, and numbers: the same from every format, and one line for what is wrong."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from attention.data import dataset, rules, tables
from attention.data.segments import cut, joined, parted
from tests.support.sources import build, error_of, write

PREMISES = [f"a man {number}, old; tired" if number % 5 else "" for number in range(40)]
HYPOTHESES = [f"he rests {number}" for number in range(40)]
KINDS = [[["old", "man"], [], ["old"], ["other"]][number % 4] for number in range(40)]
SCORES = [number / 3 - 5 for number in range(40)]
FORMATS = ("tsv", "csv", "jsonl", "parquet")


def written(folder, form):
    """The rows as a file; in cells labels are joined."""
    path = folder / f"a.{form}"
    columns = {"premise": PREMISES, "hypothesis": HYPOTHESES, "kinds": [*map(tuple, KINDS)], "score": SCORES}
    if form == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({**columns, "kinds": KINDS}), path)
    else:
        path.write_bytes(tables.content(path, {**columns, "score": [f"{score!r}" for score in SCORES]}))
    return path


def loaded(path, **options):
    return build("files", train=path, **{"text": "hypothesis", **options}).load(0)


# ---- several columns


@pytest.mark.parametrize("form", FORMATS)
def test_columns_are_joined(tmp_path, form):
    path = written(tmp_path, form)
    whole = tables.read(path, text="premise, hypothesis", label="score", answer=tables.NUMBER)
    assert whole.texts == [f"{premise} ␟ {hypothesis}" for premise, hypothesis in zip(PREMISES, HYPOTHESES)]
    assert [parted(text) for text in whole.texts[:2]] == [["", "he rests 0"], ["a man 1, old; tired", "he rests 1"]]
    turned = tables.read(path, text=("hypothesis", "premise"), label="score", answer=tables.NUMBER)
    assert turned.texts[1] == "he rests 1 ␟ a man 1, old; tired"
    assert "the column 'hypotesis' is missing (nearest: 'hypothesis')" in error_of(
        lambda: tables.read(path, text="premise,hypotesis", label="score")
    ).replace("field", "column")


def test_columns_without_a_header_and_with_commas_in_their_names(tmp_path):
    bare = write(tmp_path / "a.csv", "x,1,y\n" * 3)
    assert tables.read(bare, text=(0, 2), label=1).texts == ["x ␟ y"] * 3
    comma = write(tmp_path / "b.csv", '"title, long",body,label\nx,y,1\n')
    assert tables.read(comma, text=("title, long",), label="label").texts == ["x"]
    assert tables.read(comma, text=("title, long", "body"), label="label").texts == ["x ␟ y"]
    assert tables.columns_of("a, b") == ("a", "b")
    assert "text='a,b,a' names the column 'a' twice" in error_of(lambda: build("files", train="a.csv", text="a,b,a"))
    assert "names the column 0 twice" in error_of(lambda: build("files", train="a.csv", text=(0, 0), label=1))


def test_what_is_wrong_with_columns_is_named_with_its_line(tmp_path):
    path = write(tmp_path / "a.tsv", "a\tb\tlabel\nx\ty\t1\n\t\t0\n")
    assert "line 3: 'a' and 'b' is empty" in error_of(lambda: tables.read(path, text="a,b", label="label"))
    path = write(tmp_path / "b.tsv", "a\tb\tlabel\nx ␟ z\ty\t1\n")
    assert "line 2: 'a' and 'b' hold ␟, which stands between them" in error_of(
        lambda: tables.read(path, text="a,b", label="label")
    )


@pytest.mark.parametrize("tokenizer", ["words", "words(pattern='whitespace')", "characters", "bytes", "bpe(size=300)"])
def test_columns_are_segments(tmp_path, tokenizer):
    """The sign is of the first; a column without a token keeps its number."""
    path = write(tmp_path / "a.tsv", "a\tb\tlabel\n" + "".join(f"x {n}\ty\t{n % 2}\n\tz {n}\t{n % 2}\n" for n in range(20)))
    read = {"max_length": 32, "truncate": "head", "seed": 0, "cache_dir": tmp_path}
    source = f"files(train='{path}', text='a,b')"
    train = dataset.load(source, tokenizer, segments="columns", **read).splits["train"]
    for example in range(len(train)):
        numbers = train.segments[train.offsets[example] : train.offsets[example + 1]]
        assert sorted(set(numbers.tolist())) == [0, 1]
        assert (np.diff(numbers) >= 0).all()
    whole = dataset.load(source, tokenizer, **read)
    assert whole.splits["train"].segments is None
    with pytest.raises(ValueError, match=r"segments='columns' wants texts of several columns, as text='premise,hypothesis'"):
        dataset.load(f"files(train='{path}', text='b')", tokenizer, segments="columns", **read)


def test_the_cut():
    assert cut(joined(["a b", "", "c"]), "columns") == ["a b ␟", "  ␟", " c"]
    assert cut("a b", "columns") == ["a b"]


# ---- any number of labels


@pytest.mark.parametrize("form", FORMATS)
def test_labels_are_lists_or_joined(tmp_path, form):
    corpus = loaded(written(tmp_path, form), labels="kinds")
    assert corpus.classes == ("man", "old", "other")
    assert "10 of 40 training texts have no label at all" in corpus.notes
    rows = {text: row for split in corpus.splits.values() for text, row in zip(split.texts, split.labels.tolist())}
    assert [rows[text] for text in HYPOTHESES[:4]] == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert {name: split.labels.shape for name, split in corpus.splits.items()} == {"train": (36, 3), "validation": (4, 3)}


def test_every_format_gives_the_same(tmp_path):
    for options in ({"labels": "kinds"}, {"number": "score"}, {"text": "premise,hypothesis", "number": "score"}):
        corpora = [loaded(written(tmp_path, form), **options) for form in FORMATS]
        hashes = [{name: dataset.content_hash(split) for name, split in corpus.splits.items()} for corpus in corpora]
        assert all(each == hashes[0] for each in hashes)


def test_fasttext_has_several_labels(tmp_path):
    path = write(tmp_path / "a.txt", "__label__a __label__b x y\n__label__a z\nno label\n" * 20)
    table = tables.read(path, text="text", label="label", answer=tables.several(";"))
    assert (table.texts[:3], table.labels[:3]) == (["x y", "z", "no label"], [("a", "b"), ("a",), ()])
    assert "line 1: 2 labels, wanted is one" in error_of(lambda: tables.read(path, text="text", label="label"))


def test_labels_that_cannot_be(tmp_path):
    line = lambda labels: json.dumps({"text": "x", "labels": labels})
    path = write(tmp_path / "a.jsonl", "\n".join([line(["a"]), line({"a": 1})]))
    wanted = "is a list of strings or whole numbers in JSON or Parquet, else labels with ';' between them, got"
    assert f"line 2: 'labels' {wanted} {{'a': 1}}" in error_of(lambda: build("files", train=path, labels="labels").load(0))
    path = write(tmp_path / "b.jsonl", "\n".join([line(["a"]), line(None)]))
    assert "line 2: 'labels' is empty; skip_empty=True leaves out such rows" in error_of(
        lambda: build("files", train=path, labels="labels").load(0)
    )
    path = write(tmp_path / "c.tsv", "text\tlabels\n" + "x\t\n" * 20)
    assert error_of(lambda: build("files", train=path, labels="labels").load(0)).endswith("no text of train has a label")
    path = write(tmp_path / "d.tsv", "text\tlabels\n" + "".join(f"x {n}\ta; b\n" for n in range(20)))
    test = write(tmp_path / "e.tsv", "text\tlabels\ny\ta\nz\ta;c\n")
    assert "e.tsv, line 3: the label 'c' does not occur in training; labels there: a, b" in error_of(
        lambda: build("files", train=path, test=test, labels="labels").load(0)
    )
    path = write(tmp_path / "f.jsonl", "\n".join([line("a"), line(["a"])]))
    assert "is a string, a whole number, true or false, got ['a']" in error_of(
        lambda: tables.read(path, text="text", label="labels")
    )


@pytest.mark.parametrize("cell", ["['food', 'money']", '["food"]', "[]", " ['food' 'money'] "])
def test_lists_as_programs_print_them_are_no_labels(tmp_path, cell):
    path = write(tmp_path / "a.tsv", f"text\tlabels\nx\t[a] b\ny\t{cell}\n")
    for separator in (";", ","):
        said = error_of(lambda: build("files", train=path, labels="labels", separator=separator).load(0))  # noqa: B023
        assert (
            f"a.tsv, line 3: 'labels' is a list of strings or whole numbers in JSON or Parquet, else labels with {separator!r}"
            in said
        )


def test_another_separator_than_the_one_given_is_said(tmp_path):
    rows = ["food, money", "food", "money, food, sport", "sport, food"]
    path = write(tmp_path / "a.tsv", "text\tlabels\n" + "".join(f"x {n}\t{each}\n" for n, each in enumerate(rows * 10)))
    corpus = build("files", train=path, labels="labels").load(0)
    assert "3 of 4 labels hold ','; separator=',' parts them" in corpus.notes
    parted = build("files", train=path, labels="labels", separator=",").load(0)
    assert (parted.classes, parted.notes) == (("food", "money", "sport"), parted.notes[:1])


def test_the_rule_to_beat_is_the_best_constant_answer():
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 4)) < [0.7, 0.1, 0.5, 0.02]).astype(np.int8)
    split = dataset.Split([str(number) for number in range(60)], labels)
    learned = json.loads(json.dumps(rules.fitted((rules.FREQUENT,), split)))
    [found] = rules.scores((rules.FREQUENT,), learned, split).values()
    told = [np.array([number >> bit & 1 for bit in range(4)]) for number in range(1, 16)]
    assert found == pytest.approx(max(2 * (labels * each).sum() / (60 * each.sum() + labels.sum()) for each in told))
    assert sorted(learned["frequent_labels"]) == ["0", "2"]


# ---- numbers


def test_numbers(tmp_path):
    corpus = loaded(written(tmp_path, "csv"), number="score")
    assert corpus.classes == ()
    both = {text: number for split in corpus.splits.values() for text, number in zip(split.texts, split.labels)}
    assert both == dict(zip(HYPOTHESES, SCORES))
    read = {"max_length": 8, "truncate": "head", "seed": 0, "cache_dir": tmp_path}
    data = dataset.load(f"files(train='{tmp_path}/a.csv', text=hypothesis, number=score)", "words", **read)
    train = corpus.splits["train"].labels
    assert data.splits["validation"].scale == (np.mean(train), np.std(train))
    assert (data.statistics["train"]["mean"], data.statistics["train"]["deviation"]) == data.splits["train"].scale
    assert data.baselines["train"] == {"mean": pytest.approx(np.var(train))}


@pytest.mark.parametrize("cell", ["3,5", "much", "nan", "inf", "1e400", "1_000", "\uff11\uff12", "", " "])
def test_what_is_no_number_is_named_with_its_line(tmp_path, cell):
    path = write(tmp_path / "a.tsv", "text\tscore\nx\t1\ny\t" + cell + "\n")
    wanted = f"'score' is a number, got {cell!r}" if cell.strip() else "'score' is empty"
    assert f"a.tsv, line 3: {wanted}" in error_of(lambda: build("files", train=path, number="score").load(0))


def test_numbers_that_are_all_the_same(tmp_path):
    path = write(tmp_path / "a.tsv", "text\tscore\n" + "".join(f"x {n}\t2.50\n" for n in range(20)))
    message = error_of(lambda: build("files", train=path, number="score").load(0))
    assert message.endswith("all numbers of train are 2.5; there is nothing to tell apart")
    path = write(tmp_path / "b.jsonl", '{"text": "x", "score": true}')
    assert "'score' is a number, got True" in error_of(lambda: build("files", train=path, number="score").load(0))


def test_numbers_whose_deviation_is_not_finite(tmp_path):
    path = write(tmp_path / "c.tsv", "text\tscore\n" + "".join(f"x {n}\t{n}\n" for n in range(20)))
    far = write(tmp_path / "d.tsv", "text\tscore\nx\t1.5\ny\t-1.7e308\n")
    assert "d.tsv, line 3: -1.7e+308 is too far from the other numbers, its squared error is not finite" in error_of(
        lambda: build("files", train=(str(path), str(far)), number="score").load(0)
    )
    assert "d.tsv, line 3: -1.7e+308" in error_of(lambda: build("files", train=path, test=str(far), number="score").load(0))
