"""Files as people have them: every format, encoding and packing gives the same rows, or one line that says what helps."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest

from attention.data import tables, unpacking
from tests.support.sources import error_of, write

TEXTS = [f'café {number}, so; "it" | is\nor {"not" if number % 3 else "may be"}' for number in range(12)]
LABELS = ["good" if number % 2 else "bad" for number in range(12)]


def read(*paths, text="text", label="label", optional=False, skip_empty=False, **form):
    options = {"optional": optional, "skip_empty": skip_empty, "form": tables.Form(**form)}
    return tables.read(*paths, text=text, label=label, **options)


def rows(table):
    return list(zip(table.texts, table.labels))


WANTED = list(zip(TEXTS, LABELS))


def csv_of(delimiter=",", header=("text", "label"), columns=(TEXTS, LABELS), **options):
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, **options).writerows([*([header] if header else []), *zip(*columns)])
    return stream.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le"])
def test_delimiters_and_encodings(tmp_path, delimiter, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(csv_of(delimiter).encode(encoding))
    marked = encoding in ("utf-8", "utf-8-sig", "utf-16")
    assert rows(read(path, encoding=None if marked else encoding)) == WANTED
    path.write_bytes(csv_of(delimiter, header=None, columns=(range(12), LABELS, TEXTS), quoting=csv.QUOTE_ALL).encode(encoding))
    assert rows(read(path, text=2, label=1, encoding=None if marked else encoding)) == WANTED
    if not marked:
        assert f"encoding='{'utf-16le' if encoding == 'utf-16-le' else encoding}' reads it" in error_of(lambda: read(path))


def test_what_is_utf8_is_read_as_that_whatever_the_others_are(tmp_path):
    """So that a file of another source can stand beside those that have an encoding; seven bits do not say what they are."""
    (tmp_path / "a.csv").write_bytes(csv_of().encode())
    assert rows(read(tmp_path / "a.csv", encoding="latin-1")) == WANTED
    (tmp_path / "b.csv").write_bytes("text,label\n日本,a\n".encode("iso2022_jp"))
    assert read(tmp_path / "b.csv", encoding="iso2022_jp").texts == ["日本"]
    (tmp_path / "c.csv").write_bytes("text,label\nfine,a\ncafé,b\n".encode("latin-1"))
    message = error_of(lambda: read(tmp_path / "c.csv", encoding="shift_jis"))
    assert message.endswith("c.csv, line 3: byte 0xe9 is neither UTF-8 nor shift_jis")


def test_a_delimiter_that_cannot_be_told_is_asked_for(tmp_path):
    two = write(tmp_path / "a.csv", "".join(f"so, {number}; {'xy'[number % 2]}\n" for number in range(9)))
    message = error_of(lambda: read(two, text=0, label=1))
    assert (
        "more than one delimiter fits (cells at most: 2 by a comma, 2 by a semicolon); say delimiter=',' or delimiter=';'"
        in message
    )
    assert read(two, text=0, label=1, delimiter=";").texts[3] == "so, 3"
    none = write(tmp_path / "b.csv", "a\nb, c\nd, e, f\n" * 3)
    assert "no delimiter gives its first lines equally many cells" in error_of(lambda: read(none, text=0, label=1))
    other = write(tmp_path / "c.csv", "text~label\na, b;~x\n")
    assert rows(read(other, delimiter="~")) == [("a, b;", "x")]
    single = write(tmp_path / "d.csv", "text\nwell, so; it | is\n")
    assert read(single, optional=True).texts == ["well, so; it | is"]


def test_a_file_without_names_of_columns(tmp_path):
    lines = "".join(f'{LABELS[number]}\ttext "{number}\n' for number in range(12))
    path = write(tmp_path / "SMSSpamCollection", lines)
    assert rows(read(path, text=1, label=0, quotes=False)) == [(f'text "{n}', LABELS[n]) for n in range(12)]
    assert rows(read(path, text=1, label=0, header=True, quotes=False))[0] == ('text "1', "good")
    named = write(tmp_path / "a.tsv", f"kind\ttext\n{lines}")
    message = error_of(lambda: read(named, text=1, label=0))
    assert "line 1: no other line has the label 'kind'; say header=True where this line names the columns" in message
    assert len(read(named, text=1, label=0, header=True).texts) == 12
    assert len(read(named, text=1, label=0, header=False).texts) == 13
    assert "there is no column 2, counted from 0: it has 2" in error_of(lambda: read(path, text=2, label=0, delimiter="\t"))


def test_lines_that_are_no_rows(tmp_path):
    """Empty lines, a sheet's empty rows, and a line break for each of the systems."""
    for name, end in (("a.csv", "\n"), ("b.csv", "\r\n"), ("c.csv", "\r")):
        path = write(tmp_path / name, end.join(["", "text;label", "a;x", "", ";", "b;y", ";", "", ""]))
        table = read(path)
        assert (rows(table), table.place(1)) == ([("a", "x"), ("b", "y")], f"{path}, line 6")
    assert len(read(write(tmp_path / "a.jsonl", '{"text":"a","label":1}\n\n{"text":"b","label":2}\n\n')).texts) == 2
    short = write(tmp_path / "d.csv", "text,label\na,x\nb\n")
    assert error_of(lambda: read(short)) == f"{short}, line 3: 1 fields where the header has 2"
    long = write(tmp_path / "e.csv", "text,label\nwell, so,x\n")
    assert error_of(lambda: read(long)).endswith(
        "line 2: 3 fields where the header has 2; a cell with a comma in it stands in quotes"
    )
    plain = write(tmp_path / "f.csv", "x,text\n0,a\n")
    assert "line 2: 2 fields where line 1 has" not in error_of(lambda: read(plain))


