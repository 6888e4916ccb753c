"""Evidence of plain text files."""

import gzip
import itertools
import os
import re
import zipfile

import numpy as np
import pytest

from attention import specs
from attention.data import dataset, plain_files, remarks
from attention.data.contracts import Split
from attention.runs import identity
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import REAL, build, error_of, real_data

VERSES = "".join(f"verse {n} of the café\n{'' if n % 3 else chr(10)}" for n in range(100))


def prepare(folder):
    (folder / "book.txt").write_bytes(VERSES.encode())
    (folder / "other.txt").write_bytes(VERSES.upper().encode())


SPEC = "text(path='$FOLDER/book.txt')"
OPTIONS = {
    "path": "'$FOLDER/other.txt'",
    "validation": "'$FOLDER/other.txt'",
    "test": "0",
    "documents": "blank",
}
ERRORS = {
    **{f"text(path='a.txt', validation={share})": "above 0 to less than 1, or files; got" for share in (0.0, 1.0, -0.5)},
    **{f"text(path='a.txt', test={share})": "from 0, for none, to less than 1, or files; got" for share in (1.0, -0.5)},
    "text(path='a.txt', documents=lines)": "(nearest: 'line')",
    "text(path=())": "a split wants at least one file",
}
ROW = Row(SPEC, OPTIONS, SourceEvidence((SourceCase(SPEC),), prepare, seeded=False, errors=ERRORS))


def texts(corpus):
    return {name: list(split.texts) for name, split in corpus.splits.items()}


def whole(corpus, name="train"):
    return "".join(corpus.splits[name].texts)


@pytest.fixture
def small(monkeypatch):
    """Blocks of 64 bytes, read 100 at once."""
    monkeypatch.setattr(plain_files, "BLOCK", 64)
    monkeypatch.setattr(plain_files, "_READ", 100)


@real_data
def test_the_usual_split_of_shakespeare():
    corpus = build("text", path=f"{REAL}/tinyshakespeare/input.txt").load(0)
    assert {name: len(whole(corpus, name)) for name in corpus.splits} == {"train": 953661, "validation": 50193, "test": 111540}
    with open(f"{REAL}/tinyshakespeare/input.txt", encoding="utf-8", newline="") as file:
        assert whole(corpus) + whole(corpus, "validation") + whole(corpus, "test") == file.read()
    assert corpus.notes == ("test is the last 10 % of the text, validation is the last 5 % of what stands before it",)
    assert corpus.resolved == f"text(path='{REAL}/tinyshakespeare/input.txt')"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("documents", ["stream", "file", "line", "blank"])
def test_documents_are_what_plain_python_finds(tmp_path, small, documents, ends):
    """Whatever the blocks that they are read in; line breaks of a stream and of files are kept."""
    parts = ["\ufeffone\n\n \ntwo\nthree " + "long " * 50 + "\n", "\n\nfour é" + "ü" * 200 + "\n\nfive", "six\n" * 40]
    parts = [part.replace("\n", ends) for part in parts]
    for number, part in enumerate(parts):
        (tmp_path / f"{number}.txt").write_bytes(part.encode())
    given = build("text", path=tmp_path / "*.txt", validation=str(tmp_path / "2.txt"), test=0.0, documents=documents)
    with pytest.raises(ValueError, match="which is a file of"):
        given.load(0)
    source = build("text", path=(str(tmp_path / "0.txt"), str(tmp_path / "1.txt")), validation=str(tmp_path / "2.txt"),
                   test=0.0, documents=documents)  # fmt: skip
    split = source.load(0).splits["train"]
    read = [parts[0][1:], parts[1]]
    wanted = {
        "stream": ["".join(read)],
        "file": read,
        "line": [line for part in read for line in part.split(ends) if line.strip()],
        "blank": [found.strip(ends) for part in read for found in re.split(rf"{ends}(?:[ ]*{ends})+", part) if found.strip()],
    }[documents]
    starts = np.flatnonzero(split.begins) if split.begins is not None else np.arange(len(split.texts))
    bounds = [*starts, len(split.texts)]
    assert ["".join(split.texts[a:b]) for a, b in itertools.pairwise(bounds)] == wanted
    assert max(len(text.encode()) for text in split.texts) <= 64
    assert [split.texts[n] for n in range(len(split.texts))] == list(split.texts)
    assert split.ends == (documents != "stream")


@pytest.mark.parametrize("documents", ["stream", "line"])
def test_no_text_is_read_by_two_splits(tmp_path, small, documents):
    """And none is left out; a border stands between characters."""
    text = "".join(f"{n} é\n" for n in range(200))
    for cut in range(40):
        (tmp_path / "a.txt").write_text(text[cut:])
        corpus = build("text", path=tmp_path / "a.txt", test=0.31, validation=0.17, documents=documents).load(0)
        joined = [whole(corpus, name) for name in ("train", "validation", "test")]
        assert "".join(joined) == (text[cut:] if documents == "stream" else text[cut:].replace("\n", ""))
        counts = joined if documents == "stream" else [corpus.splits[name].texts for name in corpus.splits]
        shares = np.array(list(map(len, counts))) / sum(map(len, counts))
        np.testing.assert_allclose(shares, [0.69 * 0.83, 0.69 * 0.17, 0.31], atol=0.01)


