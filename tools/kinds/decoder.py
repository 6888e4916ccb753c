"""Tables of ``docs/decoders.md``."""

from collections.abc import Callable

from tools.markdown import link, table
from tools.sections import Section, sections


def generated(found: Section) -> list[str]:
    """What a section has beside its text: nothing."""
    return []


def _overview() -> str:
    def row(found: Section) -> list[str]:
        return [link(found.name), found.summary, found.labels["Reads the source by"]]

    return table(["decoder", "in one line", "reads the source by"], map(row, sections("decoder")))


TABLES: dict[str, Callable[[], str]] = {"overview": _overview}
