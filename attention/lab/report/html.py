"""HTML by small functions; text is escaped wherever it comes from."""

import html
import re

from attention.lab.report.numbers import MINUS, NONE
from attention.lab.report.tables import Cell, Head, Table


class Markup(str):
    """Text that is HTML already."""


def tag(name: str, /, *children: str, **attributes: str | bool | None) -> Markup:
    """An element; children that are not ``Markup`` are escaped.

    Example:
      >>> tag("p", "a < b", tag("br"), class_="note", hidden=True)
      '<p class="note" hidden>a &lt; b<br></p>'

    Args:
      name: of the element.
      children: text or ``Markup``.
      attributes: ``class_`` and ``aria_label`` stand for ``class`` and ``aria-label``; None and False leave one out.
    """
    words = [name]
    for key, value in attributes.items():
        if value is not None and value is not False:
            key = key.rstrip("_").replace("_", "-")
            words.append(key if value is True else f'{key}="{html.escape(str(value))}"')
    inside = "".join(child if isinstance(child, Markup) else html.escape(child, quote=False) for child in children)
    closing = "" if name in ("br", "input", "link", "meta") else f"</{name}>"
    return Markup(f"<{' '.join(words)}>{inside}{closing}")


def joined(*parts: str) -> Markup:
    """Elements one after another, each on a line."""
    return Markup("\n".join(part for part in parts if part))


def table(shown: Table, *, sortable: bool = False) -> Markup:
    """A table in a box that it may be wider than."""
    head = tag("tr", *(_head(each) for each in shown.heads))
    rows = [_row(row, shown.heads) for row in shown.rows]
    whole = tag(
        "table",
        tag("caption", tag("span", shown.caption)),
        tag("thead", head),
        tag("tbody", Markup("\n" + "\n".join(rows) + "\n")),
        id=f"table-{shown.name}",
        class_="sortable" if sortable else None,
    )
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=shown.caption)


def _head(head: Head) -> Markup:
    return tag("th", head.text, scope="col", class_="number" if head.number else None, title=head.meaning or None)


def _row(row: list[Cell], heads: list[Head]) -> Markup:
    cells = [tag("th", breakable(row[0].text), scope="row")]
    for cell, head in zip(row[1:], heads[1:]):
        key = None if cell.key is None else repr(float(cell.key))
        text = "–" if cell.text == NONE else cell.text.replace("-", MINUS) if head.number else cell.text
        shown = tag("span", text, class_=f"mark {_word(cell.mark)}") if cell.mark else text
        cells.append(tag("td", shown, class_="number" if head.number else None, data_key=key))
    marks = [_word(cell.mark) for cell in row if cell.mark]
    return tag("tr", *cells, data_verdict=marks[0] if marks else None)


def breakable(text: str) -> Markup:
    """A name that a line may be broken in after a comma, a bracket or a sign."""
    parts = re.findall(r"[^,(+&]+[,(+&]*|[,(+&]+", text)
    return Markup("<wbr>".join(html.escape(part, quote=False) for part in parts))


def _word(verdict: str) -> str:
    return verdict.replace(" ", "-")


def definitions(pairs: list[tuple[str, str]]) -> Markup:
    """Words and what they mean."""
    return tag("dl", *(joined(tag("dt", word), tag("dd", meaning)) for word, meaning in pairs))


def listed(lines: list[str], class_: str | None = None) -> Markup:
    """A list; nothing for no lines."""
    return tag("ul", *(tag("li", line) for line in lines), class_=class_) if lines else Markup("")
