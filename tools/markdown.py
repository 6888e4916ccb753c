"""What the pages share: parts that are made of numbers, tables, and the costs that a benchmark has written."""

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_PART = re.compile(r"(<!-- (?P<what>facts|table|slip) (?P<name>\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def refreshed(text: str, make: Mapping[str, Callable[[str], str]]) -> str:
    """The text with every part between ``<!-- facts NAME -->`` (or table, slip) and ``<!-- end -->`` made anew."""
    return _PART.sub(lambda found: f"{found[1]}{make[found['what']](found['name'])}\n", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of the page."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratio(value: float) -> str:
    """Two digits."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def plain(values: Any, decimals: int) -> list[str]:
    """Numbers with so many decimals."""
    return [f"{value:.{decimals}f}" for value in np.asarray(values).ravel()]


def groups(path: Path, **wanted: Any) -> list[dict[str, Any]]:
    """The lists of cases of a benchmark's file that have the facts wanted."""
    found = json.loads(path.read_text(encoding="utf-8"))["groups"]
    return [group for group in found if all(group[key] == value for key, value in wanted.items())]


def measured(path: Path, what: str, more: str) -> str:
    """How the costs of a benchmark's file were measured."""
    found = json.loads(path.read_text(encoding="utf-8"))["environment"]
    kept = ", freed memory kept mapped as in `train.py`" if found["keep_freed_memory"] else ""
    return textwrap.fill(
        f"Measured on {found['device']} with {found['cores']} cores, jax {found['jax']}, {what}, "
        f"median of {found['repetitions']} rounds{kept}, on a machine that others used too: read them to ±20 %. {more}",
        128,
    )
