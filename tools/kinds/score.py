"""Facts and tables of ``docs/scores.md``."""

from collections.abc import Callable

import attention
from tools.markdown import link, table
from tools.parameters import count, formula
from tools.sections import Section, inline, sections


def generated(found: Section) -> list[str]:
    """What a section has beside its text: facts of the record."""
    record = attention.build("score", found.name)
    words = [
        f"reads {' and '.join(record.uses) or 'nothing'}",
        "a function of q·k: rotations allowed" if record.dot_product else "no function of q·k: rotations refused",
        *(["scaled"] if record.scaled else []),
        _parameters(record),
        *(["at most L tokens"] if record.max_length == "dims" else []),
    ]
    return [f"{' · '.join(words)}."]


def _parameters(record: attention.Score) -> str:
    found = formula(record.init)
    return (
        "no parameters" if found == "0" else f"parameters {found or ''} = {count(record.init):,} per layer".replace("  ", " ")
    )


def _overview() -> str:
    def row(found: Section) -> list[str]:
        record = attention.build("score", found.name)
        number = formula(record.init)
        return [
            link(found.name),
            inline(found.formula),
            "" if number == "0" else str(number),
            "yes" if record.scaled else "",
            "yes" if record.dot_product else "",
        ]

    return table(["score", "formula", "parameters", "scaled", "rotations"], map(row, sections("score")))


TABLES: dict[str, Callable[[], str]] = {"overview": _overview}
