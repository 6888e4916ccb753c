"""Facts and tables of ``docs/poolings.md``."""

from collections.abc import Callable

import attention
from tools import rows
from tools.markdown import link, table
from tools.parameters import SIZES, formula
from tools.sections import Section, inline, sections


def generated(found: Section) -> list[str]:
    """What a section has beside its text: facts of the record and of its evidence."""
    record, width = attention.build("pooling", found.name), SIZES[0].model_dim
    words = [
        f"parameters {_parameters(record)}" if record.init else "no parameters",
        f"order matters: {_order(found.name)}",
        *([f"a vector {record.width(width) // width} times as wide"] if record.width(width) != width else []),
        *(["a token of its own before the text"] if record.extra_tokens else []),
    ]
    return [f"{' · '.join(words)}."]


def _parameters(record: attention.Pooling) -> str:
    return "0" if record.init is None else str(formula(record.init))


def _order(name: str) -> str:
    """Whether the order of the states matters, as the evidence says of each case."""
    evidence = rows.evidence("pooling", name)
    found = [case.ordered for case in evidence.cases] if evidence else []
    return "yes" if all(found) and found else "no, or by its options" if any(found) else "no"


def _overview() -> str:
    def row(found: Section) -> list[str]:
        record = attention.build("pooling", found.name)
        return [link(found.name), inline(found.formula), _parameters(record), _order(found.name)]

    return table(["pooling", "$y$", "parameters", "order matters"], map(row, sections("pooling")))


TABLES: dict[str, Callable[[], str]] = {"overview": _overview}
