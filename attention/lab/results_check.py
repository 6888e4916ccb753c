"""Whether rows and what is said to be compared belong together."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attention.lab.plain_names import plain_name
from attention.messages import quoted
from attention.specs import nearest

_JSON = ("fields", "drawn", "config", "by_length", "environment", "data")  # columns; null but for the first three


def check(rows: Iterable[Mapping[str, Any]], sweep: Mapping[str, Any]) -> None:
    """Checks what no sweep writes otherwise.

    Args:
      rows: of ``results.Results``.
      sweep: of the same.

    Raises:
      ValueError: for names that cannot be printed, no variants, a baseline, a metric or a row that is of none of them, a
        final member twice, or a column of JSON that holds no object.
    """
    variants = sweep["variants"]
    if not variants:
        raise ValueError("it compares no variants")
    for name in variants:
        plain_name(name, "the name of a variant")
    for what in ("name", "title", "data_name"):
        plain_name(sweep[what], f"its {what}")
    for what, known in (("baseline", variants), ("metric", sweep["metrics"])):
        if sweep[what] not in known:
            raise ValueError(f"its {what} {quoted(sweep[what])} is not among its own{nearest(sweep[what], known)}")
    seen = set()
    for row in rows:
        _check_row(row, variants)
        member = row["variant"], row["seed"]
        if row["phase"] == "final" and member in seen:
            raise ValueError(f"the variant {quoted(row['variant'])} has seed {row['seed']} twice")
        seen |= {member} if row["phase"] == "final" else set()


def _check_row(row: Mapping[str, Any], variants: list[str]) -> None:
    where = f"a row of {quoted(row['variant'])}, seed {row['seed']}"
    if row["variant"] not in variants:
        raise ValueError(f"{where}, which is none of its variants")
    for name in row["names"]:
        plain_name(name, "the name of a variant")
    found = {name: {} if row[name] is None and name not in _JSON[:3] else json.loads(row[name]) for name in _JSON}
    for name, value in found.items():
        if not isinstance(value, dict):
            raise ValueError(f"{where}: {name} is {quoted(value)}, wanted an object of JSON")
    if not isinstance(found["config"]["task"], str) or not isinstance(found["config"]["data"]["source"], str):
        raise ValueError(f"{where}: its config is none")
