"""Words with a tag each, for taggers: CoNLL-U, one word and its tag a line, or tables of sentences and their tags."""

import functools as _functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attention.data import file_text as _file_text
from attention.data import paths as _paths
from attention.data import tables as _tables
from attention.data import unpacking as _unpacking
from attention.data.contracts import NOTHING, Corpus, Source, Split
from attention.data.formats import tags as _tags
from attention.data.rules import MOST_FREQUENT_TAG
from attention.data.sources import _given, _splits
from attention.messages import listed, quoted, shown
from attention.specs import nearest

_TABLES = (".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather")
# Of a folder, the files with one of these words in their names, as en_ewt-ud-dev.conllu and eng.testa.
_NAMES = {"train": {"train"}, "validation": {"validation", "valid", "val", "dev", "testa"}, "test": {"test", "testb"}}
_BARE = "texts without tags are a line each below the first line 'text', --columns=text"
_TEXT, _TAGS = "text", "tags"  # names of columns of tables


def build(
    path: str | None = None,
    train: str | tuple[str, ...] | None = None,
    validation: str | tuple[str, ...] | None = None,
    test: str | tuple[str, ...] | None = None,
    format: Literal["auto", "conllu", "columns", "table"] = "auto",
    text: str | int | None = None,
    tags: str | int | None = None,
    encoding: str | None = None,
    validation_share: float = 0.1,
) -> Source:
    """Sentences of which every word has a tag; ``_`` is the tag of a word whose own is not known, and nobody is asked for it.

    Classes are the tags of all splits, sorted. A blank inside a word becomes ``_``. Without validation a share of train is
    drawn by the seed.

    Example:
      >>> attention.build("source", "tagged(path='UD_English-EWT', tags=xpos)")

    Args:
      path: a folder with a file for each split: ``train``, ``dev`` (or ``validation``, ``valid``, ``val``) and ``test`` are
        words of their names; ``~`` and environment variables are replaced.
      train: in place of it, a path, a glob, or several of these. Files may be packed.
      validation: the same.
      test: the same.
      format: "conllu"; "columns", a word and its tag a line and empty lines between sentences, as CoNLL-2003; "table", a row
        for each sentence, its words and as many tags, joined by blanks or as lists, in one of the formats of ``files``;
        "auto", as names and first lines tell.
      text: where words are: of columns a number, counted from 0, the default; of tables a name or number, by default
        "text". Of CoNLL-U it is the form.
      tags: where tags are: of columns a number, by default -1, the last; of tables "tags"; of CoNLL-U "upos", the default,
        another column, as "xpos", or a feature, as "Number".
      encoding: of files that are neither UTF-8 nor begin with a byte order mark, as ``latin-1``.
      validation_share: between 0 and 1.

    Raises:
      ValueError: for an unset variable, a share out of range, an option that a format has not; ``load`` for what is wrong
        with the files, as words and tags that are not equally many, naming file and line.
    """
    _splits.check_share(validation_share)
    _file_text.check_encoding(encoding)
    if (path is None) == (train is None):
        raise ValueError("give path=, a folder with a file for each split, or train=, files; and not both")
    given = {"train": train, "validation": validation, "test": test}
    patterns = {name: _given.expanded(each) for name, each in given.items() if each is not None}
    folder = None if path is None else _paths.expand(path)
    form = _Form(format, text, tags, encoding)
    written = {name: each[0] if len(each) == 1 else each for name, each in patterns.items()}
    spec = _splits.resolved("tagged", path=folder, **written, **form._asdict(), validation_share=validation_share)

    def load(seed: int) -> Corpus:
        inside = {} if folder is None else _files_of(folder)
        files = {**inside, **{name: _given.found(each, "*.conllu") for name, each in patterns.items()}}
        named = {**dict.fromkeys(inside, ()), **patterns}
        _given.check_apart(files, named)
        splits = {name: _split(files[name], form) for name in given if name in files}
        corpus = _splits.pairs(splits, seed=seed, validation_share=validation_share, resolved=spec)
        classes, notes = _classes(corpus.splits, files["train"][0], form)
        files_read = (*([folder] if folder else []), *_given.looked_at(files, named))
        return corpus._replace(classes=classes, notes=(*corpus.notes, *notes), files=files_read)

    return Source(load, (MOST_FREQUENT_TAG,), spec, read=_functools.partial(_lines, form=form))


class _Form(NamedTuple):
    """How files are written, as the options say."""

    format: str
    text: str | int | None
    tags: str | int | None
    encoding: str | None


def from_path(path: str) -> Mapping[str, Any] | None:
    """The options of a bare path: a file or a glob of CoNLL, or a folder with such files for splits; None for another."""
    place = Path(_paths.followed(path))
    if not place.is_dir():
        return {"train": path} if _tags.is_named(path) else None
    return {"path": path} if any(_tags.is_named(name) for name in os.listdir(place)) and _found_in(place)["train"] else None