def test_rows_with_holes(tmp_path):
    path = write(tmp_path / "a.csv", "text,label,n\na,x,1\n,x,2\nb,,3\nc,y,4\nnan,y,5\n")
    message = error_of(lambda: read(path))
    assert message == f"{path}, line 3: 'text' is empty, as 1 more rows are; skip_empty=True leaves out such rows"
    table = read(path, skip_empty=True)
    assert rows(table) == [("a", "x"), ("c", "y"), ("nan", "y")]
    assert [table.place(number) for number in range(3)] == [f"{path}, line {line}" for line in (2, 5, 6)]
    assert table.notes[0] == f"{path}, line 3: 2 rows without a text or a label were left out, this is the first"
    assert table.notes[1].startswith(f"{path}, line 6: 'text' is 'nan', in all 1 texts look like what is written where")


def test_quotes_as_they_stand(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\n"he said "hi" to me,x\nso,y\n')
    assert "line 2: not CSV" in (message := error_of(lambda: read(path)))
    assert "quotes=False reads them as they stand" in message
    assert read(path, quotes=False).texts == ['"he said "hi" to me', "so"]
    sheet = write(tmp_path / "a.tsv", csv_of("\t"))
    assert "quotes=True, or naming it .csv, loses them" in error_of(lambda: read(sheet))
    assert rows(read(sheet, quotes=True)) == WANTED


def test_lines_of_fasttext(tmp_path):
    lines = "".join(f"__label__{label} , well {number}\n" for number, label in enumerate(LABELS))
    for name in ("cooking.train", "a.txt", "a.ft.txt"):
        assert rows(read(write(tmp_path / name, lines))) == [(f", well {number}", label) for number, label in enumerate(LABELS)]
    two = write(tmp_path / "b.txt", "__label__a x\n__label__a __label__b y\n")
    assert error_of(lambda: read(two)).endswith("b.txt, line 2: 2 labels, wanted is one: a, b")
    bare = write(tmp_path / "c.txt", "__label__a x\ny\n")
    assert "line 2: 'label' is empty" in error_of(lambda: read(bare))


def test_arrays_of_json_and_labels_of_every_type(tmp_path):
    for given, wanted in ((True, "True"), (False, "False"), (3, "3"), (2.0, "2"), ("x", "x")):
        items = [{"text": "a", "label": given}, {"text": "b", "label": given}]
        path = write(tmp_path / "a.json", json.dumps(items, indent=1))
        assert rows(read(path)) == [("a", wanted), ("b", wanted)]
        assert read(path).place(1) == f"{path}, row 1 (counted from 0)"
        write(path, "\n".join(map(json.dumps, items)))
        assert read(path).labels == [wanted] * 2
    broken = write(tmp_path / "b.json", '[{"text": "a", "label": 1}, {"text": 5, "label": 1}]')
    assert error_of(lambda: read(broken)).endswith("row 1 (counted from 0): 'text' is a string, got 5")


LABEL_COLUMNS = {
    "names": (pyarrow.array(LABELS), LABELS),
    "large": (pyarrow.array(LABELS, pyarrow.large_string()), LABELS),
    "categories": (pyarrow.array(LABELS).dictionary_encode(), LABELS),
    "integers": (pyarrow.array([number % 2 for number in range(12)], pyarrow.int8()), ["0", "1"] * 6),
    "booleans": (pyarrow.array([number % 2 == 1 for number in range(12)]), ["False", "True"] * 6),
    "floats": (pyarrow.array([float(number % 2) for number in range(12)]), ["0", "1"] * 6),
}


def write_columns(path, table):
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(table, path)
    else:
        with pyarrow.ipc.new_stream(path, table.schema) as stream:  # as the datasets library keeps it
            stream.write_table(table)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "feather", "arrow"])
@pytest.mark.parametrize("kind", LABEL_COLUMNS)
def test_columns_with_types(tmp_path, suffix, kind):
    labels, wanted = LABEL_COLUMNS[kind]
    path = write_columns(tmp_path / f"a.{suffix}", pyarrow.table({"n": range(12), "label": labels, "text": TEXTS}))
    assert rows(read(path)) == rows(read(path, text=2, label=1)) == list(zip(TEXTS, wanted))


