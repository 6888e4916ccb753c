"""Your own texts, labelled or with texts to write, in files: CSV, TSV, JSON, Parquet, Arrow or fastText, also packed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention.data import file_text as _file_text
from attention.data import paths as _paths
from attention.data import plain_files as _plain_files
from attention.data import tables as _tables
from attention.data.contracts import Corpus, Source
from attention.data.formats import tags as _tags
from attention.data.sources import _given, _splits, _tabular
from attention.messages import quoted

_NAMES = "files(train=..., text='NAME', label='NAME') says what they are called, a number which they are"


def build(
    train: str | tuple[str, ...],
    validation: str | tuple[str, ...] | None = None,
    test: str | tuple[str, ...] | None = None,
    text: str | int | tuple[str | int, ...] = "text",
    label: str | int = "label",
    labels: str | int | None = None,
    number: str | int | None = None,
    target: str | int | None = None,
    separator: str = ";",
    delimiter: str | None = None,
    quotes: bool | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    skip_empty: bool = False,
    validation_share: float = 0.1,
) -> Source:
    """Texts from files; validation is carved off train if it is not given.

    Classes are the labels of the training file, sorted: by value where all are whole numbers, else by name. A bare path is
    read so too, and a folder with files ``train.*``, ``validation.*`` and ``test.*``.

    Example:
      >>> attention.build("source", "files(train='reviews.csv', text='review', label='stars')")

    Args:
      train: a path, a glob such as ``'data/*.csv'``, or several of these, ``('a.csv', 'b.csv')``; ``~`` and environment
        variables are replaced. The formats are .csv, .tsv, .jsonl, .json, .parquet and .arrow (as the ``datasets`` library
        keeps it, too), lines of fastText, and of any other name a table; each may end in .gz, .bz2, .xz, .zst or .zip.
        ``archive.zip/train.csv`` is a file in an archive.
      validation: the same; without it ``validation_share`` of each training class is drawn by the seed.
      test: the same; without it there is no test split. It may have no labels, as those of competitions.
      text: column or field of the text: its name, or its number, counted from 0. Several, ``'premise,hypothesis'``, are
        joined with a sign between them, which ``config.data.segments=columns`` cuts at; a name that holds a comma stands in a
        tuple, ``('a, b',)``.
      label: column or field of the label: a name, a whole number, or True or False.
      labels: column or field of any number of labels, for ``task=multilabel``: a list, or a cell that ``separator`` parts.
      number: column or field of a number, for ``task=regression``.
      target: column or field of the text to write, for ``task=seq2seq``. Of these four one is given.
      separator: stands between the labels of a cell.
      delimiter: what separates the cells of a line; None for comma, semicolon, TAB or bar, as the columns tell.
      quotes: whether a cell may stand in quotes and hold delimiters, line breaks and doubled quotes; None for yes, but not
        in .tsv.
      header: whether the first line names the columns; None for yes where a column is given by its name.
      encoding: of files that are neither UTF-8 nor begin with a byte order mark, as ``latin-1``.
      skip_empty: whether rows without a text or a label are left out, with a note, in place of an error.
      validation_share: between 0 and 1.

    Raises:
      ValueError: for an unset variable, a share out of range, columns or a form that cannot be; ``load`` for what is wrong
        with the files, naming file, line and column.
    """
    _splits.check_share(validation_share)
    told = _tabular.told(text, label=label, labels=labels, number=number, target=target, separator=separator)
    form = _tables.Form(delimiter, quotes, header, encoding)
    _check_form(form, (*_tables.columns_of(text), told.column))
    given = {"train": train, "validation": validation, "test": test}
    paths = {name: _given.expanded(path) for name, path in given.items() if path is not None}
    written = {name: each[0] if len(each) == 1 else each for name, each in paths.items()}
    own = {"text": text, "label": label, "labels": labels, "number": number, "target": target, "separator": separator}
    own |= {**form._asdict(), "skip_empty": skip_empty}
    spec = _splits.resolved("files", **written, **own, validation_share=validation_share)

    def load(seed: int) -> Corpus:
        files = {name: _given.found(path) for name, path in paths.items()}
        _given.check_apart(files, paths)
        read = {"text": text, "label": told.column, "answer": told.answer, "form": form, "skip_empty": skip_empty}
        try:
            bare = {name: name == "test" and told.optional for name in files}  # whether it may have no labels
            tables = {name: _tables.read(*found, optional=bare[name], **read) for name, found in files.items()}
        except _tables.MissingColumnError as error:
            raise _tables.MissingColumnError(f"{error}; {_NAMES}") from None
        shared = {"seed": seed, "validation_share": validation_share, "resolved": spec, "told": told}
        return _tabular.corpus(tables, files=_given.looked_at(files, paths), where=files["train"][0], **shared)

    def looked_at() -> list[Path]:
        return [*_given.looked_at({name: _given.found(path) for name, path in paths.items()}, paths)]

    return Source(load, told.rules, spec, files=looked_at)


def from_path(path: str) -> Mapping[str, Any] | None:
    """The options of a bare path: a file, a glob, or a folder with files that are called as splits; None for another.

    Plain text, without columns, and CoNLL are others.
    """
    if _tags.is_named(path):
        return None
    place = _paths.followed(path)
    found = _given.splits_in(path) or _given.splits_in(os.path.join(path, "data")) if os.path.isdir(place) else {"train": path}
    return found if found and not _plain_files.is_plain(found["train"]) else None


def _check_form(form: _tables.Form, columns: Sequence[_tables.Column]) -> None:
    if form.delimiter is not None and (len(form.delimiter) != 1 or form.delimiter in '\r\n"\0'):
        raise ValueError(f"delimiter wants one sign, as ',' or '\\t'; got {quoted(form.delimiter)}")
    named = next((column for column in columns if isinstance(column, str)), None)
    if form.header is False and named is not None:
        raise ValueError(f"header=False: nothing names the column {quoted(named)}; give numbers, as in text=1, label=0")
    _file_text.check_encoding(form.encoding)
