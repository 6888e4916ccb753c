"""What a report is made of: tables, figures, remarks, commands. How they are written is the matter of other files."""

import re
from collections.abc import Sequence
from typing import NamedTuple

FOLDER, TABLES = "figures", "tables"  # of the sweep's directory
ARXIV = re.compile(r"(?<=arXiv )\d{4}\.\d{4,5}")  # as a source names it
INTERVAL = ("low_95", "high_95")


class Cell(NamedTuple):
    """A cell.

    Attributes:
      text: as shown.
      key: the number that its column is sorted by; None sorts last.
      mark: a verdict, which gives the colour.
      other: the second number of a cell that shows two, as the upper end of an interval.
    """

    text: str
    key: float | None = None
    mark: str = ""
    other: float | None = None


class Head(NamedTuple):
    """A column.

    Attributes:
      text: its name.
      meaning: in a few words.
      number: whether it holds numbers.
      plain: its name in CSV, where that is not ``text`` in small letters, or its two names where a cell holds two numbers.
      cites: whether it names sources, whose arXiv ids become links.
      joins: in LaTeX, what stands between it and the column before, where the two become one.
      aside: whether LaTeX has it in a second file, ``NAME_more.tex``.
    """

    text: str
    meaning: str = ""
    number: bool = True
    plain: tuple[str, ...] = ()
    cites: bool = False
    joins: str = ""
    aside: bool = False


class Table(NamedTuple):
    """A table; the first cell of a row names it. On the page, a click on a head sorts one that is ``sortable``."""

    name: str
    caption: str
    heads: list[Head]
    rows: list[list[Cell]]
    sortable: bool = True


class Drawn(NamedTuple):
    """A figure, saved as ``figures/NAME.svg``, ``.pdf`` and ``.png``; ``wide`` where it wants the whole text of a paper."""

    name: str
    caption: str
    description: str
    svg: bytes
    wide: bool


class Note(NamedTuple):
    """A remark in small print."""

    text: str


class Code(NamedTuple):
    """A command."""

    text: str


class Folded(NamedTuple):
    """A table that is shown on request."""

    title: str
    table: Table


class Definitions(NamedTuple):
    """Terms and what they mean."""

    pairs: list[tuple[str, str]]


class Member(NamedTuple):
    """A member of a variant: how it ended, and the commands that score and train it."""

    seed: int
    outcome: str
    commands: list[str]


class Variant(NamedTuple):
    """A variant and how to reproduce it, shown on request."""

    name: str
    fields: str
    members: list[Member]


Part = str | Note | Code | Table | Folded | Drawn | Definitions | Variant


class Section(NamedTuple):
    """A section; one without parts is left out of the report."""

    name: str
    title: str
    parts: Sequence[Part]


class Contents(NamedTuple):
    """A whole report: its head and its sections."""

    title: str
    subject: str
    findings: list[str]
    power: list[str]
    warnings: list[str]
    sections: list[Section]

    @property
    def summary(self) -> list[str]:
        """The sentences of the head."""
        return [*self.findings, *self.power, *self.warnings]
