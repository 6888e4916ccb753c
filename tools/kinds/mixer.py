"""Facts and tables of ``docs/mixers.md``."""

from collections.abc import Callable
from typing import Any

import attention
from attention import specs
from benchmarks.mixers import exponent
from tools import rows
from tools.markdown import NOT_MEASURED, groups, link, measured, table
from tools.parameters import SIZES, count, formula
from tools.sections import Section, sections


def generated(found: Section) -> list[str]:
    """What a section has beside its text: facts of the record, and costs of the benchmark."""
    name, record = found.name, attention.build("mixer", found.name)
    counted = f"{formula(record.init) or ''} = {count(record.init):,}".removeprefix("0 = ").removeprefix(" = ")
    words = [
        f"masks: {_masks(record)}",
        f"also takes: {_takes(record) or 'nothing'}",
        *([f"reads a memory: {_memory(name)}"] if _memory(name) else []),
        f"parameters with default options {counted} at D = {SIZES[0].model_dim}, L = {SIZES[0].max_length}",
        "weights can be dropped" if record.attends else "no weights to drop",
        "at most L tokens" if record.max_length == "dims" else "no limit on the length",
    ]
    return [f"{' · '.join(words)}.<br>\nCost: {_cost(name)}."]


def _masks(record: attention.Mixer) -> str:
    return "all" if "mask" in record.uses else ", ".join(("full", *record.masks))


def _takes(record: attention.Mixer) -> str:
    words = {"rotation": "rotations"}
    return ", ".join(words.get(each, each) for each in record.uses if each != "mask")


def _memory(name: str) -> str:
    evidence = rows.evidence("mixer", name)
    return "" if evidence is None else "yes" if any(case.cross for case in evidence.cases) else "no"


def _cost(name: str) -> str:
    """Time and memory at the longest length measured."""
    found = []
    for group in groups("mixer"):
        if specs.parse(group["spec"].partition("/")[0]).name == name:
            longest = max(group["cases"], key=_length)
            found.append(
                f"`{group['spec']}` {longest['median_ms']:.0f} ms, {longest['temporary_mib']:.0f} MiB at T = {_length(longest)}"
            )
    return "; ".join(found) or NOT_MEASURED


def _overview() -> str:
    def row(found: Section) -> list[str]:
        record = attention.build("mixer", found.name)
        labels = found.labels
        return [
            link(found.name),
            labels["Parameters"].rstrip("."),
            labels["Cost in T"],
            _masks(record),
            _takes(record),
            _memory(found.name),
        ]

    head = ["mixer", "parameters", "cost in T", "masks", "also takes", "reads a memory"]
    return table(head, map(row, sections("mixer")))


def _costs() -> str:
    """Time and temporary memory at every length, and the exponents."""
    lengths = sorted({_length(case) for group in groups("mixer") for case in group["cases"]})
    lines = []
    for group in groups("mixer"):
        cases = {_length(case): case for case in group["cases"]}
        time = {length: case["median_ms"] for length, case in cases.items()}
        memory = {length: case["temporary_mib"] for length, case in cases.items()}
        each = [f"{time[n]:.0f} / {memory[n]:.0f}" if n in cases else "–" for n in lengths]
        lines.append((f"`{group['spec']}`", *each, f"{exponent(time):.2f}", f"{exponent(memory):.2f}"))
    head = ("mixer, ms / MiB", *(f"T = {n}" for n in lengths), "exponent of time", "of memory")
    more = "Exponents are of T from 2048 on; `python -m benchmarks.mixers --keep_freed_memory` makes the table."
    what = "forward and backward pass of one text, D = 64"
    return f"{table(head, lines)}\n\n{measured('mixer', what, more)}"


def _length(case: dict[str, Any]) -> int:
    return int(case["name"].removeprefix("T = "))


TABLES: dict[str, Callable[[], str]] = {"overview": _overview, "costs": _costs}
