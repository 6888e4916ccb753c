"""Parquet and Arrow: columns with types, as pandas, Polars, Spark and the ``datasets`` library write them."""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attention.data.formats.rows import Asked, Row, as_given, called, places, text_of
from attention.files import most_unpacked
from attention.messages import one_line, shortened, shown

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

_PARQUET, _FILE, _OLD_FEATHER = b"PAR1", b"ARROW1", b"FEA1"
_ROWS = 4096  # made of Arrow's at once
_BEGIN = 64  # bytes among which every other format has a zero


def rows(asked: Asked, content: bytes) -> Iterator[Row]:
    """The rows, numbered from 0."""
    import pyarrow

    if content.startswith(_OLD_FEATHER):
        raise ValueError(f"{shown(asked.path)} is Feather of version 1: write it again as Arrow or Parquet")
    if not content.startswith((_PARQUET, _FILE)) and b"\0" not in content[:_BEGIN]:
        raise ValueError(f"{shown(asked.path)} is a text and no Parquet or Arrow file: name it .csv, .tsv or .jsonl")
    try:
        table = _read(asked, content)
        table.validate(full=True)
        list(table.schema.names)  # decodes them
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        why = shortened(one_line(str(error)), 200)
        raise ValueError(f"{shown(asked.path)} is no Parquet or Arrow file, or a damaged one: {why}") from None
    return of_table(asked, table)


def of_table(asked: Asked, table: "pyarrow.Table") -> Iterator[Row]:
    """The rows of a table. Where its schema has names of classes, labels are their indices, -1 for none."""
    texts, label = places(asked, table.schema.names)
    classes = None if label is None else _class_names(table.schema).get(table.schema.names[label])
    wanted = [table.column(place) for place in (*texts, *(() if label is None else (label,)))]
    some = (zip(*(column.slice(first, _ROWS).to_pylist() for column in wanted)) for first in range(0, table.num_rows, _ROWS))
    for number, row in enumerate(itertools.chain.from_iterable(some)):
        *values, given = row if label is not None else (*row, None)
        where = f"{shown(asked.path)}, row {number} (counted from 0)"
        name = None if given is None or classes is None else _of_classes(given, classes)
        if given is not None and (classes is None or name is not None):
            name = asked.answer.written(given if name is None else name)
        if name is None and given is not None and asked.label is not None:
            wanted = asked.answer.words if classes is None else f"one of {len(classes)} classes, or -1"
            raise ValueError(f"{where}: {called(asked.label)} is {wanted}, got {as_given(given)}")
        yield Row(number, text_of(asked, values, where), name)


def _read(asked: Asked, content: bytes) -> "pyarrow.Table":
    import pyarrow
    import pyarrow.parquet

    buffer = pyarrow.BufferReader(content)
    if content.startswith(_PARQUET):
        file = pyarrow.parquet.ParquetFile(buffer)
        _check_size(asked, file.metadata, most_unpacked(len(content)))
        names = file.schema_arrow.names
        texts, label = places(asked, names)
        wanted = [names[place] for place in (*texts, label) if place is not None]
        # Of numbered columns all are read, so that the numbers hold.
        return file.read(wanted if all(isinstance(column, str) for column in asked.columns) else None)
    reader = pyarrow.ipc.open_file if content.startswith(_FILE) else pyarrow.ipc.open_stream
    return reader(buffer).read_all()


def _check_size(asked: Asked, said: "pyarrow.parquet.FileMetaData", most: int) -> None:
    """Raises ValueError where a file says that it holds far more than its length allows, before memory is taken."""
    size = sum(said.row_group(number).total_byte_size for number in range(said.num_row_groups))
    if max(size, said.num_rows) > most:
        what = f"{said.num_rows} rows in {size} bytes"
        raise ValueError(f"{shown(asked.path)} says that it unpacks to {what}, which no texts of its size do")


def _class_names(schema: "pyarrow.Schema") -> dict[str, Sequence[str]]:
    """The names of classes that the ``datasets`` library writes into a schema, by column."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        own = {name: each.get("feature", each) for name, each in features.items()}  # of a list, that of its items
        return {name: tuple(map(str, each["names"])) for name, each in own.items() if each.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):  # written by others, or not so
        return {}


def _of_classes(label: Any, classes: Sequence[str]) -> Any:
    """The name that an index stands for, or those of a list; None where one stands for nothing."""
    if not isinstance(label, list):
        return _of_class(label, classes)
    names = [_of_class(each, classes) for each in label]
    return None if None in names else names


def _of_class(label: Any, classes: Sequence[str]) -> str | None:
    if not isinstance(label, int) or not -1 <= label < len(classes):
        return None
    return "" if label == -1 else classes[label]
