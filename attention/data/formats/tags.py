"""Words with a tag each: CoNLL-U, and one word and its tag a line."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from attention.data import unpacking
from attention.data.contracts import NOTHING
from attention.data.formats.rows import lines, single
from attention.messages import quoted, shown

_OF_CONLLU = (".conllu", ".conllup")
_START = "-DOCSTART-"  # begins a document of CoNLL-2003, and is no word
# Comments of CoNLL-U and CoNLL-2012, which columns of words and tags have not.
_COMMENT = re.compile(r"#\s*([^\s=]+\s*=(\s|$)|new(doc|par)\b|(begin|end) doc)")
_WORD, _OTHER = re.compile(r"\d+"), re.compile(r"\d+-\d+|\d+\.\d+")  # ids of words; of tokens of several, and of empty nodes


def is_named(name: str) -> bool:
    """Whether a file is called as those of CoNLL are."""
    return Path(unpacking.plain_name(name).lower()).suffix in (*_OF_CONLLU, ".conll")


def is_named_conllu(name: str) -> bool:
    """Whether a file is called as those of CoNLL-U are, which is nothing else then."""
    return Path(unpacking.plain_name(name).lower()).suffix in _OF_CONLLU


class _Line(NamedTuple):
    """The columns of CoNLL-U."""

    id: str
    form: str
    lemma: str
    upos: str
    xpos: str
    feats: str
    head: str
    deprel: str
    deps: str
    misc: str


class Sentence(NamedTuple):
    """Words, and the tag of each, ``NOTHING`` where none is known; and the number of the line of the first."""

    words: list[str]
    tags: list[str]
    line: int = 0


def is_conllu(content: str) -> bool:
    """Whether the first line that is neither empty nor a comment has the columns of CoNLL-U."""
    cells = next((line for _, line in lines(content) if line.strip() and not line.startswith("#")), "").split("\t")
    return len(cells) == len(_Line._fields) and bool(_WORD.fullmatch(cells[0]) or _OTHER.fullmatch(cells[0]))


def conllu(content: str, path: Path, tags: str) -> Iterator[Sentence]:
    """The sentences of CoNLL-U: their syntactic words, with the column or feature ``tags``; comments are passed over.

    Raises:
      ValueError: for a line that has not ten columns or no number, naming it.
    """

    def read(line: str, where: str) -> tuple[str, str] | None:
        cells = line.split("\t")
        if len(cells) != len(_Line._fields):
            raise ValueError(
                f"{where}: {_counted(len(cells))}, wanted are the {len(_Line._fields)} of CoNLL-U with TABs between them"
            )
        if _OTHER.fullmatch(cells[0]):
            return None
        if not _WORD.fullmatch(cells[0]):
            raise ValueError(f"{where}: the first column of CoNLL-U is a number, got {quoted(cells[0], 40)}")
        word = _Line(*cells)
        features = {name: value for name, _, value in (each.partition("=") for each in word.feats.split("|"))}
        return word.form, (features | word._asdict()).get(tags, NOTHING)

    return _sentences(content, path, read, comment="#")


def names(content: str) -> list[str]:
    """What ``conllu`` takes for ``tags``: the columns, and the features that occur."""
    rows = [cells for _, line in lines(content) if len(cells := line.split("\t")) == len(_Line._fields)]
    found = {each.partition("=")[0] for cells in rows for each in _Line(*cells).feats.split("|")} - {NOTHING}
    return [*_Line._fields, *sorted(found)]


def columns(content: str, path: Path, text: int, tags: int) -> Iterator[Sentence]:
    """The sentences of lines with a word and its tag in the columns ``text`` and ``tags``, empty lines between them.

    Columns are divided by TABs, or, where there is none in the first line, by blanks. Lines of -DOCSTART- are passed over.

    Raises:
      ValueError: for a comment, a line that is not as wide as the first, or has not these columns, naming it.
    """
    number, first = first_line(content)
    parted = lambda line: line.split("\t") if "\t" in first else [cell for cell in line.split(" ") if cell]
    width = len(parted(first))

    def read(line: str, where: str) -> tuple[str, str] | None:
        cells = parted(line)
        if cells[0] == _START:
            return None
        if "\t" not in line and _COMMENT.match(line):
            raise ValueError(f"{where}: {quoted(line, 40)} is a comment, as CoNLL-U has them, and no word and its tag")
        if len(cells) == 1:
            raise ValueError(f"{where}: one column, {quoted(cells[0], 40)}; wanted are a word and its tag")
        if len(cells) != width:
            raise ValueError(f"{where}: {len(cells)} columns where line {number} has {width}")
        for name, column in (("text", text), ("tags", tags)):
            if not -width <= column < width:
                raise ValueError(f"{where}: {width} columns, {name}={column}; they are counted from 0")
            if not cells[column].strip():
                what = f"{name}={column} is empty, of {width} columns"
                raise ValueError(f"{where}: {what}; {NOTHING} is the tag of a word whose own is not known")
        if " " in cells[tags]:
            raise ValueError(
                f"{where}: a blank in the tag {quoted(cells[tags], 40)}; format=table reads sentences and their tags"
            )
        return cells[text], cells[tags]

    return _sentences(content, path, read)


def first_line(content: str) -> tuple[int, str]:
    """Number and text of the first line that is neither empty nor begins a document."""
    return next(((number, line) for number, line in lines(content) if line.strip() and line.split()[0] != _START), (0, ""))


def _counted(width: int) -> str:
    return f"{width} columns" if width > 1 else "one column"


def _sentences(
    content: str, path: Path, read: Callable[[str, str], tuple[str, str] | None], comment: str | None = None
) -> Iterator[Sentence]:
    """The words of the lines between empty ones; ``read`` makes a word and its tag of a line, or None of what is no word."""
    sentence = Sentence([], [])
    for number, line in (*lines(content), (0, "")):
        if not line.strip():
            if sentence.words:
                yield sentence
            sentence = Sentence([], [])
        elif comment is None or not line.startswith(comment):
            found = read(line, f"{shown(path)}, line {number}")
            if found is not None:
                sentence = sentence if sentence.words else sentence._replace(line=number)
                sentence.words.append(single(found[0]))
                sentence.tags.append(single(found[1]))
