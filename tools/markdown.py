"""Parts of a page: tables, numbers, and the costs that a benchmark has written."""

import functools
import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
NOT_MEASURED = "not measured"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of the page."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def link(name: str) -> str:
    """A variant that leads to its section."""
    return f"[`{name}`](#{name})"


def ratio(value: float) -> str:
    """Two digits."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def plain(values: Any, decimals: int) -> list[str]:
    """Numbers with so many decimals."""
    return [f"{value:.{decimals}f}" for value in np.asarray(values).ravel()]


@functools.cache
def results(kind: str) -> dict[str, Any]:
    """What the benchmark of a kind has written; raises FileNotFoundError where it has not."""
    return json.loads((RESULTS / f"{kind}s.json").read_text(encoding="utf-8"))


def groups(kind: str, **wanted: Any) -> list[dict[str, Any]]:
    """The lists of cases of a benchmark that have the facts wanted."""
    return [group for group in results(kind)["groups"] if all(group[key] == value for key, value in wanted.items())]


def measured(kind: str, what: str, more: str) -> str:
    """How the costs of a kind were measured."""
    found = results(kind)["environment"]
    kept = ", freed memory kept mapped as in `train.py`" if found["keep_freed_memory"] else ""
    return textwrap.fill(
        f"Measured at commit {found['git_commit'][:7]} on {found['device']} with {found['cores']} cores, jax {found['jax']}, "
        f"{what}, "
        f"median of {found['repetitions']} rounds{kept}, on a machine that others used too: read them to ±20 %. {more}",
        128,
    )
