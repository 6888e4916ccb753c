"""Tables: what is written is read, what spreadsheets export is read or named, and messages are short."""

import gzip
import json
import os
import pathlib
import re
import tempfile
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attention.data import paths, tables
from tests.support.sources import ROWS, TSV, build, error_of, write

CELLS = st.text(st.sampled_from("ab,;\"'\t\r\n\\\u2028é "), max_size=9).filter(str.strip)


@example([";\r", ";\r\r", ";", ";"], "a.csv")
@given(st.lists(CELLS, min_size=1, max_size=6), st.sampled_from(["a.tsv", "a.csv", "a.jsonl", "A.CSV.GZ"]))
@settings(deadline=None, max_examples=150)
def test_what_is_written_is_what_is_read(texts, name):
    labels = [f"label {number}" for number in range(len(texts))]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        columns = {"p(x)": [0.5] * len(texts), "label": labels, "text": texts}
        if name == "a.tsv" and re.search(r"[\t\r\n]", "".join(texts)):
            assert "cannot keep; name it .csv or .jsonl" in error_of(lambda: tables.content(path, columns))
            return
        path.write_bytes(tables.content(path, columns))
        assert tables.read(path, text="text", label="label")[:2] == (texts, labels)


def test_numbers_are_written_as_numbers():
    columns = {"text": ["a", "b", "c"], "p(x)": [0.3749582710001, 1.0, float("nan")]}
    assert tables.content(pathlib.Path("a.tsv"), columns) == b"text\tp(x)\na\t0.374958271\nb\t1\nc\tnan\n"
    rows = [json.loads(line) for line in tables.content(pathlib.Path("a.jsonl"), columns).splitlines()]
    assert rows == [{"text": "a", "p(x)": 0.374958271}, {"text": "b", "p(x)": 1.0}, {"text": "c", "p(x)": None}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.csv", TSV.replace("\t", ",").encode("utf-8-sig")),
        ("utf16.tsv", TSV.encode("utf-16")),
        ("utf16be.tsv", b"\xfe\xff" + TSV.encode("utf-16-be")),
        ("utf32.tsv", TSV.encode("utf-32")),
        ("europe.csv", TSV.replace("\t", ";").encode()),
        ("excel.csv", b"sep=;\r\n" + TSV.replace("\t", ";").replace("\n", "\r\n").encode()),
        ("tabs.CSV", TSV.encode()),
        ("mac.tsv", TSV.replace("\n", "\r").encode()),
        ("mac.csv", TSV.replace("\n", "\r").replace("\t", ",").encode()),
        ("packed.tsv", gzip.compress(TSV.encode())),
        ("packed.TSV.GZ", gzip.compress(TSV.encode())),
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    table = tables.read(tmp_path / name, text="text", label="label")
    assert list(zip(table.texts, table.labels)) == ROWS
    assert table.place(0).endswith("line 3" if name == "excel.csv" else "line 2")
    assert table.notes == ()


NAMED = [
    ("a.csv", b"PK\x03\x04rest", "is an Excel or LibreOffice sheet, or another zip archive: save it as CSV UTF-8"),
    ("a.tsv", b"\xd0\xcf\x11\xe0rest", "is an old Excel sheet"),
    ("a.csv", b"PAR1rest", "is a Parquet file: name it .parquet"),
    ("a.csv", b"SQLite format 3\0", "is an SQLite database: sqlite3"),
    ("a.jsonl", b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS"),
    ("a.csv", b'[\n {"text": "x", "label": 1}]', "is a JSON array and no table of lines: name it .json"),
    (
        "a.csv",
        b'[{"text":"x","label":"1"},{"text":"y, z","label":"2"}]',
        "is a JSON array and no table of lines: name it .json",
    ),
    ("a.csv", b'{"text":"x","label":"1"}\n{"text":"y","label":"2"}\n', "it looks like JSON Lines: name it .jsonl"),
    ("a.tsv", b'[{"text": "x", "label": 1}]', "is a JSON array and no table of lines: name it .json"),
    ("a.csv", b'{"text": "x", "label": 1}\n', "it looks like JSON Lines: name it .jsonl"),
    ("a.csv", b"<html><body>", "it looks like a page of HTML or XML"),
    ("a.tsv", b"text,label\nx,1\n", "they are separated by a comma: name it .csv"),
    (
        "a.tsv",
        TSV.encode("utf-16-le"),
        "is UTF-16LE without a byte order mark: encoding='utf-16le' reads it, or iconv -f UTF-16LE -t UTF-8",
    ),
    ("a.tsv", "text\tlabel\ncafé\tx\n".encode("utf-16-be"), "is UTF-16BE without a byte order mark"),
    ("a.tsv", b"\xff\xfea", "begins as UTF-16-LE and goes on as something else"),
    ("a.tsv", b"text\tlabel\nfine\tx\n" * 9 + b"a\0b\ty\n", "line 19: there is a zero byte"),
    ("a.tsv", b"text\tlabel\nfine\tx\ncaf\xe9\ty\n", r"line 3: byte 0xe9 is not UTF-8; if 'café\ty' reads right"),
    ("a.csv", b"a.txt".ljust(257, b"\0") + b"ustar\x0000", "is a tar archive: unpack it first: tar xf FILE"),
    ("a.txt", b"\x89PNG\r\n\x1a\n\0\0", "is an image: take it out of the folder"),
    ("a.parquet", b"text,label\nx,1\n", "is a text and no Parquet or Arrow file: name it .csv, .tsv or .jsonl"),
    ("a.feather", b"FEA1\0\0\0\0", "is Feather of version 1: write it again as Arrow or Parquet"),
    ("a.json", b"[]\n", "the split is empty, there is no row"),
    ("a.json", b"[1, 2]", "row 0 (counted from 0): wanted a JSON object, got 1"),
    ("a.tsv", b'text\tlabel\n"two\nlines"\tx\n', "cells in quotes, as spreadsheets write them"),
]


@pytest.mark.parametrize(("name", "content", "wanted"), NAMED)
def test_files_of_another_kind_are_named_by_their_bytes(tmp_path, name, content, wanted):
    (tmp_path / name).write_bytes(content)
    message = error_of(lambda: tables.read(tmp_path / name, text="text", label="label"))
    assert wanted in message
    assert message.startswith(str(tmp_path / name))
    assert len(message) <= 500
    assert message.isprintable()


def test_what_is_not_there_is_named(tmp_path):
    read = lambda path, **form: error_of(lambda: tables.read(path, text="text", label="label", form=tables.Form(**form)))
    (tmp_path / "a.csv").write_text("text,label\nx,1\n")
    (tmp_path / "link.csv").symlink_to("gone.csv")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("../a.csv", "text,label\nx,1\n")
    assert read(tmp_path / "link.csv") == f"{tmp_path}/link.csv is a link to gone.csv, which is not there"
    assert read(tmp_path / "a.zip") == f"{tmp_path}/a.zip has no file that can be read; it has ../a.csv"
    assert read(tmp_path / "a.csv", delimiter=";").endswith("; they are separated by a comma: delimiter=',' reads it")
    assert "'https://x.org/a.csv' is an address" in error_of(lambda: tables.named("https://x.org/a.csv"))
    assert "'s3://x/a.csv' is an address" in error_of(lambda: paths.expand("s3://x/a.csv"))


def test_what_keeps_a_folder_from_being_one_of_texts_is_named(tmp_path):
    for name in ("1.txt", "2.txt", "README"):
        (tmp_path / name).write_text("words")
    message = error_of(lambda: tables.named(str(tmp_path)))
    assert message == f"{tmp_path}/README is in a folder of texts and no .txt file: take it out"
    (tmp_path / "README").unlink()
    assert tables.named(str(tmp_path)) == [tmp_path]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv.gz", "a.jsonl"])
def test_what_is_no_regular_file_is_not_opened(tmp_path, name):
    os.mkfifo(tmp_path / name)
    message = error_of(lambda: tables.read(tmp_path / name, text="text", label="label"))
    assert message == f"{tmp_path / name} is no regular file"


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("content", ["x" * 10**6, "\x1b[31m" * 10**5, "text,lable\r" * 10**5, '"' * 10**5, '{"a\x07":' * 10**5])
def test_messages_are_short_and_plain(tmp_path, name, content):
    path = write(tmp_path / name, content)
    message = error_of(lambda: tables.read(path, text="text", label="label"))
    assert len(message) <= 500
    assert message.isprintable()


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["a", "b", "NaN"] * 9, "labels that may stand for none are classes of their own: 'NaN' (9); leave out such rows"),
        (["Pos", "pos", "neg"] * 9, "labels that look like one another are classes of their own: 'Pos' (9) and 'pos' (9)"),
        (["0", "0.0", "1"] * 9, "'0' (9) and '0.0' (9)"),
        (["pos", "po\u200bs", "neg"] * 9, r"'pos' (9) and 'po\u200bs' (9)"),
        (["caf\u00e9", "cafe\u0301", "tea"] * 9, r"'cafe\u0301' (9) and 'caf\xe9' (9)"),
        (["\uff21", "a", "b"] * 9, "'a' (9) and '\uff21' (9)"),
        (["\u200b", "a", "b"] * 9, r"labels that may stand for none are classes of their own: '\u200b' (9)"),
        ([f"{n / 7:.4f}" for n in range(300)] * 2, "600 texts have 300 classes, numbers with decimals: '0.0000' (2) and"),
        (
            [f"name {n}" for n in range(30)] + ["name 0"] * 9,
            "39 texts have 30 classes, nearly as many as texts: 'name 0' (10) and",
        ),
        (["pos,", "neg,"] * 9, "all labels end in ,: 'neg,' (9) and 'pos,' (9)"),
        (["a", "b", "none", "C", "C++", "1", "2"] * 9, None),
    ],
)
def test_labels_that_may_not_be_meant(tmp_path, labels, wanted):
    rows = "".join(f"text {number}\t{label}\n" for number, label in enumerate(labels))
    path = write(tmp_path / "a.tsv", "text\tlabel\n" + rows)
    notes = build("files", train=path, validation=path).load(0).notes
    assert len(notes) == (wanted is not None)
    assert wanted is None or wanted in notes[0]


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "dir.csv").mkdir()
    assert "dir.csv is a folder" in error_of(lambda: build("files", train=tmp_path / "dir.csv").load(0))