def test_a_block_size_changes_no_hash(tmp_path, monkeypatch):
    """A run is known by its documents, wherever blocks are cut and files end; a document that goes on is another."""
    (tmp_path / "a.txt").write_text(VERSES)
    (tmp_path / "b.txt").write_text(VERSES[:777])
    (tmp_path / "c.txt").write_text(VERSES[777:])
    spec = f"text(path='{tmp_path / 'a.txt'}')"
    one = dataset.content_hash(specs.build("source", spec).load(0).splits["train"])
    monkeypatch.setattr(plain_files, "BLOCK", 64)
    cut = specs.build("source", spec).load(0).splits["train"]
    assert len(cut.texts) > 10
    assert (
        dataset.content_hash(cut)
        == one
        == dataset.content_hash(Split([whole(specs.build("source", spec).load(0))], None, ends=False))
    )
    parts = build("text", path=(str(tmp_path / "b.txt"), str(tmp_path / "c.txt"))).load(0).splits["train"]
    assert dataset.content_hash(parts) == one
    assert dataset.content_hash(parts._replace(ends=True)) != one
    assert dataset.content_hash(parts._replace(begins=None)) != one


def test_packed_files_and_folders(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text(VERSES)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(VERSES.encode()))
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("x/a.txt", VERSES)
        archive.writestr("readme", "x")
    for path in ("in/a.txt", "a.txt.gz", "text.zip/x/a.txt", "in/*.txt"):
        assert (
            whole(build("text", path=tmp_path / path).load(0))
            == VERSES[: len(whole(build("text", path=tmp_path / path).load(0)))]
        )
    for bare in ("in/a.txt", "a.txt.gz", "in", "in/*.txt"):
        assert specs.parse(specs.canonical("source", str(tmp_path / bare))).name == "text"
    files = build("text", path=tmp_path / "in/*.txt").load(0).files
    assert set(identity.stamps(files)) == {str(tmp_path / "in"), str(tmp_path / "in/a.txt")}


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        ("a.txt", "To be, or not to be\n", "text"),
        ("a.txt", "a text and its label\n", "text"),
        ("a.txt", "text\tlabel\nx\ty\n", "files"),
        ("a.txt", "label,text\nx,y\n", "files"),
        ("a.txt", "__label__a x\n", "files"),
        ("a.txt", '{"text": "x", "label": 1}\n', "files"),
        ("a.csv", "To be, or not to be\n", "files"),
    ],
)
def test_bare_paths_are_read_as_what_they_hold(tmp_path, name, content, source):
    (tmp_path / name).write_text(content)
    assert specs.parse(specs.canonical("source", str(tmp_path / name))).name == source


def test_splits_in_a_folder(tmp_path):
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.txt").write_text(f"words of {name}\n")
    corpus = specs.build("source", str(tmp_path)).load(0)
    assert texts(corpus) == {n: [f"words of {f}\n"] for n, f in (("train", "train"), ("validation", "dev"), ("test", "test"))}
    assert corpus.notes == ()


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"ab\nc\xe9d\n", "a.txt, line 2: byte 4 (counted from 0) is 0xe9, which is not UTF-8 there; in another encoding"),
        (b"\n" * 150 + b"\xc3\xa9\xc3", "line 151: byte 152 (counted from 0) is 0xc3"),
        (b"x" * 99 + b"\xe4\xb8\nz" + b"y" * 200, "line 1: byte 99 (counted from 0) is 0xe4"),
        (b"ab\nc\0d\n", "a.txt, line 2: byte 4 (counted from 0) is zero"),
        (b"\xff\xfea\0b\0", "line 1: byte 0 (counted from 0) is 0xff"),
        (b"%PDF-1.4 ", "is a PDF document"),
        (b"", "the corpus is empty, there is no text"),
        (b"\xef\xbb\xbf", "the corpus is empty, there is no text"),
        (b"ab", "of 2 bytes nothing is left for the train split; give other shares or files"),
    ],
)
def test_what_is_no_corpus_is_refused_with_its_place(tmp_path, small, content, wanted):
    (tmp_path / "a.txt").write_bytes(content)
    assert wanted in error_of(lambda: build("text", path=tmp_path / "a.txt").load(0))


