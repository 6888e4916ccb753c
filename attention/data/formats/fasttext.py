"""Lines of fastText, ``__label__x text``."""

from collections.abc import Iterator

from attention.data.formats.rows import Asked, Row, lines
from attention.messages import listed, shown

MARK = "__label__"


def rows(asked: Asked, content: str) -> Iterator[Row]:
    """The rows, with the one label that each line begins with."""
    for number, line in lines(content):
        words, labels = line.split(), []
        while len(labels) < len(words) and words[len(labels)].startswith(MARK):
            labels.append(words[len(labels)].removeprefix(MARK))
        if not words:
            continue
        if len(labels) > 1:
            raise ValueError(f"{shown(asked.path)}, line {number}: {len(labels)} labels, wanted is one: {listed(labels)}")
        text = line.lstrip().removeprefix(f"{MARK}{labels[0]}").strip() if labels else line.strip()
        yield Row(number, text, labels[0] if labels else None)