def _files_of(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder by split. Raises ValueError where there is none for train."""
    if not folder.is_dir():
        help = "; train= names files" if folder.exists() else ""
        raise ValueError(f"there is no folder {shown(folder)}{help}")
    found = _found_in(folder)
    if not found["train"]:
        there = listed(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise ValueError(f"{shown(folder)} has no file with 'train' in its name; it has {there}: train= names files")
    return {split: files for split, files in found.items() if files}


def _found_in(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder by split: of a treebank, which has its raw texts beside, those of CoNLL."""
    files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    files = [file for file in files if _tags.is_named(file.name)] or files
    words = {file: set(re.split(r"[-._]", file.name.lower())) for file in files}
    return {split: [file for file in files if words[file] & names] for split, names in _NAMES.items()}


def _split(files: Sequence[Path], form: _Form) -> Split:
    """The sentences of some files, and their tags."""
    pairs = [pair for path in files for pair in _sentences(path, form)]
    if not pairs:
        raise ValueError(f"{shown(files[0])}: the split is empty, there is no sentence")
    texts, wanted = zip(*pairs)
    return Split(texts, None, wanted=wanted)


def _lines(files: Sequence[Path], form: _Form) -> _tables.Table | None:
    """The sentences of files with a line for each word; None where one is a table, which may do without tags."""
    parts, texts, tags = [], [], []
    for path in files:
        kind, content = _kind(path, form)
        if kind == "table" or (
            kind == "columns" and _tags.first_line(content)[1] == (_TEXT if form.text is None else form.text)
        ):
            return None
        try:
            found = list(_tagged(path, kind, content, form))
        except ValueError as error:
            raise ValueError(f"{error}; {_BARE}") from None
        if not found:
            raise ValueError(f"{shown(path)}: there is no sentence")
        parts.append(_tables.Part(path, "line", [sentence.line for sentence in found]))
        texts += [" ".join(sentence.words) for sentence in found]
        tags += [" ".join(sentence.tags) for sentence in found]
    return _tables.Table(texts, tags, tuple(parts))


def _sentences(path: Path, form: _Form) -> Iterator[tuple[str, str]]:
    """The words of each sentence of a file, joined by single blanks, and its tags."""
    kind, content = _kind(path, form)
    if kind == "table":
        yield from _rows(path, form)
        return
    for sentence in _tagged(path, kind, content, form):
        yield " ".join(sentence.words), " ".join(sentence.tags)


def _tagged(path: Path, kind: str, content: str, form: _Form) -> Iterator[_tags.Sentence]:
    return _conllu(content, path, form) if kind == "conllu" else _columns(content, path, form)


def _kind(path: Path, form: _Form) -> tuple[str, str]:
    """What a file is written in, and its text where it is no table."""
    name = Path(_unpacking.plain_name(path.name).lower()).suffix
    if form.format == "table" or (form.format == "auto" and name in _TABLES):
        return "table", ""
    content = _file_text.read_text(path, form.encoding)
    if form.format != "auto":
        return form.format, content
    if _tags.is_named_conllu(path.name) or _tags.is_conllu(content):
        return "conllu", content
    return "table" if {form.text or _TEXT, form.tags or _TAGS} <= set(_names(content)) else "columns", content


def _names(content: str) -> list[str]:
    """What the first line would call columns."""
    return _tags.first_line(content)[1].split("\t")


def _conllu(content: str, path: Path, form: _Form) -> Iterator[_tags.Sentence]:
    if form.text is not None or isinstance(form.tags, int):
        raise ValueError(
            f"{shown(path)} is CoNLL-U: its words are the forms, and tags= names a column, as 'upos', or a feature"
        )
    return _tags.conllu(content, path, form.tags or "upos")


def _columns(content: str, path: Path, form: _Form) -> Iterator[_tags.Sentence]:
    text, tags = 0 if form.text is None else form.text, -1 if form.tags is None else form.tags
    if isinstance(text, int) and isinstance(tags, int):
        return _tags.columns(content, path, text, tags)
    there, wanted = _names(content), (form.text or _TEXT, form.tags or _TAGS)
    missing = next(str(each) for each in wanted if each not in there)
    if _TEXT in there or any(each in there for each in wanted):
        raise ValueError(
            f"{shown(path)}: the column {quoted(missing)} is missing{nearest(missing, there)}; columns: {listed(there)}"
        )
    given = f"tags={quoted(tags)}" if isinstance(tags, str) else f"text={quoted(text)}"
    raise ValueError(
        f"{shown(path)}: its first line names no columns {wanted[0]!r} and {wanted[1]!r}, so they have numbers; got {given}"
    )


def _rows(path: Path, form: _Form) -> Iterator[tuple[str, str]]:
    """The sentences of a table."""
    text, tags = _TEXT if form.text is None else form.text, _TAGS if form.tags is None else form.tags
    named = Path(_unpacking.plain_name(path.name).lower()).suffix in _TABLES
    written = _tables.Form(delimiter=None if named else "\t", encoding=form.encoding)
    table = _tables.read(path, text=text, label=tags, answer=_tables.TAGS, form=written)
    for sentence, wanted in zip(table.texts, table.labels):
        yield " ".join(sentence.split()), " ".join(wanted.split())


def _classes(splits: Mapping[str, Split], where: Path, form: _Form) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags of all splits, and a note of those that do not occur in train."""
    there = {
        name: {tag for each in split.wanted or () for tag in each.split(" ")} - {NOTHING} for name, split in splits.items()
    }
    if len(there["train"]) < 2:
        have = f"one tag only, {listed(there['train'])}" if there["train"] else f"no word with a tag{_near(where, form)}"
        raise ValueError(f"{shown(where)}: train has {have}; there is nothing to tell apart: is tags= what is meant?")
    strange = {name: sorted(found - there["train"]) for name, found in there.items() if found - there["train"]}
    notes = (f"tags of {name} that do not occur in train: {listed(found)}" for name, found in strange.items())
    return tuple(sorted(set().union(*there.values()))), tuple(notes)


def _near(path: Path, form: _Form) -> str:
    """Of a file in CoNLL-U what was looked for, and what there is in its place."""
    kind, content = _kind(path, form)
    if kind != "conllu":
        return ""
    given, known = str(form.tags or "upos"), _tags.names(content)
    near = "" if given in known else nearest(given, known) or nearest(given.lower(), known)
    return f" for tags={given}{near}, of {listed(known, 40)}"