def test_columns_that_are_not_as_wanted(tmp_path):
    path = tmp_path / "a.parquet"
    refused = {
        "row 2 (counted from 0): 'text' is empty": {"text": ["a", "b", None], "label": [1, 2, 3]},
        "row 1 (counted from 0): 'label' is empty": {"text": ["a", "b"], "label": [1.0, None]},
        "row 0 (counted from 0): 'label' is a string, a whole number, True or False, got 0.5": {"text": ["a"], "label": [0.5]},
        "got [1, 2]": {"text": ["a"], "label": [[1, 2]]},
        "row 0 (counted from 0): 'text' is a string, got b'a'": {"text": [b"a"], "label": [1]},
        "the column 'label' is missing (nearest: 'labels'); columns: text, labels": {"text": ["a"], "labels": [1]},
        "the split is empty": {"text": pyarrow.array([], "string"), "label": pyarrow.array([], "int64")},
    }
    for wanted, columns in refused.items():
        message = error_of(lambda columns=columns: read(write_columns(path, pyarrow.table(columns))))
        assert message.startswith(str(path))
        assert wanted in message
    whole = write_columns(path, pyarrow.table({"text": TEXTS, "label": LABELS})).read_bytes()
    for damaged in (whole[:-9], whole[:20], b"PAR1", b"nothing of the kind\0"):
        path.write_bytes(damaged)
        assert "is no Parquet or Arrow file, or a damaged one" in error_of(lambda: read(path))


def test_a_file_that_says_it_is_huge(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a" * (2**26 + 9)], "label": [1]}), path, compression="zstd")
    assert path.stat().st_size < 2**20
    assert "says that it unpacks to 1 rows in" in error_of(lambda: read(path))


def test_names_of_classes_in_a_schema(tmp_path):
    """As the datasets library writes a ClassLabel; -1 is no label."""
    feature = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    said = {"huggingface": json.dumps({"info": {"features": feature}})}
    make = lambda labels: pyarrow.table({"text": ["a", "b", "c"], "label": labels}).replace_schema_metadata(said)
    for suffix in ("parquet", "arrow"):
        path = tmp_path / f"a.{suffix}"
        assert read(write_columns(path, make([1, 0, 1]))).labels == ["pos", "neg", "pos"]
        assert read(write_columns(path, make([-1, -1, -1])), optional=True).labels == []
        assert "'label' is one of 2 classes, or -1, got 2" in error_of(
            lambda path=path: read(write_columns(path, make([0, 1, 2])))
        )


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


PACKED = {
    "gz": lambda data: gzip.compress(data, 1),
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True),
    "zip": lambda data: zipped({"a.csv": data}),
}


@pytest.mark.parametrize("suffix", PACKED)
def test_packed_files(tmp_path, suffix):
    path = tmp_path / f"a.csv.{suffix}"
    whole = PACKED[suffix](csv_of().encode())
    path.write_bytes(whole)
    assert rows(read(path)) == WANTED
    path.write_bytes(whole[:-12])
    assert f"{path} is not " in (message := error_of(lambda: read(path)))
    assert "whole" in message or "that can be read" in message
    path.write_bytes(PACKED[suffix](bytes(2**26 + 9)))
    assert "unpacks to more than 64 MiB, which no texts of its size do" in error_of(lambda: read(path))
    if suffix != "zip":  # two packed files one after the other are one
        path.write_bytes(whole + PACKED[suffix](b"more,good\r\n"))
        assert rows(read(path)) == [*WANTED, ("more", "good")]
        bare = tmp_path / "b.csv"
        bare.write_bytes(whole)
        assert rows(read(bare)) == WANTED


def test_files_in_an_archive(tmp_path):
    path = tmp_path / "archive.zip"
    path.write_bytes(
        zipped({"data/train.csv": csv_of(), "data/test.jsonl": '{"text": "a", "label": "x"}', "__MACOSX/._train.csv": b"\0"})
    )
    assert rows(read(path / "data" / "train.csv")) == WANTED
    assert rows(read(path / "data" / "test.jsonl")) == [("a", "x")]
    assert unpacking.archive(path / "data" / "train.csv") == path
    assert error_of(lambda: read(path)).endswith(
        "holds 2 files: data/train.csv, data/test.jsonl; name one of them, as archive.zip/data/train.csv"
    )
    assert "has no file 'data/tain.csv' (nearest: 'data/train.csv')" in error_of(lambda: read(path / "data" / "tain.csv"))
    sheet = tmp_path / "b.zip"
    sheet.write_bytes(zipped({"[Content_Types].xml": "", "xl/a.xml": ""}))
    assert "is an Excel or LibreOffice sheet" in error_of(lambda: read(sheet))


def test_several_files_are_one_table(tmp_path):
    first = write(tmp_path / "a.csv", csv_of(columns=(TEXTS[:5], LABELS[:5])))
    second = write(tmp_path / "b.tsv", "label\ttext\nx\tlast\n")
    table = read(first, second)
    assert rows(table) == [*WANTED[:5], ("last", "x")]
    assert (table.place(4), table.place(5)) == (f"{first}, line 10", f"{second}, line 2")
    bare = write(tmp_path / "c.csv", "text\nalone\n")
    message = error_of(lambda: read(first, bare, optional=True))
    assert message == f"{bare}, line 2: 'label' is empty, and {first}, line 2 has one: fill in all of them or none"
