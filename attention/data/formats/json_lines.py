"""JSON: an object in each line, or an array of objects."""

import re
from collections.abc import Iterator
from typing import Any

from attention.data.file_text import Content
from attention.data.formats.rows import Asked, MissingColumnError, Row, as_given, called, lines, text_of
from attention.files import parse_json
from attention.messages import listed, quoted, shown
from attention.specs import nearest

ARRAY = re.compile(r"\s*\[\s*\{")


def rows(asked: Asked, content: Content) -> Iterator[Row]:
    """The rows, numbered by their lines."""
    for number, line in lines(content):
        if line.strip():
            yield _row(asked, number, _parsed(line, f"{shown(asked.path)}, line {number}"), f"line {number}")


def items(asked: Asked, content: Content) -> Iterator[Row]:
    """The rows of an array, numbered from 0."""
    for number, row in enumerate(_parsed(content.whole(), shown(asked.path))):
        yield _row(asked, number, row, f"row {number} (counted from 0)")


def _parsed(text: str, where: str) -> Any:
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON: {error}") from None


def _row(asked: Asked, number: int, row: Any, place: str) -> Row:
    where = f"{shown(asked.path)}, {place}"
    if not isinstance(row, dict):
        raise ValueError(f"{where}: wanted a JSON object, got {as_given(row)}")
    for name in asked.columns:
        if name not in row and not (asked.optional and name == asked.label):
            near = nearest(name, row) if isinstance(name, str) else "; the fields of JSON have names"
            raise MissingColumnError(f"{where}: the field {quoted(name)} is missing{near}; fields: {listed(row)}")
    text = text_of(asked, [row[name] for name in asked.texts], where)
    given = None if asked.label is None else row.get(asked.label)
    label = None if given is None else asked.answer.written(given)
    if label is None and given is not None and asked.label is not None:
        words = asked.answer.words.replace("True or False", "true or false")
        raise ValueError(f"{where}: {called(asked.label)} is {words}, got {as_given(given)}")
    return Row(number, text, label)
