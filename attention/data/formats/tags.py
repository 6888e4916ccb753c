"""Words with a tag each: CoNLL-U, and one word and its tag a line."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from attention.data import unpacking
from attention.data.contracts import NOTHING
from attention.messages import quoted, shown

_START = "-DOCSTART-"  # begins a document of CoNLL-2003, and is no word
_WORD, _OTHER = re.compile(r"\d+"), re.compile(r"\d+-\d+|\d+\.\d+")  # ids of words; of tokens of several, and of empty nodes


def is_named(name: str) -> bool:
    """Whether a file is called as those of CoNLL are."""
    return Path(unpacking.plain_name(name).lower()).suffix in (".conllu", ".conll")


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
    """Words, and the tag of each, ``NOTHING`` where none is known."""

    words: list[str]
    tags: list[str]


def single(word: str) -> str:
    """A word without blanks, which stand between words: each becomes ``_``."""
    return re.sub(r"\s", "_", word.strip()) or NOTHING


def is_conllu(content: str) -> bool:
    """Whether the first line that is neither empty nor a comment has the columns of CoNLL-U."""
    first = next((line for line in content.splitlines() if line and not line.startswith("#")), "")
    cells = first.split("\t")
    return len(cells) == len(_Line._fields) and bool(_WORD.fullmatch(cells[0]) or _OTHER.fullmatch(cells[0]))


def conllu(content: str, path: Path, tags: str) -> Iterator[Sentence]:
    """The sentences of CoNLL-U: their syntactic words, with the column or feature ``tags``; comments are passed over.

    Raises:
      ValueError: for a line that has not ten columns or no number, naming it.
    """

    def read(cells: list[str], where: str) -> tuple[str, str] | None:
        if len(cells) != len(_Line._fields):
            raise ValueError(
                f"{where}: {len(cells)} columns, wanted are the {len(_Line._fields)} of CoNLL-U with TABs between them"
            )
        if _OTHER.fullmatch(cells[0]):
            return None
        if not _WORD.fullmatch(cells[0]):
            raise ValueError(f"{where}: the first column of CoNLL-U is a number, got {quoted(cells[0], 40)}")
        word = _Line(*cells)
        features = {name: value for name, _, value in (each.partition("=") for each in word.feats.split("|"))}
        return word.form, (features | word._asdict()).get(tags, NOTHING)

    return _sentences(content, path, read, comment="#")


def columns(content: str, path: Path, text: int, tags: int) -> Iterator[Sentence]:
    """The sentences of lines with a word and its tag in the columns ``text`` and ``tags``, empty lines between them.

    Columns are divided by TABs, or, where there is none in a line, by blanks. Lines of -DOCSTART- are passed over.

    Raises:
      ValueError: for a line without these columns, naming it.
    """

    def read(cells: list[str], where: str) -> tuple[str, str] | None:
        cells = cells if len(cells) > 1 else cells[0].split()
        if cells[0] == _START:
            return None
        needed = max(column + 1 if column >= 0 else -column for column in (text, tags))
        if len(cells) < max(needed, 2):
            raise ValueError(f"{where}: one column, {quoted(cells[0], 40)}; wanted are a word and its tag")
        if " " in cells[tags]:
            raise ValueError(
                f"{where}: a blank in the tag {quoted(cells[tags], 40)}; format=table reads sentences and their tags"
            )
        return cells[text], cells[tags]

    return _sentences(content, path, read)


def _sentences(
    content: str, path: Path, read: Callable[[list[str], str], tuple[str, str] | None], comment: str | None = None
) -> Iterator[Sentence]:
    """The words of the lines between empty ones; ``read`` makes a word and its tag of a line, or None of what is no word."""
    sentence = Sentence([], [])
    for number, line in enumerate((*content.split("\n"), ""), 1):
        line = line.removesuffix("\r")
        if not line.strip():
            if sentence.words:
                yield sentence
            sentence = Sentence([], [])
        elif comment is None or not line.startswith(comment):
            found = read(line.split("\t"), f"{shown(path)}, line {number}")
            if found is not None:
                sentence.words.append(single(found[0]))
                sentence.tags.append(single(found[1]))