def test_stray_quotes_do_not_swallow_rows(tmp_path):
    rows = [f"text {number},{'ab'[number % 2]}\n" for number in range(200)]
    swallowed = ["text,label\n", *rows[:50], '"so,a\n', *rows[50:150], 'he said",b\n', *rows[150:]]
    message = error_of(lambda: tables.read(write(tmp_path / "a.csv", "".join(swallowed)), text="text", label="label"))
    assert "line 52: up to line 153 is one row, and 101 of its lines look like rows of their own" in message
    one = write(tmp_path / "b.csv", "".join(["text,label\n", *rows, '"so,a\n', 'he said",b\n']))
    [note] = tables.read(one, text="text", label="label").notes
    assert "line 202: up to line 203 is one row, and 1 of its lines look like rows" in note
    meant = write(tmp_path / "c.csv", 'text,label\nx,a\n"one,\ntwo, a\n\nthree",b\n')
    assert tables.read(meant, text="text", label="label").notes == ()
    opened = write(tmp_path / "d.csv", "".join(["text,label\n", *rows[:9], '"so,a\n', *rows[9:]]))
    assert "line 11: not CSV" in error_of(lambda: tables.read(opened, text="text", label="label"))


def test_quotes_of_a_spreadsheet_in_tsv_are_said(tmp_path):
    sheet = write(tmp_path / "a.tsv", 'text\tlabel\nplain\ta\n"so, ""he"" said"\tb\n')
    [note] = tables.read(sheet, text="text", label="label").notes
    assert "line 3: cells in quotes, as spreadsheets write them" in note
    assert build("files", train=sheet, validation=sheet).load(0).notes[0] == note
    own = write(tmp_path / "b.tsv", 'text\tlabel\n"a "b\ta\n"so, ""he"" said"\tb\n')
    assert tables.read(own, text="text", label="label").notes == ()


def test_labels_may_be_missing_as_a_whole(tmp_path):
    read = lambda name, text: tables.read(write(tmp_path / name, text), text="text", label="label", optional=True)
    for name, text in (
        ("a.tsv", "text\nx\ny\n"),
        ("b.csv", "text,label\nx,\ny, \n"),
        ("c.jsonl", '{"text": "x"}\n{"text": "y", "label": null}\n'),
    ):
        assert read(name, text)[:2] == (["x", "y"], [])
    assert read("d.jsonl", '{"text": "x", "label": 0}\n').labels == ["0"]
    assert "line 3: 'label' is empty, and line 2 has one" in error_of(lambda: read("e.csv", "text,label\nx,a\ny,\n"))


def test_a_name_that_no_file_can_have(tmp_path):
    assert "cannot read" in error_of(lambda: tables.read(tmp_path / f"{'x' * 300}.tsv", text="text", label="label"))