def test_other_errors_name_what_is_given(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "b.txt").write_text("")
    of = lambda **options: error_of(lambda: build("text", **options).load(0))
    assert "of 2 documents nothing is left for the train split" in of(path=tmp_path / "a.txt", documents="line")
    assert "b.txt is empty, and no document" in of(path=tmp_path / "?.txt", documents="file")
    assert "there is no file" in of(path=tmp_path / "c.txt")
    assert "files in it are 'FOLDER/*.txt'" in of(path=tmp_path)
    split = build("text", path=tmp_path / "a.txt").load(0).splits["train"]
    for changed in (b"\xff" * 12, b"", b"o"):
        (tmp_path / "a.txt").write_bytes(changed)
        assert "has changed since it was first read" in error_of(lambda: list(split.texts))
    (tmp_path / "a.txt").unlink()
    assert "cannot read" in error_of(lambda: list(split.texts))


def test_no_file_is_of_two_splits(tmp_path):
    """By whatever name; shares of one are apart."""
    (tmp_path / "a.txt").write_text(VERSES)
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    os.link(tmp_path / "a.txt", tmp_path / "hard.txt")
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("a.txt", VERSES)
        archive.writestr("b.txt", VERSES.upper())
    of = lambda path, **splits: error_of(
        lambda: build("text", path=tmp_path / path, **{name: str(tmp_path / each) for name, each in splits.items()}).load(0)
    )
    assert f"{tmp_path}/a.txt is a file of path and of test: no text is read by two splits" in of("a.txt", test="a.txt")
    for name in ("link.txt", "hard.txt"):
        assert f"{name} of validation and {tmp_path}/a.txt of path are one file" in of("a.txt", validation=name)
    assert "link.txt of test and" in of("text.zip/a.txt", validation="a.txt", test="link.txt")
    assert "text.zip/a.txt is a file of path and of test" in of("text.zip/a.txt", test="text.zip/a.txt")
    two = {"path": tmp_path / "text.zip/a.txt", "test": str(tmp_path / "text.zip/b.txt")}
    assert set(build("text", **two).load(0).splits) == {"train", "validation", "test"}


def test_a_long_document_was_seen_where_all_of_its_blocks_were(tmp_path, small):
    """Not where train has its beginning alone."""
    long = " ".join(f"word{n}" for n in range(40))
    (tmp_path / "a.txt").write_text("\n\n".join([long, "one", "two"]))
    (tmp_path / "b.txt").write_text("\n\n".join([long, long[:-1] + "x", "one", "three"]))
    spec = f"text(path='{tmp_path / 'a.txt'}', validation='{tmp_path / 'b.txt'}', test=0.1, documents=blank)"
    reading = {"max_length": 16, "truncate": "head", "seed": 0, "windows": "documents", "cache_dir": tmp_path / "cache"}
    data = dataset.load(spec, "bytes", **reading)
    facts = data.statistics["validation"]
    assert (facts["examples"], facts["seen_in_train"], facts["max_length"]) == (4, 2, len(long) + 1)
    assert data.splits["validation"].bytes == 2 * len(long) + len("onethree")


def test_lines_of_a_stream_that_are_in_train_are_counted(tmp_path, small):
    """In whatever blocks; not the short ones, nor those of documents, which are compared whole."""
    lines = [f"a line of some length, number {n}" for n in range(60)]
    (tmp_path / "a.txt").write_text("\n".join([*lines, "Enter", ""]) * 2)
    own = [line.upper().replace(" ", "  ") for line in lines[:7]]
    (tmp_path / "b.txt").write_text("\r\n".join(["Enter", *own, own[0], "a line that stands in no other file", "Exit"]))
    reading = {"max_length": 16, "truncate": "head", "seed": 0, "windows": "stream", "cache_dir": tmp_path / "cache"}
    for documents, facts in (("stream", (8, 9)), ("line", (None, None))):
        spec = f"text(path='{tmp_path / 'a.txt'}', test='{tmp_path / 'b.txt'}', documents={documents})"
        data = dataset.load(spec, "bytes", **reading)
        found = data.statistics["test"]
        assert (found.get("lines_in_train"), found.get("lines")) == facts
        said = "8 of 9 lines of test of 20 characters or more are also in train: a score on them is partly one of memory"
        assert any(said in note for note in remarks.notes(data.statistics)) == (documents == "stream")


def test_documents_are_counted_and_not_their_windows(tmp_path):
    """However they are cut."""
    (tmp_path / "a.txt").write_text("\n".join(f"document {n} is longer than a window" for n in range(40)))
    for windows, stride in (("documents", 0), ("documents", 3), ("packed", 0), ("stream", 0), ("stream", 5)):
        reading = {"max_length": 8, "truncate": "head", "seed": 0, "windows": windows, "stride": stride}
        data = dataset.load(f"text(path='{tmp_path / 'a.txt'}', documents=line)", "bytes", **reading, cache_dir=tmp_path)
        test = data.splits["test"]
        facts = remarks.statistics(test, np.array([1, 0, 3, 1], np.int8), name="test")
        assert len(test) > 4
        assert (facts["examples"], facts["seen_in_train"]) == (4, 3)
        assert facts == {**{name: data.statistics["test"][name] for name in facts}, "seen_in_train": 3,
                         "seen_in_train_or_validation": 3}  # fmt: skip
