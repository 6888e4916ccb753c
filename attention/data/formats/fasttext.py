"""Lines of fastText, ``__label__x text``."""

from collections.abc import Iterator

from attention.data.file_text import Content
from attention.data.formats.rows import Asked, Row, lines
from attention.messages import listed, shown

MARK = "__label__"


def rows(asked: Asked, content: Content) -> Iterator[Row]:
    """The rows, with the labels that each line begins with: one, or as many as the answer may have."""
    for number, line in lines(content):
        words, labels = line.split(), []
        while len(labels) < len(words) and words[len(labels)].startswith(MARK):
            labels.append(words[len(labels)].removeprefix(MARK))
        if not words:
            continue
        several = asked.answer.written(labels)
        if len(labels) > 1 and several is None:
            raise ValueError(f"{shown(asked.path)}, line {number}: {len(labels)} labels, wanted is one: {listed(labels)}")
        text = line.strip()
        for label in labels:
            text = text.removeprefix(f"{MARK}{label}").lstrip()
        yield Row(number, text, several if several is not None else labels[0] if labels else None)
