"""Where the parts of the variants come from: the sources that their documentation names."""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from attention import specs
from attention.lab.analysis import rows
from attention.lab.report.parts import Cell, Head, Table
from attention.lab.report.setting_tables import ALL
from attention.lab.results import Results
from attention.specs import Spec

_SOURCE = re.compile(r"^Source: (.*?)(?=\n\s*\n|\n[A-Z]\w*: |\Z)", re.M | re.S)


def reference_table(results: Results) -> Table | None:
    """The source of each part that variants set; None where they set numbers alone."""
    names = [name for name in results.sweep["variants"] if rows(results, name)]
    used: dict[tuple[str, str], list[str]] = {}
    for name in names:
        for field, value in json.loads(rows(results, name)[0]["fields"]).items():
            for part in dict.fromkeys(_parts(field.rpartition(".")[2], value)):
                used.setdefault(part, []).append(name)
    heads = [Head("part", number=False), Head("source", number=False, cites=True)]
    heads += [Head("variants", number=False)]
    cells = [
        [
            Cell(f"{name} ({kind})"),
            Cell(source(kind, name) or "its documentation names none"),
            Cell(ALL if len(having) == len(names) else "; ".join(having)),
        ]
        for (kind, name), having in used.items()
    ]
    caption = "The source of each part that variants set, as its documentation names it"
    return Table("references", caption, heads, cells, sortable=False) if cells else None


def source(kind: str, name: str) -> str:
    """The source that the documentation of a part names, on one line; empty for none.

    Example:
      >>> source("encoding", "rope")[:40]
      'Su et al. 2021 (arXiv 2104.09864); pi ar'
    """
    found = _SOURCE.search(inspect.getdoc(specs.module(kind, name)) or "")
    return "" if found is None else " ".join(found[1].split())


def _parts(kind: str, text: Any) -> Iterator[tuple[str, str]]:
    """Kind and name of each part of a spec, nested ones of its kind among them; of a number or of what is unknown, none."""
    if kind not in specs.KINDS:
        return
    try:
        spec = specs.parse(text)
    except ValueError:
        return
    yield from ((kind, name) for name in _names(spec) if name in specs.names(kind))


def _names(spec: Spec) -> Iterator[str]:
    if not spec.terms:
        yield spec.name
    for inner in (*spec.terms, *(value for _, value in spec.options)):
        if isinstance(inner, Spec):
            yield from _names(inner)
