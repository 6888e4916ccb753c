"""Evidence of texts in folders."""

import gzip
import shutil

import pytest

from attention import specs
from attention.data import dataset
from attention.runs import identity
from tests.support.evidence import SourceCase, SourceEvidence
from tests.support.row import Row
from tests.support.sources import build, contents, error_of


def write_texts(folder, count, *classes, encoding="utf-8", word="café"):
    for number in range(count):
        place = folder / classes[number % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_bytes(f"{word} {number}\n".encode(encoding))
    return folder


def prepare(folder):
    """A tree with splits, as aclImdb has it, and others without."""
    write_texts(folder / "split" / "train", 40, "neg", "pos")
    write_texts(folder / "split" / "test", 10, "neg", "pos", word="new")
    write_texts(folder / "more", 10, "neg", "pos", word="more")
    write_texts(folder / "latin", 40, "neg", "pos", encoding="latin-1")
    write_texts(folder / "three", 40, "a", "b", "c")
    (write_texts(folder / "holes", 40, "neg", "pos") / "neg" / "0.txt").write_text("\n")


SPEC = "folder(path='$FOLDER/split')"
OPTIONS = {
    "path": "'$FOLDER/three'",
    "validation": "'$FOLDER/more'",
    "test": "'$FOLDER/more'",
    "classes": "('a', 'b'), path='$FOLDER/three'",
    "encoding": "'latin-1', path='$FOLDER/latin'",
    "skip_empty": "True, path='$FOLDER/holes'",
    "validation_share": "0.25",
}
ERRORS = {
    **{f"folder(path='a', validation_share={share})": "between 0 and 1" for share in (0.0, 1.0, -0.5)},
    "folder(path='a', encoding=latin1252)": "is none that Python knows",
}
ROW = Row(SPEC, OPTIONS, SourceEvidence((SourceCase(SPEC),), prepare, places=(), errors=ERRORS))


def test_one_tree_or_one_for_each_split(tmp_path):
    whole = build("folder", path=write_texts(tmp_path / "one", 40, "neg", "pos")).load(0)
    assert whole.classes == ("neg", "pos")
    assert {name: len(split.texts) for name, split in whole.splits.items()} == {"train": 36, "validation": 4}
    assert sorted(text for split in whole.splits.values() for text in split.texts) == sorted(f"café {n}" for n in range(40))
    for name, alias in (("train", "train"), ("validation", "dev"), ("test", "Test")):
        write_texts(tmp_path / "all" / alias, 6, "b", "a", word=name)
    corpus = build("folder", path=tmp_path / "all").load(0)
    assert contents(corpus)["validation"] == ([f"validation {n}" for n in (1, 3, 5, 0, 2, 4)], [0, 0, 0, 1, 1, 1])
    assert corpus.notes == ()
    apart = build("folder", path=tmp_path / "all/train", validation=tmp_path / "all/dev", test=tmp_path / "all/Test").load(0)
    assert contents(apart) == contents(corpus)


def test_a_class_that_the_other_split_has_not_wants_a_word(tmp_path):
    write_texts(tmp_path / "train", 30, "neg", "pos", "unsup")
    write_texts(tmp_path / "test", 10, "neg", "pos")
    (tmp_path / "train" / "urls_neg.txt").write_text("http://a")
    message = error_of(lambda: build("folder", path=tmp_path).load(0))
    assert (
        f"{tmp_path / 'test'} has no folder 'unsup', {tmp_path / 'train'} has one: classes=('neg', 'pos') leaves it out"
        in message
    )
    assert specs.build("source", f"folder(path='{tmp_path}', classes=('neg', 'pos'))").load(0).classes == ("neg", "pos")
    message = error_of(lambda: build("folder", path=tmp_path, classes=("neg", "po")).load(0))
    assert "has no folder 'po' (nearest: 'pos'); it has neg, pos, unsup" in message
    write_texts(tmp_path / "test", 10, "neg", "pos", "odd")
    message = error_of(lambda: build("folder", path=tmp_path, classes=("neg", "pos", "odd")).load(0))
    assert "has no folder 'odd'" in message


def test_files_that_are_no_texts(tmp_path):
    write_texts(tmp_path / "a", 10, "x", "y")
    (tmp_path / "a/x/.DS_Store").write_bytes(b"\0\1")
    (tmp_path / "a/x/10.txt.gz").write_bytes(gzip.compress(b"packed"))
    corpus = build("folder", path=tmp_path / "a").load(0)
    assert "packed" in [text for split in corpus.splits.values() for text in split.texts]
    (tmp_path / "a/y/Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\0")
    assert "Thumbs.db is an old Excel sheet" in error_of(lambda: build("folder", path=tmp_path / "a").load(0))
    (tmp_path / "a/y/Thumbs.db").write_bytes(b"caf\xe9")
    assert "y/Thumbs.db, line 1: byte 0xe9 is not UTF-8" in error_of(lambda: build("folder", path=tmp_path / "a").load(0))
    (tmp_path / "a/y/Thumbs.db").write_bytes(b" \n")
    assert "y/Thumbs.db: 'text' is empty" in error_of(lambda: build("folder", path=tmp_path / "a").load(0))


def test_a_folder_without_texts_is_said(tmp_path):
    write_texts(tmp_path, 10, "x", "y")
    (tmp_path / "z").mkdir()
    corpus = build("folder", path=tmp_path).load(0)
    assert (corpus.classes, corpus.notes[0]) == (("x", "y"), f"{tmp_path}: folders without a text are no classes: z")
    assert "no classes" not in str(build("folder", path=tmp_path, classes=("x", "y")).load(0).notes)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("absent", "there is no folder"),
        ("flat", "no folder in it has texts; wanted is one folder for each class"),
        ("deep", "is a folder where texts are wanted: a class is a folder of files alone"),
        ("single", "one class only, 'x'"),
        ("twice", "val and dev would both be validation"),
    ],
)
def test_folders_that_are_none_of_classes(tmp_path, name, wanted):
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat/a.txt").write_text("a")
    write_texts(tmp_path / "deep/more", 4, "x", "y")
    write_texts(tmp_path / "single", 4, "x")
    for split in ("train", "dev", "val"):
        write_texts(tmp_path / "twice" / split, 4, "x", "y")
    assert wanted in error_of(lambda: build("folder", path=tmp_path / name).load(0))


def test_a_tree_elsewhere_is_the_same_by_its_content(tmp_path):
    corpus = build("folder", path=write_texts(tmp_path / "one", 40, "neg", "pos")).load(0)
    moved = build("folder", path=shutil.copytree(tmp_path / "one", tmp_path / "zwei")).load(0)
    hashes = lambda each: {name: dataset.content_hash(split) for name, split in each.splits.items()}
    assert hashes(moved) == hashes(corpus)


@pytest.mark.parametrize("change", ["edited", "added", "removed", "renamed"])
def test_a_change_in_a_folder_is_noticed_without_reading_it(tmp_path, change):
    corpus = build("folder", path=write_texts(tmp_path, 40, "neg", "pos")).load(0)
    before = identity.stamps(corpus.files)
    assert list(before) == [str(tmp_path), str(tmp_path / "neg"), str(tmp_path / "pos")]
    assert identity.stamps(corpus.files) == before
    file = tmp_path / "neg/0.txt"
    if change == "edited":
        file.write_text("cafe 00")
    elif change == "added":
        (tmp_path / "neg/99.txt").write_text("x")
    elif change == "removed":
        file.unlink()
    else:
        file.rename(tmp_path / "pos/0.txt")
    assert identity.stamps(corpus.files) != before
