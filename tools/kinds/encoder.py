"""Tables of ``docs/encoders.md``."""

from collections.abc import Callable

from tools.markdown import link, table
from tools.sections import Section, inline, sections


def generated(found: Section) -> list[str]:
    """What a section has beside its text: nothing."""
    return []


def _overview() -> str:
    def row(found: Section) -> list[str]:
        return [link(found.name), inline(found.formula), *(found.labels[label] for label in ("Parameters", "Steps", "Width"))]

    return table(["encoder", "state", "parameters", "steps in a row", "width"], map(row, sections("encoder")))


TABLES: dict[str, Callable[[], str]] = {"overview": _overview}
